"""Estimate a mean gain from cells: of a group, of a source task, of a quantity read off networks.

Cells are averaged step by step (seeds, targets, families), so that a target measured under many
adaptations counts once. The interval is Student's over families where there are three or more, and
speaks of targets like these; below, it speaks of these targets under other seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.statistics.board import Board, Scope
from headwater.leaderboard.statistics.intervals import mean_intervals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GainEstimate:
    """Hold a mean over ``cells`` with its 95 % interval; bounds are None where nothing was
    repeated.

    Attributes:
        mean: The mean over families of targets.
        low: The lower bound.
        high: The upper bound.
        cells: The number of cells.
        scope: What the interval is about.
    """

    mean: float
    low: float | None
    high: float | None
    cells: int
    scope: Scope = Scope.THESE

    @property
    def verdict(self) -> str:
        """Say on which side of 0 the interval lies: gains, loses or cannot tell."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "cannot tell"
        return "gains" if self.low > 0 else "loses"


def estimate(rows: pd.DataFrame, values: str) -> GainEstimate:
    """Estimate the mean of a column over cells.

    Args:
        rows: Cells with the columns ``task``, ``family`` and ``seed``.
        values: The column to average; rows without a value do not count.
    """
    defined = rows.dropna(subset=values)
    tasks, families, seeds = (
        defined[name].factorize(use_na_sentinel=False)[0] for name in ("task", "family", "seed")
    )
    cells = defined[values].to_numpy(float)
    board = Board.from_cells(cells[None], tasks, seeds, families)
    found = mean_intervals(board, board.scope)
    ((low, high),) = found.bounds()
    is_known = not np.isnan(low)
    return GainEstimate(
        mean=float(found.means[0]),
        low=float(low) if is_known else None,
        high=float(high) if is_known else None,
        cells=len(cells),
        scope=board.scope,
    )
