"""Augmentation of images with their boxes, by torchvision.transforms.v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

SHIFT, ZOOM = 0.1, (0.8, 1.2)
"""Largest shift as a share of the side, and range of zooms: those of every task type."""
KEPT = 0.3
"""Share of a box's area that must still be in the image: of less, it can hardly be told what it was."""


class _InPixels(v2.Transform):
    """Boxes come as shares of the side and go on in the image's pixels, as transforms want them."""

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        boxes, size = sample["boxes"], sample["image"].shape[-2:]
        pixels = boxes.as_subclass(Tensor) * size[-1]
        return sample | {
            "boxes": tv_tensors.BoundingBoxes(pixels, format="XYXY", canvas_size=tuple(size))
        }


class _Affine(v2.RandomAffine):
    """Shift and zoom; a box of which less than ``KEPT`` is left becomes empty."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        moved = super().transform(inpt, params)
        if not isinstance(inpt, tv_tensors.BoundingBoxes):
            return moved
        moved = v2.functional.clamp_bounding_boxes(moved)
        left = _areas(moved) >= KEPT * _areas(inpt) * params["scale"] ** 2
        return tv_tensors.wrap(moved.as_subclass(Tensor) * left[:, None], like=moved)


def _areas(boxes: Tensor) -> Tensor:
    corners = boxes.as_subclass(Tensor)
    return (corners[:, 2:] - corners[:, :2]).prod(1)


def moving(mirror: bool) -> v2.Transform:
    """Of {"image", "boxes" in shares of the side, "labels"}: shift, zoom, mirroring where allowed."""
    affine = _Affine(
        0, translate=(SHIFT, SHIFT), scale=ZOOM, interpolation=InterpolationMode.BILINEAR, fill=0
    )
    flips = [v2.RandomHorizontalFlip()] if mirror else []
    return v2.Compose([_InPixels(), affine, *flips])


def as_annotations(target: Tensor) -> dict[str, Any]:
    """An encoded target (K, 5) as tv_tensors on a canvas of side 1."""
    given = target[target[:, 4] >= 0]
    return {
        "boxes": tv_tensors.BoundingBoxes(given[:, :4], format="XYXY", canvas_size=(1, 1)),
        "labels": given[:, 4],
    }


def as_target(annotations: Mapping[str, Any], target: Tensor) -> Tensor:
    """The moved boxes that are not empty, in the shape of ``target``."""
    # Not torchvision's SanitizeBoundingBoxes: it takes no bound below a pixel, and boxes of small objects in small images lie there.
    corners = annotations["boxes"].as_subclass(Tensor) / annotations["boxes"].canvas_size[-1]
    left = (corners[:, 2:] > corners[:, :2]).all(1)
    moved = target.new_zeros(target.shape)
    moved[:, 4] = -1
    moved[: int(left.sum())] = torch.cat([corners, annotations["labels"][:, None]], dim=1)[left]
    return moved
