"""Parameter distance: how far training went, and how far apart trainings end.

After Neyshabur et al. 2020 (arXiv 2008.11687).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import headwater as hw

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


class DistanceView(hw.AnalysisView):
    title = "Parameter distance"
    position = 40
    formula = "‖θ₁ − θ₂‖₂ over parameters (statistics of normalisation left out)"
    how_to_read = (
        "How far training moved the weights (P/P-T, RI/RI-T), and how far apart two trainings "
        "ended. A pre-trained network usually moves less, and two of its trainings end nearer to "
        "each other than two from scratch: they stay in the neighbourhood of P. Modules with more "
        "weights have more distance to cover: compare pairs at a module, not modules."
    )
    tables = (hw.SummaryTable("l2", "distance of parameters (l2)"),)

    def draw(self, readings: hw.AnalysisReadings) -> Figure:
        figure, (whole, by_module) = hw.plotting.panels(2, 2)
        totals = readings.of("l2", whole=True).set_index("subject")
        pairs = [pair for pair in hw.plotting.PAIRS if pair in totals.index]
        cells = readings.rows[readings.rows["quantity"] == "l2"]
        hw.plotting.bars(whole, totals.loc[pairs], cells.loc[cells["module"] == "", "value"])
        whole.set(title="The whole network", xlabel="l2 distance")
        modules = readings.of("l2", whole=False)
        names = list(dict.fromkeys(modules["module"]))
        for pair in pairs:
            line = modules[modules["subject"] == pair]
            places = [names.index(name) for name in line["module"]]
            hw.plotting.curve(by_module, line, pair, places)
        hw.plotting.frame(by_module, [*modules["mean"], 0], within=(0, None))
        hw.plotting.stages_below(by_module, names)
        by_module.set(
            title="By module", xlabel="module, from the input to the head", ylabel="l2 distance"
        )
        return figure


@hw.analysis("distance", view=DistanceView)
def distance(networks: hw.Networks) -> list[hw.Reading]:
    """Measure how far apart the parameters of two networks are, whole and by module.

    Reads ``l2`` of each pair. Statistics of normalisation are no parameters and are left out.
    """
    readings = []
    for pair, first, second in networks.pairs_on_a_line(initial=True):
        start, end = first.state, second.state
        everything: list[str] = []
        for part in first.parts.values():
            everything += part.parameters
        whole = l2(start, end, everything)
        readings.append(hw.Reading(pair, "l2", whole))
        for module, part in first.parts.items():
            value = l2(start, end, part.parameters)
            readings.append(hw.Reading(pair, "l2", value, module=module, x=part.depth))
    return readings


def l2(first: Mapping[str, Tensor], second: Mapping[str, Tensor], names: Iterable[str]) -> float:
    """Return ‖θ₁ − θ₂‖₂ over the tensors of these names, summed in float64."""
    squares = []
    for name in names:
        difference = first[name].double() - second[name].double()
        squares.append(difference.square().sum())
    return float(sum(squares)) ** 0.5
