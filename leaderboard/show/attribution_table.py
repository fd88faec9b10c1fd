"""Attribution as people read it: a row for each source task, and notes on what is missing and what cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial
from typing import Any

from headwater.leaderboard.gains.attribution import Attribution, Family, Game, Part, chain
from headwater.leaderboard.gains.groups import Estimate
from headwater.leaderboard.show.short_names import shortened, shortened_tasks
from headwater.leaderboard.show.standings_table import interval
from headwater.leaderboard.show.tables import Column, Table

TOGETHER = "(together)"
_LISTED = 4


def attribution_table(found: Attribution) -> Table:
    """By base, adaptation and size, the source tasks by their share, then the gain of the chain on all of them."""
    families, kind = found.families, " (relative)" if found.relative else ""
    targets = sorted({target for family in families for target in family.targets})
    names = shortened_tasks(
        sorted({*targets, *(player for family in families for player in family.players)})
    )
    bases = shortened(sorted({family.base for family in families}))
    columns = [
        *_coordinates(families, bases),
        Column("source_task", "source task", lambda name: names.get(name, name), rank=0),
        *_estimated("left_out", f"leave-one-out{kind} ↑"),
        *_estimated("share", f"Shapley share{kind} ↑"),
        *(Column(f"spare{part}", only="data") for part in ("", "_low", "_high")),
        Column("exact", only="data"),
        Column("relative", only="data"),
        Column("targets", rank=2),
        Column("cells", rank=2),
        *(Column(target, f"→ {names[target]}", "+.3f", rank=5) for target in targets),
    ]
    lines = [line for family in families for line in _lines(family, targets, found.relative)]
    return Table(_title(families, bases), columns, lines, list(_notes(found, names)))


def _coordinates(families: tuple[Family, ...], bases: dict[str, str]) -> list[Column]:
    """Those that differ between rows; the title has the others."""

    def column(name: str, **more: Any) -> Column:
        return Column(
            name,
            rank=1,
            only="" if len({getattr(family, name) for family in families}) > 1 else "data",
            **more,
        )

    return [column("base", show=lambda base: bases[base]), column("adaptation"), column("size")]


def _title(families: tuple[Family, ...], bases: dict[str, str]) -> str:
    parts = [
        {bases[family.base] for family in families},
        {family.adaptation for family in families},
    ]
    sizes = sorted({family.size for family in families})
    return " · ".join(
        [
            "gain over the base by source task",
            *(", ".join(sorted(part)) for part in parts),
            f"size {', '.join(sizes)}",
        ]
    )


def _estimated(name: str, heading: str) -> list[Column]:
    raw = [Column(f"{name}{part}", only="data") for part in ("", "_low", "_high", "_verdict")]
    return [
        Column(
            name,
            heading,
            lambda found: interval((found.mean, found.low, found.high)) if found else "",
            rank=0,
            only="text",
        ),
        *raw,
    ]


def _lines(family: Family, targets: list[str], relative: bool) -> Iterator[list[Any]]:
    head = [family.base, family.adaptation, family.size]
    for part in family.parts:
        counted = part.left_out if part.left_out and not part.share else part.share
        spare = [part.spare.mean, part.spare.low, part.spare.high] if part.spare else [None] * 3
        facts = [
            *spare,
            family.exact if part.share else None,
            relative,
            len(part.by_target),
            counted.cells if counted else 0,
        ]
        yield [
            *head,
            part.task,
            *_raw(part.left_out),
            *_raw(part.share),
            *facts,
            *(part.by_target.get(target) for target in targets),
        ]
    whole = {
        target: _mean_of([game for game in family.games if game.place.task == target])
        for target in family.targets
    }
    facts = [None, None, None, None, relative, len(family.targets), family.together.cells]
    yield [
        *head,
        TOGETHER,
        *_raw(None),
        *_raw(family.together),
        *facts,
        *(whole.get(target) for target in targets),
    ]


def _raw(found: Estimate | None) -> list[Any]:
    return [found, found.mean, found.low, found.high, found.verdict] if found else [None] * 5


def _mean_of(games: list[Game]) -> float:
    values = [value for game in games for value in game.values[game.players].values()]
    return sum(values) / len(values)


# -- notes ------------------------------------------------------------------------------------------------


def _notes(found: Attribution, names: dict[str, str]) -> Iterator[str]:
    yield "leave-one-out: the joint chain's gain less that of the chain without this task; share: its part of the joint chain's gain"
    several = len(found.families) > 1
    for family in found.families:
        where = f"{family.adaptation}, size {family.size}: " if several else ""
        yield from (f"{where}{note}" for note in _family_notes(family, names))
    if found.bare:
        lacking = sorted(
            {chain(game.place.base, players) for game in found.bare for players in game.missing}
        )
        short = _listed(list(shortened(lacking).values()))
        yield f"chains on fewer tasks that would tell, and were not trained ([chains] attribution adds them): {short}"


def _family_notes(family: Family, names: dict[str, str]) -> Iterator[str]:
    if any(player in family.targets for player in family.players):
        yield f"each target was left out of its own chain: a task counts for the others only, and shares need not add up to {TOGETHER}"
    if lacking := sorted(
        {chain(game.place.base, players) for game in family.games for players in game.missing}
    ):
        yield f'leave-one-out lacks ([chains] attribution = "leave-one-out"): {_listed(lacking)}'
    yield from _orders(family, names)
    doubtful = [_doubts(part, names) for part in family.parts]
    if told := [doubt for doubt in doubtful if doubt]:
        yield f"cannot tell from 0: {'; '.join(told)}"
    if stood_in := [
        names[part.task] for part in family.parts if part.spare and part.spare.verdict == "gains"
    ]:
        yield f"others can stand in for {', '.join(stood_in)}: leaving it out costs less than its share"


def _orders(family: Family, names: dict[str, str]) -> Iterator[str]:
    without = [names[game.place.task] for game in family.games if not game.orders]
    if without:
        yield f'no Shapley shares for {_listed(sorted(set(without)))}: [chains] attribution = "shapley" adds the chains they need'
    if sampled := [game for game in family.games if game.orders and not game.orders.exact]:
        counts = [
            f"{game.orders.count} of {factorial(len(game.players)):,}"
            for game in sampled
            if game.orders
        ]
        yield f"shares sampled, from {_listed(sorted(set(counts)))} orders of the source tasks: more [chains] permutations narrow them"


def _doubts(part: Part, names: dict[str, str]) -> str:
    judged = (("leave-one-out", part.left_out), ("share", part.share))
    doubtful = [name for name, found in judged if found and found.verdict == "cannot tell"]
    return f"{names[part.task]} ({' and '.join(doubtful)})" if doubtful else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
