"""Decode whatever stands for an image into a square of uint8 RGB."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headwater.registry.errors import DataError

IMAGES_PER_CHUNK = 1024
"""Images handed to the threads at once, so that a broken image ends the decoding soon."""


def decode(image: Any, size: int, *, whole: bool = False) -> np.ndarray:
    """Decode an image into a square: the shorter side scaled to ``size`` pixels, the centre cut
    out.

    Images shrink by averaging over boxes and grow by bicubic interpolation.

    Args:
        image: A path, encoded bytes, a ``datasets`` image dict, a PIL image, or a uint8 array (H,
            W) or (H, W, 3).
        size: Side of the square, in pixels.
        whole: Squeeze the whole image into the square in place of cutting out its centre.

    Returns:
        (size, size, 3) uint8.
    """
    opened = _open(image).convert("RGB")
    if whole:
        grows = min(opened.size) < size
        return np.asarray(_resize(opened, (size, size), grows=grows))
    scale = size / min(opened.size)
    width, height = (max(size, round(side * scale)) for side in opened.size)
    if opened.size != (width, height):
        opened = _resize(opened, (width, height), grows=scale > 1)
    x = (width - size) // 2
    y = (height - size) // 2
    return np.asarray(opened.crop((x, y, x + size, y + size)))


def _resize(image: Image.Image, size: tuple[int, int], *, grows: bool) -> Image.Image:
    method = Image.Resampling.BICUBIC if grows else Image.Resampling.BOX
    return image.resize(size, method, reducing_gap=None)


def shape_of(image: Any, name: str) -> tuple[int, int]:
    """Return an image's (width, height) as it is stored, from its header.

    Raises:
        DataError: It is no image; the message has its ``name``.
    """
    size = getattr(image, "size", None)
    if isinstance(size, tuple):  # a PIL image knows its size without being opened
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
    *,
    threads: int,
    whole: bool = False,
) -> None:
    """Decode every image into ``out`` (N, size, size, 3), in threads.

    Raises:
        DataError: An image is broken; names the first that is.
    """

    def decode_row(row: int) -> None:
        try:
            out[row] = decode(images[row], size, whole=whole)
        except Exception as error:
            raise _undecodable(names[row], error) from None

    with ThreadPoolExecutor(max(1, threads)) as pool:
        for start in range(0, len(images), IMAGES_PER_CHUNK):
            chunk = range(start, min(start + IMAGES_PER_CHUNK, len(images)))
            list(pool.map(decode_row, chunk))
