"""Move images together with their targets: shift, zoom and mirror masks, depths, boxes and points.

All are torchvision.transforms.v2 transforms of one image, (3, S, S) float, normalised, with its
annotations. What comes in from outside the image is 0, the mean colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2.functional import horizontal_flip

MAX_SHIFT = 0.1
"""Largest shift, as a share of the side."""
ZOOMS = (0.8, 1.2)
"""Range of zooms."""
MIN_AREA_LEFT = 0.3
"""Share of a box's area that must still be in the image: of less, it can hardly be told what it
was.
"""

_AFFINE: dict[str, Any] = {
    "degrees": 0,
    "translate": (MAX_SHIFT, MAX_SHIFT),
    "scale": ZOOMS,
    "interpolation": InterpolationMode.BILINEAR,
}


# -- masks and depths --------------------------------------------------------------------------------


def move_maps(
    mirror: bool, nothing: float, affine: type[v2.RandomAffine] = v2.RandomAffine
) -> v2.Transform:
    """Return the augmentation of an image with its map, a ``Mask``.

    Args:
        mirror: whether the task allows mirroring.
        nothing: value of a map that comes in from outside the image.
        affine: the transform that shifts and zooms.
    """
    outside = {tv_tensors.Image: 0.0, tv_tensors.Mask: nothing}
    move = affine(**_AFFINE, fill=outside)
    if not mirror:
        return move
    return v2.Compose([v2.RandomHorizontalFlip(), move])


class ZoomedDepth(v2.RandomAffine):
    """Shift and zoom an image with its depths; zooming in by s divides them by s.

    It brings everything s times nearer, if the camera stays the same (Eigen et al. 2014, arXiv
    1406.2283, on data augmentation).
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        moved = super().transform(inpt, params)
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.wrap(moved / params["scale"], like=moved)
        return moved


# -- boxes -------------------------------------------------------------------------------------------


def move_boxes(mirror: bool) -> v2.Transform:
    """Return the augmentation of {"image", "boxes" as shares of the side, "labels"}.

    Args:
        mirror: whether the task allows mirroring.
    """
    steps = [_BoxesInPixels(), ClampedBoxesAffine(**_AFFINE, fill=0)]
    if mirror:
        steps.append(v2.RandomHorizontalFlip())
    return v2.Compose(steps)


class _BoxesInPixels(v2.Transform):
    """Turn boxes from shares of the side into the image's pixels, as transforms want them."""

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        height, width = sample["image"].shape[-2:]
        pixels = sample["boxes"].as_subclass(Tensor) * width
        boxes = tv_tensors.BoundingBoxes(pixels, format="XYXY", canvas_size=(height, width))
        return sample | {"boxes": boxes}


class ClampedBoxesAffine(v2.RandomAffine):
    """Shift and zoom an image with its boxes, which are clamped to it.

    A box of which less than ``MIN_AREA_LEFT`` is still in the image becomes empty.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        moved = super().transform(inpt, params)
        if not isinstance(inpt, tv_tensors.BoundingBoxes):
            return moved
        moved = v2.functional.clamp_bounding_boxes(moved)
        # Zooming by s makes an area s² times as large: a box that only grew has lost nothing.
        least_area = MIN_AREA_LEFT * _areas(inpt) * params["scale"] ** 2
        visible = _areas(moved) >= least_area
        corners = moved.as_subclass(Tensor) * visible[:, None]
        return tv_tensors.wrap(corners, like=moved)


def _areas(boxes: Tensor) -> Tensor:
    """Return the areas (K,) of boxes (K, 4)."""
    corners = boxes.as_subclass(Tensor)
    sides = corners[:, 2:] - corners[:, :2]
    return sides.prod(1)


def box_annotations(target: Tensor) -> dict[str, Any]:
    """Return an encoded target (K, 5) as tv_tensors on a canvas of side 1."""
    present = target[target[:, 4] >= 0]
    boxes = tv_tensors.BoundingBoxes(present[:, :4], format="XYXY", canvas_size=(1, 1))
    return {"boxes": boxes, "labels": present[:, 4]}


def box_target(annotations: Mapping[str, Any], target: Tensor) -> Tensor:
    """Return the moved boxes that are not empty, encoded in the shape (K, 5) of ``target``."""
    # Not torchvision's SanitizeBoundingBoxes: it takes no bound below a pixel, and small objects'
    # boxes lie there.
    boxes = annotations["boxes"]
    labels = annotations["labels"]
    side = boxes.canvas_size[-1]
    corners = boxes.as_subclass(Tensor) / side
    visible = (corners[:, 2:] > corners[:, :2]).all(1)
    rows = torch.cat([corners, labels[:, None]], dim=1)[visible]
    moved = target.new_zeros(target.shape)
    moved[:, 4] = -1
    moved[: len(rows)] = rows
    return moved


# -- points ------------------------------------------------------------------------------------------


class MovedPoints(v2.Transform):
    """Shift, zoom and, if ``mirror``, mirror an image with its points.

    A sample has "points", KeyPoints (K, 2) as shares of the side, "visible" (K,) and "partner"
    (K,): in a mirror a point becomes its partner, by number. Points without partners (-1) are never
    mirrored.
    """

    def __init__(self, mirror: bool) -> None:
        super().__init__()
        self.mirror = mirror
        self.move = v2.RandomAffine(**_AFFINE, fill=0)

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        has_partners = bool((sample["partner"] >= 0).all())
        if self.mirror and has_partners and bool(torch.rand(()) < 0.5):
            sample = _mirrored(sample)

        # The affine map wants pixels; before and after it, points are shares of the side.
        height, width = sample["image"].shape[-2:]
        size = torch.tensor((width, height), device=sample["points"].device)
        pixels = sample["points"].as_subclass(Tensor) * size
        points = tv_tensors.KeyPoints(pixels, canvas_size=(height, width))
        moved = self.move({"image": sample["image"], "points": points})
        shares = moved["points"].as_subclass(Tensor) / size
        moved["points"] = tv_tensors.KeyPoints(shares, canvas_size=(1, 1))
        return sample | moved


def _mirrored(sample: dict[str, Any]) -> dict[str, Any]:
    """Return a sample mirrored left to right, each point in the row of its partner."""
    # Not torchvision's own: it takes coordinates of pixels, from which its affine maps, of corners,
    # differ by half a pixel.
    order = sample["partner"].long()
    points = sample["points"].as_subclass(Tensor)
    x, y = points.unbind(1)
    flipped = torch.stack([1 - x, y], 1)[order]
    return sample | {
        "image": horizontal_flip(sample["image"]),
        "points": tv_tensors.KeyPoints(flipped, canvas_size=(1, 1)),
        "visible": sample["visible"][order],
    }
