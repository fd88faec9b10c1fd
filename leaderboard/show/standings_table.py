"""Show standings as a table, with notes on what it cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from headwater.leaderboard.gains.standings import Reference, Row, Standings
from headwater.leaderboard.show.short_names import shortened, shortened_tasks
from headwater.leaderboard.show.tables import Column, Table
from headwater.leaderboard.statistics.bootstrap import LEVEL, More
from headwater.registry import directed

if TYPE_CHECKING:
    import pandas as pd

MAX_TIES = 5
"""Pairs of neighbours that the notes name one by one."""

MAX_SOURCES = 4
"""Sources that a note names one by one."""

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
    kind = " (relative)" if standings.relative else ""
    by_task = [
        Column(task, short, "+.3f", rank=5)
        for task, short in shortened_tasks(standings.tasks).items()
    ]
    return [
        Column("rank", show=lambda ranks: _span(ranks) if ranks else "", rank=0, only="text"),
        Column("rank_best", only="data"),
        Column("rank_worst", only="data"),
        Column("source", show=lambda name: names.get(name, name), rank=0),
        Column("gain", f"gain over {standings.reference}{kind} ↑", interval, rank=0, only="text"),
        Column("gain", only="data"),
        Column("low", only="data"),
        Column("high", only="data"),
        Column("relative", only="data"),
        Column("negative", "P(neg)", ".2f", rank=1),
        Column("tasks", rank=4),
        Column("cells", rank=2),
        Column("missing", only="data"),
        Column("failed", rank=1),
        Column("unpaired", only="data"),
        Column("seconds", "s/cell", ".1f", rank=3),
        *by_task,
    ]


def _line(row: Row, standings: Standings) -> list[Any]:
    """Return a source's values, in the order of the columns."""
    gain = (row.gain, row.low, row.high)
    counts = [row.tasks, row.cells, row.missing, row.failed, row.unpaired]
    by_task = [row.by_task.get(task) for task in standings.tasks]
    return [
        row.ranks,
        *row.ranks,
        row.source,
        gain,
        *gain,
        standings.relative,
        row.negative,
        *counts,
        row.seconds,
        *by_task,
    ]


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
    ranks = [None, None, None]
    gain = [(0.0, None, None), 0.0, None, None]
    negative = None
    missing = failed = unpaired = seconds = None
    zeros = [0.0 for _ in standings.tasks]
    return [
        *ranks,
        f"({standings.reference})",
        *gain,
        standings.relative,
        negative,
        len(standings.tasks),
        standings.gains["reference_job"].nunique(),
        missing,
        failed,
        unpaired,
        seconds,
        *zeros,
    ]


def heading(gains: pd.DataFrame) -> str:
    """Say what gains are of: adaptations, sizes, seeds, metrics."""
    adaptations = ", ".join(sorted(gains["adaptation"].unique()))
    sizes = ", ".join(sorted(gains["size"].unique(), key=_by_size))
    pairs = zip(gains["metric"], gains["sign"], strict=True)
    metrics = ", ".join(sorted({directed(metric, sign) for metric, sign in pairs}))
    seeds = gains["seed"].nunique()
    return f"{adaptations} · size {sizes} · {seeds} seed{'s' * (seeds != 1)} · {metrics}"


def _by_size(size: str) -> tuple[bool, int]:
    """Sort sizes by number, ``full`` last."""
    return (not size.isdigit(), int(size) if size.isdigit() else 0)


def _span(ranks: tuple[int, int]) -> str:
    return str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]}–{ranks[1]}"


def interval(gain: tuple[float, float | None, float | None]) -> str:
    """Write a mean with half the width of its interval, if it has one."""
    mean, low, high = gain
    if low is None or high is None:
        return f"{mean:+.3f}"
    return f"{mean:+.3f} ± {(high - low) / 2:.3f}"


# -- notes -----------------------------------------------------------------------------------------


def _notes(standings: Standings, names: dict[str, str]) -> Iterator[str]:
    yield f"{WHAT_REFERENCE_IS[standings.reference]}: {_reference_values(standings)}"
    yield from rising_note(standings.gains, standings.reference)
    yield from _ties(standings, names)
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
    """Return the reference's own metric on each task; the metric's name where they differ."""
    short = shortened_tasks(standings.tasks)
    metrics = {}
    if standings.relative:
        for row in standings.gains.itertuples():
            metrics[row.task] = f" {directed(row.metric, row.sign)}"
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
        "ranks compare the cells that both have"
    )


def _ties(standings: Standings, names: dict[str, str]) -> Iterator[str]:
    """Say which neighbours cannot be told apart, and what would tell."""
    if len(standings.rows) < 2:
        return
    tasks = standings.gains["task"].nunique()
    seeds = standings.gains["seed"].nunique()
    if tasks == seeds == 1:
        yield (
            "one task and one seed: no interval, and no telling which source is better "
            "(headwater run … --seeds 5)"
        )
        return
    units = f"{tasks} tasks" if tasks > 1 else f"{seeds} seeds"
    if not standings.tied:
        yield f"every source can be told from its neighbours at {LEVEL:.0%}, from {units}"
    for first, second in standings.tied[:MAX_TIES]:
        more = standings.comparison.more_to_separate(first, second)
        pair = " and ".join(names[str(standings.grid.index[at])] for at in (first, second))
        yield f"{pair} cannot be told apart at {LEVEL:.0%} from {units}: {_remedy(more, seeds)}"
    others = len(standings.tied) - MAX_TIES
    if others > 0:
        yield f"nor can {others} more pairs of neighbours"


def _remedy(more: More, seeds: int) -> str:
    """Say how many more seeds or tasks would separate two sources."""
    if more.seeds:
        noun = "seed" if more.seeds == 1 else "seeds"
        command = f"headwater run … --seeds {seeds + more.seeds}"
        return f"about {more.seeds} more {noun} would ({command})"
    if more.tasks:
        noun = "task" if more.tasks == 1 else "tasks"
        return f"about {more.tasks} more {noun} would, more seeds would not"
    return "how many more it takes cannot be told from these"


def _most_protocols(standings: Standings) -> int:
    """Return the most protocols that a task and adaptation were measured under; 0 where each has
    one.
    """
    protocols = standings.gains.groupby(["task", "adaptation"])["protocol"].nunique()
    most = int(protocols.max())
    return most if most > 1 else 0
