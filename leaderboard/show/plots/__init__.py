"""Plots. matplotlib is an extra, ``headwater[plots]``; it is imported when something is drawn."""

from __future__ import annotations

import importlib.util

from headwater.leaderboard.show.plots import plotting
from headwater.registry.errors import HeadwaterError

__all__ = ["check_matplotlib", "plotting"]


def check_matplotlib() -> None:
    """Check that matplotlib is installed.

    Raises:
        HeadwaterError: It is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise HeadwaterError(
            "plots need matplotlib", subject="matplotlib", hint="pip install 'headwater[plots]'"
        )
