"""Images that a data set lists and its folder may lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from registry import Flaw
from registry.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
MISSING = "is listed but has no file"


def images_in(folder: Path) -> dict[str, Path]:
    """Image files, also in folders below, by their path within it, without suffix: ``2007_000027``."""
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())


def within(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder; None where there is none, or the name leads out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not name:
        return None
    return file if (file := folder / path).is_file() else None


def missing(names: Sequence[str]) -> list[Flaw]:
    return [Flaw(name, MISSING, "left out") for name in names]


def none_there(count: int, found: Mapping[str, object] | Sequence[object], where: str, subject: str) -> None:
    """Raises DataError where none of the images that are listed is there: the folder is another one, or was not fetched."""
    if count and not found:
        raise DataError(
            f"{subject}: none of the {count:,} images that {where} lists is there",
            subject=subject,
            hint="Put the images where the data set has them, or name the folder above.",
        )
