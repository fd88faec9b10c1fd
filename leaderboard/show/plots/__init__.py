"""Plots of the anatomy, one a file: each is ``draw(anatomy) -> Figure`` with ``TITLE``, ``READ`` (how to read it) and ``FORMULA``.

matplotlib is an extra, ``headwater[plots]``; it is imported when something is drawn.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from headwater.leaderboard.anatomy.readings import ANALYSES, AnatomyReadings
from headwater.registry.errors import HeadwaterError


def plot_of(analysis: str) -> ModuleType:
    return importlib.import_module(f"headwater.leaderboard.show.plots.{analysis}")


def draw_all(found: AnatomyReadings, folder: Path, prefix: str = "") -> dict[str, str]:
    """Draw every analysis there is into ``folder`` as PNG and SVG; returns analysis -> file name without its ending."""
    from headwater.leaderboard.show.plots.style import save, styled

    drawn = {}
    for analysis in found.analyses:
        drawn[analysis] = f"{prefix}{analysis}"
        with styled():
            save(plot_of(analysis).draw(found), folder / drawn[analysis])
    return drawn


def check_matplotlib() -> None:
    """Raise HeadwaterError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise HeadwaterError(
            "plots need matplotlib", subject="matplotlib", hint="pip install 'headwater[plots]'"
        )


__all__ = ["ANALYSES", "check_matplotlib", "draw_all", "plot_of"]
