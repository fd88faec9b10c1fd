"""Decoding: whatever stands for an image becomes a square of uint8 RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from registry.errors import DataError

_CHUNK = 1024


def decode(image: Any, size: int) -> np.ndarray:
    """(size, size, 3) uint8: the shorter side scaled to ``size``, the centre kept.

    Takes a path, encoded bytes, a ``datasets`` image dict, a PIL image, or a uint8 array (H, W) or (H, W, 3).
    """
    opened = _open(image).convert("RGB")
    scale = size / min(opened.size)
    width, height = (max(size, round(side * scale)) for side in opened.size)
    if opened.size != (width, height):
        opened = opened.resize((width, height), Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX, reducing_gap=None)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(opened.crop((left, top, left + size, top + size)))


def _open(image: Any) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, dict):
        image = image["bytes"] if image.get("bytes") is not None else image["path"]
    if isinstance(image, bytes):
        return Image.open(io.BytesIO(image))
    if isinstance(image, str | Path):
        return Image.open(image)
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise TypeError(f"an array image must be uint8, this one is {array.dtype}")
    return Image.fromarray(array)


def decode_all(images: Sequence[Any], names: Sequence[str], size: int, out: np.ndarray, threads: int) -> None:
    """Decode every image into ``out`` (N, size, size, 3); raises DataError naming the first that is broken."""

    def one(row: int) -> None:
        try:
            out[row] = decode(images[row], size)
        except Exception as error:  # PIL raises a different class for every way a file can be broken
            raise DataError(
                f"{names[row]} cannot be decoded: {error}", subject=names[row], hint="Repair or remove that image and run again."
            ) from None

    with ThreadPoolExecutor(max(1, threads)) as pool:
        for chunk in _chunks(len(images)):
            list(pool.map(one, chunk))


def _chunks(count: int) -> Iterator[range]:
    for start in range(0, count, _CHUNK):
        yield range(start, min(start + _CHUNK, count))
