"""Performance barrier: what is lost on the straight line between two networks (Neyshabur et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.measure.anatomy.networks import AnalysedNetwork, Networks, drawn
from headwater.leaderboard.store.records import Reading


def barrier(networks: Networks, settings: Mapping[str, Any]) -> list[Reading]:
    """``metric`` along the line by λ, and ``barrier`` = max_λ s·[(1 − λ)A₁ + λA₂ − A(θ(λ))], with θ(λ) = (1 − λ)θ₁ + λθ₂.

    Every point, both ends included, has its normalisation statistics recomputed on training images; s is −1 for a metric
    that should be low. At 0 there is no barrier: both ends count.
    """
    places = np.linspace(0, 1, settings["points"]).tolist()
    readings = []
    for name, one, other in networks.alike():
        values = along(one, other, places, settings["images"])
        readings += [
            Reading(name, "metric", value, x=place)
            for place, value in zip(places, values, strict=True)
        ]
        readings.append(Reading(name, "barrier", height(places, values, networks.job.record.sign)))
    return readings


def along(
    one: AnalysedNetwork, other: AnalysedNetwork, places: Sequence[float], images: int
) -> list[float]:
    """The metric at each place between the networks, on at most ``images`` test images."""
    start, end = (
        {name: tensor.clone() for name, tensor in subject.state.items()} for subject in (one, other)
    )
    learned, rows = drawn(one.cell.chosen.train, images), one.test_rows(images)
    values = []
    for place in places:
        with one.holding(between(start, end, place)):
            recompute_statistics(one, learned)
            values.append(one.metric(rows))
    return values


def between(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], place: float
) -> dict[str, Tensor]:
    """(1 − λ)θ₁ + λθ₂, exact where both are the same; counters are the first's."""
    return {
        name: torch.lerp(tensor, other[name], place) if tensor.is_floating_point() else tensor
        for name, tensor in one.items()
    }


def height(places: Sequence[float], values: Sequence[float], sign: int) -> float:
    """max_λ s·[(1 − λ)A₁ + λA₂ − A(θ(λ))]."""
    first, last = values[0], values[-1]
    return max(
        sign * (first + place * (last - first) - value)
        for place, value in zip(places, values, strict=True)
    )


@torch.no_grad()
def recompute_statistics(subject: AnalysedNetwork, rows: np.ndarray) -> None:
    """Running means and variances of batch norms from these training images alone; all else stays in evaluation mode."""
    norms = [
        module
        for module in subject.network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms or len(rows) < 2:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over batches
        norm.train()
    for images in subject.batches(subject.cell.prepared.train, rows):
        if len(images) > 1:  # one image has no variance
            with subject.device.precision():
                subject.network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
