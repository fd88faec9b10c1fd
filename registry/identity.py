"""Hash everything that decides a result, and nothing else: the identities of jobs."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import textwrap
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from headwater.registry.cache import cache_folder, write_atomically
from headwater.registry.errors import HeadwaterError

_HEX_DIGITS = 20
"""Length of a hash: 80 bits, no collision among billions of jobs."""

_HOUSE = "headwater"
"""The package whose rooms (``headwater.plugins``, ``headwater.harness``) count as packages."""


def digest(*parts: Any) -> str:
    """Return a short, stable hash of JSON-able parts; the order of keys in mappings is ignored."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=_HEX_DIGITS // 2).hexdigest()


def code_of(function: Callable[..., Any], without: tuple[str, ...] = ()) -> str:
    """Return a fingerprint of the module in which a plugin's function is defined.

    The whole module counts, and so does every module of its own package that it imports, and their
    imports in turn: a plugin's helpers decide its result as much as its entry point. The package of
    a bundled plugin is ``headwater.plugins``; of a file in no package it is the files beside it.
    Modules go by their names within the package, not by where their files lie. Comments,
    docstrings and import statements do not count, except for the real name of what is used under
    another one (``import x as y``). Without a file (a notebook) the function's own source stands
    in, or else its bytecode.

    Args:
        function: A function or class of the plugin.
        without: Names of functions and classes that decide nothing, nor does what only they import.
    """
    function = inspect.unwrap(function)
    try:
        path = inspect.getsourcefile(function)
        if path and Path(path).is_file():
            return _fingerprint(path, Path(path).stat().st_mtime_ns, without)
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source)
        _leave_out(tree, without)
        return _hash(tree)
    except (OSError, TypeError, SyntaxError):
        # Typed at a prompt, or built by exec: Python has no source of it to read.
        code = getattr(function, "__code__", None)
        if code is None:
            return digest(repr(function))
        return digest(code.co_code.hex(), repr(code.co_consts))


@lru_cache
def _fingerprint(path: str, mtime_ns: int, without: tuple[str, ...]) -> str:
    """Return the fingerprint of a module with all that it imports from its own package.

    ``mtime_ns`` is there for the cache: a file that was written again is read again.
    """
    # By reachability, not by recursion: modules of a package may import each other in a circle.
    fingerprints: dict[str, str] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in fingerprints:
            mtime = Path(file).stat().st_mtime_ns
            fingerprints[file], imported = _read(file, mtime, without)
            waiting += imported
    first = fingerprints.pop(path)
    if not fingerprints:
        return first
    # Names, not paths: the same plugin in another folder or on another machine has one identity.
    by_name: dict[str, str] = {}
    for file, fingerprint in fingerprints.items():
        _, _, module = _place(Path(file))
        by_name[".".join(module)] = fingerprint
    return digest(first, sorted(by_name.items()))


@lru_cache
def _read(path: str, mtime_ns: int, without: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the fingerprint of one module, and the files that it imports from its package."""
    # Both are cached on disk: parsing every plugin would cost more than the rest of headwater list.
    cached = None
    with suppress(OSError, HeadwaterError):
        cached = cache_folder("code") / digest("without imports", path, mtime_ns, without)
        if cached.is_file():
            fingerprint, *imported = cached.read_text().split("\n")
            # A module that was moved since is found anew.
            if all(Path(file).is_file() for file in imported):
                return fingerprint, imported
    source = Path(path).read_text(encoding="utf-8")
    tree = ast.parse(source)
    _leave_out(tree, without)
    # Before the hash, which removes the import statements.
    imported = _imported_files(tree, Path(path))
    fingerprint = _hash(tree)
    if cached:
        text = "\n".join([fingerprint, *imported])
        with suppress(OSError):  # a cache that cannot be written only costs time
            write_atomically(cached, lambda temporary: temporary.write_text(text))
    return fingerprint, imported


def _place(path: Path) -> tuple[Path, tuple[str, ...], tuple[str, ...]]:
    """Return where a file stands: a root folder, its package below it, its module in the package.

    ``/x/lab/nets/a.py`` with ``__init__.py`` in ``lab`` and ``nets``: (``/x``, (``lab``,),
    (``nets``, ``a``)). A file in no package: (its folder, (), (its stem,)).
    """
    root = path.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    parts = path.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    if path.parent == root:
        depth = 0
    elif parts[0] == _HOUSE:
        # Else a bundled plugin would change with every line of the harness.
        depth = 2
    else:
        depth = 1
    return root, parts[:depth], parts[depth:]


def _imported_files(tree: ast.Module, path: Path) -> list[str]:
    """Return the files of its own package that a module imports, wherever in it."""
    root, package, _ = _place(path)
    files: set[Path] = set()
    for name in _imported_names(tree, path, root):
        if name[: len(package)] == package and len(name) > len(package):
            target = root.joinpath(*name)
            files |= {target.with_suffix(".py"), target / "__init__.py"}
    return sorted(str(file) for file in files if file.is_file() and file != path)


def _imported_names(tree: ast.Module, path: Path, root: Path) -> set[tuple[str, ...]]:
    """Return the full dotted names that a module imports, in parts.

    ``from a import b`` gives both ``a`` and ``a.b``: only the files tell whether b is a module.
    """
    names: set[tuple[str, ...]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level and root in path.parents[node.level - 1 :]:
                # Relative: one dot stands for the folder of the module, each further one for the
                # folder above.
                folder = path.parents[node.level - 1]
                module = (*folder.relative_to(root).parts, *module)
            names.add(module)
            names |= {(*module, alias.name) for alias in node.names}
    return names


def _hash(tree: ast.Module) -> str:
    """Return the hash of a module's statements without its imports, which are removed from it."""
    # Before the imports go: their aliases are read here.
    renamed = _renamed_imports(tree)
    for node in ast.walk(tree):
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                remaining: list[ast.stmt] = [each for each in statements if not _is_import(each)]
                if block == "body" and not remaining:
                    # A body cannot be empty: ``try: import x`` becomes ``try: pass``.
                    remaining = [ast.Pass()]
                setattr(node, block, remaining)
    return digest(ast.dump(tree), sorted(renamed))


def _renamed_imports(tree: ast.Module) -> set[tuple[str, str]]:
    """Return what a module uses under another name, with its real name.

    Without these, ``from a import mean as score`` and ``from a import median as score`` would have
    one hash.
    """
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    renamed: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            if alias.asname is None or alias.asname == alias.name:
                continue
            if alias.asname in used:
                renamed.add((alias.asname, alias.name))
    return renamed


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _leave_out(tree: ast.Module, without: tuple[str, ...]) -> None:
    """Remove docstrings, what is only there for type checkers, and what is named ``without``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.Module | ast.ClassDef):
            node.body = [each for each in node.body if not _decides_nothing(each, without)]


def _decides_nothing(node: ast.stmt, without: tuple[str, ...]) -> bool:
    """Return whether a statement is named ``without``, or is ``if TYPE_CHECKING`` alone."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name in without
    if not isinstance(node, ast.If) or node.orelse:
        return False
    return ast.unparse(node.test).endswith("TYPE_CHECKING")


def digest_files(files: Iterable[Path]) -> str:
    """Return a fingerprint of files' contents and of their paths below the folder that holds all.

    Contents are read once: the result is cached under the files' sizes and modification times.
    """
    files = sorted(files)
    stats: list[tuple[str, int, int]] = []
    for file in files:
        stat = file.stat()
        stats.append((str(file.resolve()), stat.st_size, stat.st_mtime_ns))
    cached = cache_folder("digests") / digest("paths", stats)
    if cached.is_file():
        return cached.read_text()
    combined = hashlib.blake2b(digest_size=_HEX_DIGITS // 2)
    folder = os.path.commonpath([file.parent for file in files])
    for file in files:
        # The path below the folder counts, since a folder of images may name classes; where the
        # folder lies does not.
        combined.update(os.path.relpath(file, folder).encode())
        with file.open("rb") as stream:
            combined.update(hashlib.file_digest(stream, "blake2b").digest())
    fingerprint = combined.hexdigest()
    write_atomically(cached, lambda path: path.write_text(fingerprint))
    return fingerprint
