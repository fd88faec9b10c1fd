"""A store with invented rows whose gains are known."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
from headwater.registry import Chain, SourceModel, Task

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
SCRATCH = "timm/resnet18[random=true]"
IMAGENET = "timm/resnet18.a1_in1k"
CHAIN = f"chain[base={SCRATCH},on=alphadigits+usps]"
PHOTO = f"chain[base={IMAGENET},on=pacs_photo]"
TASKS = ("pacs_sketch", "rsscn7", "plantvillage_apple")
DOMAIN_PARENTS = {
    "sketches": frozenset({"drawings", "web"}),
    "web": frozenset[str](),
    "aerial": frozenset[str](),
}


def source(name: str, **facts: Any) -> SourceModel:
    return SourceModel(name=name, build=lambda: None, architecture="resnet18", **facts)


def task(name: str, domain: str | None = "sketches", **facts: Any) -> Task:
    return Task(name=name, load=lambda: None, domain=domain, metric="accuracy", **facts)


SOURCES = (
    source(SCRATCH, random=True),
    source(IMAGENET, scratch=SCRATCH, domain="web", images=1_281_167),
    source(
        CHAIN,
        scratch=SCRATCH,
        chain=Chain(SCRATCH, ("alphadigits", "usps")),
        domain="aerial",
        images=9000,
    ),
    source(
        PHOTO,
        scratch=SCRATCH,
        chain=Chain(IMAGENET, ("pacs_photo",)),
        domain="sketches",
        images=1670,
    ),
)
TARGETS = (task(TASKS[0]), task(TASKS[1], "aerial"), task(TASKS[2], None))


def run_record(run: str = "run-1") -> RunRecord:
    return RunRecord(run, "synthetic", {"seeds": 3}, BEGAN, "0.1.0", packages={"torch": "2.9"})


def job(
    name: str, source: str, task: str = "t", adaptation: str = "fine_tune", **more: Any
) -> JobRecord:
    control = more.pop("control", "from_scratch")
    bounds = {"lowest": 0.0, "highest": 1.0 if more.get("sign", 1) > 0 else None}
    return JobRecord(
        name,
        "adapt",
        source,
        task,
        adaptation,
        control,
        **({"size": "50", "seed": 0, "protocol": "s", "metric": "accuracy"} | bounds | more),
    )


def done(job: str, value: float, metric: str = "accuracy", **more: Any) -> Outcome:
    metrics = (Measurement("test", metric, value), Measurement("validation", metric, value + 0.01))
    return Outcome(
        job,
        State.DONE,
        **({"metrics": metrics, "started": BEGAN, "seconds": 2.0, "train_images": 50} | more),
    )


_BEGUN: dict[str, bytes] = {}


def store_of(
    path: Path,
    jobs: Sequence[JobRecord],
    outcomes: Sequence[Outcome],
    sources=SOURCES,
    tasks=TARGETS,
) -> Store:
    """A store of these cards, jobs and outcomes; files with the same cards are begun once and copied."""
    store = Store(path)
    cards = repr([card.facts() for card in (*sources, *tasks)])
    if cards not in _BEGUN:
        store.begin_run(run_record())
        store.put_cards(sources, tasks, DOMAIN_PARENTS)
        _BEGUN[cards] = path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_BEGUN[cards])
    if jobs:
        store.plan("run-1", jobs)
    if outcomes:
        store.record(outcomes)
    return store


_SKILL = {SCRATCH: 0.0, IMAGENET: 0.32, CHAIN: 0.05, PHOTO: 0.33}


def grid(seeds: int = 3) -> Iterator[tuple[JobRecord, Outcome]]:
    """3 tasks x 4 sources x 2 adaptations x 2 sizes x seeds, with a failing task for one source."""
    draw = np.random.default_rng(0)
    for number, task_name in enumerate(TASKS):
        for name, skill in _SKILL.items():
            for adaptation, control in (
                ("fine_tune", "from_scratch"),
                ("linear_probe", "linear_probe"),
            ):
                ran = control if name == SCRATCH else adaptation
                for size in ("50", "full"):
                    for seed in range(seeds):
                        identity = f"{zlib.crc32(f'{task_name}{name}{adaptation}{size}{seed}'.encode()):08x}"
                        record = job(
                            identity,
                            name,
                            task_name,
                            ran,
                            control=control,
                            size=size,
                            seed=seed,
                            protocol=f"{task_name}-{control}",
                        )
                        value = (
                            0.3
                            + 0.1 * number
                            + skill * (1.0 if size == "50" else 0.5)
                            + draw.normal(0, 0.02)
                        )
                        images = 50 if size == "50" else 1000
                        outcome = done(
                            identity,
                            value,
                            seconds=18 + draw.random(),
                            train_images=images,
                            started=BEGAN + timedelta(minutes=seed),
                            curves=tuple(
                                CurvePoint(e, "validation", "accuracy", value * e / 15)
                                for e in range(1, 16)
                            ),
                        )
                        if name == CHAIN and task_name == "rsscn7" and size == "full" and seed == 2:
                            outcome = Outcome(
                                identity,
                                State.FAILED,
                                "CUDA out of memory",
                                "OutOfMemoryError",
                                "logs/x.log",
                                BEGAN,
                                3.0,
                            )
                        yield record, outcome


def grid_store(path: Path, seeds: int = 3) -> Store:
    cells = list(grid(seeds))
    return store_of(path, [record for record, _ in cells], [outcome for _, outcome in cells])
