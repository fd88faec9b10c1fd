"""``headwater run``: run a benchmark, or continue it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from headwater.harness.cli.options import (
    RUNNING,
    check_executor,
    executor_options,
    plugin_option,
    stderr_console,
)
from headwater.harness.cli.spec_options import WHAT_TO_MEASURE, overrides_of, spec_options
from headwater.harness.cli.store_option import store_words
from headwater.harness.cli.verb import option, verb

if TYPE_CHECKING:
    from headwater.harness.planning.plan import Plan
    from headwater.harness.planning.spec import Spec
    from headwater.harness.running.run import PlanStatus, Report

_F = TypeVar("_F", bound=Callable[..., Any])

MAX_REASONS = 10
"""Reasons of failures, and of skips, that the end of a run lists."""

_CONTROL_OPTIONS = (
    *("rerun", "executor", "address", "timeout"),
    *("retries", "limit", "fail_fast", "max_failures"),
)


def run_options(function: _F) -> _F:
    """Add all options of a verb that runs a spec."""
    decorators = (
        click.argument("spec", required=False, type=click.Path(path_type=Path)),
        spec_options,
        plugin_option(section=WHAT_TO_MEASURE),
        option(
            "--dry-run",
            is_flag=True,
            section=RUNNING,
            help="Show what would run and what it may cost.",
        ),
        option(
            "--rerun",
            type=click.Choice(["missing", "failed", "all", "none"]),
            default="missing",
            section=RUNNING,
            help="What to run again.",
        ),
        executor_options,
        option("--fail-fast", is_flag=True, section=RUNNING, help="End at the first failure."),
        option(
            "--max-failures",
            type=click.FloatRange(min=0),
            section=RUNNING,
            help="End after so many failures, or such a share (below 1).",
        ),
        option(
            "--retries",
            type=click.IntRange(min=0),
            default=1,
            section=RUNNING,
            help="How often a job is tried again after a killed worker or a lost node.",
        ),
        option(
            "--limit",
            type=click.IntRange(min=1),
            section=RUNNING,
            help="Run at most so many cells now.",
        ),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


@verb(
    help="Run the benchmark of SPEC, or continue it. SPEC is a TOML file or the name of a benchmark "
    "that comes with Headwater (headwater list benchmarks). Options win over $HEADWATER_… variables "
    "of the same names, and these over SPEC.",
    measures=True,
    examples=[
        "headwater run quickstart",
        "headwater run --sources 'timm/resnet18.a1_in1k' --tasks sklearn/digits --epochs 5 --dry-run",
    ],
)
@run_options
def command(spec: Path | None, plugins: tuple[Path, ...], dry_run: bool, **values: Any) -> int:
    from headwater.harness.planning.spec import Spec

    overrides = overrides_of(values)
    if spec is None and not set(overrides) - {"store"}:
        raise click.UsageError(
            "Name a spec, or give --sources and --tasks. To begin: headwater run quickstart"
        )
    benchmark = Spec.read(spec, **overrides) if spec else Spec.of(overrides, where="options")
    status, _ = run_spec(benchmark, plugins, dry_run, values)
    return status


def run_spec(
    spec: Spec,
    plugins: tuple[Path, ...],
    dry_run: bool,
    values: Mapping[str, Any],
    then: str = "leaderboard",
) -> tuple[int, Plan]:
    """Plan a benchmark, show the plan, run it and report.

    Args:
        spec: The benchmark.
        plugins: Plugin files and folders beside those that the spec names.
        dry_run: True to stop after the plan is shown.
        values: The values of ``run_options`` that say how to run.
        then: The verb to recommend at the end; empty for none.

    Returns:
        The exit status, and the plan.
    """
    from headwater.harness.planning.planner import plan
    from headwater.harness.running.progress import watcher_for
    from headwater.harness.running.run import Control, compare_with_store, execute
    from headwater.registry import Registry

    registry = Registry.discover((*spec.plugins, *plugins))
    for problem in registry.problems:
        click.echo(str(problem), err=True)
    check_executor(values["executor"], values["timeout"])
    control = Control(**{key: values[key] for key in _CONTROL_OPTIONS})
    status = compare_with_store(plan(spec, registry), control)
    same_command = _typed_without_rerun()
    _show_plan(status)
    if dry_run:
        return 0, status.plan
    if status.todo and control.executor == "ray" and not control.address:
        click.echo(" starting Ray", err=True)
    try:
        report = execute(status, control, watcher_for(stderr_console()))
    except KeyboardInterrupt:
        click.echo(
            f"\n Interrupted. All finished jobs are in {spec.store}. Continue: {same_command}",
            err=True,
        )
        return 130, status.plan
    _show_report(report, status)
    _show_what_is_next(report, status, then, same_command)
    return 0 if _is_success(report, status) else 1, status.plan


def _typed_without_rerun() -> str:
    """Return the command as it was typed, without ``--rerun`` and its value."""
    from headwater.registry.names import command_line

    words: list[str] = []
    is_value_of_rerun = False
    for word in sys.argv[1:]:
        if not is_value_of_rerun and word != "--rerun" and not word.startswith("--rerun="):
            words.append(word)
        is_value_of_rerun = word == "--rerun"
    return command_line(*words)


def _show_plan(status: PlanStatus) -> None:
    plan = status.plan
    counts = []
    for state in ("new", "done", "failed", "interrupted", "skipped"):
        if status.cells[state] or state in ("new", "done"):
            counts.append(f"{state} {status.cells[state]}")
    click.echo(f" cells  {' · '.join(counts)}", err=True)
    for reason in sorted(set(plan.skipped.values())):
        click.echo(f"        skipped: {reason}", err=True)
    _show_shared_work(status)
    _show_cost(status)
    for note in plan.notes:
        click.echo(f" note   {note}", err=True)


def _show_shared_work(status: PlanStatus) -> None:
    """Print how many chains, estimates and analyses the plan has, and how many are left."""
    plan = status.plan
    checkpoints = [job.checkpoint for job in plan.cells if job.checkpoint]
    if checkpoints:
        to_train = sum(job.kind == "pretrain" for job in status.todo)
        click.echo(
            f" chains {len(set(checkpoints))}, each trained once ({to_train} to train), "
            f"shared by {len(checkpoints)} cells",
            err=True,
        )
    for kind, noun in (("estimate", "estimates"), ("analyse", "analyses")):
        jobs = [
            job for job in plan.jobs.values() if job.kind == kind and job.id not in plan.skipped
        ]
        if jobs:
            to_do = sum(job.kind == kind for job in status.todo)
            click.echo(f" {noun} {len(jobs)} ({to_do} to do)", err=True)


def _show_cost(status: PlanStatus) -> None:
    from headwater.leaderboard.show.values import duration

    cost = status.cost
    if not cost.known:
        return
    slots = _slots(status)
    unknown = f"; {_jobs(cost.unknown)} without precedent" if cost.unknown else ""
    click.echo(
        f" cost   about {duration(cost.seconds / slots)} on {slots} slot{'s' * (slots > 1)} "
        f"(from {_jobs(cost.recorded, 'recorded ')}; ± {duration(cost.spread / slots)}){unknown}",
        err=True,
    )


def _jobs(count: int, kind: str = "") -> str:
    return f"{count} {kind}job{'s' * (count != 1)}"


def _slots(status: PlanStatus) -> int:
    """Return how many cells run at once: as the spec says, or as this machine's processors allow."""
    resources = status.plan.spec.resources
    return resources.slots or max(1, (os.cpu_count() or 1) // resources.cpus_per_cell)


def _show_report(report: Report, status: PlanStatus) -> None:
    from headwater.leaderboard.store.records import State

    for reason, labels in list(_failures_by_reason(report, status).items())[:MAX_REASONS]:
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        click.echo(f" failed  {labels[0]}{more}: {reason}", err=True)
    reasons = {outcome.reason for outcome in report.outcomes if outcome.state is State.SKIPPED}
    new_reasons = reasons - set(status.plan.skipped.values())
    for reason in sorted(new_reasons)[:MAX_REASONS]:
        click.echo(f" skipped {reason}", err=True)
    for flaw in report.flaws:
        click.echo(f" {flaw}", err=True)
    click.echo(f" {_counts(report, status)}    store: {status.plan.spec.store}", err=True)


def _failures_by_reason(report: Report, status: PlanStatus) -> dict[str, list[str]]:
    """Return the labels of the failed jobs under the reasons why they failed."""
    labels: dict[str, list[str]] = {}
    for outcome in report.failures:
        labels.setdefault(outcome.reason, []).append(status.plan.jobs[outcome.job].label)
    return labels


def _counts(report: Report, status: PlanStatus) -> str:
    from headwater.leaderboard.store.records import State

    if not report.outcomes:
        done = status.cells["done"]
        return f"nothing to run: {done} cell{'s' * (done != 1)} done"
    counts = []
    for state in (State.DONE, State.FAILED, State.SKIPPED, State.INTERRUPTED):
        if report.count(state) or state is State.DONE:
            counts.append(f"{report.count(state)} {state}")
    return ", ".join(counts)


def _failed(report: Report, status: PlanStatus) -> int:
    """Return how many jobs failed now; where none ran, how many cells had failed before."""
    return len(report.failures) if report.outcomes else status.cells["failed"]


def _has_results(report: Report, status: PlanStatus) -> bool:
    """Tell whether there is anything to read: a done cell, or nothing that was to be run."""
    from headwater.leaderboard.store.records import State

    return not report.outcomes or bool(report.count(State.DONE) or status.cells["done"])


def _is_success(report: Report, status: PlanStatus) -> bool:
    return not (_failed(report, status) or report.stopped or not _has_results(report, status))


def _show_what_is_next(report: Report, status: PlanStatus, then: str, same_command: str) -> None:
    """Print how to look at failures and retry them, how to continue, or how to read the results."""
    from headwater.registry.names import command_line

    store = store_words(status.plan.spec.store)
    failed = _failed(report, status)
    if failed:
        look = command_line("status", "--failed", *store)
        click.echo(f" {failed} failed: {look} · retry: {same_command} --rerun failed", err=True)
    if report.stopped:
        click.echo(f" ended early: {report.stopped}. Continue: {same_command}", err=True)
    elif then and _has_results(report, status):
        click.echo(f" next: {command_line(then, *store)}", err=True)
