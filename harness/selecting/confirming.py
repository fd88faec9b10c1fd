"""Confirming: what a selector leaves of the budget goes into its first sources, so that there are values to go by."""

from __future__ import annotations

import math
from collections.abc import Mapping

from headwater.harness.selecting.live import Live
from headwater.harness.selecting.rungs import Rung


def confirm(live: Live, scores: Mapping[str, float], count: int) -> None:
    """Fine-tune the selector's first ones on as much as the budget is likely to allow, everything if it can be; then on more, should
    that have been cheaper than it looked. One that fails gives way to the next."""
    for _ in range(2):
        while first := by_selector(live, scores)[:count]:
            failed, rungs = len(live.failures), _rungs(live)
            rung = next((rung for rung in rungs if live.fits(first, rung)), rungs[-1])
            live.measure(first, size=rung.images, epochs=rung.epochs)
            if len(live.failures) == failed:
                break
        else:
            return
        if rung == rungs[0] or not live.left:
            return


def _rungs(live: Live) -> list[Rung]:
    """From everything down to a third of the epochs on the smallest subset."""
    epochs = live.spec.training.epochs
    return [
        Rung(images, count)
        for images in (live.images, *reversed(live.sizes))
        for count in (epochs, math.ceil(epochs / 3))
    ]


def by_selector(live: Live, scores: Mapping[str, float]) -> list[str]:
    """The sources that can be used, best first; those that the selector says nothing of are last."""
    lowest = min(scores.values(), default=0.0)
    return sorted(
        (name for name in live.sources if name not in live.failures),
        key=lambda name: -scores.get(name, lowest),
    )
