"""Parameter distance: by module, and for the whole network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.leaderboard.anatomy.readings import PAIRS, AnatomyReadings
from headwater.leaderboard.show.plots.style import bars, curve, frame, panels, stages_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Parameter distance"
FORMULA = "‖θ₁ − θ₂‖₂ over parameters (statistics of normalisation left out)"
READ = (
    "How far training moved the weights (P/P-T, RI/RI-T), and how far apart two trainings ended. A pre-trained network usually moves "
    "less, and two of its trainings end nearer to each other than two from scratch: they stay in the neighbourhood of P. "
    "Modules with more weights have more distance to cover: compare pairs at a module, not modules."
)


def draw(found: AnatomyReadings) -> Figure:
    figure, (whole, parts) = panels(2, 2)
    lines = found.of("distance", "l2", whole=True).set_index("subject")
    pairs = [pair for pair in PAIRS if pair in lines.index]
    lines = lines.loc[pairs]
    raw = found.rows[(found.rows["quantity"] == "l2") & (found.rows["module"] == "")]
    bars(whole, lines, raw["value"])
    whole.set(title="The whole network", xlabel="l2 distance")
    modules = found.of("distance", "l2", whole=False)
    names = list(dict.fromkeys(modules["module"]))
    for pair in pairs:
        own = modules[modules["subject"] == pair]
        curve(parts, own, pair, [names.index(name) for name in own["module"]])
    frame(parts, [*modules["mean"], 0], within=(0, None))
    stages_below(parts, names)
    parts.set(title="By module", xlabel="module, from the input to the head", ylabel="l2 distance")
    return figure
