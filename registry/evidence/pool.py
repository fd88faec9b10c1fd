"""Pools: scores that rank sources only among each other, because their parts are scaled over all of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from headwater.registry.cards.estimator import Score

Key = TypeVar("Key")


def pooled(scores: Mapping[Key, Score]) -> dict[Key, Score]:
    """Scale each part of the scores to [0, 1] over the pool, and add the parts up.

    A part in which all scores are equal counts 0, as in the view ``estimates``.

    Args:
        scores: A score with parts for each source of the pool.

    Returns:
        The total of each source, with the note and the raw parts of its score.
    """
    names = dict.fromkeys(part for score in scores.values() for part in score.parts)
    totals = dict.fromkeys(scores, 0.0)
    for name in names:
        values = {key: score.parts[name] for key, score in scores.items()}
        low = min(values.values())
        high = max(values.values())
        if high <= low:
            continue
        for key, value in values.items():
            totals[key] += (value - low) / (high - low)
    return {key: Score(totals[key], score.note, score.parts) for key, score in scores.items()}
