"""Groups of gains as people read them: a table by scenario, adaptation or domain, and notes on what it cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headwater.leaderboard.gains.groups import BASELINE, GainEstimate, Group, Groups
from headwater.leaderboard.gains.standings import Reference
from headwater.leaderboard.show.standings_table import heading, interval
from headwater.leaderboard.show.tables import Column, Table

_REFERENCES: tuple[Reference, ...] = ("scratch", "base")
_SORTS: dict[str, Callable[[Group, Reference], Any]] = {
    "gain": lambda group, reference: -group.gains[reference].mean,
    "name": lambda group, reference: group.name,
    "failed": lambda group, reference: -group.failed,
    "seconds": lambda group, reference: group.seconds,
}
_LISTED = 8


def groups_table(groups: Groups, sort: str = "rank") -> Table:
    """Mean gains with their intervals; ``sort`` "rank" leaves groups, which have none, in their own order."""
    references = [
        reference
        for reference in _REFERENCES
        if reference == groups.reference or reference in groups.others
    ]
    kind = " (relative)" if groups.relative else ""
    columns = [
        Column(groups.by, rank=0),
        *(
            column
            for reference in references
            for column in _estimated(reference, f"gain over {reference}{kind} ↑")
        ),
        *(
            _estimated("difference", f"against {BASELINE}{kind} ↑")
            if groups.by == "adaptation"
            else ()
        ),
        Column("reference", only="data"),
        Column("relative", only="data"),
        Column("verdict", only="data"),
        Column("negative", "P(neg)", ".2f", rank=1),
        Column(
            "gaining", "best gains", lambda pair: f"{pair[0]} of {pair[1]}", rank=2, only="text"
        ),
        *(Column(f"gaining{part}", only="data") for part in ("", "_share_low", "_share_high")),
        Column("tasks", rank=4),
        Column("sources", rank=3),
        Column("cells", rank=2),
        Column("failed", rank=1),
        Column("seconds", "s/cell", ".1f", rank=3),
    ]
    rows = (
        sorted(groups.rows, key=lambda row: _SORTS[sort](row, groups.reference))
        if sort in _SORTS
        else groups.rows
    )
    return Table(
        heading(groups.gains),
        columns,
        [_line(row, groups, references) for row in rows],
        list(_notes(groups)),
    )


def _estimated(name: str, title: str) -> list[Column]:
    """One column for people, and the raw numbers for programs."""
    raw = [Column(f"{name}{part}", only="data") for part in ("", "_low", "_high", "_cells")]
    return [
        Column(
            name,
            title,
            lambda found: interval((found.mean, found.low, found.high)) if found else "",
            rank=0,
            only="text",
        ),
        *raw,
    ]


def _line(row: Group, groups: Groups, references: list[Reference]) -> list[Any]:
    estimates = [row.gains.get(reference) for reference in references] + (
        [row.difference] if groups.by == "adaptation" else []
    )
    raw = [value for found in estimates for value in (found, *_raw(found))]
    facts = [groups.reference, groups.relative, row.gains[groups.reference].verdict, row.negative]
    gaining = [(row.gaining, row.tasks), row.gaining, *row.gaining_between]
    return [
        row.name,
        *raw,
        *facts,
        *gaining,
        row.tasks,
        row.sources,
        row.cells,
        row.failed,
        row.seconds,
    ]


def _raw(found: GainEstimate | None) -> tuple[float | None, ...]:
    return (found.mean, found.low, found.high, found.cells) if found else (None, None, None, 0)


def _notes(groups: Groups) -> Iterator[str]:
    tasks, seeds = groups.gains["task"].nunique(), groups.gains["seed"].nunique()
    if groups.by == "adaptation":
        yield f"against {BASELINE}: the difference in the metric on the cells that both have, paired by source, task, size and seed"
        if all(row.difference is None for row in groups.rows) and {
            row.name for row in groups.rows
        } != {BASELINE}:
            yield f"no cell has {BASELINE} beside another adaptation: nothing to compare with"
    else:
        yield f"rows are not ranked: they hold different {'sources and targets' if groups.by == 'scenario' else 'targets'}"
    if tasks == seeds == 1:
        yield "one task and one seed: no interval (headwater run … --seeds 5)"
    doubtful = [
        row.name for row in groups.rows if row.gains[groups.reference].verdict == "cannot tell"
    ]
    if doubtful and not tasks == seeds == 1:
        yield f"cannot tell whether these gain over {groups.reference}, their intervals hold 0: {_listed(doubtful)}"
    if others := {
        name: int(rows["source"].nunique()) for name, rows in groups.others.items() if len(rows)
    }:
        yield from (
            f"over {name}: {sources} source{'s have' if sources != 1 else ' has'} that reference"
            for name, sources in others.items()
        )
    if lost := len(groups.gains) - len(groups.defined):
        yield f"{lost} cells have no relative gain: their reference is 0"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
