"""Decoding: whatever stands for an image becomes a square of uint8 RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headwater.registry.errors import DataError

_CHUNK = 1024


def decode(image: Any, size: int, *, whole: bool = False) -> np.ndarray:
    """(size, size, 3) uint8: the shorter side scaled to ``size``, the centre kept; or the ``whole`` image squeezed into the square.

    Takes a path, encoded bytes, a ``datasets`` image dict, a PIL image, or a uint8 array (H, W) or (H, W, 3).
    """
    opened = _open(image).convert("RGB")
    if whole:
        finer = min(opened.size) < size
        return np.asarray(
            opened.resize(
                (size, size),
                Image.Resampling.BICUBIC if finer else Image.Resampling.BOX,
                reducing_gap=None,
            )
        )
    scale = size / min(opened.size)
    width, height = (max(size, round(side * scale)) for side in opened.size)
    if opened.size != (width, height):
        opened = opened.resize(
            (width, height),
            Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX,
            reducing_gap=None,
        )
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(opened.crop((left, top, left + size, top + size)))


def shape_of(image: Any, name: str) -> tuple[int, int]:
    """(width, height) as it is stored, from its header; raises DataError naming the image for what is none."""
    if isinstance(size := getattr(image, "size", None), tuple):  # it knows without being opened
        return size
    try:
        return _open(image).size
    except Exception as error:  # PIL raises a different class for every way a file can be broken
        raise _undecodable(name, error) from None


def _undecodable(name: str, error: Exception) -> DataError:
    return DataError(
        f"{name} cannot be decoded: {error}",
        subject=name,
        hint="Repair or remove that image and run again.",
    )


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


def decode_all(
    images: Sequence[Any],
    names: Sequence[str],
    size: int,
    out: np.ndarray,
    threads: int,
    *,
    whole: bool = False,
) -> None:
    """Decode every image into ``out`` (N, size, size, 3); raises DataError naming the first that is broken."""

    def one(row: int) -> None:
        try:
            out[row] = decode(images[row], size, whole=whole)
        except Exception as error:
            raise _undecodable(names[row], error) from None

    with ThreadPoolExecutor(max(1, threads)) as pool:
        for chunk in _chunks(len(images)):
            list(pool.map(one, chunk))


def _chunks(count: int) -> Iterator[range]:
    for start in range(0, count, _CHUNK):
        yield range(start, min(start + _CHUNK, count))
