"""Benchmarks that ship with the package, found by name: ``quickstart``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from headwater.registry.errors import BadSpec
from headwater.registry.names import command_line, did_you_mean


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
        hint = f"Benchmarks that come with Headwater: {command_line('list', 'benchmarks')}"
        raise BadSpec(f"there is no spec at {path}", subject=str(path), hint=hint)
    shipped = benchmarks()
    if path.name in shipped:
        return shipped[path.name]
    hint = f"Benchmarks: {', '.join(shipped)}; a file of your own is named with .toml."
    message = f"there is no benchmark {path.name!r}.{did_you_mean(path.name, shipped)}"
    raise BadSpec(message, subject=path.name, hint=hint)


def summary(file: Path) -> str:
    """Return the first sentence of the comment that a benchmark's file opens with."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or line == "#":
            break
        lines.append(line.removeprefix("#").strip())
    text = " ".join(lines)
    ends = [text.find(mark) for mark in (". ", "? ", ": ") if mark in text]
    return text[: min(ends) + 1].rstrip(":") if ends else text
