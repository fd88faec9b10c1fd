"""Attribute a multi-source chain's gain to its source tasks.

For one target, v(U) is the gain over the base of the chain on the source tasks U, at one
adaptation, size and seed, and v(empty) = 0 is the base itself. A task i of the whole set S is
judged in two ways:

    leave-one-out:  v(S) - v(S without i),
    Shapley share:  the mean of v(U with i) - v(U) over the orders in which tasks may join.

All are differences between cells of one seed, and so of the same target images. The difference of
the two is a task's
redundancy: above 0, others can stand in for it.

Targets of one base, adaptation and size are summed up where their chains are on the same tasks S,
or would be had the target not been left out of its own. A task is then averaged over the targets
that it was a source for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan, sqrt
from typing import TYPE_CHECKING, NamedTuple

from headwater.leaderboard.gains.estimate import GainEstimate, estimate
from headwater.leaderboard.gains.gain_rows import Filter, measured
from headwater.leaderboard.gains.scale import gain_column, is_mixed
from headwater.leaderboard.statistics.shapley import Coalition, Orders, orders
from headwater.leaderboard.store.store import Store
from headwater.registry.cards.chain import chain_name
from headwater.registry.errors import QueryError

if TYPE_CHECKING:
    import pandas as pd

Values = Mapping[Coalition, Mapping[int, float]]
"""v(U) by coalition and seed."""

Observation = tuple[str, str, int, float]
"""A target, its family, a seed and a value."""


class GameContext(NamedTuple):
    """Name what a game's chains share besides their source tasks."""

    base: str
    task: str
    family: str
    adaptation: str
    size: str
    protocol: str
    metric: str

    @property
    def target(self) -> tuple[str, str]:
        """The target and its family."""
        return self.task, self.family

    @property
    def comparable(self) -> tuple[str, str, str]:
        """What games that are summed up share: base, adaptation and size."""
        return self.base, self.adaptation, self.size


@dataclass(frozen=True)
class CoalitionGame:
    """Hold the gains of a target's chain on all ``players`` (source tasks), and of those on fewer.

    Attributes:
        context: What the chains share.
        players: The source tasks of the whole chain.
        values: The gain by coalition and seed.
    """

    context: GameContext
    players: Coalition
    values: Values

    def left_out(self, player: str) -> dict[int, float]:
        """Return v(S) - v(S without the player) by seed, for seeds that have both."""
        without = self.values.get(self.players - {player}, {})
        whole = self.values[self.players]
        return {seed: value - without[seed] for seed, value in whole.items() if seed in without}

    @cached_property
    def orders(self) -> Orders | None:
        """The orders of the source tasks whose every prefix was measured; None where there is none."""
        return orders(self.players, self._coalitions)

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds that shares are made of.

        Seeds may have different chains measured. Those that count have the set of chains that tells
        most: it makes shares exact, else possible, else it is the most frequent.
        """
        chains_by_seed = {
            seed: frozenset(chain for chain, values in self.values.items() if seed in values)
            for seed in self.values[self.players]
        }
        frequency = Counter(chains_by_seed.values())

        def rank(chains: frozenset[Coalition]) -> tuple[bool, bool, int]:
            measured_orders = orders(self.players, chains)
            is_exact = measured_orders is not None and measured_orders.exact
            return is_exact, measured_orders is not None, frequency[chains]

        best = max(frequency, key=rank)
        return sorted(seed for seed, chains in chains_by_seed.items() if chains == best)

    @cached_property
    def _coalitions(self) -> list[Coalition]:
        """The coalitions that were measured at every seed that counts."""
        return [
            coalition
            for coalition, values in self.values.items()
            if all(seed in values for seed in self.seeds)
        ]

    @cached_property
    def shares(self) -> dict[int, dict[str, float]]:
        """Shapley shares by seed; empty where no order of the source tasks has every prefix
        measured.
        """
        if not self.orders:
            return {}
        shares = {}
        for seed in self.seeds:
            values = {coalition: self.values[coalition][seed] for coalition in self._coalitions}
            shares[seed] = self.orders.shares(values)
        return shares

    @cached_property
    def sampling_errors(self) -> dict[str, float]:
        """Half the width of each share's interval for orders that were not measured, at the seeds'
        mean.
        """
        if not self.orders:
            return {}
        means = {}
        for coalition in self._coalitions:
            total = sum(self.values[coalition][seed] for seed in self.seeds)
            means[coalition] = total / len(self.seeds)
        return self.orders.sampling_errors(means)

    @property
    def missing(self) -> list[Coalition]:
        """The chains that leave-one-out lacks."""
        lacking = [player for player in sorted(self.players) if not self.left_out(player)]
        return [self.players - {player} for player in lacking]

    @property
    def is_decidable(self) -> bool:
        """True if anything can be said of a source task."""
        return len(self.missing) < len(self.players) or self.orders is not None


@dataclass(frozen=True)
class SourcePart:
    """Hold what one source task did for the targets it was a source for.

    Attributes:
        task: The source task.
        left_out: What leaving it out costs.
        share: Its Shapley share.
        redundancy: Its share less what leaving it out costs: above 0, others can stand in for it.
        by_target: Its mean share by target, or else what leaving it out costs.
    """

    task: str
    left_out: GainEstimate | None
    share: GainEstimate | None
    redundancy: GainEstimate | None
    by_target: dict[str, float]


@dataclass(frozen=True)
class GameGroup:
    """Sum up games of one base, adaptation and size whose chains are on the same tasks, up to the
    target left out.
    """

    base: str
    adaptation: str
    size: str
    games: tuple[CoalitionGame, ...]

    @property
    def players(self) -> list[str]:
        """The source tasks of any of the games."""
        return sorted({player for game in self.games for player in game.players})

    @property
    def targets(self) -> list[str]:
        """The targets of the games."""
        return sorted({game.context.task for game in self.games})

    @property
    def exact(self) -> bool:
        """True if all shares are over all orders."""
        return all(game.orders is not None and game.orders.exact for game in self.games)

    @cached_property
    def parts(self) -> list[SourcePart]:
        """The source tasks by share, or else by what leaving them out costs; the largest first."""
        parts = [self._part(player) for player in self.players]
        return sorted(parts, key=lambda part: -(part.share or part.left_out or _ZERO).mean)

    @cached_property
    def together(self) -> GainEstimate:
        """The gain of the chains on all source tasks."""
        gains = [
            (*game.context.target, seed, value)
            for game in self.games
            for seed, value in game.values[game.players].items()
        ]
        return _estimate(gains) or _ZERO

    def _part(self, player: str) -> SourcePart:
        games = [game for game in self.games if player in game.players]
        costs: list[Observation] = []
        shares: list[Observation] = []
        redundancies: list[Observation] = []
        for game in games:
            target = game.context.target
            cost_by_seed = game.left_out(player)
            costs += [(*target, seed, cost) for seed, cost in cost_by_seed.items()]
            shares += [(*target, seed, of[player]) for seed, of in game.shares.items()]
            redundancies += [
                (*target, seed, game.shares[seed][player] - cost)
                for seed, cost in cost_by_seed.items()
                if seed in game.shares
            ]
        # Orders are drawn once for all targets, so that their errors do not average out.
        errors = [game.sampling_errors[player] for game in games if game.shares]
        error = sum(errors) / len(errors) if errors else 0.0
        return SourcePart(
            player,
            left_out=_estimate(costs),
            share=_widened(_estimate(shares), error),
            redundancy=_widened(_estimate(redundancies), error),
            by_target=_by_target(shares or costs),
        )


_ZERO = GainEstimate(0.0, None, None, 0)


def _estimate(observations: list[Observation]) -> GainEstimate | None:
    """Estimate the mean of observations; None where there is none."""
    import pandas as pd

    if not observations:
        return None
    return estimate(
        pd.DataFrame(observations, columns=["task", "family", "seed", "value"]), "value"
    )


def _widened(found: GainEstimate | None, error: float) -> GainEstimate | None:
    """Add to an interval the error of having sampled orders; the two are independent."""
    if found is None or error == 0:
        return found
    if found.low is None or found.high is None or isnan(error):
        return replace(found, low=None, high=None)
    below = sqrt((found.mean - found.low) ** 2 + error**2)
    above = sqrt((found.high - found.mean) ** 2 + error**2)
    return replace(found, low=found.mean - below, high=found.mean + above)


def _by_target(observations: list[Observation]) -> dict[str, float]:
    """Return the mean value of each target."""
    values: dict[str, list[float]] = {}
    for task, _, _, value in observations:
        values.setdefault(task, []).append(value)
    return {task: sum(of_task) / len(of_task) for task, of_task in values.items()}


@dataclass(frozen=True)
class Attribution:
    """Hold what can be said of source tasks.

    Attributes:
        groups: Games that tell.
        undecidable: Chains on several tasks without any of the chains on fewer that would tell.
        gains: The gains that were looked at.
    """

    groups: tuple[GameGroup, ...]
    undecidable: tuple[CoalitionGame, ...]
    gains: pd.DataFrame

    @property
    def is_mixed(self) -> bool:
        """True if gains are normalised: differences of unlike metrics or units do not average."""
        return is_mixed(self.gains)


def attribute(store: Store, wanted: Filter | None = None) -> Attribution:
    """Attribute the gains of multi-source chains over their base.

    Args:
        store: The store.
        wanted: The cells that count. ``scenario`` filters multi-source chains, not the chains on
            fewer tasks.

    Raises:
        QueryError: There is no such chain, or none of the chains on fewer tasks.
    """
    wanted = wanted or Filter()
    gains, _ = measured(store, replace(wanted, scenario=""), "base")
    games = list(_games(gains, wanted, gain_column(gains)))
    decidable = [game for game in games if game.is_decidable]
    if not decidable:
        raise _nothing(store, games)
    undecidable = tuple(game for game in games if not game.is_decidable)
    return Attribution(tuple(_groups(decidable)), undecidable, gains)


def _games(rows: pd.DataFrame, wanted: Filter, column: str) -> Iterator[CoalitionGame]:
    """Yield the games of gains over the base, those that tell first within a context."""
    rows = rows.dropna(subset=[column, "seed"])
    rows = rows.assign(players=[frozenset(tasks) for tasks in rows["chain_tasks"]])
    for context, played in rows.groupby(list(GameContext._fields)):
        values: dict[Coalition, dict[int, float]] = {}
        means = played.groupby(["players", "seed"], sort=False)[column].mean()
        for (players, seed), gain in means.items():
            values.setdefault(players, {})[int(seed)] = float(gain)
        wanted_players = set(wanted.keep(played)["players"])
        games = [
            CoalitionGame(GameContext(*context), players, values)
            for players in values
            if len(players) > 1 and players in wanted_players
        ]
        yield from _largest([game for game in games if game.is_decidable])
        yield from (game for game in _largest(games) if not game.is_decidable)


def _largest(games: list[CoalitionGame]) -> list[CoalitionGame]:
    """Drop games whose source tasks are all among another's: such a chain is a part of that one."""
    return [game for game in games if not any(game.players < other.players for other in games)]


def _groups(games: list[CoalitionGame]) -> Iterator[GameGroup]:
    """Yield groups of games whose chains were made from the same tasks, in order of their names."""
    members: dict[tuple[str, str, str, Coalition], list[CoalitionGame]] = {}
    for game in games:
        comparable = game.context.comparable
        similar = [
            other for other in games if other.context.comparable == comparable and other is not game
        ]
        members.setdefault((*comparable, _pool(game, similar)), []).append(game)
    for key in sorted(members, key=lambda key: (*key[:3], sorted(key[3]))):
        base, adaptation, size, _ = key
        yield GameGroup(base, adaptation, size, tuple(members[key]))


def _pool(game: CoalitionGame, others: list[CoalitionGame]) -> Coalition:
    """Return the tasks that a game's chains were made from.

    These are its players, with the target where that was left out of its own chain.
    """
    whole = game.players | {game.context.task}
    pools = {other.players | {other.context.task} for other in others}
    if whole in pools or any(other.players == whole for other in others):
        return whole
    return game.players


def _nothing(store: Store, games: list[CoalitionGame]) -> QueryError:
    if not games:
        message = f"{store.path} holds no gain of a chain on several source tasks under this filter"
        return QueryError(
            message,
            subject=str(store.path),
            hint='In the spec: [chains] joint = true, attribution = "leave-one-out".',
        )
    lacking = sorted(
        {chain_name(game.context.base, players) for game in games for players in game.missing}
    )
    more = f" and {len(lacking) - 4} more" if len(lacking) > 4 else ""
    return QueryError(
        f"{store.path} holds chains on several source tasks, but none of those on fewer that tell which task carried them",
        subject=str(store.path),
        hint=f'In the spec: [chains] attribution = "leave-one-out" or "shapley"; or as sources: {", ".join(lacking[:4])}{more}.',
    )
