"""Pools: scores that rank sources only among each other, because their parts are scaled over all of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from headwater.registry.cards.estimator import Score

K = TypeVar("K")


def pooled(scores: Mapping[K, Score]) -> dict[K, Score]:
    """Each part scaled to [0, 1] over the pool and added up; a part in which all are equal counts 0
    (as in the view ``estimates``).
    """
    totals = dict.fromkeys(scores, 0.0)
    for part in dict.fromkeys(part for score in scores.values() for part in score.parts):
        values = {key: score.parts[part] for key, score in scores.items()}
        low, high = min(values.values()), max(values.values())
        for key, value in values.items():
            totals[key] += (value - low) / (high - low) if high > low else 0.0
    return {key: Score(totals[key], score.note, score.parts) for key, score in scores.items()}
