"""Digests of images and targets, whatever form they come in: to find the same one twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def image_digest(image: Any) -> bytes:
    """Return 16 bytes that two images share where their files, or their pixels, are the same.

    Args:
        image: A path, the bytes of a file, pixels, or the Hugging Face form of a file: a mapping
            of ``bytes`` and ``path``.
    """
    if isinstance(image, dict):
        image = image["bytes"] if image.get("bytes") is not None else Path(image["path"])
    if isinstance(image, str | Path):
        image = Path(image).read_bytes()
    if isinstance(image, bytes):
        return _digest(image)
    array = np.asarray(image)
    return _digest(repr(array.shape).encode() + array.tobytes())


def target_digest(target: Any) -> bytes:
    """Return 16 bytes that two targets share where they mean the same.

    Masks are compared by their files or pixels; boxes and points by their numbers.
    """
    if isinstance(target, Path | bytes | np.ndarray) or hasattr(target, "tobytes"):
        return image_digest(target)
    if isinstance(target, Mapping) and set(target) == {"bytes", "path"}:
        return image_digest(target)
    if isinstance(target, Mapping):
        target = [[key, value] for key, value in sorted(target.items())]
    if isinstance(target, list | tuple):
        return _digest(b"[" + b"".join(map(target_digest, target)))
    return _digest(repr(target).encode())


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
