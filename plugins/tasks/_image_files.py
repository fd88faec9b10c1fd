"""Find the image files that a data set lists, and check that they have the size that is listed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from headwater import DataError, Flaw

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
)
MISSING = "is listed but has no image file"

EXIF_ORIENTATION = 0x0112
"""The tag that says how an image is to be shown."""
TURNING_ORIENTATIONS = (5, 6, 7, 8)
"""Its values that swap width and height."""

Size = tuple[int, int]
"""width, height."""


def image_files(folder: Path) -> list[Path]:
    """Return the image files in a folder and those below it, sorted; none if there is no folder."""
    if not folder.is_dir():
        return []
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in files if file.is_file())


def images_in(folder: Path) -> dict[str, Path]:
    """Return image files by their path within the folder, without suffix: ``2007_000027``."""
    images = {}
    for file in image_files(folder):
        path = file.relative_to(folder).with_suffix("")
        images[path.as_posix()] = file
    return images


def within(folder: Path, name: str) -> Path | None:
    """Return the image file of that name in a folder; None if there is none, or the name leads out
    of the folder.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in SUFFIXES:
        return None
    file = folder / path
    try:
        is_there = file.is_file()
    except OSError:  # No file can be called so.
        return None
    return file if is_there else None


def missing(names: Sequence[str]) -> list[Flaw]:
    """Return the flaws of images that are listed but not there."""
    return [Flaw(name, MISSING, "left out", code="no-image-file") for name in names]


def none_there(
    count: int, present: Mapping[str, object] | Sequence[object], where: str, subject: str
) -> None:
    """Raise DataError if none of the listed images is there: the folder is another one, or was not
    fetched.

    Args:
        count: Number of listed images.
        present: Those that have a file.
        where: The list.
        subject: The data set's folder.
    """
    if count and not present:
        raise DataError(
            f"{subject}: none of the {count:,} images that {where} lists is there",
            subject=subject,
            hint="Put the images where the data set has them, or name the folder above.",
        )


def size_of(file: Path) -> Size:
    """Return (width, height) as stored, from the file's header; raise DataError naming a file that
    is no image.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.size
    except Exception as error:  # PIL raises a different class for every way a file can be broken
        raise DataError(
            f"{file} cannot be decoded: {error}",
            subject=str(file),
            hint="Repair or remove it and run again.",
        ) from None


def of_another_size(image: str, file: Path, size: Size, *, width: Any, height: Any) -> list[Flaw]:
    """Return the flaw of an image that has not the listed size, which its annotations go by.

    Images are decoded as they are stored, while some tools list, and annotate, what is seen once
    the EXIF orientation has turned it.

    Args:
        image: Name of the image.
        file: Its file.
        size: (width, height) as stored.
        width: The listed width; anything, of which what is no number above 0 is not listed.
        height: The listed height.
    """
    listed = _number(width), _number(height)
    is_listed = listed[0] > 0 and listed[1] > 0
    if not is_listed or listed == size:
        return []
    problem = f"is {size[0]}×{size[1]}, listed as {listed[0]:g}×{listed[1]:g}"
    if listed == size[::-1] and _is_turned(file):
        problem += ", as its EXIF orientation turns it"
    return [Flaw(image, problem, "left out")]


def _number(value: Any) -> float:
    """Return a listed value as a number, NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _is_turned(file: Path) -> bool:
    """Return True if an image is shown turned by a quarter."""
    from PIL import Image

    with Image.open(file) as image:
        return image.getexif().get(EXIF_ORIENTATION) in TURNING_ORIENTATIONS
