"""Keypoints: where K named points of an image's one subject are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
from headwater.plugins.task_types._checks import check_unit, float_predictions

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

    from headwater.plugins.task_types._points import ImagePoints

METRICS = (
    Metric("nme", higher_is_better=False, low=0),
    Metric("pck", low=0, high=1),
    Metric("auc", low=0, high=1),
)

FOUND_WITHIN = 0.1
"""Largest error, over the normaliser, of a point that counts as found."""
MIN_BOX_SHARE = 0.05
"""Share of the image's larger side below which the box around its points is no measure of them: of
a lone point, say.
"""
WIDTH = 64
"""Channels of the head: what two CPU cores bear."""
POINTS_NAMED = 5
"""Points named in a flaw."""


@task_type(
    "keypoints",
    metrics=METRICS,
    dense=True,
    probed_as="numbers",
    conventions={"mirrored": "", "points": "pixels"},
    noun="points",
    singular="point",
    target_column=TargetColumn(
        "points of each image",
        fits=columns.is_points,
        surely=lambda feature: columns.is_number(columns.inside(columns.inside(feature))),
        names=r"^keypoints?$|^landmarks?$|keypoint|landmark|^points$|joint",
        guess_order=4,
    ),
)
class keypoints(TaskTypeMethods):
    """Where K points of one subject are.

    Targets as data sets write them: K (x, y) or (x, y, visible). Encoded: (N, K, 5) float32; their
    columns are those of ``_points``. Predictions: (N, K, 3): x, y as shares of the side, and the
    confidence.

    The default metric is the mean error: it tells networks apart where all find no point, and where
    all find most.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Return points, (n, K, 5) float32.

        Points off the image, and those at (0, 0) of which it is not said, are taken as not visible.
        An image with another number of points than the others, or with none that is visible, is
        left out.

        Raises:
            DataError: a target is no list of points, shares are read as pixels or the other way
                round, or ``mirrored`` does not swap points.
        """
        import numpy as np

        from headwater.plugins.task_types._points import (
            PIXELS,
            SHARES,
            in_shares,
            is_labelled,
            partners,
            place_points,
            read_points,
        )

        count = len(given.targets)
        names = [str(given.names[row] if given.names else f"image {row}") for row in range(count)]
        images = [
            read_points(target, name) for target, name in zip(given.targets, names, strict=True)
        ]
        shares = in_shares(given.task)
        check_unit(
            [points[is_labelled(points), :2] for points in images if points is not None],
            given.task,
            shares=shares,
            noun="points",
            otherwise=f"points={PIXELS if shares else SHARES}",
        )
        wanted = len(given.classes) or _usual_count(images)
        partner = partners(given.task, wanted)
        rows: list[int] = []
        encoded: list[np.ndarray] = []
        flaws: list[Flaw] = []
        for row, points in enumerate(images):
            if points is None or len(points) != wanted:
                flaws.append(_count_flaw(names[row], points, wanted))
                continue
            width, height = given.shape(row)
            placed = place_points(points, (1, 1) if shares else (width, height))
            flaws += _place_flaws(names[row], placed, given.classes)
            if not placed.visible.any():
                flaws.append(Flaw(names[row], "has no visible point", "left out"))
                continue
            aspect = np.full(wanted, width / height)
            rows.append(row)
            encoded.append(np.column_stack([placed.places, placed.visible, aspect, partner]))
        targets = np.array(encoded, dtype=np.float32).reshape(len(rows), wanted, 5)
        if len(rows) == len(images):
            return Encoded(targets, None, tuple(flaws))
        return Encoded(targets, np.array(rows, dtype=np.int64), tuple(flaws))

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """Return "0" to K − 1, with K the number of points that most images have."""
        from headwater.plugins.task_types._points import read_points

        images = (
            read_points(target, f"{task.name}: image {row}") for row, target in enumerate(targets)
        )
        return tuple(str(point) for point in range(_usual_count(images)))

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """Return K; raise DataError if there is no point. A point that no training image shows is
        only never learned.
        """
        if not targets.shape[1]:
            raise DataError("its images have no points", hint="Give (x, y) for each point.")
        return int(targets.shape[1])

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Return a head of logits (B, K, S / 4, S / 4) in training, of predictions (B, K, 3) in
        evaluation.
        """
        from torch import nn

        from headwater.plugins.task_types._heatmaps import decoded_points
        from headwater.plugins.task_types._maps import MapHead

        assert isinstance(features, Pyramid), "the type is dense"
        return MapHead(
            features,
            outputs,
            width=WIDTH,
            in_training=nn.Identity(),
            in_evaluation=decoded_points,
        )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over visible points of distance and divergence (see ``_heatmaps``).

        Args:
            outputs: logits (B, K, S / 4, S / 4).
            targets: encoded points (B, K, 5).
        """
        from headwater.plugins.task_types._heatmaps import heatmap_loss
        from headwater.plugins.task_types._points import VISIBLE

        return heatmap_loss(outputs, targets[..., :2], targets[..., VISIBLE])

    def chance(self, outputs: int) -> float:
        """Return the loss of uniform maps, for points anywhere.

        The mean distance of a point of a square from its middle, (√2 + asinh 1)/3 half sides, and a
        divergence of log 2 at most.
        """
        return (math.sqrt(2) + math.asinh(1)) / 3 + math.log(2)

    def constant(self, targets: np.ndarray, outputs: int) -> Tensor:
        """Return the mean place of each point where it is visible, with full confidence: the mean
        shape, (K, 3).
        """
        import numpy as np
        import torch

        from headwater.plugins.task_types._points import VISIBLE

        visible = targets[..., VISIBLE, None] > 0
        count = visible.sum(0)
        total = (targets[..., :2] * visible).sum(0, dtype=np.float64)
        middle = 0.5  # of a point that no training image shows
        places = np.where(count > 0, total / count.clip(min=1), middle)
        confidence = np.ones((len(places), 1))
        return torch.from_numpy(np.concatenate([places, confidence], axis=1)).float()

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Return normalised mean error, share of points found and the area under its curve, of
        predictions (N, K, 3).

        An error e is the distance between prediction and point in the image as it is stored, not
        squeezed, over the larger side of the box around its visible points (Yang & Ramanan,
        "Articulated Human Detection with Flexible Mixtures of Parts", PAMI 2013); over the image's
        larger side where the box is less than a twentieth of that. nme is the mean of e, pck the
        share with e ≤ 0.1, auc the mean of max(0, 1 − e / 0.1): the area under the share found
        against the error allowed, from 0 to 0.1. Means over an image's visible points, then over
        images.

        Raises:
            TrainingError: predictions are not numbers.
        """
        return self.tallied(self.tally(predictions, targets).sum(0))

    def tally(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return each image's metrics, and 1 where it has a visible point: (N, 4)."""
        import torch

        errors, visible = _errors(float_predictions(predictions), targets)
        each = torch.stack([errors, _found(errors), _area(errors)]).masked_fill(~visible, 0.0)
        count = visible.sum(1)
        return torch.cat([each.sum(2) / count.clamp(min=1), (count > 0).double()[None]]).T

    def tallied(self, sums: Tensor) -> Mapping[str, float]:
        """Return the mean of each metric over the images that have a visible point."""
        means = (sums[:-1] / sums[-1].clamp(min=1)).tolist()
        return dict(zip((metric.name for metric in METRICS), means, strict=True))

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """Return the mean error, and the share found, of each point that is visible in some image."""
        errors, visible = _errors(predictions.float(), targets)
        found = _found(errors)
        by_metric: dict[str, dict[str, float]] = {"nme": {}, "pck": {}}
        for point in visible.any(0).nonzero()[:, 0].tolist():
            images = visible[:, point]
            by_metric["nme"][classes[point]] = float(errors[images, point].mean())
            by_metric["pck"][classes[point]] = float(found[images, point].mean())
        return by_metric

    def augmentation(self, mirror: bool) -> Transform | None:
        """Return shift, zoom and, if ``mirror`` and the task says ``mirrored``, mirroring."""
        from headwater.plugins.task_types._augmentation import MovedPoints

        return MovedPoints(mirror)

    def annotate(self, target: Tensor) -> dict[str, Any]:
        """Return points as shares of the side, on a canvas of 1 × 1, with their partners in a
        mirror.
        """
        from torchvision.tv_tensors import KeyPoints

        from headwater.plugins.task_types._points import PARTNER, VISIBLE

        return {
            "points": KeyPoints(target[:, :2], canvas_size=(1, 1)),
            "visible": target[:, VISIBLE],
            "partner": target[:, PARTNER],
        }

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        """Return the moved points, encoded; those that left the image are not visible."""
        import torch

        from headwater.plugins.task_types._points import VISIBLE

        places = annotations["points"].as_subclass(torch.Tensor)
        visible = annotations["visible"] * ((places >= 0) & (places <= 1)).all(1)
        return torch.cat([places * visible[:, None], visible[:, None], target[:, VISIBLE + 1 :]], 1)

    def probe(self, targets: np.ndarray) -> Probe | None:
        """Return the coordinates of all points, (M, 2K), of the M images in which all are visible.

        A regression on the images' pooled features.
        """
        import numpy as np

        from headwater.plugins.task_types._points import VISIBLE

        image = np.flatnonzero((targets[..., VISIBLE] > 0).all(1))
        return Probe(targets[image, :, :2].reshape(len(image), 2 * targets.shape[1]), image)

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> np.ndarray:
        """Return (K, 3): x and y in pixels, and the confidence."""
        import numpy as np

        return np.asarray(prediction * (*shape, 1), dtype=np.float32)

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """Return the image with the points that are visible, and with the predicted ones under
        their mean error.
        """
        import torch

        from headwater.plugins.task_types._drawing import PREDICTED_POINT, TRUE_POINT, draw_points
        from headwater.plugins.task_types._points import VISIBLE

        metrics = self.measure(torch.from_numpy(prediction[None]), torch.from_numpy(target[None]))
        visible = target[:, VISIBLE] > 0
        title = f"prediction, nme {metrics['nme']:.3f}"
        return [
            ("truth", draw_points(image, target[visible, :2], TRUE_POINT)),
            (title, draw_points(image, prediction[:, :2], PREDICTED_POINT)),
        ]


def _errors(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return errors over the normaliser (N, K) float64, and which points are visible (N, K) bool."""
    import torch

    from headwater.plugins.task_types._points import ASPECT, VISIBLE

    visible, aspect = targets[..., VISIBLE] > 0, targets[..., :1, ASPECT].double()
    # In heights of the image as it is stored.
    stretch = torch.stack([aspect, torch.ones_like(aspect)], -1)
    truth = targets[..., :2].double() * stretch
    hidden = ~visible[..., None]
    low, high = truth.masked_fill(hidden, math.inf), truth.masked_fill(hidden, -math.inf)
    # -inf where no point is visible.
    box = (high.amax(1) - low.amin(1)).amax(1)
    side = aspect[:, 0].clamp(min=1)
    normaliser = torch.where(box < MIN_BOX_SHARE * side, side, box)
    distances = (predictions[..., :2].double() * stretch - truth).norm(dim=-1)
    return distances / normaliser[:, None], visible


def _found(errors: Tensor) -> Tensor:
    """Return 1 where the error of a point is small enough, else 0."""
    return (errors <= FOUND_WITHIN).double()


def _area(errors: Tensor) -> Tensor:
    """Return the share of allowed errors, from 0 to ``FOUND_WITHIN``, with which each point is
    found.
    """
    return (1 - errors / FOUND_WITHIN).clamp(min=0)


def _usual_count(images: Iterable[np.ndarray | None]) -> int:
    """Return the commonest number of points, the largest among equals; 0 if no image has points."""
    counts = Counter(len(points) for points in images if points is not None)
    return max(counts, key=lambda count: (counts[count], count), default=0)


def _count_flaw(name: str, points: np.ndarray | None, wanted: int) -> Flaw:
    """Return the flaw of an image with another number of points than the others."""
    if points is None:
        return Flaw(name, "has no points", "left out")
    return Flaw.counting(
        name,
        "has {} points, {} are wanted",
        "left out",
        code="wrong-number-of-points",
        numbers=[len(points), wanted],
    )


def _place_flaws(name: str, placed: ImagePoints, classes: Sequence[str]) -> Iterator[Flaw]:
    """Yield what is wrong with where the points of an image are."""
    places = (
        ("point-off-the-image", placed.outside, "off the image"),
        ("point-in-the-corner", placed.in_corner, "in the upper left corner"),
    )
    for code, points, where in places:
        if points:
            noun = "points" if len(points) > 1 else "point"
            yield Flaw.counting(
                name,
                f"has {{}} {noun}{{items}} {where}",
                "taken as not visible",
                code=code,
                numbers=[len(points)],
                items=_names_of(points, classes),
            )


def _names_of(points: Sequence[int], classes: Sequence[str]) -> list[str]:
    """Return the names of the first points; "…" stands for more."""
    names = [classes[point] if classes else str(point) for point in points[:POINTS_NAMED]]
    return [*names, "…"] if len(points) > POINTS_NAMED else names
