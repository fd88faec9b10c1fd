"""The linear probe's whole sweep beside a loop of scikit-learn's LogisticRegression, on the same number of threads.

Two sources' features of one task, 4 sizes, 3 seeds, 7 strengths: 168 fits. The loop is given standardised features and
fits and scores each; the sweep gets the raw ones, standardises, fits, scores, and folds its solutions back. Features have
the spectrum of mobilenetv2's on small images (a long tail: a few directions hold most), and classes that overlap.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import headwater  # noqa: F401  first: it claims the package names
from harness.data.subset import Subset, subset
from perf.figures import Figure, ratio, spread
from plugins.adaptations.linear_probe import STRENGTHS
from plugins.linear import Classifier, Problem
from plugins.logistic import logistic

IMAGES, WIDTH, CLASSES = 2000, 1280, 10
SIZES = ("50", "150", "500", "full")
SEEDS = range(3)
ITERATIONS = 200
ROUNDS = 3
MOST = 1 / 20
APART = 0.3
"""Points of validation accuracy."""


@dataclass(frozen=True)
class Source:
    """Features (N, D) float32 and labels (N,) of one source and task."""

    features: np.ndarray
    labels: np.ndarray

    @classmethod
    def synthetic(cls, seed: int) -> Source:
        """Gaussian classes that overlap, along axes whose deviations fall from 1 to 1/100, turned at random."""
        random = np.random.default_rng(seed)
        labels = np.arange(IMAGES) % CLASSES
        place = np.arange(1, WIDTH + 1)
        deviations = place**-0.5 * np.exp(-place / 600)
        means = 0.55 * random.normal(size=(CLASSES, WIDTH)) * (place <= 100)
        values = (means[labels] + random.normal(size=(IMAGES, WIDTH))) * deviations
        turn, _ = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))
        return cls((values @ turn).astype(np.float32), labels)

    @classmethod
    def of(cls, features: str | Path, labels: str | Path) -> Source:
        """Real ones, from .npy files."""
        return cls(np.load(features), np.load(labels))

    def subsets(self) -> Iterator[Subset]:
        for size in SIZES:
            for seed in SEEDS:
                yield subset(self.labels, size, seed, 0.2)

    def standardised(self, rows: Subset, kind: type) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation rows by the training rows' means and deviations."""
        train = self.features[rows.train].astype(np.float64)
        mean, deviation = train.mean(0), train.std(0)
        deviation[deviation <= 1e-6 * np.abs(mean)] = 1.0
        return tuple(((part - mean) / deviation).astype(kind) for part in (train, self.features[rows.validation]))  # type: ignore[return-value]


Accuracies = list[list[float]]
"""By cell, and by strength."""


def sweep(sources: Sequence[Source]) -> Accuracies:
    """Ours: all of a source's cells and strengths at once."""
    found: Accuracies = []
    for source in sources:
        subsets = list(source.subsets())
        classes = int(source.labels.max()) + 1
        problems = [Problem(source.features, rows.train, source.labels[rows.train], classes) for rows in subsets]
        for rows, path in zip(subsets, logistic(problems, STRENGTHS, iterations=ITERATIONS), strict=True):
            found.append([_accuracy(classifier, source, rows) for classifier in path])
    return found


def _accuracy(classifier: Classifier, source: Source, rows: Subset) -> float:
    scores = classifier.scores(source.features[rows.validation])
    return float((scores.argmax(1) == source.labels[rows.validation]).mean())


@dataclass
class Loop:
    """Theirs: one fit after another, on features standardised beforehand."""

    sources: Sequence[Source]
    kind: type

    def __post_init__(self) -> None:
        self.cells = [
            (*source.standardised(rows, self.kind), source.labels[rows.train], source.labels[rows.validation])
            for source in self.sources
            for rows in source.subsets()
        ]

    def __call__(self) -> Accuracies:
        return [[self._fit(strength, *cell) for strength in STRENGTHS] for cell in self.cells]

    def _fit(self, strength: float, train: np.ndarray, validation: np.ndarray, targets: np.ndarray, expected: np.ndarray) -> float:
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a capped solver is the budget, not a mistake
            model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(train, targets)
        return float((model.predict(validation) == expected).mean())


def measure() -> list[Figure]:
    return compare([Source.synthetic(seed) for seed in (1, 2)])


def compare(sources: Sequence[Source], threads: int = 1, rounds: int = ROUNDS) -> list[Figure]:
    """Ratios of wall time and differences of validation accuracy, in rounds whose sides stand next to each other."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            return _compare(sources, threads, rounds)
    finally:
        torch.set_num_threads(before)


def _compare(sources: Sequence[Source], threads: int, rounds: int) -> list[Figure]:
    ways = {"sweep": lambda: sweep(sources), "float32": Loop(sources, np.float32), "float64": Loop(sources, np.float64)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Accuracies] = {}
    sweep(sources[:1])  # warms up
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            found[name] = way()
            seconds[name].append(time.perf_counter() - began)
            print(f"  {name:<8} {seconds[name][-1]:7.3f} s, {threads} thread{'s' * (threads != 1)}", flush=True)
    figures = []
    for name in ("float32", "float64"):
        print(f"  sweep / loop on {name}: {spread(seconds['sweep'], seconds[name])}", flush=True)
        figures.append(Figure(f"probe sweep / loop of LogisticRegression on {name}", ratio(seconds["sweep"], seconds[name]), "×", MOST))
    return figures + _differences(found["sweep"], found["float32"])


def _differences(ours: Accuracies, theirs: Accuracies) -> list[Figure]:
    """Points of accuracy between the two: of the strengths that each chooses, and strength by strength."""
    chosen = [100 * (max(mine) - max(other)) for mine, other in zip(ours, theirs, strict=True)]
    each = np.abs(100 * (np.mean(ours, axis=0) - np.mean(theirs, axis=0)))
    return [
        Figure("validation accuracy of the chosen strengths, mean difference", abs(statistics.mean(chosen)), "points", APART),
        Figure("the same, of the cell where it is largest", max(map(abs, chosen)), "points"),
        Figure("validation accuracy of a strength, mean difference, the largest of 7", float(each.max()), "points"),
    ]
