"""Attribution as people read it: a row for each source task, and notes on what is missing and what cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial
from typing import Any

from headwater.leaderboard.gains.attribution import (
    Attribution,
    CoalitionGame,
    GameGroup,
    SourcePart,
)
from headwater.leaderboard.gains.groups import GainEstimate
from headwater.leaderboard.show.short_names import shortened, shortened_tasks
from headwater.leaderboard.show.standings_table import interval
from headwater.leaderboard.show.tables import Column, Table
from headwater.registry.cards.chain import chain_name

TOGETHER = "(together)"
_LISTED = 4


def attribution_table(found: Attribution) -> Table:
    """By base, adaptation and size, the source tasks by their share, then the gain of the chain on all of them."""
    groups, kind = found.groups, " (relative)" if found.relative else ""
    targets = sorted({target for group in groups for target in group.targets})
    names = shortened_tasks(
        sorted({*targets, *(player for group in groups for player in group.players)})
    )
    bases = shortened(sorted({group.base for group in groups}))
    columns = [
        *_coordinates(groups, bases),
        Column("source_task", "source task", lambda name: names.get(name, name), rank=0),
        *_estimated("left_out", f"leave-one-out{kind} ↑"),
        *_estimated("share", f"Shapley share{kind} ↑"),
        *(Column(f"redundancy{part}", only="data") for part in ("", "_low", "_high")),
        Column("exact", only="data"),
        Column("relative", only="data"),
        Column("targets", rank=2),
        Column("cells", rank=2),
        *(Column(target, f"→ {names[target]}", "+.3f", rank=5) for target in targets),
    ]
    lines = [line for group in groups for line in _lines(group, targets, found.relative)]
    return Table(_title(groups, bases), columns, lines, list(_notes(found, names)))


def _coordinates(groups: tuple[GameGroup, ...], bases: dict[str, str]) -> list[Column]:
    """Those that differ between rows; the title has the others."""

    def column(name: str, **more: Any) -> Column:
        return Column(
            name,
            rank=1,
            only="" if len({getattr(group, name) for group in groups}) > 1 else "data",
            **more,
        )

    return [column("base", show=lambda base: bases[base]), column("adaptation"), column("size")]


def _title(groups: tuple[GameGroup, ...], bases: dict[str, str]) -> str:
    parts = [
        {bases[group.base] for group in groups},
        {group.adaptation for group in groups},
    ]
    sizes = sorted({group.size for group in groups})
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


def _lines(group: GameGroup, targets: list[str], relative: bool) -> Iterator[list[Any]]:
    head = [group.base, group.adaptation, group.size]
    for part in group.parts:
        counted = part.left_out if part.left_out and not part.share else part.share
        redundancy = (
            [part.redundancy.mean, part.redundancy.low, part.redundancy.high]
            if part.redundancy
            else [None] * 3
        )
        facts = [
            *redundancy,
            group.exact if part.share else None,
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
        target: _mean_of([game for game in group.games if game.context.task == target])
        for target in group.targets
    }
    facts = [None, None, None, None, relative, len(group.targets), group.together.cells]
    yield [
        *head,
        TOGETHER,
        *_raw(None),
        *_raw(group.together),
        *facts,
        *(whole.get(target) for target in targets),
    ]


def _raw(found: GainEstimate | None) -> list[Any]:
    return [found, found.mean, found.low, found.high, found.verdict] if found else [None] * 5


def _mean_of(games: list[CoalitionGame]) -> float:
    values = [value for game in games for value in game.values[game.players].values()]
    return sum(values) / len(values)


# -- notes ------------------------------------------------------------------------------------------------


def _notes(found: Attribution, names: dict[str, str]) -> Iterator[str]:
    yield "leave-one-out: the joint chain's gain less that of the chain without this task; share: its part of the joint chain's gain"
    several = len(found.groups) > 1
    for group in found.groups:
        where = f"{group.adaptation}, size {group.size}: " if several else ""
        yield from (f"{where}{note}" for note in _group_notes(group, names))
    if found.undecidable:
        lacking = sorted(
            {
                chain_name(game.context.base, players)
                for game in found.undecidable
                for players in game.missing
            }
        )
        short = _listed(list(shortened(lacking).values()))
        yield f"chains on fewer tasks that would tell, and were not trained ([chains] attribution adds them): {short}"


def _group_notes(group: GameGroup, names: dict[str, str]) -> Iterator[str]:
    if any(player in group.targets for player in group.players):
        yield f"each target was left out of its own chain: a task counts for the others only, and shares need not add up to {TOGETHER}"
    if lacking := sorted(
        {chain_name(game.context.base, players) for game in group.games for players in game.missing}
    ):
        yield f'leave-one-out lacks ([chains] attribution = "leave-one-out"): {_listed(lacking)}'
    yield from _orders(group, names)
    doubtful = [_doubts(part, names) for part in group.parts]
    if told := [doubt for doubt in doubtful if doubt]:
        yield f"cannot tell from 0: {'; '.join(told)}"
    if stood_in := [
        names[part.task]
        for part in group.parts
        if part.redundancy and part.redundancy.verdict == "gains"
    ]:
        yield f"others can stand in for {', '.join(stood_in)}: leaving it out costs less than its share"


def _orders(group: GameGroup, names: dict[str, str]) -> Iterator[str]:
    without = [names[game.context.task] for game in group.games if not game.orders]
    if without:
        yield f'no Shapley shares for {_listed(sorted(set(without)))}: [chains] attribution = "shapley" adds the chains they need'
    if sampled := [game for game in group.games if game.orders and not game.orders.exact]:
        counts = [
            f"{game.orders.count} of {factorial(len(game.players)):,}"
            for game in sampled
            if game.orders
        ]
        yield f"shares sampled, from {_listed(sorted(set(counts)))} orders of the source tasks: more [chains] permutations narrow them"


def _doubts(part: SourcePart, names: dict[str, str]) -> str:
    judged = (("leave-one-out", part.left_out), ("share", part.share))
    doubtful = [name for name, found in judged if found and found.verdict == "cannot tell"]
    return f"{names[part.task]} ({' and '.join(doubtful)})" if doubtful else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
