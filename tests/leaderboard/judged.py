"""A store to judge selectors on: six targets, five sources of which one is the target's own domain, estimates and short trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headwater.leaderboard import (
    CurvePoint,
    JobRecord,
    Measurement,
    Outcome,
    RunRecord,
    State,
    Store,
)
from tests.leaderboard.synthetic import BEGAN, DOMAIN_PARENTS, job, source, task

SOURCES = ("net/a", "net/b", "net/c", "net/d", "scratch/net")
TARGETS = tuple(f"target{number}" for number in range(6))
SKILL = {"net/a": 0.3, "net/b": 0.25, "net/c": 0.15, "net/d": 0.1, "scratch/net": 0.0}
SECONDS = 10.0


def quality(name: str, target: str, seed: int) -> float:
    """Known to the digit: skill, a level of the target, a little of the seed, and 0.2 for net/d on the last target."""
    number = TARGETS.index(target)
    return (
        0.4
        + SKILL[name]
        + 0.02 * number
        + 0.01 * seed
        + (0.3 if (name, number) == ("net/d", 5) else 0.0)
    )


def judged_store(path: Path, estimates: bool = True) -> Store:
    store = Store(path)
    spec = {"image_size": 64, "training": {"epochs": 4}, "small_target": 50}
    store.begin_run(RunRecord("run-1", "judged", spec, BEGAN, "0.1.0"))
    sources = [
        source(
            name,
            domain="web" if name == "net/a" else "aerial",
            images=1000 * (at + 1),
            parameters=100 - at,
            random=name == "scratch/net",
        )
        for at, name in enumerate(SOURCES)
    ]
    store.put_cards(sources, [task(name, "aerial", images=500) for name in TARGETS], DOMAIN_PARENTS)
    jobs, outcomes = [], []
    for target in TARGETS:
        for name in SOURCES:
            for seed in (0, 1):
                for size in (50, 150):
                    _cell(jobs, outcomes, name, target, seed, size)
                if estimates and name != "scratch/net":
                    _estimate(jobs, outcomes, name, target, seed)
    store.plan("run-1", jobs)
    store.record(outcomes)
    return store


def _cell(
    jobs: list[JobRecord], outcomes: list[Outcome], name: str, target: str, seed: int, size: int
) -> None:
    identity, ran = (
        f"{name}-{target}-{seed}-{size}",
        "from_scratch" if name == "scratch/net" else "fine_tune",
    )
    value = quality(name, target, seed) - (0.1 if size == 50 else 0.0)
    jobs.append(
        job(identity, name, target, ran, size=str(size), seed=seed, protocol=f"protocol-{target}")
    )
    outcomes.append(
        Outcome(
            identity,
            State.DONE,
            started=BEGAN,
            seconds=SECONDS * size / 150,
            train_images=size,
            metrics=(
                Measurement("test", "accuracy", value),
                Measurement("validation", "accuracy", value + 0.001),
            ),
            curves=tuple(
                CurvePoint(epoch, "validation", "accuracy", value * epoch / 4)
                for epoch in range(1, 5)
            ),
        )
    )


def _estimate(
    jobs: list[JobRecord], outcomes: list[Outcome], name: str, target: str, seed: int
) -> None:
    """logme as it should be, and the features it was read off."""
    features, identity = f"features-{name}-{target}", f"logme-{name}-{target}-{seed}"
    if seed == 0:
        jobs.append(JobRecord(features, "features", name, target))
        outcomes.append(Outcome(features, State.DONE, started=BEGAN, seconds=0.4, images=150))
    jobs.append(
        JobRecord(
            identity,
            "estimate",
            name,
            target,
            "logme",
            size="150",
            seed=seed,
            protocol="features",
        )
    )
    score = (Measurement("train", "score", float(np.round(quality(name, target, seed), 6))),)
    outcomes.append(
        Outcome(
            identity,
            State.DONE,
            started=BEGAN,
            seconds=0.1,
            train_images=150,
            metrics=score,
            choice={"features": features},
        )
    )
