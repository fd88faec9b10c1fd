"""Show an attribution as a table: a row for each source task, with notes on what is missing or
cannot be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import factorial
from typing import Any

from headwater.leaderboard.gains.attribution import (
    Attribution,
    CoalitionGame,
    GameGroup,
    SourcePart,
)
from headwater.leaderboard.gains.estimate import GainEstimate
from headwater.leaderboard.show.short_names import shortened, shortened_tasks
from headwater.leaderboard.show.standings_table import interval, scale_notes
from headwater.leaderboard.show.tables import Column, Table
from headwater.registry.cards.chain import chain_name

TOGETHER = "(together)"
MAX_NAMES = 4
"""Names that a note lists one by one."""


def attribution_table(found: Attribution) -> Table:
    """Build the table.

    By base, adaptation and size: the source tasks by their share, then the gain of the chain on all
    of them.
    """
    targets = sorted({target for group in found.groups for target in group.targets})
    players = {player for group in found.groups for player in group.players}
    names = shortened_tasks(sorted({*targets, *players}))
    bases = shortened(sorted({group.base for group in found.groups}))
    lines: list[list[Any]] = []
    for group in found.groups:
        lines += [_line(group, part, targets, found.is_mixed) for part in group.parts]
        lines.append(_line_together(group, targets, found.is_mixed))
    title = _title(found.groups, bases)
    columns = _columns(found, targets, names=names, bases=bases)
    return Table(title, columns, lines, list(_notes(found, names)))


def _columns(
    found: Attribution, targets: list[str], *, names: dict[str, str], bases: dict[str, str]
) -> list[Column]:
    """Return the columns; ``names`` and ``bases`` are short names of tasks and of bases."""
    kind = " (normalised)" if found.is_mixed else ""
    return [
        *_coordinates(found.groups, bases),
        Column("source_task", "source task", lambda name: names.get(name, name), rank=0),
        *_estimated("left_out", f"leave-one-out{kind} ↑"),
        *_estimated("share", f"Shapley share{kind} ↑"),
        Column("redundancy", only="data"),
        Column("redundancy_low", only="data"),
        Column("redundancy_high", only="data"),
        Column("exact", only="data"),
        Column("normalised", only="data"),
        Column("targets", rank=2),
        Column("cells", rank=2),
        *(Column(target, f"→ {names[target]}", "+.3f", rank=5) for target in targets),
    ]


def _coordinates(groups: tuple[GameGroup, ...], bases: dict[str, str]) -> list[Column]:
    """Return the columns of base, adaptation and size. The title has those that are the same
    everywhere.
    """

    def column(name: str, **options: Any) -> Column:
        differs = len({getattr(group, name) for group in groups}) > 1
        return Column(name, rank=1, only="" if differs else "data", **options)

    return [column("base", show=lambda base: bases[base]), column("adaptation"), column("size")]


def _title(groups: tuple[GameGroup, ...], bases: dict[str, str]) -> str:
    """Return the title: what the gains are of."""
    base_names = ", ".join(sorted({bases[group.base] for group in groups}))
    adaptations = ", ".join(sorted({group.adaptation for group in groups}))
    sizes = ", ".join(sorted({group.size for group in groups}))
    return f"gain over the base by source task · {base_names} · {adaptations} · size {sizes}"


def _estimated(name: str, heading: str) -> list[Column]:
    """Return a column for people, and the raw numbers for programs."""
    return [
        Column(name, heading, _interval, rank=0, only="text"),
        Column(name, only="data"),
        Column(f"{name}_low", only="data"),
        Column(f"{name}_high", only="data"),
        Column(f"{name}_verdict", only="data"),
    ]


def _interval(found: GainEstimate | None) -> str:
    return interval((found.mean, found.low, found.high)) if found else ""


def _line(group: GameGroup, part: SourcePart, targets: list[str], normalised: bool) -> list[Any]:
    """Return a source task's values, in the order of the columns."""
    counted = part.share or part.left_out
    redundancy: list[float | None] = [None, None, None]
    if part.redundancy:
        redundancy = [part.redundancy.mean, part.redundancy.low, part.redundancy.high]
    return [
        *(group.base, group.adaptation, group.size, part.task),
        *_raw(part.left_out),
        *_raw(part.share),
        *redundancy,
        group.exact if part.share else None,
        normalised,
        len(part.by_target),
        counted.cells if counted else 0,
        *(part.by_target.get(target) for target in targets),
    ]


def _line_together(group: GameGroup, targets: list[str], normalised: bool) -> list[Any]:
    """Return the values of the chains on all source tasks."""
    by_target = {
        target: _mean_of([game for game in group.games if game.context.task == target])
        for target in group.targets
    }
    no_redundancy = [None, None, None]
    exact = None
    return [
        *(group.base, group.adaptation, group.size, TOGETHER),
        *_raw(None),
        *_raw(group.together),
        *no_redundancy,
        exact,
        normalised,
        len(group.targets),
        group.together.cells,
        *(by_target.get(target) for target in targets),
    ]


def _raw(found: GainEstimate | None) -> list[Any]:
    return [found, found.mean, found.low, found.high, found.verdict] if found else [None] * 5


def _mean_of(games: list[CoalitionGame]) -> float:
    """Return the mean gain of the games' whole chains, over games and seeds."""
    gains = [gain for game in games for gain in game.values[game.players].values()]
    return sum(gains) / len(gains)


# -- notes -----------------------------------------------------------------------------------------


def _notes(found: Attribution, names: dict[str, str]) -> Iterator[str]:
    yield (
        "leave-one-out: the joint chain's gain less that of the chain without this task; "
        "share: its part of the joint chain's gain"
    )
    yield from scale_notes(found.gains)
    for group in found.groups:
        where = f"{group.adaptation}, size {group.size}: " if len(found.groups) > 1 else ""
        yield from (f"{where}{note}" for note in _group_notes(group, names))
    if lacking := _missing_chains(found.undecidable):
        yield (
            "chains on fewer tasks that would tell, and were not trained "
            f"([chains] attribution adds them): {_listed(list(shortened(lacking).values()))}"
        )


def _missing_chains(games: Iterable[CoalitionGame]) -> list[str]:
    """Return the names of the chains that leave-one-out lacks."""
    names = {
        chain_name(game.context.base, sorted(players)) for game in games for players in game.missing
    }
    return sorted(names)


def _group_notes(group: GameGroup, names: dict[str, str]) -> Iterator[str]:
    if any(player in group.targets for player in group.players):
        yield (
            "each target was left out of its own chain: a task counts for the others only, "
            f"and shares need not add up to {TOGETHER}"
        )
    if lacking := _missing_chains(group.games):
        yield f'leave-one-out lacks ([chains] attribution = "leave-one-out"): {_listed(lacking)}'
    yield from _order_notes(group, names)
    doubts = [doubt for part in group.parts if (doubt := _doubt(part, names))]
    if doubts:
        yield f"cannot tell from 0: {'; '.join(doubts)}"
    redundant = [
        names[part.task]
        for part in group.parts
        if part.redundancy and part.redundancy.verdict == "gains"
    ]
    if redundant:
        yield (
            f"others can stand in for {', '.join(redundant)}: leaving it out costs less than its "
            "share"
        )


def _order_notes(group: GameGroup, names: dict[str, str]) -> Iterator[str]:
    """Say which targets have no Shapley shares, and which have shares of sampled orders."""
    without = sorted({names[game.context.task] for game in group.games if not game.orders})
    if without:
        yield (
            f'no Shapley shares for {_listed(without)}: [chains] attribution = "shapley" adds the '
            "chains they need"
        )
    sampled = {
        f"{game.orders.count} of {factorial(len(game.players)):,}"
        for game in group.games
        if game.orders and not game.orders.exact
    }
    if sampled:
        yield (
            f"shares sampled, from {_listed(sorted(sampled))} orders of the source tasks: more "
            "[chains] permutations narrow them"
        )


def _doubt(part: SourcePart, names: dict[str, str]) -> str:
    """Say which of a task's estimates cannot be told from 0; nothing where all can."""
    estimates = {"leave-one-out": part.left_out, "share": part.share}
    doubtful = [
        name for name, found in estimates.items() if found and found.verdict == "cannot tell"
    ]
    return f"{names[part.task]} ({' and '.join(doubtful)})" if doubtful else ""


def _listed(names: list[str]) -> str:
    """List names, at most ``MAX_NAMES`` one by one."""
    others = len(names) - MAX_NAMES
    more = f" and {others} more" if others > 0 else ""
    return ", ".join(names[:MAX_NAMES]) + more
