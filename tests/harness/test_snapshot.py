"""Snapshots: an interrupted training goes on to the bits of an uninterrupted one, and nothing of it stays behind."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from headwater.harness.measure import snapshot
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.worker import Stopped, Worker
from headwater.leaderboard.store.records import State
from headwater.registry import Registry
from tests.harness.toy import PLUGIN, keys

CHAIN = "chain[base=toy/random,on=toy/halves+toy/broad]"
EPOCHS = 5
MORE = '''
import headwater as hw
from tests.harness.toy import coloured_squares

@hw.task("toy/broad", domain="synthetic", classes=("a", "b", "c", "d"))
def broad():
    """Four shades of grey."""
    return {"train": coloured_squares(48, 4, 4), "test": coloured_squares(16, 4, 5)}

@hw.source_model("toy/dropping", architecture="toy", scratch="toy/random")
def dropping():
    """Drops features at random, which draws from torch's own generator."""
    import torch
    from torch import nn
    from tests.harness.toy import small_network

    torch.manual_seed(5)
    network = small_network()
    network.norm = nn.Sequential(network.norm, nn.Dropout2d(0.3))
    return network
'''


class Bench:
    """A worker on a folder, with what it reported."""

    def __init__(self, folder: Path, plugins: list[Path], stop_after: int | None = None) -> None:
        self.worker, self.epochs, self.stop_after = Worker(folder, plugins, 1), [], stop_after
        self.worker.report = self.heard

    def heard(self, epoch, epochs, value, images, trial=0, trials=0):
        self.epochs.append(epoch)
        if epoch == self.stop_after:
            raise Stopped

    @property
    def snapshots(self) -> list[Path]:
        folder = self.worker.bench.files.root / "snapshots"
        return list(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def plugins(tmp_path):
    file = tmp_path / "more.py"
    file.write_text(MORE)
    return [PLUGIN, file]


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(snapshot, "EVERY_SECONDS", 0.0)


def jobs(plugins, optimiser="adamw"):
    recipe = {"epochs": EPOCHS, "batch_size": 4, "optimiser": optimiser, "learning_rate": 0.01}
    spec = keys(
        sources=[CHAIN, "toy/dropping"],
        training=recipe,
        pretraining=recipe,
        plugins=list(map(str, plugins)),
    )
    made = plan(Spec.of(spec), Registry.discover(plugins)).jobs.values()
    chain = next(job for job in made if job.kind == "pretrain")
    return chain, next(job for job in made if job.record.source == "toy/dropping")


def stable(outcome):
    """All that a job measured, wall time aside."""
    curves = [point for point in outcome.curves if point.metric != "seconds"]
    return outcome.metrics, curves, outcome.images, outcome.choice


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_pretraining_that_was_stopped_goes_on_to_the_same_bits(
    tmp_path, plugins, often, optimiser
):
    job, _ = jobs(plugins, optimiser)
    whole = Bench(tmp_path / "whole", plugins).worker.run(job)
    stopped = Bench(tmp_path / "parts", plugins, stop_after=2)
    assert stopped.worker.run(job).state is State.INTERRUPTED
    assert len(stopped.snapshots) == 1
    again = Bench(tmp_path / "parts", plugins)
    outcome = again.worker.run(job)
    assert again.epochs == [3, 4, 5]
    assert stable(outcome) == stable(whole)
    one, two = (
        load_file(tmp_path / run / outcome.artifacts["checkpoint"]) for run in ("whole", "parts")
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert again.snapshots == []


def test_a_cell_that_drops_features_goes_on_to_the_same_bits(tmp_path, plugins, often):
    _, job = jobs(plugins)
    whole = Bench(tmp_path / "whole", plugins).worker.run(job)
    Bench(tmp_path / "parts", plugins, stop_after=3).worker.run(job)
    again = Bench(tmp_path / "parts", plugins)
    outcome = again.worker.run(job)
    assert again.epochs == [4, 5]
    assert stable(outcome) == stable(whole)
    predictions = outcome.artifacts["predictions"]
    assert (tmp_path / "whole" / predictions).read_bytes() == (
        tmp_path / "parts" / predictions
    ).read_bytes()


def test_seconds_before_the_interruption_count(tmp_path, plugins, often, monkeypatch):
    job, _ = jobs(plugins)
    Bench(tmp_path, plugins, stop_after=2).worker.run(job)
    path = next((tmp_path / "snapshots").iterdir())
    kept = torch.load(path, weights_only=True)
    assert 0 < kept["so_far"]["seconds"] < 60
    kept["so_far"]["seconds"] = 1000.0
    torch.save(kept, path)
    assert 1000 < Bench(tmp_path, plugins).worker.run(job).seconds < 1060


@pytest.mark.parametrize("spoil", ["cut", "other", "code"])
def test_a_snapshot_that_is_not_its_own_is_ignored(tmp_path, plugins, often, spoil):
    job, _ = jobs(plugins)
    Bench(tmp_path, plugins, stop_after=2).worker.run(job)
    path = next((tmp_path / "snapshots").iterdir())
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif spoil == "other":
        torch.save(torch.load(path, weights_only=True) | {"identity": "another"}, path)
    else:
        torch.save({"identity": Path("/")}, path)  # an object whose class would be imported
    again = Bench(tmp_path, plugins)
    assert again.worker.run(job).state is State.DONE
    assert again.epochs == [1, 2, 3, 4, 5]


def test_a_loss_that_is_not_a_number_leaves_no_snapshot(tmp_path, plugins, often):
    chain, _ = jobs(plugins)
    settings = chain.training.model_copy(update={"learning_rate": 1e38, "optimiser": "sgd"})
    bench = Bench(tmp_path, plugins)
    outcome = bench.worker.run(replace(chain, training=settings))
    assert (outcome.state, outcome.error) == (State.FAILED, "TrainingError")
    assert bench.snapshots == []


def test_snapshots_wait_for_their_time(tmp_path, plugins):
    job, _ = jobs(plugins)
    bench = Bench(tmp_path, plugins, stop_after=4)
    bench.worker.run(job)
    assert bench.snapshots == []  # five toy epochs take less than EVERY_SECONDS


KILLED = """
import os, signal, sys
from pathlib import Path
import headwater
from headwater.harness.measure import snapshot
from tests.harness.test_snapshot import Bench, jobs

snapshot.EVERY_SECONDS = 0.0
folder, plugins = Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]]
bench = Bench(folder, plugins)
bench.worker.report = lambda epoch, *_: epoch == 3 and os.kill(os.getpid(), signal.SIGKILL)
bench.worker.run(jobs(plugins)[0])
"""


def test_a_killed_process_costs_no_finished_epoch(tmp_path, plugins):
    home = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", KILLED, str(tmp_path / "files"), *map(str, plugins)]
    killed = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    again = Bench(tmp_path / "files", plugins)
    outcome = again.worker.run(jobs(plugins)[0])
    assert again.epochs == [4, 5]
    assert stable(outcome) == stable(
        Bench(tmp_path / "whole", plugins).worker.run(jobs(plugins)[0])
    )
