"""The linear probe's whole sweep beside a loop of scikit-learn's LogisticRegression, on the same number of threads.

Two sources' float32 features of one task, 4 sizes, 3 seeds, 7 strengths: 168 fits. Both sides are given raw features,
standardise, fit, and score; the loop standardises once for a cell's strengths. Features are those of mobilenetv2 with
two of the shared weights on 2000 images of fashion_mnist, where ../shared has them, and synthetic ones with a long tail
(a few directions hold most) and classes that overlap.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from headwater.harness.data.subset import Subset, draw_subset
from headwater.plugins.adaptations.linear_probe import STRENGTHS
from headwater.plugins.linear_models.logistic import logistic
from headwater.plugins.linear_models.problems import LinearProblem, scores_of_path
from perf.figures import Figure, ratio, spread

SHARED = Path(__file__).parents[2] / "shared" / "data"
WEIGHTS = ("imagenet", "inat_birds")
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
    def real(cls, weights: str) -> Source:
        """mobilenetv2's features of fashion_mnist's first images, at 64 pixels."""
        import io

        import pyarrow.parquet as parquet
        import timm
        from PIL import Image
        from safetensors.torch import load_file
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

        table = parquet.read_table(SHARED / "fashion_mnist" / "train.parquet").slice(0, IMAGES)
        images = [
            Image.open(io.BytesIO(image["bytes"])).convert("RGB").resize((64, 64))
            for image in table["image"].to_pylist()
        ]
        network = timm.create_model("mobilenetv2_100", num_classes=0).eval()
        network.load_state_dict(
            load_file(SHARED / "weights" / f"mobilenetv2_100.{weights}.safetensors"), strict=False
        )
        mean, deviation = (
            torch.tensor(values)[:, None, None]
            for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        )
        pixels = (
            torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
            / 255
        )
        with torch.inference_mode():
            features = torch.cat(
                [network(part) for part in ((pixels - mean) / deviation).split(100)]
            )
        return cls(features.numpy(), np.asarray(table["label"].to_pylist()))

    def subsets(self) -> Iterator[Subset]:
        for size in SIZES:
            for seed in SEEDS:
                yield draw_subset(self.labels, size, seed, 0.2)


Accuracies = list[list[float]]
"""By cell, and by strength."""


def sweep(sources: Sequence[Source]) -> Accuracies:
    """Ours: all of a source's cells and strengths at once."""
    found: Accuracies = []
    for source in sources:
        subsets = list(source.subsets())
        classes = int(source.labels.max()) + 1
        problems = [
            LinearProblem(source.features, rows.train, source.labels[rows.train], classes)
            for rows in subsets
        ]
        for rows, path in zip(
            subsets, logistic(problems, STRENGTHS, iterations=ITERATIONS), strict=True
        ):
            predicted = scores_of_path(path, source.features[rows.validation]).argmax(2)
            found.append(
                [
                    float(accuracy)
                    for accuracy in (predicted == source.labels[rows.validation]).mean(1)
                ]
            )
    return found


def loop(sources: Sequence[Source]) -> Accuracies:
    """Theirs: one fit after another."""
    return [_fits(source, rows) for source in sources for rows in source.subsets()]


def _fits(source: Source, rows: Subset) -> list[float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(source.features[rows.train])
    train, validation = (
        scaler.transform(source.features[part]) for part in (rows.train, rows.validation)
    )
    targets, expected = source.labels[rows.train], source.labels[rows.validation]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a capped solver is the budget, not a mistake
        models = [
            LogisticRegression(C=strength, max_iter=ITERATIONS).fit(train, targets)
            for strength in STRENGTHS
        ]
    return [float((model.predict(validation) == expected).mean()) for model in models]


def measure() -> list[Figure]:
    figures = compare("synthetic features", [Source.synthetic(seed) for seed in (1, 2)])
    if (SHARED / "weights").is_dir():
        figures = (
            compare("mobilenetv2's features", [Source.real(weights) for weights in WEIGHTS])
            + figures
        )
    return figures


def compare(
    what: str, sources: Sequence[Source], threads: int = 1, rounds: int = ROUNDS
) -> list[Figure]:
    """Ratios of time and differences of validation accuracy, in rounds whose sides stand next to each other."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            return _compare(what, sources, threads, rounds)
    finally:
        torch.set_num_threads(before)


def _compare(what: str, sources: Sequence[Source], threads: int, rounds: int) -> list[Figure]:
    ways: dict[str, Callable[[Sequence[Source]], Accuracies]] = {"sweep": sweep, "loop": loop}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Accuracies] = {}
    sweep(sources[:1])  # warms up
    for _ in range(rounds):
        for name, way in ways.items():
            began, busy = time.perf_counter(), time.process_time()
            found[name] = way(sources)
            wall[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - busy)
            print(
                f"  {name:<5} {wall[name][-1]:7.3f} s, {processor[name][-1]:7.3f} s of processor, {threads} thread(s), {what}",
                flush=True,
            )
    figures = []
    for kind, seconds in (("wall", wall), ("processor", processor)):
        print(
            f"  sweep / loop, {kind} time: {spread(seconds['sweep'], seconds['loop'])}", flush=True
        )
        figures.append(
            Figure(
                f"{what}: probe sweep / loop, {kind} time",
                ratio(seconds["sweep"], seconds["loop"]),
                "×",
                MOST,
            )
        )
    return figures + _differences(what, found["sweep"], found["loop"])


def _differences(what: str, ours: Accuracies, theirs: Accuracies) -> list[Figure]:
    """Points of validation accuracy between the two, mean over cells: of the strengths that each chooses, and of each strength."""
    chosen = [100 * (max(mine) - max(other)) for mine, other in zip(ours, theirs, strict=True)]
    each = 100 * (np.mean(ours, axis=0) - np.mean(theirs, axis=0))
    print(
        f"  points by strength: {', '.join(f'{strength:g}: {points:+.2f}' for strength, points in zip(STRENGTHS, each, strict=True))}"
    )
    mean = statistics.mean(chosen)
    return [
        Figure(
            f"{what}: accuracy of the chosen strengths apart ({mean:+.2f})",
            abs(mean),
            "points",
            APART,
        ),
        Figure("the same, of the cell where it is largest", max(map(abs, chosen)), "points"),
        Figure("the same, of one strength, the largest of 7", float(np.abs(each).max()), "points"),
    ]
