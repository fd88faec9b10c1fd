"""Barrier: the metric on the straight line between two networks, and how high the barrier is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.leaderboard.anatomy.readings import PAIRS, AnatomyReadings
from headwater.leaderboard.show.plots.style import bars, curve, frame, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Performance barrier"
FORMULA = "barrier = max over λ of s · [(1 − λ)·A₁ + λ·A₂ − A((1 − λ)·θ₁ + λ·θ₂)]"
READ = (
    "The weights are moved straight from one network (λ = 0) to the other (λ = 1), statistics of normalisation computed anew at "
    "each place. A level curve: both lie in the same basin, as two fine-tunings of one pre-trained network do. A valley: between "
    "them lies a barrier, as between two networks trained from scratch. 0 is the least there can be."
)


def draw(found: AnatomyReadings) -> Figure:
    figure, (path, height) = panels(2, 2)
    lines, heights = (
        found.of("barrier", "metric"),
        found.of("barrier", "barrier").set_index("subject"),
    )
    pairs = [pair for pair in PAIRS if pair in heights.index]
    for pair in pairs:
        own = lines[lines["subject"] == pair]
        curve(path, own, pair, own["x"])
    frame(path, lines["mean"])
    path.set(title="On the line between two networks", xlabel="λ", ylabel=f"test {found.metric}")
    path.legend(loc="best")
    bars(height, heights.loc[pairs], found.rows.loc[found.rows["quantity"] == "barrier", "value"])
    height.set(title="Height of the barrier", xlabel=f"loss of {found.metric} at the worst place")
    return figure
