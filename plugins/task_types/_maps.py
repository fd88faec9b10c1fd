"""Maps, targets that have a value for each pixel: how they are opened and encoded, and the head
that predicts them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from headwater import Annotations, DataError, Encoded, Flaw, Pyramid

GROUPS = 32
"""Groups of the decoder's group norm."""


@dataclass(frozen=True)
class MapKind:
    """How the maps of a task type are encoded, and what messages call them.

    Attributes:
        noun: such as "mask".
        dtype: of encoded maps.
        nothing: value of a pixel that has none.
        empty: how messages call a map that is ``nothing`` in every pixel.
    """

    noun: str
    dtype: DTypeLike
    nothing: float
    empty: str


def open_map(target: Any, noun: str, name: str) -> np.ndarray | None:
    """Return the map of an image as it is stored, (H, W); of a palette image its indices.

    Args:
        target: a path (.npy too), encoded bytes, a ``datasets`` image dict, a PIL image or an
            array.
        noun: what messages call it.
        name: the image, in messages.

    Returns:
        None if the data set has no map for this image.

    Raises:
        DataError: the map cannot be read, or has several channels.
    """
    if isinstance(target, dict):
        target = target["bytes"] if target.get("bytes") is not None else target.get("path")
    if target is None:
        return None
    try:
        values = np.asarray(_load(target))
    except Exception as error:  # PIL raises a different class for every way a file can be broken
        raise DataError(
            f"the {noun} of {name} cannot be read: {error}",
            subject=name,
            hint=f"Repair that {noun}, or remove it and its image.",
        ) from None
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim != 2:
        sides = "×".join(map(str, values.shape))
        problem = f"has shape {sides}" if sides else f"is of type {type(target).__name__}"
        raise DataError(
            f"the {noun} of {name} {problem}, (H, W) numbers were expected",
            subject=name,
            hint=f"A {noun} has one number a pixel: turn colours into numbers first, and save it as a grey or palette PNG.",
        )
    return values


def _load(target: Any) -> Any:
    if isinstance(target, bytes):
        return Image.open(io.BytesIO(target))
    if not isinstance(target, str | Path):
        return target
    if Path(target).suffix == ".npy":
        return np.load(target, allow_pickle=False)
    return Image.open(target)


def resize_map(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return (h, w) values as (height, width): for each pixel the value at its centre.

    No value is a mixture, so nothing bleeds across an edge.
    """
    rows = _nearest(values.shape[0], height)
    columns = _nearest(values.shape[1], width)
    return values[rows[:, None], columns]


def _nearest(before: int, after: int) -> np.ndarray:
    return ((np.arange(after) + 0.5) * before / after).astype(np.int64)


def encode_maps(
    given: Annotations,
    kind: MapKind,
    read: Callable[[np.ndarray, str], tuple[np.ndarray, Flaw | None]],
) -> Encoded:
    """Return maps (n, S, S), squeezed into the square, and what is wrong with them.

    An image is left out if it has no map, one of another size, or one that is ``kind.nothing`` in
    every pixel.

    Args:
        given: the annotations of a split.
        kind: how its maps are encoded.
        read: returns the encoded values of a map (H, W) of the image of that name, and the flaw for
            which some had to become ``kind.nothing``.
    """
    side = given.image_size
    encoded = np.full((len(given.targets), side, side), kind.nothing, kind.dtype)
    rows: list[int] = []
    flaws: list[Flaw] = []
    for row, target in enumerate(given.targets):
        name = given.names[row]
        stored = open_map(target, kind.noun, name)
        problem = _size_flaw(stored, kind.noun, name, partial(given.shape, row))
        if stored is not None and not problem:
            values, flaw = read(stored, name)
            if flaw:
                flaws.append(flaw)
            encoded[row] = resize_map(values, side, side)
            if (encoded[row] == kind.nothing).all():
                problem = Flaw(name, f"has {kind.empty}", "left out")
        if problem:
            flaws.append(problem)
        else:
            rows.append(row)
    if len(rows) == len(encoded):
        return Encoded(encoded, None, tuple(flaws))
    return Encoded(encoded[rows], np.array(rows, dtype=np.int64), tuple(flaws))


def _size_flaw(
    stored: np.ndarray | None, noun: str, name: str, shape: Callable[[], tuple[int, int]]
) -> Flaw | None:
    """Return the flaw of an image without a map, or with one of another size."""
    if stored is None:
        return Flaw(name, f"has no {noun}", "left out")
    height, width = stored.shape
    image_width, image_height = shape()
    if (width, height) == (image_width, image_height):
        return None
    return Flaw.counting(
        name,
        f"has a {noun} of {{}}×{{}}, the image is {{}}×{{}}",
        "left out",
        code=f"{noun}-of-another-size",
        numbers=[width, height, image_width, image_height],
    )


class MapHead(nn.Module):
    """Head for targets that have a value at each pixel: ``MapDecoder``, then a 1×1 convolution.

    Returns ``in_training`` of the last layer's (B, outputs, S / 4, S / 4) in training,
    ``in_evaluation`` of it in evaluation.

    Args:
        pyramid: shape of the backbone's maps.
        outputs: numbers predicted for each pixel.
        width: channels of the decoder, a multiple of ``GROUPS``.
        dropout: share of channels dropped before the last layer.
        gain: of the last layer's first weights, which are Xavier's.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        outputs: int,
        *,
        width: int,
        in_training: Callable[[Tensor], Tensor],
        in_evaluation: Callable[[Tensor], Tensor],
        dropout: float = 0.0,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.decoder = MapDecoder(pyramid, width, dropout)
        self.last = nn.Conv2d(width, outputs, 1)
        self.in_training, self.in_evaluation = in_training, in_evaluation
        self.decoder.init_parameters()
        nn.init.xavier_uniform_(self.last.weight, gain)
        nn.init.zeros_(self.bias)

    @property
    def bias(self) -> Tensor:
        """(outputs,): what a fresh head predicts at every pixel of every image."""
        assert self.last.bias is not None
        return self.last.bias

    def forward(self, maps: list[Tensor]) -> Tensor:
        features = self.decoder(maps)
        # Half precision ends before the last layer: its steps are too coarse for log depths and many classes' logits.
        with torch.autocast(features.device.type, enabled=False):
            predicted = self.last(features.float())
        return self.in_training(predicted) if self.training else self.in_evaluation(predicted)


class MapDecoder(nn.Module):
    """Decode maps of strides 4, 8, 16 and 32 to one of ``width`` channels at stride 4.

    The semantic branch of panoptic feature pyramid networks: Kirillov et al., "Panoptic Feature
    Pyramid Networks", CVPR 2019 (arXiv 1901.02446), section 3. From the coarsest map on, each level
    is a 1×1 convolution of its map plus the coarser level enlarged; a branch of 3×3 convolutions
    brings each level to stride 4, and the branches are summed. Layers, first weights and
    parameters' names are those of segmentation_models_pytorch's FPN decoder.
    """

    def __init__(self, pyramid: Pyramid, width: int, dropout: float) -> None:
        super().__init__()
        fine, middle, coarse, coarsest = pyramid.channels[-4:]
        self.p5 = nn.Conv2d(coarsest, width, 1)
        self.p4 = PyramidLevel(coarse, width)
        self.p3 = PyramidLevel(middle, width)
        self.p2 = PyramidLevel(fine, width)
        self.seg_blocks = nn.ModuleList([MapBranch(width, times) for times in (3, 2, 1, 0)])
        self.dropout = nn.Dropout2d(dropout, inplace=True)

    def init_parameters(self) -> None:
        """Draw the convolutions' weights as He et al. 2015 (arXiv 1502.01852) do, and set their
        biases to 0.
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, maps: list[Tensor]) -> Tensor:
        fine, middle, coarse, coarsest = maps[-4:]
        levels = [self.p5(coarsest)]
        for layer, skipped in ((self.p4, coarse), (self.p3, middle), (self.p2, fine)):
            levels.append(layer(levels[-1], skipped))
        branches = [branch(level) for branch, level in zip(self.seg_blocks, levels, strict=True)]
        return self.dropout(torch.stack(branches).sum(dim=0))


class PyramidLevel(nn.Module):
    """The coarser level, enlarged twice, plus a 1×1 convolution of this level's map."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(channels, width, 1)

    def forward(self, coarser: Tensor, skipped: Tensor) -> Tensor:
        return interpolate(coarser, scale_factor=2.0, mode="nearest") + self.skip_conv(skipped)


class MapBranch(nn.Module):
    """Convolutions, each enlarged twice, that bring a level to stride 4; one convolution for the
    level at stride 4.
    """

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.enlarge = times > 0
        self.block = nn.Sequential(*[MapConvolution(width) for _ in range(max(1, times))])

    def forward(self, level: Tensor) -> Tensor:
        for convolution in self.block:
            level = convolution(level)
            if self.enlarge:
                level = interpolate(level, scale_factor=2.0, mode="bilinear", align_corners=True)
        return level


class MapConvolution(nn.Module):
    """3×3 convolution, group norm, ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(GROUPS, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, level: Tensor) -> Tensor:
        return self.block(level)


def at_full_size(values: Tensor) -> Tensor:
    """Return (B, C, S / 4, S / 4) enlarged to (B, C, S, S), bilinearly."""
    return interpolate(values, scale_factor=4, mode="bilinear", align_corners=False)
