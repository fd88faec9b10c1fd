"""Feature similarity: CKA of pairs of networks, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.leaderboard.anatomy.readings import PAIRS, AnatomyReadings
from headwater.leaderboard.show.plots.style import curve, frame, panels, stages_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Feature similarity"
FORMULA = "CKA(X, Y) = ‖YᵀX‖²_F / (‖XᵀX‖_F · ‖YᵀY‖_F), columns centred"
READ = (
    "1: the two networks see test images alike at that stage, up to rotation and scale; 0: nothing in common. Where P-T/P-T lies "
    "above RI-T/RI-T, pre-training makes networks of different seeds agree. P/P-T says how much of the source's features is left "
    "after training; P-T/RI-T close to RI-T/RI-T says that transfer found other features than training from scratch does."
)


def draw(found: AnatomyReadings) -> Figure:
    figure, (axes,) = panels(size=(7.6, 4.4))
    lines = found.of("similarity", "cka")
    names = list(dict.fromkeys(lines["module"]))
    for pair in PAIRS:
        own = lines[lines["subject"] == pair]
        if len(own):
            curve(axes, own, pair, [names.index(name) for name in own["module"]])
    frame(axes, lines["mean"], within=(0, 1))
    stages_below(axes, names)
    axes.set(
        title="Linear CKA of features on test images",
        xlabel="stage, from the input to the head",
        ylabel="CKA",
    )
    axes.legend(loc="best", ncols=2)
    return figure
