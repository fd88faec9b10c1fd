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

from headwater import Annotations, DataError, Encoded, Flaw, Pyramid

GROUPS = 32
"""Groups of the decoder's group norm."""
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
    """Head for targets that have a value at each pixel: ``MapDecoder``, then a 1×1 convolution.

    Returns ``in_training`` of the last layer's (B, outputs, S / 4, S / 4) in training, ``in_evaluation`` of it in
    evaluation.

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

    The semantic branch of panoptic feature pyramid networks: Kirillov et al., "Panoptic Feature Pyramid Networks",
    CVPR 2019 (arXiv 1901.02446), section 3. From the coarsest map on, each level is a 1×1 convolution of its map plus
    the coarser level enlarged; a branch of 3×3 convolutions brings each level to stride 4, and the branches are
    summed. Layers, first weights and parameters' names are those of segmentation_models_pytorch's FPN decoder.
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
        """Draw the convolutions' weights as He et al. 2015 (arXiv 1502.01852) do, and set their biases to 0."""
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
    """Convolutions, each enlarged twice, that bring a level to stride 4; one convolution for the level at stride 4."""

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
