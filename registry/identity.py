"""Identities: a hash of everything that decides a result, and nothing else."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from registry.cache import cache_folder, write_atomically
from registry.errors import HeadwaterError

_LENGTH = 20  # hex digits: 80 bits, no collision among billions of jobs


def digest(*parts: Any) -> str:
    """A short stable hash of JSON-able parts; the order of keys in mappings does not matter."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=_LENGTH // 2).hexdigest()


def code_of(function: Callable[..., Any]) -> str:
    """A fingerprint of the module a plugin's function stands in, comments and docstrings stripped.

    The whole module counts, since a plugin's helpers decide its result as much as its entry point.
    Where there is no file (a notebook), the function's own source, or else its bytecode, stands in.
    """
    function = inspect.unwrap(function)
    try:
        path = inspect.getsourcefile(function)
        if path and Path(path).is_file():
            return _module_fingerprint(path, Path(path).stat().st_mtime_ns)
        source = inspect.getsource(function)
        return digest(_stripped("\n".join(_dedent(source.splitlines()))))
    except (OSError, TypeError, SyntaxError):
        code = getattr(function, "__code__", None)
        return digest(code.co_code.hex(), repr(code.co_consts)) if code else digest(repr(function))


def _dedent(lines: list[str]) -> list[str]:
    margin = len(lines[0]) - len(lines[0].lstrip())
    return [line[margin:] for line in lines]


@lru_cache
def _module_fingerprint(path: str, mtime_ns: int) -> str:
    # Kept, since parsing every plugin would cost more than all the rest of ``headwater list``.
    try:
        kept = cache_folder("code") / digest(path, mtime_ns)
        if kept.is_file():
            return kept.read_text()
    except (OSError, HeadwaterError):
        kept = None
    fingerprint = digest(_stripped(Path(path).read_text(encoding="utf-8")))
    if kept:
        with suppress(OSError):  # a cache that cannot be written only costs time
            write_atomically(kept, lambda temporary: temporary.write_text(fingerprint))
    return fingerprint


def _stripped(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def digest_files(files: Iterable[Path]) -> str:
    """A fingerprint of files' names and contents.

    Contents are read once: the result is kept under the files' sizes and modification times.
    """
    files = sorted(files)
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    kept = cache_folder("digests") / digest(stats)
    if kept.is_file():
        return kept.read_text()
    whole = hashlib.blake2b(digest_size=_LENGTH // 2)
    for file in files:
        whole.update(file.name.encode())
        with file.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "blake2b").digest())
    write_atomically(kept, lambda path: path.write_text(whole.hexdigest()))
    return whole.hexdigest()
