"""Fine-tune the top-ranked sources with the rest of the budget, so that values back the ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from headwater.harness.selecting.live import Live
from headwater.harness.selecting.rungs import Rung

ROUNDS = 2
"""The second round goes up to a higher rung where the first was cheaper than it looked."""


def confirm(live: Live, scores: Mapping[str, float], count: int) -> None:
    """Fine-tune a selector's first sources on as much as the budget is likely to allow.

    That is everything if it can be. A source that fails gives way to the next.

    Args:
        live: The work of the question.
        scores: The selector's scores.
        count: How many sources to fine-tune.
    """
    rungs = _rungs(live)
    for _ in range(ROUNDS):
        rung = _measure_first(live, scores, count, rungs=rungs)
        if rung is None or rung == rungs[0] or not live.left:
            return


def _measure_first(
    live: Live, scores: Mapping[str, float], count: int, *, rungs: Sequence[Rung]
) -> Rung | None:
    """Measure the first sources on the highest rung that is likely to fit, or else on the lowest.

    Returns:
        The rung; None where no source is left to measure.
    """
    while True:
        first_sources = by_selector(live, scores)[:count]
        if not first_sources:
            return None
        failures = len(live.failures)
        fitting = (rung for rung in rungs if live.fits(first_sources, rung))
        rung = next(fitting, rungs[-1])
        live.measure(first_sources, size=rung.images, epochs=rung.epochs)
        # Else a source failed and will not be among the first again: another takes its place.
        if len(live.failures) == failures:
            return rung


def _rungs(live: Live) -> list[Rung]:
    """Return rungs from everything down to a third of the epochs on the smallest subset."""
    rungs: list[Rung] = []
    for images in (live.images, *reversed(live.sizes)):
        epochs = live.rung(images).epochs
        rungs += [Rung(images, epochs), Rung(images, math.ceil(epochs / 3))]
    return rungs


def by_selector(live: Live, scores: Mapping[str, float]) -> list[str]:
    """Return the sources that can be used, best first; those without a score are last."""
    lowest = min(scores.values(), default=0.0)
    usable = [name for name in live.sources if name not in live.failures]
    return sorted(usable, key=lambda name: -scores.get(name, lowest))
