"""Keypoints: where K named points of an image's one subject are."""

from __future__ import annotations

import math
from collections import Counter
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
    task_type,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

METRICS = (
    Metric("nme", higher_is_better=False, low=0),
    Metric("pck", low=0, high=1),
    Metric("auc", low=0, high=1),
)

WITHIN = 0.1
"""Of the normaliser: a point is found where it is no further off."""
LEAST = 0.05
"""Share of the image's larger side below which the box around its points is no measure of them: of a lone point, say."""
WIDTH = 64
"""Channels of the head: what two CPU cores bear."""
NAMED = 5
"""Points named in a flaw."""


@task_type(
    "keypoints",
    metrics=METRICS,
    dense=True,
    probed_as="regression",
    conventions={"mirrored": "", "points": "pixels"},
    noun="points",
)
class keypoints(TaskTypeMethods):
    """Where K points of one subject are. Targets are K (x, y) or (x, y, visible); predictions (N, K, 3) shares and confidence.

    The metric of choice is the mean error: it tells networks apart where all find no point, and where all find most.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Points, (n, K, 5) float32; their columns are those of ``_points``.

        Points off the image, and those at (0, 0) of which it is not said, are taken as not visible; an image with another number of
        points than the others, or with none that is visible, is left out. Raises DataError for what are no points, for shares read as
        pixels or the other way round, and for a ``mirrored`` that swaps none.
        """
        import numpy as np

        from headwater.plugins.task_types._points import (
            PIXELS,
            SHARES,
            in_shares,
            labelled,
            partners,
            placed,
            read,
        )
        from headwater.plugins.task_types._shares import refuse_misread

        names = [
            str(given.names[row] if given.names else f"image {row}")
            for row in range(len(given.targets))
        ]
        found = [read(target, name) for target, name in zip(given.targets, names, strict=True)]
        shares = in_shares(given.task)
        told = [points[labelled(points), :2] for points in found if points is not None]
        refuse_misread(told, shares, given.task, "points", f"points={PIXELS if shares else SHARES}")
        wanted = len(given.classes) or _usual(len(points) for points in found if points is not None)
        partner = partners(given.task, wanted)
        rows: list[int] = []
        encoded: list[np.ndarray] = []
        flaws: list[Flaw] = []
        for row, points in enumerate(found):
            if points is None or len(points) != wanted:
                what = (
                    "has no points"
                    if points is None
                    else f"has {len(points)} points, {wanted} are wanted"
                )
                flaws.append(Flaw(names[row], what, "left out"))
                continue
            width, height = given.shape(row)
            there = placed(points, (1, 1) if shares else (width, height))
            for unseen, where in (
                (there.off, "off the image"),
                (there.corner, "in the upper left corner"),
            ):
                if unseen:
                    flaws.append(
                        Flaw(
                            names[row],
                            f"has {_named(unseen, given.classes)} {where}",
                            "taken as not visible",
                        )
                    )
            if not there.visible.any():
                flaws.append(Flaw(names[row], "has no visible point", "left out"))
                continue
            rows.append(row)
            encoded.append(
                np.column_stack(
                    [there.places, there.visible, np.full(wanted, width / height), partner]
                )
            )
        targets = np.array(encoded, dtype=np.float32).reshape(len(rows), wanted, 5)
        return Encoded(
            targets,
            None if len(rows) == len(found) else np.array(rows, dtype=np.int64),
            tuple(flaws),
        )

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """ "0" to K − 1, with K the number of points that most images have; of what cannot be read, ``encode`` will tell."""
        from headwater.plugins.task_types._points import read

        found = (read(target, f"{task.name}: image {row}") for row, target in enumerate(targets))
        return tuple(
            str(point)
            for point in range(_usual(len(points) for points in found if points is not None))
        )

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """K; raises DataError where there is no point. One that no training image shows is only never learned."""
        if not targets.shape[1]:
            raise DataError("its images have no points", hint="Give (x, y) for each point.")
        return int(targets.shape[1])

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Logits (B, K, S/4, S/4) in training; x, y as shares of the side and the confidence, (B, K, 3), in evaluation."""
        from torch import nn

        from headwater.plugins.task_types._heatmaps import decoded
        from headwater.plugins.task_types._maps import MapHead

        assert isinstance(features, Pyramid), "the type is dense"
        return MapHead(
            features,
            outputs,
            width=WIDTH,
            in_training=nn.Identity(),
            in_evaluation=decoded,
        )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of visible points, their mean: the distance in half sides, and how far the map is from a normal distribution around them."""
        from headwater.plugins.task_types._heatmaps import loss_of
        from headwater.plugins.task_types._points import VISIBLE

        return loss_of(outputs, targets[..., :2], targets[..., VISIBLE])

    def chance(self, outputs: int) -> float:
        """That of maps that say nothing, for points anywhere: a mean distance of (√2 + asinh 1)/3 half sides from the middle, and a
        divergence of log 2 at most."""
        return (math.sqrt(2) + math.asinh(1)) / 3 + math.log(2)

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Of visible points, the mean over an image's, and then over images: error (nme), share found within a tenth (pck), and the area
        under the share found against the error allowed, from 0 to a tenth (auc).

        Errors are distances in the image as it is stored, not squeezed, over the larger side of the box around its visible points (as
        Yang & Ramanan 2013 normalise); over the image's larger side where the box is less than a twentieth of that. Raises
        TrainingError for predictions that are not numbers.
        """
        return self.tallied(self.tally(predictions, targets).sum(0))

    def tally(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """(N, 4): each image's metrics, and 1 where it has a visible point."""
        import torch

        from headwater.plugins.task_types._numbers import numbers

        errors, visible = _errors(numbers(predictions), targets)
        each = torch.stack([errors, *_within(errors)]).masked_fill(~visible, 0.0)
        count = visible.sum(1)
        return torch.cat([each.sum(2) / count.clamp(min=1), (count > 0).double()[None]]).T

    def tallied(self, sums: Tensor) -> Mapping[str, float]:
        """The mean of each metric over images that have a visible point."""
        means = (sums[:-1] / sums[-1].clamp(min=1)).tolist()
        return dict(zip((metric.name for metric in METRICS), means, strict=True))

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """The mean error, and the share found, of each point that is visible in some image."""
        errors, visible = _errors(predictions.float(), targets)
        found, shown = _within(errors)[0], visible.any(0).nonzero()[:, 0].tolist()
        return {
            name: {
                classes[point]: float(values[visible[:, point], point].mean()) for point in shown
            }
            for name, values in (("nme", errors), ("pck", found))
        }

    def augmentation(self, mirror: bool) -> Transform | None:
        from headwater.plugins.task_types._heatmaps import MovedPoints

        return MovedPoints(mirror)

    def annotate(self, target: Tensor) -> dict[str, Any]:
        """Points as shares of the side, on a canvas of 1 × 1, with what becomes of them in a mirror."""
        from torchvision.tv_tensors import KeyPoints

        from headwater.plugins.task_types._points import PARTNER, VISIBLE

        return {
            "points": KeyPoints(target[:, :2], canvas_size=(1, 1)),
            "visible": target[:, VISIBLE],
            "partner": target[:, PARTNER],
        }

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        """Points that left the image are not visible."""
        import torch

        from headwater.plugins.task_types._points import VISIBLE

        places = annotations["points"].as_subclass(torch.Tensor)
        visible = annotations["visible"] * ((places >= 0) & (places <= 1)).all(1)
        return torch.cat([places * visible[:, None], visible[:, None], target[:, VISIBLE + 1 :]], 1)

    def probe(self, targets: np.ndarray) -> Probe | None:
        """The coordinates of all points, (M, 2K), as a regression on the pooled features of the images in which all are visible."""
        import numpy as np

        from headwater.plugins.task_types._points import VISIBLE

        image = np.flatnonzero((targets[..., VISIBLE] > 0).all(1))
        return Probe(targets[image, :, :2].reshape(len(image), 2 * targets.shape[1]), image)

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> np.ndarray:
        """(K, 3): x and y in pixels, and the confidence."""
        import numpy as np

        return np.asarray(prediction * (*shape, 1), dtype=np.float32)

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """The image with the points that are visible, and with those predicted, under their mean error."""
        import torch

        from headwater.plugins.task_types._points import VISIBLE
        from headwater.plugins.task_types._points_drawn import PREDICTED, TRUE, drawn

        nme = self.measure(torch.from_numpy(prediction[None]), torch.from_numpy(target[None]))[
            "nme"
        ]
        visible = target[:, VISIBLE] > 0
        truth = drawn(image, target[visible, :2], TRUE)
        return [
            ("truth", truth),
            (f"prediction, nme {nme:.3f}", drawn(image, prediction[:, :2], PREDICTED)),
        ]


def _errors(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Errors over the normaliser (N, K) float64, and which points are visible (N, K) bool."""
    import torch

    from headwater.plugins.task_types._points import ASPECT, VISIBLE

    visible, aspect = targets[..., VISIBLE] > 0, targets[..., :1, ASPECT].double()
    stretch = torch.stack([aspect, torch.ones_like(aspect)], -1)  # in heights of the image
    true = targets[..., :2].double() * stretch
    low, high = (true.masked_fill(~visible[..., None], bound) for bound in (math.inf, -math.inf))
    box = (high.amax(1) - low.amin(1)).amax(1)  # -inf where none is visible
    side = aspect[:, 0].clamp(min=1)
    normaliser = torch.where(box < LEAST * side, side, box)
    return (predictions[..., :2].double() * stretch - true).norm(dim=-1) / normaliser[
        :, None
    ], visible


def _within(errors: Tensor) -> tuple[Tensor, Tensor]:
    """Of each point whether it is found, and the share of allowed errors, from 0 to ``WITHIN``, at which it is."""
    return (errors <= WITHIN).double(), (1 - errors / WITHIN).clamp(min=0)


def _usual(counts: Any) -> int:
    """The commonest number of points, the largest among equals; 0 of none."""
    counted = Counter(counts)
    return max(counted, key=lambda count: (counted[count], count), default=0)


def _named(points: Sequence[int], classes: Sequence[str]) -> str:
    named = ", ".join(
        classes[point] if classes else str(point) for point in points[:NAMED]
    ) + ", …" * (len(points) > NAMED)
    return f"{len(points)} point{'s' * (len(points) > 1)} ({named})"
