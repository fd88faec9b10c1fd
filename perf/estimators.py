"""What scoring a source costs: every estimator beside the floor of linear algebra, and beside the usual public code."""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perf.figures import Figure, interleaved, ratio, spread
from perf.plain_estimators import PLAIN

ROUNDS = 5
MOST_OVER_FLOOR = 1.3
MOST_MEMORY = 2.0
MACHINE_MEMORY = 20
"""GB of address space that the public code may have; what it asks for beyond is refused, not taken."""

PATIENCE = 150
"""Seconds of processor time that each piece of public code may have."""


@dataclass(frozen=True)
class Setting:
    """Images, features, classes, the source's classes, and the seconds that all estimators together may take."""

    images: int
    features: int
    classes: int
    source_classes: int
    most_seconds: float

    def __str__(self) -> str:
        return f"{self.images:,} × {self.features:,}, {self.classes:,} classes"

    def inputs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features as a pooled ReLU gives them, float32, that know a little of the labels, as do the probabilities."""
        random = np.random.default_rng(0)
        labels = random.permutation(np.arange(self.images) % self.classes)
        centres = random.standard_normal((self.classes, self.features), dtype=np.float32)
        features = random.standard_normal((self.images, self.features), dtype=np.float32)
        features += 0.15 * centres[labels] + 0.3
        np.maximum(features, 0, out=features)
        outputs = random.standard_normal((self.images, self.source_classes), dtype=np.float32)
        outputs[np.arange(self.images), labels % self.source_classes] += 4
        np.exp(outputs, out=outputs)
        outputs /= outputs.sum(1, keepdims=True)
        return features, labels, outputs


SETTINGS = (Setting(5_000, 2_048, 100, 1_000, 6.0), Setting(50_000, 768, 1_000, 1_000, 10.0))


def measure() -> list[Figure]:
    return [figure for setting in SETTINGS for figure in _of(setting)]


def _of(setting: Setting) -> list[Figure]:
    print(f"  {setting}", flush=True)
    costs = _elsewhere(_against_floor, setting)
    for floor in ("floor", "floor in float64"):
        print(
            f"    logme / {floor}: {ratio(costs['logme'], costs[floor]):.3f} ({spread(costs['logme'], costs[floor])})",
            flush=True,
        )
    seconds = _elsewhere(_suite, setting)
    for name, (taken, score, note) in seconds.items():
        print(f"    {name:<14} {taken:8.3f} s   {score:.6g}  {note}", flush=True)
    memory = {name: _elsewhere(_memory, setting, name) for name in seconds}
    print(
        "    GB above the inputs: "
        + ", ".join(f"{name} {taken:.2f}" for name, taken in memory.items()),
        flush=True,
    )
    return [
        Figure(
            f"{setting}: logme / (float64 XᵀX + eigendecomposition)",
            ratio(costs["logme"], costs["floor"]),
            "×",
            MOST_OVER_FLOOR,
        ),
        Figure(
            f"{setting}: all {len(seconds)} estimators",
            sum(taken for taken, *_ in seconds.values()),
            "s",
            setting.most_seconds,
        ),
        Figure(f"{setting}: most memory above the inputs", max(memory.values()), "GB", MOST_MEMORY),
        Figure(
            f"{setting}: the usual public code of {len(PLAIN)} of them, at least",
            _plain(setting),
            "s CPU",
        ),
    ]


def _cards() -> dict[str, Any]:
    from headwater.registry import Kind, Registry

    cards = Registry.discover().cards[Kind.ESTIMATOR]
    return {name: card for name, card in cards.items() if card.origin.startswith("plugins.")}


def _warm(cards: dict[str, Any]) -> None:
    """Import what they import, and start BLAS's threads."""
    from headwater.registry import Evidence

    features, labels, probabilities = Setting(600, 40, 4, 10, 0).inputs()
    for card in cards.values():
        card.of(Evidence.of(features, labels, probabilities))


def _against_floor(setting: Setting) -> dict[str, list[float]]:
    """LogME, statistics and all, beside the least that it cannot do without, from the same float32 features; rounds of seconds."""
    from headwater.registry import Evidence

    logme = _cards()["logme"]
    _warm({"logme": logme})
    features, labels, _ = setting.inputs()
    exact = features.astype(np.float64)

    def floor() -> object:
        converted = features.astype(np.float64)
        return np.linalg.eigh(converted.T @ converted)

    ways: dict[str, Callable[[], object]] = {
        "logme": lambda: logme.of(Evidence.of(features, labels)),
        "floor": floor,
        "floor in float64": lambda: np.linalg.eigh(exact.T @ exact),
    }
    return interleaved({name: partial(_seconds, way) for name, way in ways.items()}, ROUNDS)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _suite(setting: Setting) -> dict[str, tuple[float, float, str]]:
    """All estimators on one evidence: what they share is worked out once, by the first to ask. Medians of three rounds."""
    from headwater.registry import Evidence

    cards = _cards()
    _warm(cards)
    inputs = setting.inputs()
    rounds = []
    for _ in range(3):
        evidence, taken = Evidence.of(*inputs), {}
        for name, card in cards.items():
            began = time.perf_counter()
            score = card.of(evidence)
            taken[name] = (time.perf_counter() - began, float(score), score.note)
        rounds.append(taken)
    return {
        name: (statistics.median(taken[name][0] for taken in rounds), *rounds[0][name][1:])
        for name in cards
    }


def _memory(setting: Setting, name: str) -> float:
    """GB of an estimator by itself above the inputs."""
    from headwater.registry import Evidence

    card = _cards()[name]
    _warm({name: card})
    features, labels, probabilities = setting.inputs()
    Path("/proc/self/clear_refs").write_text(
        "5"
    )  # the peak starts anew: making the inputs had one of its own
    before = _resident("VmRSS")
    card.of(Evidence.of(features, labels, probabilities))
    return _resident("VmHWM") - before


def _resident(what: str) -> float:
    """GB of this process in memory: now (VmRSS), or at most (VmHWM). Linux only, as resource limits on memory are."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1e6


def _plain(setting: Setting) -> float:
    """Processor seconds of the public code together; those that run out of memory or patience count what they got to."""
    total = 0.0
    for name in PLAIN:
        taken, outcome = _elsewhere(
            _plain_one, setting, name, lost=(float(PATIENCE), f"more than {PATIENCE} s")
        )
        total += taken
        print(f"    public {name:<11} {taken:8.1f} s of processor time   {outcome}", flush=True)
    return total


def _plain_one(setting: Setting, name: str) -> tuple[float, str]:
    for module in ("scipy.stats", "sklearn.covariance", "sklearn.decomposition", "sklearn.mixture"):
        importlib.import_module(module)  # not what is measured
    inputs = setting.inputs()
    resource.setrlimit(resource.RLIMIT_AS, (MACHINE_MEMORY * 10**9,) * 2)
    began = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(began) + PATIENCE,) * 2)
    try:
        outcome = f"{PLAIN[name](*inputs):.6g}"
    except MemoryError:
        outcome = f"out of memory: {MACHINE_MEMORY} GB"
    return time.process_time() - began, outcome


def _elsewhere(work: Callable[..., Any], *arguments: Any, lost: Any = None) -> Any:
    """The result of work in a process of its own; ``lost`` where it was killed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        if lost is None:
            raise RuntimeError(f"{work.__name__} of {arguments} was killed") from None
        return lost
    finally:
        process.join()


def _answer(pipe: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    pipe.send(work(*arguments))
