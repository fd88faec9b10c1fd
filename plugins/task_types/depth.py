"""Monocular depth: how far away every pixel is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Flaw,
    Metric,
    Probe,
    Pyramid,
    Task,
    TaskTypeMethods,
    TrainingError,
    task_type,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

METRICS = (
    Metric("abs_rel", higher_is_better=False, low=0),
    *(Metric(name, low=0, high=1) for name in ("delta1", "delta2", "delta3")),
    *(Metric(name, higher_is_better=False, low=0) for name in ("rmse", "rmse_log", "silog")),
)

UNIT = 0.001
"""Metres that a whole number in an image stands for, where the task does not say: most files are in millimetres. Floats are metres."""
OVERFLOW = 65535
"""What 16-bit images hold where a reading did not fit, or there was none."""
WIDTH = 64
"""Channels of the head: what two CPU cores bear."""
NEAR, FAR = 0.001, 1000.0
"""Metres between which readings are: what is nearer or farther than anything that is photographed was not measured."""
STRANGE = 0.9
"""Share of a split's readings not between them from which it is the unit that is wrong."""
BOUND = math.log(FAR)
"""Of log depth, either way, where predictions saturate: at readings' own bounds."""
STEEP = 0.99
"""Share of it up to which the head may begin: further out its gradient is next to none, and at 1 the bias would be infinite."""
GAIN = 0.05
"""Of the last layer's first weights: it begins near one depth for everything, and short trainings end better for it."""
LAMBDA = 0.5
"""Of the loss: 0 is the error of log depth, 1 leaves out what all pixels of an image share."""
CHANCE = 0.15
"""The loss of one depth for everything, the training readings' mean log depth: the mean over images of the variance of log depth within
an image, plus (1 − λ) times the variance between images. On rgbd_depth at 96 px 0.129 + 0.5 × 0.011 = 0.134 in training, 0.168 in test."""
PROBED = 48
"""Pixels that are probed in an image."""


@task_type("depth", metrics=METRICS, dense=True, probed_as="regression", conventions={"unit": UNIT})
class depth(TaskTypeMethods):
    """How far away every pixel is, from one image. Targets are depth maps, 0 where there is no reading; predictions (N, S, S) metres."""

    def encode(self, given: Annotations) -> Encoded:
        """Metres (n, S, S) float32, 0 where there is no reading.

        Raises DataError for maps that cannot be read, and where nearly all readings are out of bounds, as in another unit.
        """
        import numpy as np

        from headwater.plugins.task_types._maps import encode_maps

        readings = strange = 0

        def read(found: np.ndarray, name: str) -> tuple[np.ndarray, Flaw | None]:
            if found.dtype.kind not in "uif":
                hint = "A depth map has numbers, one for each pixel."
                raise DataError(
                    f"the depth map of {name} has values of type {found.dtype}",
                    subject=name,
                    hint=hint,
                )
            nonlocal readings, strange
            metres = found.astype(np.float32) * _unit(given.task, found.dtype.kind)
            none = {
                "negative": metres < 0,
                "infinite": np.isinf(metres),
                "no number": np.isnan(metres),
                f"of {OVERFLOW}": (found == OVERFLOW) & (found.dtype.kind != "f"),
            }
            some = (metres != 0) & ~np.logical_or.reduce(list(none.values()))
            out = {
                f"under {NEAR * 1000:g} mm": some & (metres < NEAR),
                f"over {FAR / 1000:g} km": some & (metres > FAR),
            }
            kept = some & (metres >= NEAR) & (metres <= FAR)
            readings, strange = readings + int(some.sum()), strange + int(some.sum() - kept.sum())
            return np.where(kept, metres, 0), _wrong(name, none | out)

        encoded = encode_maps(
            given, "depth map", np.float32, 0, "a depth map without a reading", read
        )
        if strange > STRANGE * readings:
            hint = "Say which unit they are in: unit=0.001 for millimetres, unit=0.01 for centimetres, unit=1 for metres."
            problem = f"{strange / readings:.0%} of its readings are under {NEAR * 1000:g} mm or over {FAR / 1000:g} km"
            raise DataError(f"{given.task.name}: {problem}", subject=given.task.name, hint=hint)
        return encoded

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        return 1

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Log depth (B, S, S) in training, metres (B, S, S) in evaluation: from 1 mm to 1 km, about 1 m at first."""
        from headwater.plugins.task_types._maps import MapHead

        assert isinstance(features, Pyramid), "the type is dense"
        return MapHead(
            features,
            outputs,
            width=WIDTH,
            gain=GAIN,
            in_training=_log_depth,
            in_evaluation=_metres,
        )

    def init_head(self, head: nn.Module, targets: np.ndarray) -> None:
        """It begins at the mean log depth of the targets, which is the best that knows nothing of an image."""
        import numpy as np
        from torch import nn

        from headwater.plugins.task_types._maps import MapHead

        assert isinstance(head, MapHead)
        mean = float(np.mean([np.log(metres[metres > 0]).mean() for metres in targets])) / BOUND
        nn.init.constant_(head.bias, BOUND * math.atanh(min(max(mean, -STEEP), STEEP)))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of log depths (B, S, S) against metres (B, S, S): Eigen et al. 2014, arXiv 1406.2283, equation 4, with λ = 0.5.

        With d = outputs − log targets at an image's readings: mean(d²) − λ mean(d)², a mean over the images that have any; 0 where
        none has.
        """
        valid = targets > 0
        count = valid.sum((1, 2))
        away = (outputs - targets.clamp(min=math.exp(-BOUND)).log()) * valid
        readings = count.clamp(min=1)
        each = (away**2).sum((1, 2)) / readings - LAMBDA * (away.sum((1, 2)) / readings) ** 2
        return each.sum() / (count > 0).sum().clamp(min=1)

    def chance(self, outputs: int) -> float:
        """That of the one depth that is best without a look, indoors; what a data set's own is, is not known beforehand."""
        return CHANCE

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """What Eigen et al. 2014 report (table 1), and the scale-invariant error √(mean d² − (mean d)²): of each image's readings,
        then a mean over images. Raises TrainingError for predictions that are not numbers."""
        return self.tallied(self.tally(predictions, targets).sum(0))

    def tally(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Whether the image has readings, and its metrics: (N, 1 + metrics)."""
        import torch

        if not bool(predictions.isfinite().all()):
            raise TrainingError(
                "the network's outputs are not numbers",
                hint="Lower the learning rate, or turn mixed precision off.",
            )
        tallies = torch.zeros(len(targets), 1 + len(METRICS), dtype=torch.float64)
        for image, (said, true) in enumerate(zip(predictions, targets, strict=True)):
            if (valid := true > 0).any():
                tallies[image] = torch.tensor([1.0, *_measured(said[valid], true[valid])])
        return tallies

    def tallied(self, sums: Tensor) -> Mapping[str, float]:
        return {
            metric.name: float(total / sums[0])
            for metric, total in zip(METRICS, sums[1:], strict=True)
        }

    def augmentation(self, mirror: bool) -> Transform | None:
        from headwater.plugins.task_types._maps import ZoomedDepth, moving

        return moving(mirror, 0, ZoomedDepth)

    def annotate(self, target: Tensor) -> dict[str, Any]:
        from torchvision.tv_tensors import Mask

        return {"depth": Mask(target)}

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        from torch import Tensor

        return annotations["depth"].as_subclass(Tensor).to(target.dtype)

    def probe(self, targets: np.ndarray) -> Probe | None:
        """Up to 48 readings of each image, drawn alike whatever else is probed; labels (M, 1) are their log depths."""
        import numpy as np

        labels, images, places = [], [], []
        for image, metres in enumerate(targets):
            found = np.argwhere(metres > 0)
            # An image's pixels do not depend on which others are there.
            chosen = found[np.sort(np.random.default_rng(0).permutation(len(found))[:PROBED])]
            labels.append(np.log(metres[tuple(chosen.T)].astype(np.float64))[:, None])
            images.append(np.full(len(chosen), image, dtype=np.int64))
            places.append((chosen[:, ::-1] + 0.5) / metres.shape[::-1])
        return Probe(np.concatenate(labels), np.concatenate(images), np.concatenate(places))

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> np.ndarray:
        """Metres of each pixel, (height, width) float32."""
        import numpy as np
        from PIL import Image

        return np.asarray(
            Image.fromarray(prediction.astype(np.float32)).resize(shape, Image.Resampling.BILINEAR)
        )

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """The image, its depths and those predicted, coloured alike: dark blue the nearest reading, yellow the furthest, black none."""
        from headwater.plugins.task_types._maps_drawn import coloured

        readings = target[target > 0]
        near, far = (float(readings.min()), float(readings.max())) if len(readings) else (0.0, 1.0)
        title = f"truth, {near:.2f} to {far:.2f} m"
        return [
            ("image", image),
            (title, coloured(target, near, far)),
            ("prediction", coloured(prediction, near, far)),
        ]


def _unit(task: Task, kind: str) -> float:
    """Of values of a kind (numpy's "f", floats, or "u", "i")."""
    value = task.conventions.get("unit", 1.0 if kind == "f" else UNIT)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        hint = "unit=0.001: the metres that 1 stands for in its depth maps."
        raise DataError(
            f"{task.name}: unit is {value!r}, a number of metres was expected",
            subject=task.name,
            hint=hint,
        )
    return float(value)


def _wrong(name: str, wrong: Mapping[str, np.ndarray]) -> Flaw | None:
    counts = [f"{int(found.sum())} {how}" for how, found in wrong.items() if found.any()]
    return (
        Flaw(name, f"has depths that cannot be: {', '.join(counts)}", "taken as no reading")
        if counts
        else None
    )


def _log_depth(found: Tensor) -> Tensor:
    """(B, 1, S / 4, S / 4) of any size -> (B, S, S) log metres within bounds."""
    from headwater.plugins.task_types._maps import at_full_size

    return at_full_size(BOUND * (found / BOUND).tanh())[:, 0]


def _metres(found: Tensor) -> Tensor:
    return _log_depth(found).exp()


def _measured(said: Tensor, true: Tensor) -> list[float]:
    """Every metric, in METRICS' order, of one image's readings, (n,) metres each."""
    from torchmetrics.functional import mean_absolute_percentage_error, mean_squared_error

    said = said.clamp(min=math.exp(-BOUND))
    away = said.log() - true.log()
    return [
        float(mean_absolute_percentage_error(said, true)),
        *(float((away.abs() < power * math.log(1.25)).float().mean()) for power in (1, 2, 3)),
        float(mean_squared_error(said, true, squared=False)),
        float(mean_squared_error(said.log(), true.log(), squared=False)),
        float(away.std(correction=0)),
    ]
