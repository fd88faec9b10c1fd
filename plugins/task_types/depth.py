"""Monocular depth: how far away every pixel is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Flaw,
    Metric,
    Probe,
    Pyramid,
    TargetColumn,
    Task,
    TaskTypeMethods,
    columns,
    task_type,
)
from headwater.plugins.task_types._checks import check_finite

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

METRICS = (
    Metric("abs_rel", higher_is_better=False, low=0),
    *(Metric(name, low=0, high=1) for name in ("delta1", "delta2", "delta3")),
    Metric("rmse", higher_is_better=False, low=0, unit="m"),
    *(Metric(name, higher_is_better=False, low=0) for name in ("rmse_log", "silog")),
)

DEFAULT_UNIT = 0.001
"""Metres that a whole number in an image stands for, where the task does not say: most files are in
millimetres. Floats are metres.
"""
OVERFLOW = 65535
"""Value of 16-bit images where a reading did not fit, or there was none."""
WIDTH = 64
"""Channels of the head: what two CPU cores bear."""
NEAR, FAR = 0.001, 1000.0
"""Metres between which readings are: what is nearer or farther than anything that is photographed
was not measured.
"""
MAX_SHARE_OUT_OF_BOUNDS = 0.9
"""Share of a split's readings out of these bounds above which the unit is wrong."""
MAX_LOG_DEPTH = math.log(FAR)
"""Log depth, either way, at which predictions saturate: at readings' own bounds."""
MAX_FIRST_SHARE = 0.99
"""Share of it up to which the head may begin: further out its gradient is next to none, and at 1
the bias would be infinite.
"""
FIRST_WEIGHTS_GAIN = 0.05
"""Gain of the last layer's first weights: the head begins near one depth for everything, and short
trainings end better for it.
"""
LAMBDA = 0.5
"""λ of the loss: 0 is the error of log depth, 1 leaves out what all pixels of an image share."""
CHANCE = 0.15
"""The loss of one depth for everything, the training readings' mean log depth: the mean over images
of the variance of log depth within an image, plus (1 − λ) times the variance between images. On
rgbd_depth at 96 px 0.129 + 0.5 × 0.011 = 0.134 in training, 0.168 in test.
"""
PROBED_PIXELS = 48
"""Pixels that are probed in an image."""


@task_type(
    "depth",
    metrics=METRICS,
    dense=True,
    probed_as="numbers",
    conventions={"unit": DEFAULT_UNIT},
    target_column=TargetColumn(
        "a depth map for each image",
        fits=columns.is_map,
        surely=lambda feature: columns.is_a(feature, "Image"),
        names=r"^depth_?map$|^depth$|depth|disparity|^target$",
        guess_order=3,
    ),
)
class depth(TaskTypeMethods):
    """How far away every pixel is, from one image.

    Targets as data sets write them: depth maps in a ``unit``, 0 where there is no reading. Encoded:
    (N, S, S) float32 metres, 0 where there is no reading. Predictions: (N, S, S) metres.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Return metres, (n, S, S) float32, 0 where there is no reading.

        Raises:
            DataError: a map cannot be read, or nearly all readings are out of bounds, as in another
                unit.
        """
        import numpy as np

        from headwater.plugins.task_types._maps import MapKind, encode_maps

        readings = out_of_bounds = 0

        def read(stored: np.ndarray, name: str) -> tuple[np.ndarray, Flaw | None]:
            nonlocal readings, out_of_bounds
            depths = _checked_depths(stored, name, given.task)
            readings += depths.readings
            out_of_bounds += depths.out_of_bounds
            return depths.metres, depths.flaw

        kind = MapKind("depth map", np.float32, 0, empty="a depth map without a reading")
        encoded = encode_maps(given, kind, read)
        if out_of_bounds > MAX_SHARE_OUT_OF_BOUNDS * readings:
            share = f"{out_of_bounds / readings:.0%} of its readings"
            raise DataError(
                f"{given.task.name}: {share} are {_UNDER} or {_OVER}",
                subject=given.task.name,
                hint="Say which unit they are in: unit=0.001 for millimetres, unit=0.01 for centimetres, "
                "unit=1 for metres.",
            )
        return encoded

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """Return 1: a number a pixel."""
        return 1

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Return a head of log depth (B, S, S) in training, of metres (B, S, S) in evaluation: 1 mm
        to 1 km, about 1 m at first.
        """
        from headwater.plugins.task_types._maps import MapHead

        assert isinstance(features, Pyramid), "the type is dense"
        return MapHead(
            features,
            outputs,
            width=WIDTH,
            gain=FIRST_WEIGHTS_GAIN,
            in_training=_log_depth,
            in_evaluation=_metres,
        )

    def init_head(self, head: nn.Module, targets: np.ndarray) -> None:
        """Set the bias to the targets' mean log depth, the best prediction that knows nothing of an
        image.
        """
        import numpy as np
        from torch import nn

        from headwater.plugins.task_types._maps import MapHead

        assert isinstance(head, MapHead)
        means = [np.log(metres[metres > 0]).mean() for metres in targets]
        share = float(np.mean(means)) / MAX_LOG_DEPTH
        share = min(max(share, -MAX_FIRST_SHARE), MAX_FIRST_SHARE)
        # The inverse of _log_depth.
        nn.init.constant_(head.bias, MAX_LOG_DEPTH * math.atanh(share))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the scale-invariant loss of log depths (B, S, S) against metres (B, S, S).

        With d = outputs − log targets at an image's readings: mean(d²) − λ mean(d)², λ = 0.5, a
        mean over the images that have readings, 0 where none has. Eigen, Puhrsch and Fergus, "Depth
        Map Prediction from a Single Image using a Multi-Scale Deep Network", NIPS 2014 (arXiv
        1406.2283), equation 4.
        """
        valid = targets > 0
        count = valid.sum((1, 2))
        difference = (outputs - targets.clamp(min=math.exp(-MAX_LOG_DEPTH)).log()) * valid
        readings = count.clamp(min=1)
        mean = difference.sum((1, 2)) / readings
        each = (difference**2).sum((1, 2)) / readings - LAMBDA * mean**2
        return each.sum() / (count > 0).sum().clamp(min=1)

    def chance(self, outputs: int) -> float:
        """Return the loss of the best single depth, indoors; a data set's own is not known
        beforehand.
        """
        return CHANCE

    def constant(self, targets: np.ndarray, outputs: int) -> Tensor:
        """Return each pixel's mean log depth as metres, (S, S); the mean of all where a pixel has
        no reading.
        """
        import numpy as np
        import torch

        total = np.zeros(targets.shape[1:])
        readings = np.zeros(targets.shape[1:])
        for metres in targets:  # one by one: maps are mapped, and there may be many
            valid = metres > 0
            total[valid] += np.log(metres[valid])
            readings += valid
        overall = total.sum() / readings.sum()
        mean = np.where(readings > 0, total / readings.clip(min=1), overall)
        return torch.from_numpy(np.exp(mean)).float()

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Return the metrics of Eigen et al. 2014 (table 1), and the scale-invariant error, of
        metres (N, S, S).

        With prediction p and truth t at an image's readings, and d = log p − log t: abs_rel is the
        mean of |p − t| / t; delta1 to delta3 are the shares of readings with |d| < k log 1.25, k =
        1 to 3; rmse is √ mean (p − t)², in metres; rmse_log is √ mean d²; silog is √(mean d² −
        (mean d)²). Each is a mean over the images with readings.

        Raises:
            TrainingError: predictions are not numbers.
        """
        return self.tallied(self.tally(predictions, targets).sum(0))

    def tally(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return, of each image, 1 if it has readings, and its metrics: (N, 1 + metrics), 0 if it
        has none.
        """
        import torch

        check_finite(predictions)
        tallies = torch.zeros(len(targets), 1 + len(METRICS), dtype=torch.float64)
        for image, (predicted, truth) in enumerate(zip(predictions, targets, strict=True)):
            valid = truth > 0
            if valid.any():
                metrics = _image_metrics(predicted[valid], truth[valid])
                tallies[image] = torch.tensor([1.0, *metrics])
        return tallies

    def tallied(self, sums: Tensor) -> Mapping[str, float]:
        """Return the mean of each metric over the images with readings."""
        return {
            metric.name: float(total / sums[0])
            for metric, total in zip(METRICS, sums[1:], strict=True)
        }

    def augmentation(self, mirror: bool) -> Transform | None:
        """Return shift, zoom, which divides depths, and mirroring; what comes in from outside has
        no reading.
        """
        from headwater.plugins.task_types._augmentation import ZoomedDepth, move_maps

        return move_maps(mirror, 0, ZoomedDepth)

    def annotate(self, target: Tensor) -> dict[str, Any]:
        """Return metres (S, S) as a tv_tensor."""
        from torchvision.tv_tensors import Mask

        return {"depth": Mask(target)}

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        """Return the moved depths, encoded."""
        from torch import Tensor

        return annotations["depth"].as_subclass(Tensor).to(target.dtype)

    def probe(self, targets: np.ndarray) -> Probe | None:
        """Return up to 48 random readings of each image; labels (M, 1) are their log depths."""
        import numpy as np

        labels, images, places = [], [], []
        for image, metres in enumerate(targets):
            readings = np.argwhere(metres > 0)
            # An image's pixels do not depend on which others are probed.
            order = np.random.default_rng(0).permutation(len(readings))
            chosen = readings[np.sort(order[:PROBED_PIXELS])]
            labels.append(np.log(metres[tuple(chosen.T)].astype(np.float64))[:, None])
            images.append(np.full(len(chosen), image, dtype=np.int64))
            places.append((chosen[:, ::-1] + 0.5) / metres.shape[::-1])
        return Probe(np.concatenate(labels), np.concatenate(images), np.concatenate(places))

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> np.ndarray:
        """Return the metres of each pixel, (height, width) float32."""
        import numpy as np
        from PIL import Image

        depths = Image.fromarray(prediction.astype(np.float32))
        return np.asarray(depths.resize(shape, Image.Resampling.BILINEAR))

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """Return the image, its depths and the predicted ones in the same colours.

        Dark blue is the nearest reading, yellow the furthest, black none.
        """
        from headwater.plugins.task_types._drawing import colour_depths

        readings = target[target > 0]
        near, far = (float(readings.min()), float(readings.max())) if len(readings) else (0.0, 1.0)
        title = f"truth, {near:.2f} to {far:.2f} m"
        return [
            ("image", image),
            (title, colour_depths(target, near, far)),
            ("prediction", colour_depths(prediction, near, far)),
        ]


_UNDER, _OVER = f"under {NEAR * 1000:g} mm", f"over {FAR / 1000:g} km"


class _Depths(NamedTuple):
    """The depths of one image.

    ``metres``: (H, W), 0 where there is no reading within bounds. ``readings``: how many there are,
        of which ``out_of_bounds`` are not within them.
    """

    metres: np.ndarray
    readings: int
    out_of_bounds: int
    flaw: Flaw | None


def _checked_depths(stored: np.ndarray, name: str, task: Task) -> _Depths:
    import numpy as np

    if stored.dtype.kind not in "uif":
        raise DataError(
            f"the depth map of {name} has values of type {stored.dtype}",
            subject=name,
            hint="A depth map has numbers, one for each pixel.",
        )
    metres = stored.astype(np.float32) * _unit(task, stored.dtype.kind)
    no_readings = {
        "negative": metres < 0,
        "infinite": np.isinf(metres),
        "no number": np.isnan(metres),
        f"of {OVERFLOW}": (stored == OVERFLOW) & (stored.dtype.kind != "f"),
    }
    readings = (metres != 0) & ~np.logical_or.reduce(list(no_readings.values()))
    out_of_bounds = {
        _UNDER: readings & (metres < NEAR),
        _OVER: readings & (metres > FAR),
    }
    within = readings & (metres >= NEAR) & (metres <= FAR)
    return _Depths(
        metres=np.where(within, metres, 0),
        readings=int(readings.sum()),
        out_of_bounds=int(readings.sum() - within.sum()),
        flaw=_impossible_depths(name, no_readings | out_of_bounds),
    )


def _unit(task: Task, kind: str) -> float:
    """Return the metres that 1 stands for, in values of numpy's kind "f" (floats), "u" or "i"."""
    value = task.conventions.get("unit", 1.0 if kind == "f" else DEFAULT_UNIT)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise DataError(
            f"{task.name}: unit is {value!r}, a number of metres was expected",
            subject=task.name,
            hint="unit=0.001: the metres that 1 stands for in its depth maps.",
        )
    return float(value)


def _impossible_depths(name: str, problems: Mapping[str, np.ndarray]) -> Flaw | None:
    counts = {how: int(pixels.sum()) for how, pixels in problems.items() if pixels.any()}
    if not counts:
        return None
    return Flaw.counting(
        name,
        f"has depths that cannot be: {', '.join(f'{{}} {how}' for how in counts)}",
        "taken as no reading",
        code=f"impossible-depth: {', '.join(counts)}",
        numbers=list(counts.values()),
    )


def _log_depth(outputs: Tensor) -> Tensor:
    """Return log metres (B, S, S), within bounds, of outputs (B, 1, S / 4, S / 4) of any size."""
    from headwater.plugins.task_types._maps import at_full_size

    return at_full_size(MAX_LOG_DEPTH * (outputs / MAX_LOG_DEPTH).tanh())[:, 0]


def _metres(outputs: Tensor) -> Tensor:
    return _log_depth(outputs).exp()


def _image_metrics(predicted: Tensor, truth: Tensor) -> list[float]:
    """Return every metric, in the order of METRICS, of one image's readings, (n,) metres each."""
    from torchmetrics.functional import mean_absolute_percentage_error, mean_squared_error

    predicted = predicted.clamp(min=math.exp(-MAX_LOG_DEPTH))
    difference = predicted.log() - truth.log()
    within = [
        float((difference.abs() < power * math.log(1.25)).float().mean()) for power in (1, 2, 3)
    ]
    return [
        float(mean_absolute_percentage_error(predicted, truth)),
        *within,
        float(mean_squared_error(predicted, truth, squared=False)),
        float(mean_squared_error(predicted.log(), truth.log(), squared=False)),
        float(difference.std(correction=0)),
    ]
