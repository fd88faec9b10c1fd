"""Progress: what a person sees of a run."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from headwater.harness.planning.job import Job
from headwater.harness.running.executors.base import Finished, Running, Started
from headwater.harness.running.progress import Bars, Lines, Tally, labels
from headwater.harness.running.worker import JobProgress
from headwater.leaderboard.store.records import JobRecord, Outcome, State

CHAIN = "chain[base=scratch/test_resnet,on=quickstart/letters+quickstart/photographs]"


def job(name, source=CHAIN, task="sklearn/digits", **facts):
    facts = {"kind": "adapt", "adaptation": "fine_tune", "size": "50", "seed": 0} | facts
    return Job(JobRecord(name, source=source, task=task, **facts), 32, 0.2)


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=20)


def test_jobs_are_called_by_what_tells_them_apart():
    both = {"source": "scratch/test_resnet", "task": "quickstart/letters+quickstart/photographs"}
    pretrain = job("p", **both, kind="pretrain", adaptation="", size="")
    assert labels([job("a"), pretrain]) == {
        "a": "chain(scratch/test_resnet→letters+photographs) → digits · fine_tune · n=50 · seed 0",
        "p": "scratch/test_resnet → letters+photographs · pretrain · seed 0",
    }


def test_a_long_name_gives_way_to_the_epoch(terminal):
    bars, one = Bars(terminal), job("a")
    bars.begin([one], 1)
    bars.see(Running({0: ((one,), JobProgress(9, 15, 0.63, 100))}))
    bars.end()
    line = next(
        line
        for line in reversed(Text.from_ansi(terminal.file.getvalue()).plain.splitlines())
        if "slot 0" in line
    ).strip()
    assert line.startswith("slot 0  chain(scratch/test_resnet→letters")
    assert line.endswith("… · epoch 9/15 · val 0.630")


def test_a_bar_stands_there_before_the_first_event(terminal):
    bars = Bars(terminal)
    bars.begin([job("a")], 2)
    bars.end()
    assert "starting 2 workers" in terminal.file.getvalue()


def test_one_reason_is_told_once():
    console = Console(file=io.StringIO(), width=200)
    lines, jobs = Lines(console), [job("a"), job("b")]
    lines.begin(jobs, 1)
    for one in jobs:
        lines.see(Started((one,), 0))
        lines.see(Finished((one,), 0, [Outcome(one.id, State.FAILED, "no network")]))
    said = console.file.getvalue()
    assert said.count("no network") == 1 and said.count("for the same reason") == 1


def test_the_share_of_a_tuned_job_counts_its_trials():
    tally = Tally([replace(job("a"), images=800), replace(job("b"), images=800)])
    for trial, share in ((1, 0.5 / 4), (4, 3.5 / 4)):
        tally.began = time.monotonic() - 100
        tally.see(Running({0: ((job("a"),), JobProgress(5, 10, 0.5, 100, trial, 4))}))
        assert tally.seconds_left() == pytest.approx(100 * (2 / share - 1), rel=0.01)
