"""Draw subsets of a task's training images: nested, balanced, and the same for every source.

One shuffled order per seed deals the strata in turn, like cards: first one image of each stratum,
then a second of each, and so on. A subset of n images is the first n that were dealt. Therefore
every smaller subset is a prefix of every larger one (50 ⊂ 150 ⊂ 500), and each is balanced as far
as the strata last. Whether an image trains or validates depends on its stratum and its place within
it alone, not on n, so that both parts nest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from headwater.registry.errors import NotApplicable

MIN_TRAINING_IMAGES = 2
"""Batch norm cannot train on one image alone."""


@dataclass(frozen=True)
class Subset:
    """Rows of the train split, ascending: those trained on, and those kept for choices. Disjoint."""

    train: np.ndarray
    validation: np.ndarray

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)


@dataclass(frozen=True)
class _Deal:
    """All rows in the order in which they are dealt.

    Attributes:
        rows: (N,) rows of the train split.
        place: (N,) each one's place within its stratum, from 0.
        turn: (N,) each one's stratum, by its turn in a round.
    """

    rows: np.ndarray
    place: np.ndarray
    turn: np.ndarray


def draw_subset(strata: np.ndarray, size: str, seed: int, validation: float) -> Subset:
    """Choose a subset and divide it into images to train on and images to validate on.

    Args:
        strata: (N,) int, the stratum of each training image.
        size: Number of images, such as "150", or "full".
        seed: Decides the order.
        validation: Share of each stratum that validates.

    Raises:
        NotApplicable: There are fewer images than ``size``, or too few are left to train on.
    """
    count = len(strata) if size == "full" else int(size)
    if count > len(strata):
        available = f"{len(strata)} training image{'s' * (len(strata) != 1)}"
        raise NotApplicable(
            f"only {available}, {count} asked for", hint='Ask for fewer, or for "full".'
        )
    deal = _deal(strata, seed)
    rows = deal.rows[:count]
    validates = _validates(deal.place[:count], deal.turn[:count], validation)
    if count and not validates.any():
        # With fewer images than strata nobody would validate; one image must be there to choose on.
        validates[-1] = True
    training = int((~validates).sum())
    if training < MIN_TRAINING_IMAGES:
        raise NotApplicable(
            f"{count} images leave {training} to train on, "
            f"at least {MIN_TRAINING_IMAGES} are needed",
            hint="Ask for more.",
        )
    return Subset(train=np.sort(rows[~validates]), validation=np.sort(rows[validates]))


def draw_rows(strata: np.ndarray, size: str, seed: int) -> np.ndarray:
    """Return the rows that the subset of this size holds, trained on or not, ascending.

    All rows are returned where there are fewer.
    """
    count = len(strata) if size == "full" else int(size)
    return np.sort(_deal(strata, seed).rows[:count])


def _deal(strata: np.ndarray, seed: int) -> _Deal:
    """Deal all rows.

    Shuffle them, number them within their strata, shuffle the strata, and deal place by place.
    """
    # Two draws of one generator, in this order: any other gives other subsets for the same seed.
    random = np.random.default_rng(seed)
    order = random.permutation(len(strata))
    shuffled = strata[order]
    place = np.empty(len(strata), dtype=np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(shuffled == stratum)
        place[members] = np.arange(len(members))
    turns = random.permutation(int(strata.max()) + 1)
    turn = turns[shuffled]
    # lexsort sorts by its last key first: by place, then by turn.
    dealing = np.lexsort((turn, place))
    return _Deal(rows=order[dealing], place=place[dealing], turn=turn[dealing])


def _validates(place: np.ndarray, turn: np.ndarray, share: float) -> np.ndarray:
    """Return which images validate: every so many-th of a stratum, but never its first.

    An image validates where counting it makes floor(count × share) rise. A lone image of a stratum
    is trained on.
    """
    # Strata begin to count at different places: of thirty strata with three images each, all would
    # otherwise miss the fifth that validates.
    period = math.ceil(1 / share)
    offset = turn % max(1, period - 1)
    counted = place + offset
    is_due = np.floor((counted + 1) * share) > np.floor(counted * share)
    validates: np.ndarray = (place > 0) & is_due
    return validates
