"""Shapley shares of a cooperative game from the coalitions that were measured (Shapley 1953;
sampled orders: Castro et al. 2009).

A player's share is its marginal value v(U ∪ i) − v(U), averaged over the orders in which players
may arrive. The orders that count are those whose every prefix was measured. Where all coalitions
were, those are all n! orders and the shares are exact: φ_i = Σ_U |U|! (n − |U| − 1)! / n! · [v(U ∪
i) − v(U)]. Where coalitions are the prefixes of orders drawn at random, the shares are
unbiased: the draw treats players alike, so each order is as likely to count as any other, those
    that happen to be completed by prefixes of several draws included. Shares add up to v(all)
    either way, since they do along each order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import sqrt

from scipy.special import stdtrit

Coalition = frozenset[str]
NOBODY: Coalition = frozenset()
_LEVEL = 0.95


@dataclass(frozen=True)
class Orders:
    """How the orders whose every prefix was measured pass: the share of them in which a player
    joins a coalition.

    ``joins``: (coalition without the player, player) -> share of the orders; the shares of one
        player add up to 1.
    ``count``: how many orders those are. ``exact``: every coalition was measured, and so they are
        all orders.
    """

    joins: Mapping[tuple[Coalition, str], float]
    count: int
    exact: bool

    def shares(self, value: Mapping[Coalition, float]) -> dict[str, float]:
        """Each player's mean marginal value; the empty coalition's value is 0."""
        found: dict[str, float] = {}
        for (coalition, player), weight in self.joins.items():
            found[player] = found.get(player, 0.0) + weight * marginal(value, coalition, player)
        return found

    def sampling_errors(
        self, value: Mapping[Coalition, float], level: float = _LEVEL
    ) -> dict[str, float]:
        """Half the width of each share's interval for having seen some orders only: 0 where all,
        NaN where that cannot be told.

        A player's marginal values m have weights w. They are worth k independent draws, 1 / Σ w² as
        weighted means go, and no more than the coalitions of any one size that orders pass through,
        since each draw passes through one. The variance of their mean is Σ w (m − φ)² / (k − 1),
        and Student's t has k − 1 degrees of freedom.
        """
        shares = self.shares(value)
        if self.exact:
            return dict.fromkeys(shares, 0.0)
        return {
            player: self._sampling_error(value, player, share, level)
            for player, share in shares.items()
        }

    def _sampling_error(
        self, value: Mapping[Coalition, float], player: str, share: float, level: float
    ) -> float:
        drawn = [
            (weight, marginal(value, coalition, who))
            for (coalition, who), weight in self.joins.items()
            if who == player
        ]
        worth = min(1 / sum(weight**2 for weight, _ in drawn), self._breadth())
        if worth < 2:
            return float("nan")
        variance = sum(weight * (gain - share) ** 2 for weight, gain in drawn) / (worth - 1)
        return float(stdtrit(worth - 1, (1 + level) / 2)) * sqrt(variance)

    def _breadth(self) -> int:
        """The most coalitions of one size that orders pass through: no more orders than these were
        surely drawn.
        """
        return max(
            Counter(
                len(coalition) for coalition in {coalition for coalition, _ in self.joins}
            ).values()
        )


def marginal(value: Mapping[Coalition, float], coalition: Coalition, player: str) -> float:
    return value[coalition | {player}] - (value[coalition] if coalition else 0.0)


def orders(players: Coalition, measured: Collection[Coalition]) -> Orders | None:
    """The orders of all players whose every prefix was measured; None where there is none."""
    known = sorted(
        {coalition for coalition in measured if coalition and coalition <= players}, key=len
    )
    ways_to: dict[Coalition, int] = {NOBODY: 1}
    for coalition in known:
        ways_to[coalition] = sum(ways_to.get(coalition - {last}, 0) for last in coalition)
    ways_on: dict[Coalition, int] = {players: 1}
    for coalition in [*reversed(known), NOBODY]:
        if coalition != players:
            ways_on[coalition] = sum(
                ways_on.get(coalition | {following}, 0) for following in players - coalition
            )
    total = ways_to.get(players, 0)
    if not total:
        return None
    joins = {
        (coalition, player): ways_to[coalition] * ways_on[coalition | {player}] / total
        for coalition in ways_to
        for player in sorted(players - coalition)
        if ways_to[coalition] and ways_on.get(coalition | {player}, 0)
    }
    return Orders(joins, total, len(known) == 2 ** len(players) - 1)
