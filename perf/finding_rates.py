"""How often findings have a verdict in worlds without an effect: ``python -m perf.finding_rates``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from headwater.leaderboard.findings._base import Verdict
from headwater.leaderboard.findings.cross_fit import cross_fitted, share_of_wins
from headwater.leaderboard.findings.families import FamilyMean
from headwater.leaderboard.findings.source_regression import explain

WORLDS = 1000
FAMILIES = (4, 8, 16)
SEEDS = (2, 3)

World = Callable[[np.random.Generator, int, int], FamilyMean]


def share_of_lucky_choices(draw: np.random.Generator, families: int, seeds: int) -> FamilyMean:
    """F2: six chains as good as their base; validation shares the luck of its own network."""
    shape = families, seeds, 6
    values = draw.normal(size=shape)
    gains = values - draw.normal(size=(families, seeds, 1))
    family, seed, source = (place.ravel() for place in np.indices(shape))
    rows = pd.DataFrame(
        {
            "task": family,
            "seed": seed,
            "source": source,
            "gain": gains.ravel(),
            "validation": (values + draw.normal(0, 0.5, shape)).ravel(),
        }
    )
    return share_of_wins(cross_fitted(rows, ["task"]))


def difference_of_explained(draw: np.random.Generator, families: int, seeds: int) -> FamilyMean:
    """F3: neither domain nor size matters; six sources of unlike worth."""
    found = []
    for _ in range(families):
        size = draw.normal(size=6)
        within = (np.arange(6) < 3).astype(float)[draw.permutation(6)]
        worth = draw.normal(size=6)
        rows = np.stack(
            [
                np.concatenate([worth + draw.normal(size=6) for _ in range(seeds)]),
                np.tile(within - within.mean(), seeds),
                np.tile(size - size.mean(), seeds),
            ],
            axis=1,
        )
        explained = explain(rows - rows.mean(axis=0))
        if explained is not None:
            found.append(explained[-1])
    return FamilyMean.of(np.array(found))


def difference_of_epochs(draw: np.random.Generator, families: int, seeds: int) -> FamilyMean:
    """F9: both networks learn alike, over 15 epochs."""
    rising = 1 - np.exp(-np.arange(1, 16) / 4)
    curves = rising + draw.normal(0, 0.03, (families, seeds, 2, 15))
    best = curves.max(axis=-1, keepdims=True)
    epochs = (curves >= 0.95 * best).argmax(axis=-1)
    return FamilyMean.of((epochs[..., 1] - epochs[..., 0]).mean(axis=1))


def mean_gain(draw: np.random.Generator, families: int, seeds: int) -> FamilyMean:
    """Draw a mean of 0 over families that differ, with the luck of seeds, as paired gains have."""
    worth = draw.normal(size=(families, 1)) + draw.normal(size=(families, seeds))
    return FamilyMean.of(worth.mean(axis=1))


WORLDS_OF: dict[str, tuple[World, float]] = {
    "F2": (share_of_lucky_choices, 0.5),
    "F3, ΔR²": (difference_of_explained, 0.0),
    "F9": (difference_of_epochs, 0.0),
    "means": (mean_gain, 0.0),
}


def main() -> None:
    """Print one line of a table for each finding and design."""
    print("| finding | families | seeds | mean | supported | contradicted |")
    print("|---|---|---|---|---|---|")
    for name, (world, null) in WORLDS_OF.items():
        for families in FAMILIES:
            for seeds in SEEDS:
                print(_line(name, world, null, (families, seeds)), flush=True)


def _line(name: str, world: World, null: float, design: tuple[int, int]) -> str:
    draw = np.random.default_rng(11)
    found = [world(draw, *design) for _ in range(WORLDS)]
    verdicts = [Verdict.of(*mean.bounds(), null) for mean in found]
    centre = np.mean([mean.mean for mean in found])
    rates = [
        verdicts.count(verdict) / WORLDS for verdict in (Verdict.SUPPORTED, Verdict.CONTRADICTED)
    ]
    cells = [name, *map(str, design), f"{centre:.3f}", *(f"{100 * rate:.1f} %" for rate in rates)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
