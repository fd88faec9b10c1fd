"""Shapley shares of a cooperative game from the coalitions that were measured.

Derivation. A player's share is its marginal value v(U ∪ i) − v(U), averaged over the orders in
which players may arrive (Shapley 1953). With n players and every coalition measured, that is

    φ_i = Σ_U |U|! (n − |U| − 1)! / n! · [v(U ∪ i) − v(U)].

Here the orders that count are those whose every prefix was measured. They are the paths from the
empty coalition to that of all players, and the share of them that step from U to U ∪ i is

    ways(∅ → U) · ways(U ∪ i → all) / ways(∅ → all),

so that they are counted, never listed. Where all coalitions were measured, this is the formula
above. Where coalitions are the prefixes of orders drawn at random, the shares are unbiased (Castro
et al. 2009): the draw treats players alike, so each order is as likely to count as any other, those
that happen to be completed by prefixes of several draws included. Shares add up to v(all) either
way, since they do along each order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt

from scipy.special import stdtrit

from headwater.leaderboard.statistics.board import CONFIDENCE

Coalition = frozenset[str]
NOBODY: Coalition = frozenset()


@dataclass(frozen=True)
class Orders:
    """The orders of arrival whose every prefix was measured, by the steps that they take.

    Attributes:
        joins: (coalition without the player, player) -> share of the orders in which the player
            joins that coalition; the shares of one player add up to 1.
        count: The number of orders.
        exact: Whether every coalition was measured, and so these are all orders.
    """

    joins: Mapping[tuple[Coalition, str], float]
    count: int
    exact: bool

    def shares(self, value: Mapping[Coalition, float]) -> dict[str, float]:
        """Return each player's mean marginal value; the empty coalition's value is 0."""
        shares: dict[str, float] = {}
        for (coalition, player), weight in self.joins.items():
            gain = marginal(value, coalition, player)
            shares[player] = shares.get(player, 0.0) + weight * gain
        return shares

    def sampling_errors(
        self, value: Mapping[Coalition, float], level: float = CONFIDENCE
    ) -> dict[str, float]:
        """Return half the width of each share's interval for orders that were not measured.

        A player's marginal values m have weights w. They are worth k independent draws, 1 / Σ w² as
        weighted means go, and no more than the coalitions of any one size that orders pass through,
        since each draw passes through one. The variance of their mean is Σ w (m − φ)² / (k − 1),
        and Student's t has k − 1 degrees of freedom.

        Args:
            value: The value of each measured coalition.
            level: The confidence level of the intervals.

        Returns:
            By player; 0 where all orders were measured, NaN where too few were to tell.
        """
        shares = self.shares(value)
        if self.exact:
            return dict.fromkeys(shares, 0.0)
        errors = {}
        for player, share in shares.items():
            errors[player] = self._sampling_error(value, player, share, level)
        return errors

    def _sampling_error(
        self, value: Mapping[Coalition, float], player: str, share: float, level: float
    ) -> float:
        """Return half the width of one player's interval."""
        weights = []
        squares = []
        for (coalition, joining), weight in self.joins.items():
            if joining == player:
                deviation = marginal(value, coalition, player) - share
                weights.append(weight**2)
                squares.append(weight * deviation**2)
        draws = min(1 / sum(weights), self._max_draws())
        # One draw has no spread: Student's t would have no degree of freedom.
        if draws < 2:
            return nan
        variance = sum(squares) / (draws - 1)
        quantile = float(stdtrit(draws - 1, (1 + level) / 2))
        return quantile * sqrt(variance)

    def _max_draws(self) -> int:
        """Return the largest number of coalitions of one size that orders pass through: no more
        orders than these were surely drawn.
        """
        coalitions = {coalition for coalition, _ in self.joins}
        by_size = Counter(map(len, coalitions))
        return max(by_size.values())


def marginal(value: Mapping[Coalition, float], coalition: Coalition, player: str) -> float:
    """Return v(U ∪ i) − v(U); the empty coalition's value is 0."""
    after = value[coalition | {player}]
    before = value[coalition] if coalition else 0.0
    return after - before


def orders(players: Coalition, measured: Collection[Coalition]) -> Orders | None:
    """Return the orders of all players whose every prefix was measured; None where there is none.

    Args:
        players: All players.
        measured: The coalitions that were measured; those with others than the players are ignored.
    """
    within = {coalition for coalition in measured if coalition and coalition <= players}
    # A coalition is reached from smaller ones only, so that one pass upwards in size counts all.
    # Names decide between equal sizes: sums in the order of a set differ between two processes.
    by_size = sorted(within, key=_size_and_names)
    ways_to = _ways_to(by_size)
    ways_on = _ways_on(by_size, players)
    total = ways_to.get(players, 0)
    if not total:
        return None
    joins: dict[tuple[Coalition, str], float] = {}
    for coalition, ways in ways_to.items():
        for player in sorted(players - coalition):
            passing = ways * ways_on.get(coalition | {player}, 0)
            if passing:
                joins[coalition, player] = passing / total
    return Orders(joins, total, exact=len(by_size) == 2 ** len(players) - 1)


def _size_and_names(coalition: Coalition) -> tuple[int, list[str]]:
    """Return the key by which coalitions are sorted."""
    return len(coalition), sorted(coalition)


def _ways_to(by_size: Sequence[Coalition]) -> dict[Coalition, int]:
    """Return the number of measured paths from the empty coalition to each, itself included."""
    ways: dict[Coalition, int] = {NOBODY: 1}
    for coalition in by_size:
        ways[coalition] = sum(ways.get(coalition - {last}, 0) for last in coalition)
    return ways


def _ways_on(by_size: Sequence[Coalition], players: Coalition) -> dict[Coalition, int]:
    """Return the number of measured paths from each coalition to that of all players."""
    ways: dict[Coalition, int] = {players: 1}
    for coalition in [*reversed(by_size), NOBODY]:
        absent = players - coalition
        if absent:
            ways[coalition] = sum(ways.get(coalition | {joining}, 0) for joining in absent)
    return ways
