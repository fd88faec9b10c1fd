"""Performance barrier: what is lost on the straight line between two networks.

Neyshabur et al. 2020 (arXiv 2008.11687), definition 3.1. With weights θ₁ and θ₂ of two networks
and the metric A(θ), which s = ±1 turns so that higher is better, the network moves along

    θ(λ) = (1 − λ)·θ₁ + λ·θ₂,    λ from 0 to 1,

and the height of the barrier is the largest loss against the line between both ends:

    barrier = max over λ of s · [(1 − λ)·A(θ₁) + λ·A(θ₂) − A(θ(λ))].

Averaged weights give activations that the running statistics of batch norms do not fit. So at
each place, both ends included, these are computed anew from training images; otherwise every
line would show a valley that is only theirs. The ends count, so the height is at least 0.

A batch norm averages the means and variances of its batches, each batch the same. So the images are
shuffled and the batches equal: a small last batch would count as much as a full one, and batches of
neighbours would hide from the variance what lies between them (16 to 20 % of it where 256 to 512
images are ordered by a trend).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import headwater as hw

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


STATISTICS_BATCH = 128
"""Images at once, at most, for the statistics of batch norms."""


class BarrierView(hw.AnalysisView):
    title = "Performance barrier"
    position = 50
    formula = "barrier = max over λ of s · [(1 − λ)·A₁ + λ·A₂ − A((1 − λ)·θ₁ + λ·θ₂)]"
    how_to_read = (
        "The weights are moved straight from one network (λ = 0) to the other (λ = 1), statistics "
        "of normalisation computed anew at each place. A level curve: both lie in the same basin, "
        "as two fine-tunings of one pre-trained network do. A valley: between them lies a barrier, "
        "as between two networks trained from scratch. 0 is the least there can be."
    )
    tables = (hw.SummaryTable("barrier", "height of the barrier ({metric})", rows=""),)

    def draw(self, readings: hw.AnalysisReadings) -> Figure:
        figure, (path, height) = hw.plotting.panels(2, 2)
        lines = readings.of("metric")
        heights = readings.of("barrier").set_index("subject")
        pairs = [pair for pair in hw.plotting.PAIRS if pair in heights.index]
        for pair in pairs:
            line = lines[lines["subject"] == pair]
            hw.plotting.curve(path, line, pair, line["x"])
        hw.plotting.frame(path, lines["mean"])
        metric = readings.metric
        path.set(title="On the line between two networks", xlabel="λ", ylabel=f"test {metric}")
        path.legend(loc="best")
        hw.plotting.bars(height, heights.loc[pairs], readings.values("barrier"))
        height.set(title="Height of the barrier", xlabel=f"loss of {metric} at the worst place")
        return figure


@hw.analysis("barrier", view=BarrierView)
def barrier(networks: hw.Networks, *, points: int = 11, images: int = 512) -> list[hw.Reading]:
    """Measure what is lost on the straight line between two networks.

    Reads ``metric`` along the line by λ, and ``barrier``, its height, of each pair.
    """
    import numpy as np

    places = np.linspace(0, 1, points).tolist()
    readings = []
    for pair, first, second in networks.pairs_on_a_line():
        values = metric_between(first, second, places, images)
        for place, value in zip(places, values, strict=True):
            readings.append(hw.Reading(pair, "metric", value, x=place))
        readings.append(hw.Reading(pair, "barrier", height(places, values, networks.sign)))
    return readings


def metric_between(
    first: hw.AnalysedNetwork, second: hw.AnalysedNetwork, places: Sequence[float], images: int
) -> list[float]:
    """Return the metric at each place between two networks.

    Args:
        first: The network at place 0; its cell has the images.
        second: The network at place 1.
        places: λ, from 0 to 1.
        images: How many training images (for the statistics) and test images to take at most.
    """
    start, end = (
        {name: tensor.clone() for name, tensor in network.state.items()}
        for network in (first, second)
    )
    train_rows, test_rows = first.train_rows(images), first.test_rows(images)
    values = []
    for place in places:
        with first.holding_between(start, end, place):
            recompute_statistics(first, train_rows)
            values.append(first.metric(test_rows))
    return values


def height(places: Sequence[float], values: Sequence[float], sign: int) -> float:
    """Return max over λ of s · [(1 − λ)·A₁ + λ·A₂ − A(θ(λ))]."""
    first, last = values[0], values[-1]
    return max(
        sign * (first + place * (last - first) - value)
        for place, value in zip(places, values, strict=True)
    )


def recompute_statistics(network: hw.AnalysedNetwork, rows: np.ndarray) -> None:
    """Compute the running means and variances of batch norms from these training images alone.

    Everything else stays in evaluation mode.
    """
    import numpy as np
    import torch
    from torch import nn

    kinds = nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm
    norms = [
        module
        for module in network.network.modules()
        if isinstance(module, kinds) and module.track_running_stats
    ]
    if not norms or len(rows) < 2:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over batches
        norm.train()
    # Each part is one batch, and all are equal but for one image.
    parts = np.array_split(
        np.random.default_rng(0).permutation(rows), math.ceil(len(rows) / STATISTICS_BATCH)
    )
    with torch.no_grad(), network.precision():
        for part in parts:
            for images in network.train_batches(part):
                network.network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
