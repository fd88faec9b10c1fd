"""Maps: targets that have a value for each pixel. How they are opened and squeezed, and the head that predicts them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision import tv_tensors
from torchvision.transforms import v2

from headwater.registry import Annotations, Encoded, Flaw, Pyramid
from headwater.registry.errors import DataError

SHIFT = 0.1
"""Largest shift in augmentation, as a share of the side."""
SCALE = (0.8, 1.2)
"""Range of zooms."""


def opened(target: Any, what: str, name: str) -> np.ndarray | None:
    """(H, W) numbers as they are stored, of a palette image its indices; None where the data have none for this image.

    Takes a path (.npy too), encoded bytes, a ``datasets`` image dict, a PIL image or an array. ``what`` it is and the ``name`` of its
    image are for the DataError that is raised for what cannot be read, or has several channels.
    """
    if isinstance(target, dict):
        target = target["bytes"] if target.get("bytes") is not None else target.get("path")
    if target is None:
        return None
    try:
        found = np.asarray(_opened(target))
    except Exception as error:  # PIL raises a different class for every way a file can be broken
        hint = f"Repair that {what}, or remove it and its image."
        raise DataError(
            f"the {what} of {name} cannot be read: {error}", subject=name, hint=hint
        ) from None
    if found.ndim == 3 and found.shape[2] == 1:
        found = found[:, :, 0]
    if found.ndim != 2:
        what_it_is = (
            f"has shape {'×'.join(map(str, found.shape))}"
            if found.ndim
            else f"is of type {type(target).__name__}"
        )
        hint = f"A {what} has one number a pixel: turn colours into numbers first, and save it as a grey or palette PNG."
        raise DataError(
            f"the {what} of {name} {what_it_is}, (H, W) numbers were expected",
            subject=name,
            hint=hint,
        )
    return found


def _opened(target: Any) -> Any:
    if isinstance(target, str | Path):
        return (
            np.load(target, allow_pickle=False)
            if Path(target).suffix == ".npy"
            else Image.open(target)
        )
    return Image.open(io.BytesIO(target)) if isinstance(target, bytes) else target


def resized(found: np.ndarray, width: int, height: int) -> np.ndarray:
    """(h, w) -> (height, width): of each pixel the value at its centre. No value is a mixture, so nothing bleeds across an edge."""
    rows, columns = (
        ((np.arange(now) + 0.5) * was / now).astype(np.int64)
        for now, was in zip((height, width), found.shape, strict=True)
    )
    return found[rows[:, None], columns]


def encode_maps(
    given: Annotations,
    what: str,
    dtype: DTypeLike,
    nothing: float,
    empty: str,
    read: Callable[[np.ndarray, str], tuple[np.ndarray, Flaw | None]],
) -> Encoded:
    """Maps (n, S, S) of ``dtype``, and what is wrong with them.

    ``read(found, name)``: the values as they are encoded, and the flaw for which some had to become ``nothing``. An image is left
    out that has no map, one of another size, or ``empty``: ``nothing`` in every pixel.
    """
    encoded = np.full((len(given.targets), given.image_size, given.image_size), nothing, dtype)
    rows: list[int] = []
    flaws: list[Flaw] = []
    for row in range(len(given.targets)):
        name = given.names[row]
        found = opened(given.targets[row], what, name)
        wrong = f"has no {what}" if found is None else _other_size(found, what, given.shape(row))
        if found is not None and not wrong:
            values, flaw = read(found, name)
            flaws += [flaw] if flaw else []
            encoded[row] = resized(values, given.image_size, given.image_size)
            wrong = f"has {empty}" if (encoded[row] == nothing).all() else ""
        if wrong:
            flaws.append(Flaw(name, wrong, "left out"))
        else:
            rows.append(row)
    if len(rows) == len(encoded):
        return Encoded(encoded, None, tuple(flaws))
    return Encoded(encoded[rows], np.array(rows, dtype=np.int64), tuple(flaws))


def _other_size(found: np.ndarray, what: str, size: tuple[int, int]) -> str:
    height, width = found.shape
    return (
        ""
        if (width, height) == size
        else f"has a {what} of {width}×{height}, the image is {size[0]}×{size[1]}"
    )


class MapHead(nn.Module):
    """A feature pyramid's maps -> what ``learns`` makes of (B, outputs, S / 4, S / 4) in training, ``says`` in evaluation.

    The decoder is the semantic branch of panoptic feature pyramid networks (Kirillov et al. 2019, arXiv 1901.02446, section 3) as
    segmentation_models_pytorch builds it, of ``width`` channels, a multiple of its 32 groups. ``gain``: of the last layer's first
    weights, Xavier's.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        outputs: int,
        width: int,
        dropout: float,
        gain: float,
        learns: Callable[[Tensor], Tensor],
        says: Callable[[Tensor], Tensor],
    ) -> None:
        from segmentation_models_pytorch.base.initialization import initialize_decoder
        from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

        super().__init__()
        self.decoder = FPNDecoder(
            list(pyramid.channels),
            pyramid_channels=width,
            segmentation_channels=width,
            dropout=dropout,
        )
        self.last = nn.Conv2d(width, outputs, 1)
        self.learns, self.says = learns, says
        initialize_decoder(self.decoder)
        nn.init.xavier_uniform_(self.last.weight, gain)
        nn.init.zeros_(self.bias)

    @property
    def bias(self) -> Tensor:
        """(outputs,): what it says of every pixel of every image at first."""
        assert self.last.bias is not None
        return self.last.bias

    def forward(self, maps: list[Tensor]) -> Tensor:
        features = self.decoder(maps)
        # Half precision ends before the last layer: its steps are too coarse for log depths, and for logits of many classes.
        with torch.autocast(features.device.type, enabled=False):
            found = self.last(features.float())
        return self.learns(found) if self.training else self.says(found)


def at_full_size(found: Tensor) -> Tensor:
    """(B, C, S / 4, S / 4) -> (B, C, S, S)."""
    return interpolate(found, scale_factor=4, mode="bilinear", align_corners=False)


def moving(
    mirror: bool, nothing: float, affine: type[v2.RandomAffine] = v2.RandomAffine
) -> v2.Transform:
    """Shift, zoom and mirror an image with its map; what comes in from outside is the mean colour, and ``nothing``."""
    fill: Mapping[Any, float] = {tv_tensors.Image: 0.0, tv_tensors.Mask: nothing}
    move = affine(
        degrees=0,
        translate=(SHIFT, SHIFT),
        scale=SCALE,
        interpolation=v2.InterpolationMode.BILINEAR,
        fill=dict(fill),
    )
    return v2.Compose([v2.RandomHorizontalFlip(), move]) if mirror else move


class ZoomedDepth(v2.RandomAffine):
    """Zooming in by s brings everything s times nearer, if the camera stays the same: depths are divided by s (Eigen et al. 2014,
    arXiv 1406.2283, on data augmentation)."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        moved = super().transform(inpt, params)
        return (
            tv_tensors.wrap(moved / params["scale"], like=moved)
            if isinstance(inpt, tv_tensors.Mask)
            else moved
        )
