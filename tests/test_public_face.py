"""The public face: sorted, complete, and cheap to import."""

from __future__ import annotations

import subprocess
import sys

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
