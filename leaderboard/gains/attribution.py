"""Attribution: which source task carried a multi-source chain.

For one target, v(U) is the gain over the base of the chain on the source tasks U, at one adaptation, size and seed; v(∅) = 0, the
base itself. A task is judged in two ways: what leaving it out costs, v(S) − v(S∖i), and its Shapley share of v(S). All are
differences between cells of one seed, and so of the same target images.

The targets of one base, adaptation and size are summed up where their chains are on the same tasks S, or would be had the target
not been left out of its own. A task is then averaged over the targets that it was a source for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan, sqrt
from typing import TYPE_CHECKING, NamedTuple

from headwater.leaderboard.gains.groups import Estimate, estimate
from headwater.leaderboard.gains.standings import Filter, measured
from headwater.leaderboard.statistics.shapley import Coalition, Orders, orders
from headwater.leaderboard.store.store import Store
from headwater.registry.errors import QueryError

if TYPE_CHECKING:
    import pandas as pd

Values = Mapping[Coalition, Mapping[int, float]]
"""v(U) by coalition and seed."""


class Place(NamedTuple):
    """Where a game is played: all that its chains share besides their source tasks."""

    base: str
    task: str
    adaptation: str
    size: str
    protocol: str
    metric: str


@dataclass(frozen=True)
class Game:
    """One target's chain on all ``players`` (source tasks), and those on fewer."""

    place: Place
    players: Coalition
    values: Values

    def left_out(self, player: str) -> dict[int, float]:
        """v(S) − v(S∖i) by seed."""
        rest = self.values.get(self.players - {player}, {})
        return {
            seed: value - rest[seed]
            for seed, value in self.values[self.players].items()
            if seed in rest
        }

    @cached_property
    def orders(self) -> Orders | None:
        return orders(self.players, self._common)

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds that shares are made of: those of the whole chain that have the most often measured set of chains in common."""
        by_seed = {
            seed: frozenset(u for u, values in self.values.items() if seed in values)
            for seed in self.values[self.players]
        }
        counts = Counter(by_seed.values())
        found = {chains: orders(self.players, chains) for chains in counts}
        worth = {
            chains: (ways is not None and ways.exact, ways is not None, counts[chains])
            for chains, ways in found.items()
        }
        best = max(counts, key=lambda chains: worth[chains])
        return sorted(seed for seed, chains in by_seed.items() if chains == best)

    @cached_property
    def _common(self) -> list[Coalition]:
        return [
            coalition
            for coalition, values in self.values.items()
            if all(seed in values for seed in self.seeds)
        ]

    def _at(self, seed: int) -> dict[Coalition, float]:
        return {coalition: self.values[coalition][seed] for coalition in self._common}

    @cached_property
    def shares(self) -> dict[int, dict[str, float]]:
        """Shapley shares by seed; none where no order of the source tasks has every prefix measured."""
        return (
            {seed: self.orders.shares(self._at(seed)) for seed in self.seeds} if self.orders else {}
        )

    @cached_property
    def sampling_errors(self) -> dict[str, float]:
        """Half the width of each share's interval for orders that were not measured, at the seeds' mean."""
        mean = {
            u: sum(self.values[u][seed] for seed in self.seeds) / len(self.seeds)
            for u in self._common
        }
        return self.orders.sampling_errors(mean) if self.orders else {}

    @property
    def missing(self) -> list[Coalition]:
        """The chains that leave-one-out lacks."""
        return [
            self.players - {player} for player in sorted(self.players) if not self.left_out(player)
        ]

    @property
    def tells(self) -> bool:
        return len(self.missing) < len(self.players) or self.orders is not None


@dataclass(frozen=True)
class Part:
    """What one source task did for the targets it was a source for.

    ``spare`` is its share less what leaving it out costs: above 0, others can stand in for it. ``by_target`` is its mean share, or else
    what leaving it out costs.
    """

    task: str
    left_out: Estimate | None
    share: Estimate | None
    spare: Estimate | None
    by_target: dict[str, float]


@dataclass(frozen=True)
class Family:
    """Games of one base, adaptation and size whose chains are on the same tasks, up to the target left out."""

    base: str
    adaptation: str
    size: str
    games: tuple[Game, ...]

    @property
    def players(self) -> list[str]:
        return sorted({player for game in self.games for player in game.players})

    @property
    def targets(self) -> list[str]:
        return sorted({game.place.task for game in self.games})

    @property
    def exact(self) -> bool:
        """Whether all shares are over all orders."""
        return all(game.orders is not None and game.orders.exact for game in self.games)

    @cached_property
    def parts(self) -> list[Part]:
        """By share, or else by what leaving it out costs; the largest first."""
        found = [self._part(player) for player in self.players]
        return sorted(found, key=lambda part: -(part.share or part.left_out or _NOTHING).mean)

    @cached_property
    def together(self) -> Estimate:
        """The gain of the chains on all source tasks."""
        rows = [
            (game.place.task, seed, value)
            for game in self.games
            for seed, value in game.values[game.players].items()
        ]
        return _estimate(rows) or _NOTHING

    def _part(self, player: str) -> Part:
        games = [game for game in self.games if player in game.players]
        without = [
            (game.place.task, seed, value)
            for game in games
            for seed, value in game.left_out(player).items()
        ]
        shared = [
            (game.place.task, seed, shares[player])
            for game in games
            for seed, shares in game.shares.items()
        ]
        spare = [
            (game.place.task, seed, game.shares[seed][player] - cost)
            for game in games
            for seed, cost in game.left_out(player).items()
            if seed in game.shares
        ]
        sampled = [game.sampling_errors[player] for game in games if game.shares]
        error = (
            sum(sampled) / len(sampled) if sampled else 0.0
        )  # drawn orders may be the same for all targets: no averaging out
        return Part(
            player,
            _estimate(without),
            _widened(_estimate(shared), error),
            _widened(_estimate(spare), error),
            _by_target(shared or without),
        )


_NOTHING = Estimate(0.0, None, None, 0)


def _estimate(rows: list[tuple[str, int, float]]) -> Estimate | None:
    import pandas as pd

    return (
        estimate(pd.DataFrame(rows, columns=["task", "seed", "value"]), "value") if rows else None
    )


def _widened(found: Estimate | None, error: float) -> Estimate | None:
    """With the error of having sampled orders added; the two are independent."""
    if found is None or error == 0:
        return found
    if found.low is None or found.high is None or isnan(error):
        return replace(found, low=None, high=None)
    below, above = found.mean - found.low, found.high - found.mean
    return replace(
        found,
        low=found.mean - sqrt(below**2 + error**2),
        high=found.mean + sqrt(above**2 + error**2),
    )


def _by_target(rows: list[tuple[str, int, float]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for task, _, value in rows:
        values.setdefault(task, []).append(value)
    return {task: sum(found) / len(found) for task, found in values.items()}


@dataclass(frozen=True)
class Attribution:
    """``families`` tell; ``bare`` are chains on several tasks without any of the chains on fewer that would."""

    families: tuple[Family, ...]
    bare: tuple[Game, ...]
    relative: bool


def attribute(store: Store, wanted: Filter | None = None) -> Attribution:
    """Attribute the gains of multi-source chains over their base; ``scenario`` filters those, not the chains on fewer tasks.

    Raises QueryError where there is no such chain, or none of the chains on fewer tasks.
    """
    wanted = wanted or Filter()
    kept, _ = measured(store, replace(wanted, scenario=""), "base")
    relative = kept["metric"].nunique() > 1
    games = list(_games(kept, wanted, "gain_rel" if relative else "gain_abs"))
    telling = [game for game in games if game.tells]
    if not telling:
        raise _nothing(store, games)
    return Attribution(
        tuple(_families(telling)), tuple(game for game in games if not game.tells), relative
    )


def _games(rows: pd.DataFrame, wanted: Filter, column: str) -> Iterator[Game]:
    rows = rows.dropna(subset=[column, "seed"]).assign(
        players=lambda rows: [frozenset(tasks) for tasks in rows["chain_tasks"]]
    )
    for place, played in rows.groupby(list(Place._fields)):
        values: dict[Coalition, dict[int, float]] = {}
        for (players, seed), found in (
            played.groupby(["players", "seed"], sort=False)[column].mean().items()
        ):
            values.setdefault(players, {})[int(seed)] = float(found)
        asked = set(wanted.keep(played)["players"])
        games = [
            Game(Place(*place), players, values)
            for players in values
            if len(players) > 1 and players in asked
        ]
        largest = _largest([game for game in games if game.tells])
        yield from largest
        yield from (game for game in _largest(games) if not game.tells)


def _largest(games: list[Game]) -> list[Game]:
    """Those whose source tasks are not all among another's: a chain on fewer tasks is a part of that one."""
    return [game for game in games if not any(game.players < other.players for other in games)]


def _families(games: list[Game]) -> Iterator[Family]:
    found: dict[tuple[str, str, str, Coalition], list[Game]] = {}
    for game in games:
        place = game.place
        like = [
            other
            for other in games
            if other.place[:1] + other.place[2:4] == place[:1] + place[2:4] and other is not game
        ]
        found.setdefault((place.base, place.adaptation, place.size, _pool(game, like)), []).append(
            game
        )
    for (base, adaptation, size, _), members in sorted(
        found.items(), key=lambda item: (*item[0][:3], sorted(item[0][3]))
    ):
        yield Family(base, adaptation, size, tuple(members))


def _pool(game: Game, others: list[Game]) -> Coalition:
    """The tasks a game's chains were made from: its players, with the target where that was left out of its own chain."""
    pools = {other.players | {other.place.task} for other in others}
    whole = game.players | {game.place.task}
    return (
        whole if whole in pools or any(other.players == whole for other in others) else game.players
    )


def _nothing(store: Store, games: list[Game]) -> QueryError:
    if not games:
        message = f"{store.path} holds no gain of a chain on several source tasks under this filter"
        return QueryError(
            message,
            subject=str(store.path),
            hint='In the spec: [chains] joint = true, attribution = "leave-one-out".',
        )
    lacking = sorted(
        {chain(game.place.base, players) for game in games for players in game.missing}
    )
    more = f" and {len(lacking) - 4} more" if len(lacking) > 4 else ""
    return QueryError(
        f"{store.path} holds chains on several source tasks, but none of those on fewer that tell which task carried them",
        subject=str(store.path),
        hint=f'In the spec: [chains] attribution = "leave-one-out" or "shapley"; or as sources: {", ".join(lacking[:4])}{more}.',
    )


def chain(base: str, tasks: Coalition) -> str:
    """The name of the source that is trained on these tasks from this base."""
    return f"chain[base={base},on={'+'.join(sorted(tasks))}]"
