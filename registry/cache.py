"""Find the cache of what Headwater can compute again: decoded images, listings, digests."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headwater.registry.errors import HeadwaterError


def cache_folder(*parts: str) -> Path:
    """A folder of the cache (``HEADWATER_CACHE``, or the user's cache folder), made if missing.

    Raises HeadwaterError where it cannot be made.
    """
    folder = _root().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the cache folder {folder} cannot be made: {error.strerror}"
        raise HeadwaterError(
            message,
            subject=str(folder),
            hint="Set HEADWATER_CACHE to a folder that can be written to.",
        ) from error
    return folder


def _root() -> Path:
    if chosen := os.environ.get("HEADWATER_CACHE"):
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path  # slow to import; most commands never get here

    return user_cache_path("headwater")


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Write to a temporary name beside ``path`` and rename: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
