"""``python -m perf error_rates``: the tables of docs/how-sure.md, from larger simulations than the tests'."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from headwater.leaderboard.statistics.board import Board
from headwater.leaderboard.statistics.differences import differences
from headwater.leaderboard.statistics.intervals import differences_to_mean, mean_intervals
from headwater.leaderboard.statistics.negative import negative_transfer
from headwater.leaderboard.statistics.planning import ExtensionCosts, SeparationPlanner
from headwater.leaderboard.statistics.posterior import worth_posterior
from perf.figures import Figure
from perf.rates import (
    LARGE_FIT,
    World,
    advice_rates,
    best_rates,
    boards_with_a_claim,
    coverage,
    pairs_told,
)

EVEN = {"family_fit": 0.03, "luck": 0.03}


def measure() -> list[Figure]:
    """Print the tables, and return how long the statistics of a large board take."""
    _cover()
    _claims()
    _power()
    _best()
    _advice()
    return [Figure("300 sources × 40 targets × 5 seeds, all statistics", _seconds(), "s", 1.0)]


def _cover() -> None:
    print("\nintervals of 95 % that hold the truth (%), 1,000 boards of 12 sources")
    worlds = [
        World(families=families, seeds=seeds, worth=0.03, **more)
        for families in (1, 2, 3, 5, 9, 20, 40)
        for seeds in (2, 5)
        for more in ({}, {"uneven": 0.5})
    ]
    worlds += [
        World(families=5, seeds=2, members=3, target_fit=0.02, worth=0.03),
        World(families=5, seeds=2, members=3, target_fit=0.02, missing=0.1, worth=0.03),
        World(families=9, seeds=3, missing=0.15, worth=0.03),
        World(families=3, seeds=5, worth=0.03, **LARGE_FIT),
        World(families=5, seeds=1, worth=0.03),
    ]
    for world in worlds:
        rates = ", ".join(
            f"{name} {100 * rate:.1f}" for name, rate in coverage(world, 1000).items()
        )
        print(f"  {world}: {rates}", flush=True)


def _claims() -> None:
    print("\nboards of equal sources that tell any pair apart (%)")
    worlds = [
        (World(sources=sources, families=families, seeds=seeds, **more), boards)
        for sources, boards in ((12, 1000), (100, 200), (300, 60))
        for families, seeds in ((3, 2), (9, 2), (9, 5), (40, 2))
        for more in ({}, {"uneven": 0.5}, {"members": 2, "target_fit": 0.02}, {"missing": 0.15})
        if not (sources > 12 and more and (families, seeds) != (9, 2))
    ]
    # On one target a source's fit to it is no error: here sources are equal on the target itself.
    worlds += [
        (World(families=1, seeds=seeds, family_fit=0.0, **more), 1000)
        for seeds in (2, 5)
        for more in ({}, {"uneven": 0.5})
    ]
    for world, boards in worlds:
        print(f"  {world}: {100 * boards_with_a_claim(world, boards):.1f} of {boards}", flush=True)


def _power() -> None:
    print("\npairs of 12 sources that are told apart rightly, and the wrong way round (%)")
    for families, seeds, more in (
        (3, 2, {}),
        (3, 5, {}),
        (3, 2, EVEN),
        (5, 2, {}),
        (9, 2, {}),
        (9, 5, {}),
        (20, 2, EVEN),
    ):
        world = World(families=families, seeds=seeds, worth=0.03, **more)
        right, wrong = pairs_told(world, 600)
        print(f"  {world} {more or ''}: {100 * right:.1f} and {100 * wrong:.2f}", flush=True)


def _best() -> None:
    print("\nthe set of 95 % holds the best (%), its size; P(best) said and come true (n)")
    for world in (
        World(families=1, seeds=3, worth=0.03, family_fit=0.0),
        World(families=3, worth=0.03),
        World(families=3, seeds=5, worth=0.03),
        World(families=9, worth=0.03),
        World(families=9, worth=0.03, uneven=0.5),
        World(families=9, worth=0.03, missing=0.15),
        World(sources=40, families=3, worth=0.03, **EVEN),
    ):
        rates = best_rates(world, 1000)
        bins = ", ".join(
            f"{said:.2f}→{was:.2f} ({count})"
            for (said, was), count in zip(rates.bins, rates.counts, strict=True)
        )
        print(f"  {world}: {100 * rates.held:.1f}, {rates.size:.1f}; {bins}", flush=True)


def _advice() -> None:
    print("\npairs not told apart: advised to measure more, told apart then, bound held")
    for world in (
        World(families=3, worth=0.0),
        World(families=3, worth=0.05),
        World(families=3, seeds=5, worth=0.05),
        World(families=9, worth=0.05),
        World(families=5, seeds=3, worth=0.05, **EVEN),
    ):
        rates = advice_rates(world, 60, ExtensionCosts(seed=1, target=2))
        print(
            f"  {world}, worths ± {world.worth}: {rates.pairs} pairs, {rates.advised} advised, "
            f"{rates.came_true} came true, {rates.bound_held} bounds held",
            flush=True,
        )


def _seconds() -> float:
    """Return the processor seconds of all that a board of 300 × 40 × 5 is asked for."""
    (drawn,) = World(sources=300, families=40, seeds=5, worth=0.03).boards(1)
    parts: dict[str, Callable[[Board], object]] = {
        "differences": lambda board: differences(board).better,
        "intervals": lambda board: [
            mean_intervals(board, board.scope),
            differences_to_mean(board),
        ],
        "posterior": lambda board: worth_posterior(board),
        "negative transfer": negative_transfer,
        "advice": lambda board: SeparationPlanner(board, ExtensionCosts(1.0)).separate(0, 1),
    }
    total = 0.0
    for name, part in parts.items():
        spent = []
        for _ in range(3):
            board = Board(drawn.board.values, drawn.board.families)
            began = time.process_time()
            part(board)
            spent.append(time.process_time() - began)
        print(f"  {name}: {np.median(spent):.3f} s", flush=True)
        total += float(np.median(spent))
    return total
