"""Benchmarks that ship with the package, found by name: ``quickstart``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from headwater.registry.errors import BadSpec
from headwater.registry.names import command_line, did_you_mean

SENTENCE_ENDS = (". ", "? ", ": ")


def benchmarks() -> dict[str, Path]:
    """Return the files of the benchmarks that ship with the package, by name."""
    folder = Path(str(files("headwater") / "benchmarks"))
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def find_spec(text: str | Path) -> Path:
    """Return the file of a spec: the path itself, or a benchmark's file by its name.

    Args:
        text: A path, or the name of a benchmark that ships with the package. A file wins over a
            benchmark of the same name; what holds a ``/`` or ends in ``.toml`` is a path.

    Raises:
        BadSpec: There is no such file and no such benchmark.
    """
    path = Path(text)
    if path.exists():
        return path
    is_name = path.suffix != ".toml" and len(path.parts) == 1
    if not is_name:
        list_them = command_line("list", "benchmarks")
        raise BadSpec(
            f"there is no spec at {path}",
            subject=str(path),
            hint=f"Benchmarks that come with Headwater: {list_them}",
        )
    shipped = benchmarks()
    if path.name in shipped:
        return shipped[path.name]
    raise BadSpec(
        f"there is no benchmark {path.name!r}.{did_you_mean(path.name, shipped)}",
        subject=path.name,
        hint=f"Benchmarks: {', '.join(shipped)}; a file of your own is named with .toml.",
    )


def summary(file: Path) -> str:
    """Return the first sentence of the comment that a benchmark's file opens with."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or line == "#":
            break
        lines.append(line.removeprefix("#").strip())
    text = " ".join(lines)
    ends = [text.find(mark) for mark in SENTENCE_ENDS if mark in text]
    if not ends:
        return text
    # With its full stop or question mark, but without a colon, which promises more.
    return text[: min(ends) + 1].rstrip(":")
