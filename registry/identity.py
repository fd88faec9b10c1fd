"""Identities: a hash of everything that decides a result, and nothing else."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from headwater.registry.cache import cache_folder, write_atomically
from headwater.registry.errors import HeadwaterError

_LENGTH = 20  # hex digits: 80 bits, no collision among billions of jobs


def digest(*parts: Any) -> str:
    """A short stable hash of JSON-able parts; the order of keys in mappings does not matter."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=_LENGTH // 2).hexdigest()


def code_of(function: Callable[..., Any], without: tuple[str, ...] = ()) -> str:
    """A fingerprint of the module a plugin's function stands in, comments and docstrings stripped.

    The whole module counts, and so do those of its own package that it imports, and theirs (of a file in no package: those beside
    it), since a plugin's helpers decide its result as much as its entry point. Where there is no file (a notebook), the function's own
    source, or else its bytecode, stands in. Functions and classes named in ``without``, and what only they import, decide nothing.
    """
    function = inspect.unwrap(function)
    try:
        path = inspect.getsourcefile(function)
        if path and Path(path).is_file():
            return _fingerprint(path, Path(path).stat().st_mtime_ns, without)
        source = inspect.getsource(function)
        return digest(ast.dump(_stripped("\n".join(_dedent(source.splitlines())), without)))
    except (OSError, TypeError, SyntaxError):
        code = getattr(function, "__code__", None)
        return digest(code.co_code.hex(), repr(code.co_consts)) if code else digest(repr(function))


def _dedent(lines: list[str]) -> list[str]:
    margin = len(lines[0]) - len(lines[0].lstrip())
    return [line[margin:] for line in lines]


@lru_cache
def _fingerprint(path: str, mtime_ns: int, without: tuple[str, ...]) -> str:
    """Of a module and of what it imports from its own package."""
    own, *others = _modules(path, without)
    return digest(own[1], *(fingerprint for _, fingerprint in sorted(others))) if others else own[1]


def _modules(path: str, without: tuple[str, ...]) -> list[tuple[str, str]]:
    """(name relative to the first, fingerprint) of a module and all that it imports from its package, itself first."""
    found: dict[str, str] = {}
    waiting = [path]
    while waiting:
        if (one := waiting.pop()) not in found:
            found[one], imported = _read(one, Path(one).stat().st_mtime_ns, without)
            waiting += imported
    return [
        (os.path.relpath(one, Path(path).parent), fingerprint) for one, fingerprint in found.items()
    ]


@lru_cache
def _read(path: str, mtime_ns: int, without: tuple[str, ...]) -> tuple[str, list[str]]:
    """A module's fingerprint, and the files of those that it imports from its package."""
    # Kept, since parsing every plugin would cost more than all the rest of ``headwater list``.
    try:
        kept = cache_folder("code") / digest("with imports", path, mtime_ns, without)
        if kept.is_file():
            fingerprint, *imported = kept.read_text().split("\n")
            if all(Path(one).is_file() for one in imported):
                return fingerprint, imported
    except (OSError, HeadwaterError):
        kept = None
    tree = _stripped(Path(path).read_text(encoding="utf-8"), without)
    fingerprint, imported = digest(ast.dump(tree)), _imported(tree, Path(path))
    if kept:
        with suppress(OSError):  # a cache that cannot be written only costs time
            write_atomically(
                kept, lambda temporary: temporary.write_text("\n".join([fingerprint, *imported]))
            )
    return fingerprint, imported


def _imported(tree: ast.Module, path: Path) -> list[str]:
    """The files of its own package that a module imports, wherever in it."""
    package = path.parent
    while (package / "__init__.py").is_file():
        package = package.parent
    within = path.parent.relative_to(package).parts[:1]  # the package's name, or nothing
    names: set[tuple[str, ...]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = (
                path.parents[node.level - 1].relative_to(package).parts
                if node.level and package in path.parents
                else ()
            )
            module = (*above, *(node.module or "").split(".")) if node.module else above
            names |= {module, *((*module, alias.name) for alias in node.names)}
    files = {
        package.joinpath(*name).with_suffix(".py")
        for name in names
        if name and name[: len(within)] == within and len(name) > len(within)
    }
    return sorted(str(file) for file in files if file.is_file() and file != path)


def _stripped(source: str, without: tuple[str, ...]) -> ast.Module:
    """Without docstrings, and without functions of these names, of a module or of its classes."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if without and isinstance(node, ast.Module | ast.ClassDef):
            node.body = [
                one
                for one in node.body
                if not (isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name in without)
            ]
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree


def digest_files(files: Iterable[Path]) -> str:
    """A fingerprint of files' contents and of their paths below the folder that holds all of them.

    Contents are read once: the result is kept under the files' sizes and modification times.
    """
    files = sorted(files)
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    kept = cache_folder("digests") / digest("paths", stats)
    if kept.is_file():
        return kept.read_text()
    whole = hashlib.blake2b(digest_size=_LENGTH // 2)
    folder = os.path.commonpath([file.parent for file in files])
    for file in files:
        whole.update(os.path.relpath(file, folder).encode())
        with file.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "blake2b").digest())
    write_atomically(kept, lambda path: path.write_text(whole.hexdigest()))
    return whole.hexdigest()
