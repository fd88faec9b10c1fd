"""Stores in which the truth of a finding is known: sources with gains that are given, over targets in two domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headwater.leaderboard import CurvePoint, JobRecord, Outcome, State, Store
from headwater.leaderboard.findings import FindingResult, examine
from headwater.leaderboard.gains.gain_rows import Filter
from headwater.registry import Chain, SourceModel
from headwater.registry.cards.analysis import Reading
from tests.leaderboard.synthetic import BEGAN, done, job, source, store_of, task

SCRATCH, BASE = "scratch/net", "net"
Gain = Callable[[str, str, int, int], float]
"""The gain of a source, on a target, of so many images, under a seed: over the base for chains, over scratch for others."""

SOURCE_TASKS = (
    task("s/few-sketches", "sketches", type="classification", images=20),
    task("s/some-sketches", "sketches", type="classification", images=500),
    task("s/many-sketches", "sketches", type="classification", images=5000),
    task("s/some-aerial", "aerial", type="classification", images=600),
    task("s/many-aerial", "aerial", type="classification", images=6000),
    task("s/web", "web", type="classification", images=90_000),
    task("s/traced", "sketches", type="segmentation", images=800),
)


def chain(*tasks: str, base: str = BASE) -> SourceModel:
    """The card that plugins/models/chain.py would derive."""
    cards = [card for card in SOURCE_TASKS if card.name in {f"s/{name}" for name in tasks}]
    domains, types = {card.domain for card in cards}, {card.type for card in cards}
    return source(
        f"chain[base={base},on={'+'.join(card.name for card in cards)}]",
        scratch=SCRATCH,
        chain=Chain(base, tuple(card.name for card in cards)),
        domain=domains.pop() if len(domains) == 1 else None,
        task_type=types.pop() if len(types) == 1 else None,
        images=sum(card.images or 0 for card in cards),
    )


def targets(count: int, domain: str = "sketches", metric: str = "accuracy") -> list:
    return [task(f"t/{domain}-{number}", domain, type="classification") for number in range(count)]


def world(
    path: Path,
    chains: Sequence[SourceModel],
    tasks: Sequence[Any],
    gain: Gain,
    *,
    sizes: Mapping[str, int] | None = None,
    seeds: int = 2,
    noise: float = 0.005,
    base_domain: str | None = None,
    curves: Callable[[str, str, int], Sequence[float]] | None = None,
    metrics: Mapping[str, tuple[str, int]] | None = None,
) -> Store:
    """A store of scratch, a base and chains, each on every target, size and seed; what a seed makes easy is easy for all sources.

    ``curves``: validation values of a source on a task under a seed, epoch by epoch, each of 2 seconds. ``metrics``: the metric and
    its sign for tasks that do not use accuracy.
    """
    draw = np.random.default_rng(0)
    cards = (
        source(SCRATCH, random=True),
        source(BASE, scratch=SCRATCH, domain=base_domain, images=1_000_000),
        *chains,
    )
    jobs, outcomes = [], []
    for target in tasks:
        metric, sign = (metrics or {}).get(target.name, ("accuracy", 1))
        for size, images in (sizes or {"50": 50}).items():
            for seed in range(seeds):
                start = 0.3 + draw.normal(0, 0.02)
                based = start + gain(BASE, target.name, images, seed)
                for card in cards:
                    value = start if card.name == SCRATCH else based
                    value += gain(card.name, target.name, images, seed) if card.chain else 0.0
                    value += 0 if card.name == SCRATCH else draw.normal(0, noise)
                    identity = f"{card.name}|{target.name}|{size}|{seed}"
                    how = "from_scratch" if card.name == SCRATCH else "fine_tune"
                    shape = {
                        "size": size,
                        "seed": seed,
                        "protocol": target.name,
                        "metric": metric,
                        "sign": sign,
                    }
                    jobs.append(job(identity, card.name, target.name, how, **shape))
                    points = curves(card.name, target.name, seed) if curves else ()
                    outcomes.append(
                        done(
                            identity,
                            value if sign > 0 else 1 - value,
                            metric,
                            train_images=images,
                            curves=_curve(points, metric),
                        )
                    )
    return store_of(path, jobs, outcomes, cards, (*SOURCE_TASKS, *tasks))


def _curve(points: Sequence[float], metric: str) -> tuple[CurvePoint, ...]:
    validation = [
        CurvePoint(epoch, "validation", metric, value) for epoch, value in enumerate(points, 1)
    ]
    return (
        *validation,
        *(CurvePoint(epoch, "train", "seconds", 2.0) for epoch in range(1, len(points) + 1)),
    )


def analyses(
    path: Path,
    analysis: str,
    readings: Callable[[str, int], Sequence[Reading]],
    *,
    tasks: int = 6,
    seeds: int = 2,
    sign: int = 1,
    chains: Sequence[SourceModel] = (),
    gain: Gain = lambda *_: 0.2,
) -> Store:
    """A world in which each target and seed has one analysis with these readings."""
    cards = targets(tasks)
    store = world(path, chains, cards, gain, seeds=seeds, base_domain="aerial")
    records = [
        JobRecord(
            f"{analysis}|{card.name}|{seed}", "analyse", BASE, card.name, "fine_tune", "from_scratch", "50", seed,
            card.name, "accuracy", sign, analysis=analysis,
        )
        for card in cards
        for seed in range(seeds)
    ]  # fmt: skip
    outcomes = [
        Outcome(
            record.job,
            State.DONE,
            started=BEGAN,
            readings=tuple(readings(record.task, record.seed or 0)),
        )
        for record in records
    ]
    store.plan("run-1", records)
    store.record(outcomes)
    return store


def answer(store: Store, name: str, **wanted: str) -> FindingResult:
    return examine(store, [name], Filter(**wanted))[0]
