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
    Task,
    TaskTypeMethods,
    task_type,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from headwater.plugins.task_types._standardised import Standardised, StandardisedLinear

METRICS = (
    Metric("mae", higher_is_better=False, low=0),
    Metric("rmse", higher_is_better=False, low=0),
    Metric("r2", high=1),
    Metric("spearman", low=-1, high=1),
)
BINS = 10
"""Of the first target, between its quantiles: subsets of any size span the range."""


@task_type("regression", metrics=METRICS, noun="numbers")
class regression(TaskTypeMethods):
    """A number per image, or K numbers. Predictions and errors are in the targets' own units; the head learns in standard ones."""

    def encode(self, given: Annotations) -> Encoded:
        """Numbers, (n, K) float32. An image that lacks one, or has one that is not finite, or more or fewer than the others, is left out.

        Raises DataError naming the image whose target is no number.
        """
        import numpy as np

        wanted = len(given.classes) or 1
        rows: list[int] = []
        values: list[list[float]] = []
        flaws: list[Flaw] = []
        for row in range(len(given.targets)):
            name = str(given.names[row] if given.names else f"image {row}")
            found = _values(given.targets[row], name)
            if problem := _problem(found, wanted):
                flaws.append(Flaw(name, problem, "left out"))
            else:
                rows.append(row)
                values.append(found)
        targets = np.array(values, dtype=np.float32).reshape(len(rows), wanted)
        return Encoded(targets, np.array(rows, dtype=np.int64) if flaws else None, tuple(flaws))

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """Names of the numbers where there are several, their places; as many as most images have. A lone number has none."""
        counts = Counter(
            len(list(target)) if _is_list(target) else 1 for target in targets if target is not None
        )
        most = max(counts, key=lambda count: (counts[count], count)) if counts else 1
        return tuple(str(place) for place in range(most)) if most > 1 else ()

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """K; raises DataError where all training images have the same target."""
        if not len(targets) or (targets == targets[0]).all():
            raise DataError(
                "all training images have the same target", hint="Add images with others."
            )
        return int(targets.shape[1])

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Which tenth of the training images an image is in, by its first target; equal targets stay together."""
        import numpy as np

        edges = np.quantile(targets[:, 0], np.arange(1, BINS) / BINS) if len(targets) else []
        return np.searchsorted(np.unique(edges), targets[:, 0], side="right").astype(np.int64)

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """A linear layer: (B, features) -> (B, K), in units of the training targets' deviation, of which ``init_head`` tells it."""
        from headwater.plugins.task_types._standardised import StandardisedLinear

        assert isinstance(features, int), "the type is not dense"
        return StandardisedLinear(features, outputs)

    def init_head(self, head: nn.Module, targets: np.ndarray) -> None:
        """Mean and deviation of each target: ages around 130 months are then as easily learned as shares of 1."""
        import torch

        cast("StandardisedLinear", head).learn_scale(torch.from_numpy(targets))

    def loss(self, outputs: Standardised, targets: Tensor) -> Tensor:
        """Smooth L1 (Girshick, Fast R-CNN, 2015, eq. 3) of standardised errors e: e²/2 where |e| < 1, else |e| − ½; the mean over all.

        Within a deviation it is least squares; further out its gradient does not grow, so that a few extreme targets do not rule.
        """
        from torch.nn.functional import smooth_l1_loss

        return smooth_l1_loss(outputs.found, outputs.of(targets))

    def chance(self, outputs: int) -> float:
        """That of always saying the mean, were targets normal: with φ and Φ of the normal, (Φ(1) − ½) − φ(1) + 2φ(1) − (1 − Φ(1))."""
        density, above = math.exp(-0.5) / math.sqrt(2 * math.pi), math.erfc(math.sqrt(0.5)) / 2
        return (0.5 - above) - density + 2 * density - above

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Mean absolute error, root mean squared error, R² and Spearman's rank correlation of predictions (N, K).

        Each is that of a target by itself, averaged over the K. R² and the rank correlation are over the targets that vary, 0 where
        none does; the rank correlation of predictions that do not vary is 0. Raises TrainingError for predictions that are not numbers.
        """
        from headwater.plugins.task_types._numbers import numbers

        predictions, targets = numbers(predictions).double(), targets.double()
        found = [
            _measured(predictions[:, place], targets[:, place]) for place in range(targets.shape[1])
        ]
        measured = {
            name: [one[name] for one in found if name in one]
            for name in (metric.name for metric in METRICS)
        }
        return {
            name: sum(values) / len(values) if values else 0.0 for name, values in measured.items()
        }

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """The metrics of each target by its name, where there are several."""
        if len(classes) < 2:
            return {}
        found = {
            name: _measured(predictions[:, at].double(), targets[:, at].double())
            for at, name in enumerate(classes)
        }
        return {
            metric.name: {
                name: one[metric.name] for name, one in found.items() if metric.name in one
            }
            for metric in METRICS
        }

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> float | list[float]:
        """The number, or a list of them."""
        return (
            float(prediction[0]) if len(prediction) == 1 else [float(value) for value in prediction]
        )

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """The image, under its target and the one predicted."""
        said = (
            f"{float(true):.4g}: {float(found):.4g}"
            for true, found in zip(target, prediction, strict=True)
        )
        named = zip(classes, said, strict=True) if classes else (("", one) for one in said)
        return [(", ".join(f"{name} {one}".strip() for name, one in named), image)]


def _measured(predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Of one target, (N,) each; without R² and rank correlation where it does not vary."""
    from scipy.stats import spearmanr
    from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, r2_score

    errors = {
        "mae": float(mean_absolute_error(predictions, targets)),
        "rmse": float(mean_squared_error(predictions, targets, squared=False)),
    }
    if not bool((targets != targets[0]).any()):
        return errors
    varies = bool((predictions != predictions[0]).any())
    # torchmetrics adds 1e-6 to the deviations of ranks, so that a perfect order would not be 1.
    ranks = float(spearmanr(predictions, targets).statistic) if varies else 0.0
    return errors | {"r2": float(r2_score(predictions, targets)), "spearman": ranks}


# -- numbers in ------------------------------------------------------------------------------------------


def _values(target: Any, name: str) -> list[float]:
    """A target's numbers; what is missing is NaN."""
    try:
        return [
            math.nan if value is None else float(value)
            for value in (target if _is_list(target) else [target])
        ]
    except (TypeError, ValueError):
        hint = "Give a number an image, or as many as all others have."
        raise DataError(
            f"{name} has target {target!r}, which is no number", subject=name, hint=hint
        ) from None


def _problem(values: Sequence[float], wanted: int) -> str:
    if len(values) != wanted:
        return f"has {len(values)} targets, {wanted} are wanted"
    if any(math.isnan(value) for value in values):
        return "has no target" if wanted == 1 else f"lacks one of {wanted} targets"
    return "" if all(math.isfinite(value) for value in values) else "has an infinite target"


def _is_list(target: Any) -> bool:
    return (
        isinstance(target, Iterable)
        and not isinstance(target, str | bytes)
        and getattr(target, "ndim", 1) > 0
    )
