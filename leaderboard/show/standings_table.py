"""Show standings as a table, with notes on what it cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.leaderboard.gains.gain_rows import Reference
from headwater.leaderboard.gains.scale import gain_column, is_mixed, unscaled_tasks
from headwater.leaderboard.gains.standings import Bounds, Row, Standings
from headwater.leaderboard.show.short_names import shortened, shortened_tasks
from headwater.leaderboard.show.tables import Column, Table
from headwater.leaderboard.show.values import duration
from headwater.leaderboard.statistics.board import CONFIDENCE, MIN_FAMILIES, Scope, Shortage
from headwater.registry import directed

if TYPE_CHECKING:
    import pandas as pd

MAX_SOURCES = 4
"""Sources that a note names one by one."""
MAX_KINDS = 6
"""Metrics that a note names one by one."""

WHAT_REFERENCE_IS: dict[Reference, str] = {
    "scratch": "scratch at equal budget",
    "converged": "scratch until it has converged",
    "base": "the base without the source step",
}
"""What each reference is, for people."""

SORTS: dict[str, Callable[[Row], Any]] = {
    "rank": lambda row: (*row.ranks, -row.gain),
    "gain": lambda row: -row.gain,
    "name": lambda row: row.source,
    "failed": lambda row: -row.failed,
    "seconds": lambda row: row.seconds,
}


def standings_table(standings: Standings, sort: str = "rank") -> Table:
    """Build the table: ranks, gains with their intervals, and each task's mean gain.

    The reference itself is the line at zero.

    Args:
        standings: The sources.
        sort: A key of ``SORTS``.
    """
    names = shortened([row.source for row in standings.rows])
    ordered = sorted(standings.rows, key=SORTS[sort])
    lines = [_line(row, standings) for row in ordered]
    if standings.reference != "base":
        lines.insert(_place_of_zero(ordered, sort), _reference_line(standings))
    columns = _columns(standings, names)
    return Table(heading(standings.gains), columns, lines, list(_notes(standings, names)))


def _columns(standings: Standings, names: dict[str, str]) -> list[Column]:
    """Return the columns; ``names`` are the sources' short names."""
    kind = " (normalised)" if standings.is_mixed else ""
    by_task = [
        Column(task, short, "+.3f", rank=5)
        for task, short in shortened_tasks(standings.tasks).items()
    ]
    like_these = Column("like_these", "like these", half_width, rank=1, only="text")
    return [
        Column("rank", show=lambda ranks: _span(ranks) if ranks else "", rank=0, only="text"),
        Column("rank_best", only="data"),
        Column("rank_worst", only="data"),
        Column("source", show=lambda name: names.get(name, name), rank=0),
        Column("gain", f"gain over {standings.reference}{kind} ↑", interval, rank=0, only="text"),
        Column("gain", only="data"),
        *([like_these] if standings.scope is Scope.LIKE_THESE else []),
        Column("low", only="data"),
        Column("high", only="data"),
        Column("like_low", only="data"),
        Column("like_high", only="data"),
        Column("normalised", only="data"),
        Column("difference", "against the mean source", _with_bounds, rank=2, only="text"),
        Column("difference", only="data"),
        Column("difference_low", only="data"),
        Column("difference_high", only="data"),
        Column("best", "P(best)", ".2f", rank=1),
        Column("ties", rank=1),
        Column("negative", "P(neg)", ".2f", rank=3),
        Column("tasks", rank=4),
        Column("cells", rank=3),
        Column("missing", only="data"),
        Column("failed", rank=3),
        Column("unpaired", only="data"),
        Column("seconds", "s/cell", ".1f", rank=4),
        *by_task,
    ]


def _line(row: Row, standings: Standings) -> list[Any]:
    """Return a source's values, in the order of the columns."""
    like_these = [row.like_these] if standings.scope is Scope.LIKE_THESE else []
    counts = [row.tasks, row.cells, row.missing, row.failed, row.unpaired]
    by_task = [row.by_task.get(task) for task in standings.tasks]
    return [
        row.ranks,
        *row.ranks,
        row.source,
        (row.gain, *(row.on_these or _UNKNOWN)),
        row.gain,
        *like_these,
        *(row.on_these or _UNKNOWN),
        *(row.like_these or _UNKNOWN),
        standings.is_mixed,
        (row.difference, row.difference_bounds),
        row.difference,
        *(row.difference_bounds or _UNKNOWN),
        row.best,
        row.ties,
        row.negative,
        *counts,
        row.seconds,
        *by_task,
    ]


_UNKNOWN = (None, None)


def _place_of_zero(ordered: list[Row], sort: str) -> int:
    """Return the place of the reference's line: before the first source that loses, or at the end."""
    if sort in ("rank", "gain"):
        for place, row in enumerate(ordered):
            if row.gain < 0:
                return place
    return len(ordered)


def _reference_line(standings: Standings) -> list[Any]:
    """Return the values of the reference's line. It has no rank: it is not among the sources
    compared.
    """
    values: dict[str, Any] = {
        "source": f"({standings.reference})",
        "normalised": standings.is_mixed,
        "tasks": len(standings.tasks),
        "cells": standings.gains["reference_job"].nunique(),
        **dict.fromkeys(standings.tasks, 0.0),
    }
    line: list[Any] = []
    for column in _columns(standings, {}):
        if column.name == "gain":
            line.append(0.0 if column.only == "data" else (0.0, None, None))
        else:
            line.append(values.get(column.name))
    return line


def heading(gains: pd.DataFrame) -> str:
    """Say what gains are of: targets, adaptations, sizes, seeds, metrics."""
    adaptations = ", ".join(sorted(gains["adaptation"].unique()))
    sizes = ", ".join(sorted(gains["size"].unique(), key=_by_size))
    pairs = zip(gains["metric"], gains["sign"], strict=True)
    metrics = ", ".join(sorted({directed(metric, sign) for metric, sign in pairs}))
    seeds = gains["seed"].nunique()
    parts = [_targets(gains), adaptations, f"size {sizes}", _counted(seeds, "seed"), metrics]
    return " · ".join(parts)


def _targets(gains: pd.DataFrame) -> str:
    """Count the targets, and their families where these are fewer."""
    tasks, families = gains["task"].nunique(), gains["family"].nunique()
    targets = _counted(tasks, "target")
    if families == tasks:
        return targets
    return f"{targets} in {families} {'family' if families == 1 else 'families'}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _by_size(size: str) -> tuple[bool, int]:
    """Sort sizes by number, ``full`` last."""
    return (not size.isdigit(), int(size) if size.isdigit() else 0)


def _span(ranks: tuple[int, int]) -> str:
    return str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]}–{ranks[1]}"


def half_width(bounds: Bounds) -> str:
    """Write half the width of an interval."""
    return "" if bounds is None else f"± {(bounds[1] - bounds[0]) / 2:.3f}"


def _with_bounds(value: tuple[float, Bounds] | None) -> str:
    """Write a difference with its interval."""
    if value is None or np.isnan(value[0]):
        return ""
    difference, bounds = value
    interval = f" [{bounds[0]:+.3f}, {bounds[1]:+.3f}]" if bounds else ""
    return f"{difference:+.3f}{interval}"


def interval(gain: tuple[float, float | None, float | None]) -> str:
    """Write a mean with half the width of its interval, if it has one."""
    mean, low, high = gain
    if low is None or high is None:
        return f"{mean:+.3f}"
    return f"{mean:+.3f} {half_width((low, high))}"


# -- notes -----------------------------------------------------------------------------------------


def _notes(standings: Standings, names: dict[str, str]) -> Iterator[str]:
    yield f"{WHAT_REFERENCE_IS[standings.reference]}: {_reference_values(standings)}"
    yield from scale_notes(standings.gains)
    yield from rising_note(standings.gains, standings.reference)
    yield from _ties(standings, names)
    yield from _targets_note(standings)
    yield from _missing(standings, names)
    if protocols := _most_protocols(standings):
        yield (
            f"{protocols} protocols of one task and adaptation are mixed: cells under different "
            "training budgets, image sizes or data are averaged here"
        )
    unpaired = int((standings.absent["why"] == "unpaired").sum())
    if unpaired:
        yield (
            f"{unpaired} cells lack a {standings.reference} reference: "
            'headwater query "FROM unpaired"'
        )
    failed = int((standings.absent["why"] == "failed").sum())
    if failed:
        yield f"{failed} cells failed: headwater status --failed"


def scale_notes(gains: pd.DataFrame) -> Iterator[str]:
    """Say why gains are normalised, if they are, and which targets have no scale."""
    if not is_mixed(gains):
        return
    kinds = gains[["metric", "sign", "unit"]].drop_duplicates().sort_values(["metric", "unit"])
    names = [_with_unit(directed(row.metric, row.sign), row.unit) for row in kinds.itertuples()]
    shown = ", ".join(names[:MAX_KINDS]) + (", …" if len(names) > MAX_KINDS else "")
    yield (
        f"gains are normalised, since {shown} do not average: a share of the way from each "
        "target's floor to the best value there; of errors, the logarithm of their ratio"
    )
    without = unscaled_tasks(gains)
    if without:
        short = shortened_tasks(without)
        yield (
            f"left out, as nothing there came clear of the floor: {', '.join(short.values())} "
            '(headwater query "FROM scales")'
        )
    elsewhere = gains[~gains["task"].isin(without)]
    undefined = int(elsewhere[gain_column(gains)].isna().sum())
    if undefined:
        yield f"{undefined} cells are left out: an error of 0 has no logarithm"


def _with_unit(metric: str, unit: str) -> str:
    return f"{metric} ({unit})" if unit else metric


def rising_note(gains: pd.DataFrame, reference: Reference) -> Iterator[str]:
    """Say how many references were still getting better when their training ended."""
    references = gains.drop_duplicates("reference_job")
    rising = int(references["reference_rising"].sum())
    if not rising:
        return
    remedy = (
        "gains over scratch until it has converged: --reference converged"
        if reference == "scratch"
        else "give it more with --min-steps"
    )
    yield (
        f"{rising} of {len(references)} {reference} references were unconverged: their validation "
        f"was still rising at the end, and a longer training would shrink these gains ({remedy})"
    )


def _reference_values(standings: Standings) -> str:
    """Return the reference's own metric on each task; the metric and its unit where they differ."""
    short = shortened_tasks(standings.tasks)
    metrics = {}
    if standings.is_mixed:
        for row in standings.gains.drop_duplicates("task").itertuples():
            metrics[row.task] = f" {_with_unit(directed(row.metric, row.sign), row.unit)}"
    values = [
        f"{short.get(task, task)}{metrics.get(task, '')} {value:.3f}"
        for task, value in standings.reference_value.items()
    ]
    return ", ".join(values)


def _missing(standings: Standings, names: dict[str, str]) -> Iterator[str]:
    """Say which sources lack cells that others have."""
    lacking = [row for row in standings.rows if row.missing]
    if not lacking:
        return
    counts = [
        f"{names[row.source]} {row.missing} of {row.cells + row.missing}"
        for row in lacking[:MAX_SOURCES]
    ]
    others = len(lacking) - len(counts)
    more = f" and {others} other sources" if others else ""
    yield (
        f"averages are not over the same cells: missing are {', '.join(counts)}{more}; "
        "gains are adjusted for them"
    )


def _ties(standings: Standings, names: dict[str, str]) -> Iterator[str]:
    """Say what is known of who is best, and what would tell more."""
    if len(standings.rows) < 2:
        return
    if isinstance(standings.posterior, Shortage):
        yield f"{standings.posterior}: no interval, and no telling which source is better{_repeat(standings)}"
        return
    yield f"±: {CONFIDENCE:.0%} {Scope.THESE}, had other seeds been drawn"
    yield (
        f"sources that share a letter cannot be told apart {standings.scope} "
        f"(of the differences claimed about {1 - CONFIDENCE:.0%} are false)"
    )
    best = [names[source] for source in standings.best_set]
    if len(best) == 1:
        yield f"the best is {best[0]} ({CONFIDENCE:.0%})"
    else:
        yield f"the best is one of {len(best)} ({CONFIDENCE:.0%}): {_listed(best)}"
    if standings.separation:
        first, second = (names[row.source] for row in standings.rows[:2])
        yield f"to tell {first} from {second}: {_remedy(standings)}"


def _repeat(standings: Standings) -> str:
    """Return how to measure with more seeds, where there is one."""
    is_single = standings.gains["seed"].nunique() == 1
    return " (headwater run … --seeds 5)" if is_single else ""


def _remedy(standings: Standings) -> str:
    """Say what would separate the first two sources, or what they differ by at most."""
    found = standings.separation
    assert found is not None
    bound = f"they differ by less than {found.bound:.3f} ({CONFIDENCE:.0%})"
    if found.extension is None:
        return f"no extension that one would run is likely to; {bound}"
    more = found.extension
    units = [(more.targets, "target"), (more.seeds, "seed")]
    wanted = " and ".join(f"{_counted(count, f'more {noun}')}" for count, noun in units if count)
    return f"{wanted}, about {duration(more.seconds)} of computing; until then, {bound}"


def _targets_note(standings: Standings) -> Iterator[str]:
    """Say what so few families of targets cannot tell."""
    families = standings.board.family_count
    if families < MIN_FAMILIES:
        noun = "family" if families == 1 else "families"
        yield (
            f"{families} {noun} of targets: everything here is about these targets; nothing is "
            f"said of others (from {MIN_FAMILIES} families on)"
        )


def _listed(names: list[str]) -> str:
    """List names, at most ``MAX_SOURCES`` one by one."""
    others = len(names) - MAX_SOURCES
    return ", ".join(names[:MAX_SOURCES]) + (f" and {others} more" if others > 0 else "")


def _most_protocols(standings: Standings) -> int:
    """Return the most protocols that a task and adaptation were measured under; 0 where each has
    one.
    """
    protocols = standings.gains.groupby(["task", "adaptation"])["protocol"].nunique()
    most = int(protocols.max())
    return most if most > 1 else 0
