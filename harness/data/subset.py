"""Subsets: nested, balanced, and the same for every source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from headwater.registry.errors import NotApplicable

MIN_TRAINING_IMAGES = 2
"""Training images: batch norm cannot take one alone."""


@dataclass(frozen=True)
class Subset:
    """Rows of the train split: those trained on, and those kept for choices. Disjoint."""

    train: np.ndarray
    validation: np.ndarray

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)


def draw_subset(strata: np.ndarray, size: str, seed: int, validation: float) -> Subset:
    """Choose ``size`` rows ("150" or "full") of (N,) strata; raises NotApplicable where there are too few, or too few asked for.

    One shuffled order per seed deals the strata in turn, so that every smaller subset is a prefix of every
    larger one (50 ⊂ 150 ⊂ 500), balanced as far as the strata last. A row's stratum and its place within it decide
    whether it validates, so both parts nest.
    """
    count = len(strata) if size == "full" else int(size)
    if count > len(strata):
        there = f"{len(strata)} training image{'s' * (len(strata) != 1)}"
        raise NotApplicable(
            f"only {there}, {count} asked for", hint='Ask for fewer, or for "full".'
        )
    order, place, turn = _dealt(strata, seed)
    validates = _validates(place[:count], turn[:count], validation)
    if count and not validates.any():
        validates[-1] = True  # fewer images than strata: one must still be there to choose on
    chosen = order[:count]
    if (left := int((~validates).sum())) < MIN_TRAINING_IMAGES:
        raise NotApplicable(
            f"{count} images leave {left} to train on, at least {MIN_TRAINING_IMAGES} are needed",
            hint="Ask for more.",
        )
    return Subset(np.sort(chosen[~validates]), np.sort(chosen[validates]))


def draw_rows(strata: np.ndarray, size: str, seed: int) -> np.ndarray:
    """The rows that the subset of this size would hold, trained on or not; all where there are fewer. Ascending."""
    count = len(strata) if size == "full" else int(size)
    return np.sort(_dealt(strata, seed)[0][:count])


def _dealt(strata: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in dealing order, each one's place within its stratum, and whose turn it is: the stratum, by a number of its own."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(strata))
    place = np.empty(len(strata), dtype=np.int64)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata[order] == stratum)
        place[rows] = np.arange(len(rows))
    turn = random.permutation(int(strata.max()) + 1)[strata[order]]
    dealing = np.lexsort((turn, place))
    return order[dealing], place[dealing], turn[dealing]


def _validates(place: np.ndarray, turn: np.ndarray, share: float) -> np.ndarray:
    """Every so many-th of a stratum validates, never its first: a lone image is trained on.

    Strata begin to count at different places: of thirty with three images each, all would otherwise miss the fifth that validates.
    """
    counted = place + turn % max(1, math.ceil(1 / share) - 1)
    return (place > 0) & (np.floor((counted + 1) * share) > np.floor(counted * share))
