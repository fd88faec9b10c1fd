"""Convergence: the validation curves of the transferred network and of its reference from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.leaderboard.anatomy.readings import AnatomyReadings
from headwater.leaderboard.show.plots.style import curve, frame, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Convergence"
FORMULA = "validation metric after each epoch"
READ = (
    "How fast the two networks learn the target. A pre-trained network that starts higher and is level sooner has been spared "
    "epochs; where the curves meet, transfer bought speed and no final quality. The band is the 95 % interval of the mean."
)


def draw(found: AnatomyReadings) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = panels()
    lines = found.of("convergence", "validation")
    for subject in ("P-T", "RI-T"):
        own = lines[lines["subject"] == subject]
        curve(axes, own, subject, own["x"])
    frame(axes, lines["mean"])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title="Validation while training", xlabel="epoch", ylabel=f"validation {found.metric}")
    axes.legend(loc="best")
    return figure
