"""The public face: sorted, complete, and cheap to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import headwater


def test_all_is_sorted_and_complete() -> None:
    assert headwater.__all__ == sorted(set(headwater.__all__))
    assert dir(headwater) == headwater.__all__


@pytest.mark.parametrize("name", headwater.__all__)
def test_every_public_name_resolves(name: str) -> None:
    found = getattr(headwater, name)
    assert getattr(found, "__name__", "").rpartition(".")[2] == name or not hasattr(
        found, "__name__"
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        headwater.nothing  # noqa: B018


def test_importing_headwater_imports_neither_torch_nor_ray() -> None:
    script = "import sys, headwater; print(sorted({'torch', 'ray', 'timm', 'datasets', 'duckdb'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


PLUGIN_FILES = sorted((Path(__file__).parents[1] / "plugins").rglob("*.py"))


def imported_modules(file: Path) -> set[str]:
    """Return the full names of the modules that a file imports, wherever in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    return modules


def test_what_plugins_use_of_the_registry_is_public() -> None:
    hidden = {
        f"{file.name}: {alias.name}"
        for file in PLUGIN_FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(("headwater.registry", "headwater.harness"))
        for alias in node.names
        if alias.name not in headwater.__all__
    }
    assert hidden == set()


def test_bundled_plugins_import_headwater_only() -> None:
    inner = {
        f"{file.name}: {module}"
        for file in PLUGIN_FILES
        for module in imported_modules(file)
        if module.startswith("headwater.") and not module.startswith("headwater.plugins")
    }
    assert inner == set()


@pytest.mark.parametrize("room", ["registry", "leaderboard", "harness"])
def test_the_product_imports_no_plugin(room: str) -> None:
    files = (Path(__file__).parents[1] / room).rglob("*.py")
    inner = {
        f"{file.name}: {module}"
        for file in files
        for module in imported_modules(file)
        if module.startswith("headwater.plugins")
    }
    assert inner == set()
