"""A fine-tuning cell beside the bare loop, in one process and on one CPU thread; on a GPU also extraction.

The clock runs over everything that a cell does once its source is built: subset, training, validation after
every epoch, the return to the best epoch, test metrics, predictions on disk. The bare loop starts from a built network too.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import headwater as hw
from headwater.harness.data.subset import draw_subset
from headwater.harness.planning.job import Job
from headwater.harness.running.worker import Worker
from headwater.leaderboard.store.records import State
from perf import bare
from perf.figures import Figure, interleaved, ratio, spread

PLUGIN = Path(__file__).with_name("plugin.py")
CPU = {"task": "perf/textures", "image_size": 96, "batch_size": 32, "epochs": 5, "rounds": 9}
GPU = {"task": "perf/many_textures", "image_size": 224, "batch_size": 128, "epochs": 3, "rounds": 3}
SOURCE = "scratch/mobilenetv2_100"
MOST = 1.05


class Comparison:
    """One cell, one extraction, and their bare counterparts on the same images."""

    def __init__(self, folder: Path) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.setting = GPU if self.device == "cuda" else CPU
        self.worker = Worker(folder / "files", (PLUGIN,), threads=1)
        self.jobs = {job.kind: job for job in self._jobs(folder)}
        job = self.jobs["adapt"]
        bench = self.worker.bench
        self.task = bench.registry.task(str(self.setting["task"]))
        self.prepared = bench.prepared(self.task, job.image_size)
        self.backbone, self.width = bench.backbone(bench.registry.source(SOURCE), job)
        self.data = self._data(job)

    def _jobs(self, folder: Path) -> Iterator[Job]:
        """A cell that trains, under fine_tune's loop, and the job that extracts the same source's features."""
        training = {key: self.setting[key] for key in ("epochs", "batch_size")}
        spec = {
            "sources": [SOURCE],
            "tasks": [self.setting["task"]],
            "seeds": 1,
            "references": [],
            "plugins": [PLUGIN],
        }
        spec |= {
            "image_size": self.setting["image_size"],
            "training": training,
            "store": folder / "store.duckdb",
        }
        for adaptation, kind in (("fine_tune", "adapt"), ("linear_probe", "features")):
            planned = hw.plan(hw.Spec.of(spec, adaptations=[adaptation]))
            yield next(job for job in planned.jobs.values() if job.kind == kind)

    def _data(self, job: Job) -> bare.Data:
        train, test = self.prepared.train, self.prepared.test
        rows = draw_subset(train.targets, job.record.size, 0, job.validation)
        parts = [
            (train.images[part], train.targets[part]) for part in (rows.train, rows.validation)
        ]
        return bare.Data(parts[0], parts[1], (test.images[:], test.targets), self.prepared.outputs)

    @property
    def recipe(self) -> bare.Recipe:
        training = self.jobs["adapt"].training
        assert training is not None
        chosen = {
            key: getattr(training, key)
            for key in ("epochs", "batch_size", "learning_rate", "weight_decay", "warm_up")
        }
        return bare.Recipe(**chosen, mirror=self.task.mirror, device=self.device)

    def cell(self, kind: str) -> None:
        outcome = self.worker.run(self.jobs[kind])
        assert outcome.state is State.DONE, outcome.reason

    def loop(self, channels_last: bool) -> None:
        bare.fine_tune(
            self.backbone, self.width, self.data, self.recipe, channels_last=channels_last
        )

    def extraction(self) -> None:
        bare.extract(
            self.backbone,
            [(split.images, split.targets) for split in (self.prepared.train, self.prepared.test)],
            self.recipe,
        )

    def clocked(
        self, work: Callable[[], None], clocks: dict[str, list[float]], name: str
    ) -> Callable[[], float]:
        """``work`` as it would be in a process of its own, in wall seconds; processor seconds go to ``clocks``."""

        def run() -> float:
            torch.use_deterministic_algorithms(False)  # the worker asks for them itself
            torch.set_num_threads(1)
            began, spent = time.perf_counter(), time.process_time()
            work()
            if self.device == "cuda":
                torch.cuda.synchronize()
            wall, processor = time.perf_counter() - began, time.process_time() - spent
            clocks.setdefault(name, []).append(processor)
            print(
                f"  {name:<6} {wall:7.3f} s of wall time, {processor:7.3f} s of processor time",
                flush=True,
            )
            return wall

        return run


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(Path(folder))
        figures = _training(comparison)
        return figures + (_extraction(comparison) if comparison.device == "cuda" else [])


def _training(comparison: Comparison) -> list[Figure]:
    works: dict[str, Callable[[], None]] = {
        "cell": lambda: comparison.cell("adapt"),
        "bare": lambda: comparison.loop(channels_last=True),
        "plain": lambda: comparison.loop(channels_last=False),
    }
    wall, spent = _compare(comparison, works)
    print(
        f"  fine-tune: wall ratios {spread(wall['cell'], wall['bare'])}, processor {spread(spent['cell'], spent['bare'])}",
        flush=True,
    )
    images = len(comparison.data.train[1]) * comparison.recipe.epochs
    return [
        Figure(
            "fine-tune cell / bare loop, wall time", ratio(wall["cell"], wall["bare"]), "×", MOST
        ),
        Figure(
            "fine-tune cell / bare loop, processor time",
            ratio(spent["cell"], spent["bare"]),
            "×",
            MOST,
        ),
        Figure(
            "fine-tune cell / bare loop without channels-last, wall time",
            ratio(wall["cell"], wall["plain"]),
            "×",
        ),
        *(
            Figure(
                f"{what}: training images a second, evaluation included",
                images / statistics.median(wall[name]),
                "img/s",
            )
            for name, what in (
                ("cell", "fine-tune cell"),
                ("bare", "bare loop"),
                ("plain", "bare loop without channels-last"),
            )
        ),
    ]


def _extraction(comparison: Comparison) -> list[Figure]:
    wall, _ = _compare(
        comparison,
        {"cell": lambda: comparison.cell("features"), "bare": comparison.extraction},
    )
    images = len(comparison.prepared.train) + len(comparison.prepared.test)
    return [
        Figure(
            "feature extraction / bare loop, wall time",
            ratio(wall["cell"], wall["bare"]),
            "×",
            MOST,
        ),
        Figure(
            "feature extraction: images a second", images / statistics.median(wall["cell"]), "img/s"
        ),
        Figure(
            "bare extraction: images a second", images / statistics.median(wall["bare"]), "img/s"
        ),
    ]


def _compare(
    comparison: Comparison, works: dict[str, Callable[[], None]]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Wall and processor seconds of each work in each round, the first round, which warms up, left out."""
    spent: dict[str, list[float]] = {}
    ways = {name: comparison.clocked(work, spent, name) for name, work in works.items()}
    wall = interleaved(ways, int(str(comparison.setting["rounds"])) + 1)
    return tuple({name: values[1:] for name, values in clock.items()} for clock in (wall, spent))  # type: ignore[return-value]
