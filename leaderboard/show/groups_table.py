"""Show groups of gains as a table by scenario, adaptation or domain, with notes on what it cannot
tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headwater.leaderboard.gains.estimate import GainEstimate
from headwater.leaderboard.gains.gain_rows import Reference
from headwater.leaderboard.gains.groups import BASELINE, Group, Groups
from headwater.leaderboard.show.standings_table import heading, interval, scale_notes
from headwater.leaderboard.show.tables import Column, Table

_REFERENCES: tuple[Reference, ...] = ("converged", "scratch", "base")
_SORTS: dict[str, Callable[[Group, Reference], Any]] = {
    "gain": lambda group, reference: -group.gains[reference].mean,
    "name": lambda group, reference: group.name,
    "failed": lambda group, reference: -group.failed,
    "seconds": lambda group, reference: group.seconds,
}
MAX_NAMES = 8
"""Groups that a note names one by one."""


def groups_table(groups: Groups, sort: str = "rank") -> Table:
    """Build the table: mean gains with their intervals.

    Args:
        groups: The groups.
        sort: "gain", "name", "failed" or "seconds"; "rank" leaves groups, which have none, in their
            own order.
    """
    defined = {groups.reference, *groups.others}
    references = [reference for reference in _REFERENCES if reference in defined]
    rows = groups.rows
    if sort in _SORTS:
        rows = sorted(rows, key=lambda row: _SORTS[sort](row, groups.reference))
    columns = _columns(groups, references)
    lines = [_line(row, groups, references) for row in rows]
    return Table(heading(groups.gains), columns, lines, list(_notes(groups)))


def _columns(groups: Groups, references: list[Reference]) -> list[Column]:
    """Return the columns; each reference has its own."""
    kind = " (normalised)" if groups.is_mixed else ""
    estimates = []
    for reference in references:
        estimates += _estimated(reference, f"gain over {reference}{kind} ↑")
    if groups.by == "adaptation":
        estimates += _estimated("difference", f"against {BASELINE}{kind} ↑")
    return [
        Column(groups.by, rank=0),
        *estimates,
        Column("reference", only="data"),
        Column("normalised", only="data"),
        Column("verdict", only="data"),
        Column("losing", show=".2f", rank=1),
        Column("gaining", "best gains", _one_of, rank=2, only="text"),
        Column("gaining", only="data"),
        Column("gaining_share_low", only="data"),
        Column("gaining_share_high", only="data"),
        Column("tasks", rank=4),
        Column("sources", rank=3),
        Column("cells", rank=2),
        Column("failed", rank=1),
        Column("seconds", "s/cell", ".1f", rank=3),
    ]


def _one_of(pair: tuple[int, int]) -> str:
    return f"{pair[0]} of {pair[1]}"


def _estimated(name: str, title: str) -> list[Column]:
    """Return a column for people, and the raw numbers for programs."""
    return [
        Column(name, title, _interval, rank=0, only="text"),
        Column(name, only="data"),
        Column(f"{name}_low", only="data"),
        Column(f"{name}_high", only="data"),
        Column(f"{name}_cells", only="data"),
    ]


def _interval(found: GainEstimate | None) -> str:
    if found is None:
        return ""
    return interval((found.mean, found.low, found.high))


def _line(row: Group, groups: Groups, references: list[Reference]) -> list[Any]:
    """Return a group's values, in the order of the columns."""
    estimates = [row.gains.get(reference) for reference in references]
    if groups.by == "adaptation":
        estimates.append(row.difference)
    values: list[Any] = [row.name]
    for found in estimates:
        values += [found, *_raw(found)]
    values += [
        groups.reference,
        groups.is_mixed,
        row.gains[groups.reference].verdict,
        row.losing,
        (row.gaining, row.tasks),
        row.gaining,
        *row.gaining_between,
        row.tasks,
        row.sources,
        row.cells,
        row.failed,
        row.seconds,
    ]
    return values


def _raw(found: GainEstimate | None) -> tuple[float | None, ...]:
    if found is None:
        return None, None, None, 0
    return found.mean, found.low, found.high, found.cells


def _notes(groups: Groups) -> Iterator[str]:
    """Yield what the table cannot tell."""
    tasks = groups.gains["task"].nunique()
    seeds = groups.gains["seed"].nunique()
    is_repeated = tasks > 1 or seeds > 1
    if groups.by == "adaptation":
        yield from _comparison_notes(groups)
    else:
        different = "sources and targets" if groups.by == "scenario" else "targets"
        yield f"rows are not ranked: they hold different {different}"
    if not is_repeated:
        yield "one task and one seed: no interval (headwater run … --seeds 5)"
    doubtful = []
    for row in groups.rows:
        if row.gains[groups.reference].verdict == "cannot tell":
            doubtful.append(row.name)
    if doubtful and is_repeated:
        yield (
            f"cannot tell whether these gain over {groups.reference}, their intervals hold 0: "
            f"{_listed(doubtful)}"
        )
    for name, rows in groups.others.items():
        sources = rows["source"].nunique()
        if sources:
            verb = "source has" if sources == 1 else "sources have"
            yield f"over {name}: {sources} {verb} that reference"
    yield from scale_notes(groups.gains)


def _comparison_notes(groups: Groups) -> Iterator[str]:
    """Say how adaptations are compared with fine_tune."""
    yield (
        f"against {BASELINE}: the difference in the metric on the cells that both have, paired by "
        "source, task, size and seed"
    )
    is_alone = all(row.name == BASELINE for row in groups.rows)
    if not is_alone and all(row.difference is None for row in groups.rows):
        yield f"no cell has {BASELINE} beside another adaptation: nothing to compare with"


def _listed(names: list[str]) -> str:
    """List names, at most ``MAX_NAMES`` one by one."""
    others = len(names) - MAX_NAMES
    more = f" and {others} more" if others > 0 else ""
    return ", ".join(names[:MAX_NAMES]) + more
