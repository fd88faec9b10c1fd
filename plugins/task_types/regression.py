"""Regression: a number per image, or several."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Flaw,
    Metric,
    Pyramid,
    TargetColumn,
    Task,
    TaskTypeMethods,
    columns,
    task_type,
)
from headwater.plugins.task_types._checks import float_predictions

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from headwater.plugins.task_types._standardised import StandardisedLinear, StandardisedOutputs

METRICS = (
    Metric("mae", higher_is_better=False, low=0, in_target_units=True),
    Metric("rmse", higher_is_better=False, low=0, in_target_units=True),
    Metric("r2", high=1),
    Metric("spearman", low=-1, high=1),
)
STRATA = 10
"""Strata of the first target, between its quantiles: subsets of any size span the range."""


@task_type(
    "regression",
    metrics=METRICS,
    labels="numbers",
    noun="numbers",
    singular="number",
    target_column=TargetColumn(
        "a number, or several, for each image",
        fits=lambda feature: (
            columns.is_number(feature) or columns.is_number(columns.inside(feature))
        ),
        surely=lambda feature: (
            columns.is_number(feature, "float")
            or columns.is_number(columns.inside(feature), "float")
        ),
        names="^targets?$|^values?$|^score$|^label$|^labels$|^age$|^y$",
        guess_order=7,
    ),
)
class regression(TaskTypeMethods):
    """A number per image, or K numbers.

    Encoded targets: (N, K) float32. Predictions: (N, K). Predictions and errors are in the targets'
    own units; the head learns in units of their standard deviation.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Return numbers, (n, K) float32.

        An image that lacks one, or has one that is not finite, or more or fewer than the others, is
        left out.

        Raises:
            DataError: an image's target is no number.
        """
        import numpy as np

        wanted = len(given.classes) or 1
        rows: list[int] = []
        values: list[list[float]] = []
        flaws: list[Flaw] = []
        for row, target in enumerate(given.targets):
            name = str(given.names[row] if given.names else f"image {row}")
            numbers = _numbers(target, name)
            flaw = _flaw(name, numbers, wanted)
            if flaw:
                flaws.append(flaw)
            else:
                rows.append(row)
                values.append(numbers)
        targets = np.array(values, dtype=np.float32).reshape(len(rows), wanted)
        return Encoded(targets, np.array(rows, dtype=np.int64) if flaws else None, tuple(flaws))

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """Return "0", "1", … for as many numbers as most images have; () for one number, which
        needs no name.
        """
        counts = Counter(
            len(list(target)) if _is_list(target) else 1 for target in targets if target is not None
        )
        usual = max(counts, key=lambda count: (counts[count], count), default=1)
        return tuple(str(place) for place in range(usual)) if usual > 1 else ()

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """Return K; raise DataError if all training images have the same target."""
        if not len(targets) or (targets == targets[0]).all():
            raise DataError(
                "all training images have the same target", hint="Add images with others."
            )
        return int(targets.shape[1])

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Return which tenth of the training images each image is in, by its first target; equal
        targets stay together.
        """
        import numpy as np

        edges = np.quantile(targets[:, 0], np.arange(1, STRATA) / STRATA) if len(targets) else []
        return np.searchsorted(np.unique(edges), targets[:, 0], side="right").astype(np.int64)

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Return a linear layer: (B, features) -> (B, K), whose scale ``init_head`` sets."""
        from headwater.plugins.task_types._standardised import StandardisedLinear

        assert isinstance(features, int), "the type is not dense"
        return StandardisedLinear(features, outputs)

    def init_head(self, head: nn.Module, targets: np.ndarray) -> None:
        """Set mean and deviation of each target: ages around 130 months are then as easily learned
        as shares of 1.
        """
        import torch

        cast("StandardisedLinear", head).learn_scale(torch.from_numpy(targets))

    def loss(self, outputs: StandardisedOutputs, targets: Tensor) -> Tensor:
        """Return the smooth L1 loss of standardised errors e: the mean over images and targets.

        e²/2 where |e| < 1, else |e| − ½ (Girshick, "Fast R-CNN", ICCV 2015, arXiv 1504.08083,
        equation 3). Within a deviation it is least squares; further out its gradient does not grow,
        so that a few extreme targets do not rule.
        """
        from torch.nn.functional import smooth_l1_loss

        return smooth_l1_loss(outputs.values, outputs.standardise(targets))

    def chance(self, outputs: int) -> float:
        """Return the loss of always predicting the mean, were targets normal.

        With φ and Φ of the standard normal: the part within a deviation is (Φ(1) − ½) − φ(1), that
        beyond it 2φ(1) − (1 − Φ(1)).
        """
        density = math.exp(-0.5) / math.sqrt(2 * math.pi)
        above = math.erfc(math.sqrt(0.5)) / 2
        return (0.5 - above) - density + 2 * density - above

    def constant(self, targets: np.ndarray, outputs: int) -> Tensor:
        """Return the mean of each target, (K,)."""
        import torch

        return torch.from_numpy(targets).double().mean(0).float()

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Return mean absolute error, root mean squared error, R² and Spearman's rank correlation
        of predictions (N, K).

        The errors are in the targets' unit; R² is 1 − Σ (y − p)² / Σ (y − ȳ)². Each is that of a
        target by itself, averaged over the K. R² and the rank correlation are over the targets that
        vary, 0 where none does; the rank correlation of predictions that do not vary is 0. Computed
        by torchmetrics and scipy.

        Raises:
            TrainingError: predictions are not numbers.
        """
        predictions, targets = float_predictions(predictions).double(), targets.double()
        by_target = [
            _target_metrics(predictions[:, place], targets[:, place])
            for place in range(targets.shape[1])
        ]
        measured = {}
        for metric in METRICS:
            values = [values[metric.name] for values in by_target if metric.name in values]
            measured[metric.name] = sum(values) / len(values) if values else 0.0
        return measured

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """Return the metrics of each target by its name, if there are several targets."""
        if len(classes) < 2:
            return {}
        by_metric: dict[str, dict[str, float]] = {metric.name: {} for metric in METRICS}
        for place, name in enumerate(classes):
            values = _target_metrics(predictions[:, place].double(), targets[:, place].double())
            for metric, value in values.items():
                by_metric[metric][name] = value
        return by_metric

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> float | list[float]:
        """Return the number, or a list of them."""
        numbers = [float(value) for value in prediction]
        return numbers[0] if len(numbers) == 1 else numbers

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """Return the image, under its numbers and the predicted ones."""
        titles = [
            f"{float(true):.4g}: {float(predicted):.4g}"
            for true, predicted in zip(target, prediction, strict=True)
        ]
        if classes:
            titles = [f"{name} {title}" for name, title in zip(classes, titles, strict=True)]
        return [(", ".join(titles), image)]


def _target_metrics(predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the metrics of one target, (N,) each; without R² and rank correlation if it does not
    vary.
    """
    from scipy.stats import spearmanr
    from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, r2_score

    errors = {
        "mae": float(mean_absolute_error(predictions, targets)),
        "rmse": float(mean_squared_error(predictions, targets, squared=False)),
    }
    if not bool((targets != targets[0]).any()):
        return errors
    varies = bool((predictions != predictions[0]).any())
    # Not torchmetrics': it adds 1e-6 to the deviations of ranks, so that a perfect order would not be 1.
    ranks = float(spearmanr(predictions, targets).statistic) if varies else 0.0
    return errors | {"r2": float(r2_score(predictions, targets)), "spearman": ranks}


# -- numbers as data sets write them -----------------------------------------------------------------


def _numbers(target: Any, name: str) -> list[float]:
    """Return a target's numbers; what is missing is NaN."""
    values = target if _is_list(target) else [target]
    try:
        return [math.nan if value is None else float(value) for value in values]
    except (TypeError, ValueError):
        raise DataError(
            f"{name} has target {target!r}, which is no number",
            subject=name,
            hint="Give a number an image, or as many as all others have.",
        ) from None


def _flaw(name: str, values: Sequence[float], wanted: int) -> Flaw | None:
    """Return what is wrong with an image's numbers, if anything is."""
    if len(values) != wanted:
        return Flaw.counting(
            name,
            "has {} targets, {} are wanted",
            "left out",
            code="wrong-number-of-targets",
            numbers=[len(values), wanted],
        )
    if any(math.isnan(value) for value in values):
        what = "has no target" if wanted == 1 else f"lacks one of {wanted} targets"
        return Flaw(name, what, "left out")
    if all(math.isfinite(value) for value in values):
        return None
    return Flaw(name, "has an infinite target", "left out")


def _is_list(target: Any) -> bool:
    if isinstance(target, str | bytes) or not isinstance(target, Iterable):
        return False
    return getattr(target, "ndim", 1) > 0
