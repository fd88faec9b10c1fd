"""The standings as people read them: a table, and notes on what it cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from headwater.leaderboard.gains.standings import Row, Standings
from headwater.leaderboard.show.short_names import shortened, shortened_tasks
from headwater.leaderboard.show.tables import Column, Table
from headwater.leaderboard.statistics.bootstrap import LEVEL, More
from headwater.registry import directed

if TYPE_CHECKING:
    import pandas as pd

SORTS: dict[str, Callable[[Row], Any]] = {
    "rank": lambda row: (*row.ranks, -row.gain),
    "gain": lambda row: -row.gain,
    "name": lambda row: row.source,
    "failed": lambda row: -row.failed,
    "seconds": lambda row: row.seconds,
}


def standings_table(standings: Standings, sort: str = "rank") -> Table:
    """Ranks, gains with their intervals, and each task's mean gain; the reference itself is the line at zero."""
    names = shortened([row.source for row in standings.rows])
    over = f"gain over {standings.reference}" + (" (relative)" if standings.relative else "")
    columns = [
        Column("rank", show=lambda ranks: _span(ranks) if ranks else "", rank=0, only="text"),
        Column("rank_best", only="data"),
        Column("rank_worst", only="data"),
        Column("source", show=lambda name: names.get(name, name), rank=0),
        Column("gain", f"{over} ↑", interval, rank=0, only="text"),
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
        *(
            Column(task, short, "+.3f", rank=5)
            for task, short in shortened_tasks(standings.tasks).items()
        ),
    ]
    ordered = sorted(standings.rows, key=SORTS[sort])
    lines = [_line(row, standings) for row in ordered]
    if standings.reference == "scratch":
        place = (
            next((at for at, row in enumerate(ordered) if row.gain < 0), len(lines))
            if sort in ("rank", "gain")
            else len(lines)
        )
        lines.insert(place, _reference_line(standings))
    return Table(heading(standings.gains), columns, lines, list(_notes(standings, names)))


def _line(row: Row, standings: Standings) -> list[Any]:
    gain = (row.gain, row.low, row.high)
    head = [
        row.ranks,
        *row.ranks,
        row.source,
        gain,
        *gain,
        standings.relative,
        row.negative,
        row.tasks,
        row.cells,
        row.missing,
    ]
    return [
        *head,
        row.failed,
        row.unpaired,
        row.seconds,
        *(row.by_task.get(task) for task in standings.tasks),
    ]


def _reference_line(standings: Standings) -> list[Any]:
    """What zero is. It has no rank: it is not among the sources compared."""
    cells = standings.gains["reference_job"].nunique()
    zeros = [0.0 for _ in standings.tasks]
    nothing = [None, None, None]
    return [
        *nothing,
        f"({standings.reference})",
        (0.0, None, None),
        0.0,
        None,
        None,
        standings.relative,
        None,
        len(zeros),
        cells,
        *nothing,
        None,
        *zeros,
    ]


def heading(gains: pd.DataFrame) -> str:
    """What gains are of: adaptations, sizes, seeds, metrics."""
    metrics = sorted(
        {
            directed(metric, sign)
            for metric, sign in zip(gains["metric"], gains["sign"], strict=True)
        }
    )
    parts = [
        ", ".join(sorted(gains["adaptation"].unique())),
        f"size {', '.join(sorted(gains['size'].unique(), key=_by_size))}",
    ]
    seeds = gains["seed"].nunique()
    return f"{' · '.join(parts)} · {seeds} seed{'s' * (seeds != 1)} · {', '.join(metrics)}"


def _by_size(size: str) -> tuple[bool, int]:
    return (not size.isdigit(), int(size) if size.isdigit() else 0)


def _span(ranks: tuple[int, int]) -> str:
    return str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]}–{ranks[1]}"


def interval(gain: tuple[float, float | None, float | None]) -> str:
    mean, low, high = gain
    return (
        f"{mean:+.3f}" if low is None or high is None else f"{mean:+.3f} ± {(high - low) / 2:.3f}"
    )


# -- notes ------------------------------------------------------------------------------------------------


def _notes(standings: Standings, names: dict[str, str]) -> Iterator[str]:
    tasks = shortened_tasks(standings.tasks)
    of = (
        {row.task: f" {directed(row.metric, row.sign)}" for row in standings.gains.itertuples()}
        if standings.relative
        else {}
    )
    values = ", ".join(
        f"{tasks.get(task, task)}{of.get(task, '')} {value:.3f}"
        for task, value in standings.reference_value.items()
    )
    yield f"{standings.reference} itself: {values}"
    yield from _ties(standings, names)
    lacking = [row for row in standings.rows if row.missing]
    if lacking:
        shown = ", ".join(
            f"{names[row.source]} {row.missing} of {row.cells + row.missing}" for row in lacking[:4]
        )
        more = f" and {len(lacking) - 4} other sources" if len(lacking) > 4 else ""
        yield f"averages are not over the same cells: missing are {shown}{more}; ranks compare the cells that both have"
    if protocols := _mixed_setups(standings):
        yield f"{protocols} mixed: cells under different training budgets, image sizes or data are averaged here"
    if unpaired := int((standings.absent["why"] == "unpaired").sum()):
        yield f'{unpaired} cells lack a {standings.reference} reference: headwater query "FROM unpaired"'
    if failed := int((standings.absent["why"] == "failed").sum()):
        yield f"{failed} cells failed: headwater status --failed"


def _ties(standings: Standings, names: dict[str, str]) -> Iterator[str]:
    if len(standings.rows) < 2:
        return
    tasks, seeds = standings.gains["task"].nunique(), standings.gains["seed"].nunique()
    if tasks == seeds == 1:
        yield "one task and one seed: no interval, and no telling which source is better (headwater run … --seeds 5)"
        return
    of = f"{tasks} tasks" if tasks > 1 else f"{seeds} seeds"
    if not standings.tied:
        yield f"every source can be told from its neighbours at {LEVEL:.0%}, from {of}"
    for one, other in standings.tied[:5]:
        more = standings.comparison.more_to_separate(one, other)
        pair = " and ".join(names[str(standings.grid.index[index])] for index in (one, other))
        yield f"{pair} cannot be told apart at {LEVEL:.0%} from {of}: {_remedy(more, seeds)}"
    if len(standings.tied) > 5:
        yield f"nor can {len(standings.tied) - 5} more pairs of neighbours"


def _remedy(more: More, seeds: int) -> str:
    if more.seeds:
        return f"about {more.seeds} more {'seed' if more.seeds == 1 else 'seeds'} would (headwater run … --seeds {seeds + more.seeds})"
    if more.tasks:
        return f"about {more.tasks} more {'task' if more.tasks == 1 else 'tasks'} would, more seeds would not"
    return "how many more it takes cannot be told from these"


def _mixed_setups(standings: Standings) -> str:
    protocols = standings.gains.groupby(["task", "adaptation"])["protocol"].nunique()
    return (
        f"{int(protocols.max())} protocols of one task and adaptation are"
        if protocols.max() > 1
        else ""
    )
