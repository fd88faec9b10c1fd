"""Parameter distance: how far training went, and how far apart trainings end (Neyshabur et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from headwater.harness.measure.anatomy.networks import Networks
from headwater.leaderboard.store.records import Reading


def distance(networks: Networks, settings: Mapping[str, Any]) -> list[Reading]:
    """``l2`` between the parameters of each pair, whole and by stage; statistics of normalisation are no parameters."""
    readings = []
    for name, one, other in networks.alike(initial=True):
        states = one.state, other.state
        readings.append(
            Reading(
                name, "l2", l2(*states, (p for part in one.parts.values() for p in part.parameters))
            )
        )
        for module, part in one.parts.items():
            readings.append(
                Reading(name, "l2", l2(*states, part.parameters), module=module, x=part.depth)
            )
    return readings


def l2(one: Mapping[str, Tensor], other: Mapping[str, Tensor], names: Iterable[str]) -> float:
    """‖θ₁ − θ₂‖₂ over the tensors of these names, in float64."""
    return (
        float(sum((one[name].double() - other[name].double()).square().sum() for name in names))
        ** 0.5
    )
