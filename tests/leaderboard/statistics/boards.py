"""Simulated boards: the model of ``board`` with every variance stated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from headwater.leaderboard.statistics.board import Board


@dataclass(frozen=True)
class World:
    """Draw boards of S sources on F families of m targets under K seeds.

    Deviations are on one scale: of sources ``worth``, of targets ``ease``, of a source's fit to a
    family and to a target, and of a training (``luck``). ``uneven`` is the deviation of log noise
    levels between sources, ``missing`` the share of cells that are left out.
    """

    sources: int = 12
    families: int = 9
    members: int = 1
    seeds: int = 2
    worth: float = 0.0
    ease: float = 0.1
    family_fit: float = 0.02
    target_fit: float = 0.0
    luck: float = 0.06
    uneven: float = 0.0
    missing: float = 0.0

    def draw(self, random: np.random.Generator) -> tuple[Board, Array]:
        """Return a board, and the true worth of its sources, (S,)."""
        worth = self.worth * random.normal(size=self.sources)
        return self.measure(worth, random), worth

    def measure(self, worth: Array, random: np.random.Generator) -> Board:
        """Return a board of sources of this worth."""
        sources, seeds = self.sources, self.seeds
        family = np.repeat(np.arange(self.families), self.members)
        targets = len(family)
        noise = np.exp(self.uneven * random.normal(size=(sources, 1)))
        fit = self.family_fit * random.normal(size=(sources, self.families))[:, family]
        fit = noise * (fit + self.target_fit * random.normal(size=(sources, targets)))
        ease = self.ease * random.normal(size=(targets, 1))
        ease = ease + self.luck / 2 * random.normal(size=(targets, seeds))
        luck = self.luck * noise[..., None] * random.normal(size=(sources, targets, seeds))
        values = worth[:, None, None] + fit[..., None] + ease + luck
        values[random.random(values.shape) < self.missing] = np.nan
        return Board(values, family)
