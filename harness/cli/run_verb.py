"""``headwater run``: run a benchmark, or continue it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from headwater.harness.cli.options import plugin_option
from headwater.harness.cli.spec_options import overrides_of, spec_options
from headwater.harness.running.run import Control, PlanStatus, Report, compare_with_store, execute
from headwater.leaderboard.store.records import State

if TYPE_CHECKING:
    from headwater.harness.planning.plan import Plan
    from headwater.harness.planning.spec import Spec

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """``90``, ``10m``, ``2h``: seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        if not match or match[2] not in _UNITS or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a duration such as 90s, 10m or 2h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("spec", required=False, type=click.Path(path_type=Path)),
    spec_options,
    plugin_option,
    click.option("--dry-run", is_flag=True, help="Show what would run and what it may cost."),
    click.option(
        "--rerun",
        type=click.Choice(["missing", "failed", "all", "none"]),
        default="missing",
        show_default=True,
        help="What to run again.",
    ),
    click.option(
        "--executor",
        type=click.Choice(["ray", "inline"]),
        default="ray",
        help="inline: in this process.",
    ),
    click.option("--address", help="The address of a Ray cluster."),
    click.option("--fail-fast", is_flag=True, help="End at the first failure."),
    click.option(
        "--max-failures",
        type=click.FloatRange(min=0),
        help="End after so many failures, or such a share (below 1).",
    ),
    click.option("--timeout", type=Duration(), help="Limit of one job: 90s, 10m, 2h."),
    click.option(
        "--retries",
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        help="After a killed worker or lost node.",
    ),
    click.option("--limit", type=click.IntRange(min=1), help="Run at most so many cells now."),
)


def run_options(function: _F) -> _F:
    """All that a verb which runs a spec takes."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command(
    help="Run the benchmark of SPEC (a TOML file), or continue it. Options win over the file."
)
@run_options
def command(spec: Path | None, plugins: tuple[Path, ...], dry_run: bool, **values: Any) -> int:
    from headwater.harness.planning.spec import Spec

    overrides = overrides_of(values)
    if spec is None and not overrides:
        raise click.UsageError(
            "Name a spec, or give --sources and --tasks. To begin: headwater run benchmarks/quickstart.toml"
        )
    read = Spec.read(spec, **overrides) if spec else Spec.of(overrides, where="options")
    return run_spec(read, plugins, dry_run, values)[0]


def run_spec(
    read: Spec,
    plugins: tuple[Path, ...],
    dry_run: bool,
    values: Mapping[str, Any],
    then: str = "leaderboard",
) -> tuple[int, Plan]:
    """Plan, show, run and report; returns the exit status and the plan. ``then``: the verb that reads the outcomes."""
    from headwater.harness.planning.planner import plan
    from headwater.harness.running.progress import watcher_for
    from headwater.registry import Registry

    registry = Registry.discover((*read.plugins, *plugins))
    for problem in registry.problems:
        click.echo(f"skipped plugin {problem.plugin}: {problem.reason}", err=True)
    if values["timeout"] and values["executor"] == "inline":
        raise click.UsageError(
            "--timeout needs --executor ray: a job in this process cannot be ended."
        )
    keys = (
        "rerun",
        "executor",
        "address",
        "fail_fast",
        "max_failures",
        "timeout",
        "retries",
        "limit",
    )
    control = Control(**{key: values[key] for key in keys})
    standing = compare_with_store(plan(read, registry), control)
    again = _again()
    _show_plan(standing)
    if dry_run:
        return 0, standing.plan
    if standing.todo and control.executor == "ray" and not control.address:
        click.echo(" starting Ray", err=True)
    try:
        report = execute(standing, control, watcher_for(_console()))
    except KeyboardInterrupt:
        click.echo(
            f"\n Interrupted. All that was finished is in {read.store}. Continue: {again}", err=True
        )
        return 130, standing.plan
    return _show_report(report, standing, again, then), standing.plan


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _again() -> str:
    """The command as it was typed, without what it said of re-running."""
    words = sys.argv[1:]
    said = {place for at, word in enumerate(words) if word == "--rerun" for place in (at, at + 1)}
    kept = [
        word for at, word in enumerate(words) if at not in said and not word.startswith("--rerun=")
    ]
    return f"headwater {shlex.join(kept)}"


def _show_plan(standing: PlanStatus) -> None:
    from headwater.harness.running.progress import duration

    cells, plan = standing.cells, standing.plan
    order = ("new", "done", "failed", "interrupted", "skipped")
    click.echo(
        f" cells  {' · '.join(f'{name} {cells[name]}' for name in order if cells[name] or name in ('new', 'done'))}",
        err=True,
    )
    for reason in sorted(set(plan.skipped.values())):
        click.echo(f"        skipped: {reason}", err=True)
    shared: dict[str, int] = {}
    for job in plan.cells:
        if job.checkpoint:
            shared[job.checkpoint] = shared.get(job.checkpoint, 0) + 1
    if shared:
        new = sum(job.kind == "pretrain" for job in standing.todo)
        click.echo(
            f" chains {len(shared)}, each trained once ({new} to train), shared by {sum(shared.values())} cells",
            err=True,
        )
    for kind, words in (("estimate", "estimates"), ("analyse", "analyses")):
        if there := [
            job for job in plan.jobs.values() if job.kind == kind and job.id not in plan.skipped
        ]:
            left = sum(job.kind == kind for job in standing.todo)
            click.echo(f" {words} {len(there)} ({left} to do)", err=True)
    cost = standing.cost
    if cost.known:
        unknown = f"; {_jobs(cost.unknown)} without precedent" if cost.unknown else ""
        slots = _slots(standing)
        click.echo(
            f" cost   about {duration(cost.seconds / slots)} on {slots} slot{'s' * (slots > 1)} "
            f"(from {_jobs(cost.recorded, 'recorded ')}; ± {duration(cost.spread / slots)}){unknown}",
            err=True,
        )
    for note in plan.notes:
        click.echo(f" note   {note}", err=True)


def _jobs(count: int, kind: str = "") -> str:
    return f"{count} {kind}job{'s' * (count != 1)}"


def _by_reason(report: Report, standing: PlanStatus) -> dict[str, list[str]]:
    """The jobs that failed, under what they failed for."""
    found: dict[str, list[str]] = {}
    for outcome in report.failures:
        found.setdefault(outcome.reason, []).append(standing.plan.jobs[outcome.job].label)
    return found


def _slots(standing: PlanStatus) -> int:
    import os

    resources = standing.plan.spec.resources
    return resources.slots or max(1, (os.cpu_count() or 1) // resources.cpus_per_cell)


def _show_report(report: Report, standing: PlanStatus, again: str, then: str) -> int:
    store = standing.plan.spec.store
    for reason, labels in list(_by_reason(report, standing).items())[:10]:
        others = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        click.echo(f" failed  {labels[0]}{others}: {reason}", err=True)
    reasons = {outcome.reason for outcome in report.outcomes if outcome.state is State.SKIPPED}
    for reason in sorted(reasons - set(standing.plan.skipped.values()))[:10]:
        click.echo(f" skipped {reason}", err=True)
    for flaw in report.flaws:
        click.echo(f" {flaw}", err=True)
    states = (State.DONE, State.FAILED, State.SKIPPED, State.INTERRUPTED)
    counted = ", ".join(
        f"{report.count(state)} {state}"
        for state in states
        if report.count(state) or state is State.DONE
    )
    if not report.outcomes:
        done = standing.cells["done"]
        counted = f"nothing to run: {done} cell{'s' * (done != 1)} done"
    click.echo(f" {counted}    store: {store}", err=True)
    where = "" if str(store) == "headwater.duckdb" else f" --store {store}"
    failed = standing.cells["failed"] if not report.outcomes else len(report.failures)
    if failed:
        click.echo(
            f" {failed} failed: headwater status --failed{where} · retry: {again} --rerun failed",
            err=True,
        )
    nothing = bool(report.outcomes) and not report.count(State.DONE) and not standing.cells["done"]
    if report.stopped:
        click.echo(f" ended early: {report.stopped}. Continue: {again}", err=True)
    elif then and not nothing:
        click.echo(f" next: headwater {then}{where}", err=True)
    return 1 if failed or report.stopped or nothing else 0
