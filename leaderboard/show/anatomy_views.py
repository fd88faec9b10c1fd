"""Views of analyses: which ones are shown, in which order, and the view of convergence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from headwater.leaderboard.anatomy.readings import CONVERGENCE, AnalysisReadings, AnatomyReadings
from headwater.leaderboard.show.plots.plotting import curve, frame, panels
from headwater.registry import Kind, Name, Registry
from headwater.registry.cards.analysis import Analysis, AnalysisView, SummaryTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ConvergenceView(AnalysisView):
    title = "Convergence"
    position = 20
    formula = "validation metric after each epoch"
    how_to_read = (
        "How fast the two networks learn the target. A pre-trained network that starts higher and "
        "is level sooner has been spared epochs; where the curves meet, transfer bought speed and "
        "no final quality. The band is the 95 % interval of the mean."
    )
    tables = (
        SummaryTable(
            "validation", "convergence: validation {directed}", rows="epoch", abridged=True
        ),
    )

    def draw(self, readings: AnalysisReadings) -> Figure:
        from matplotlib.ticker import MaxNLocator

        figure, (axes,) = panels()
        lines = readings.of("validation")
        for role in ("P-T", "RI-T"):
            line = lines[lines["subject"] == role]
            curve(axes, line, role, line["x"])
        frame(axes, lines["mean"])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(
            title="Validation while training",
            xlabel="epoch",
            ylabel=f"validation {readings.metric}",
        )
        axes.legend(loc="best")
        return figure


@dataclass(frozen=True)
class ShownAnalysis:
    """The readings of one analysis with the view that shows them."""

    readings: AnalysisReadings
    view: AnalysisView

    @property
    def name(self) -> str:
        return self.readings.analysis

    @property
    def title(self) -> str:
        return self.view.title or self.name

    @property
    def tables(self) -> Sequence[SummaryTable]:
        """The view's tables; by default one for each quantity."""
        named = (
            SummaryTable(quantity, f"{self.name}: {quantity}")
            for quantity in self.readings.quantities
        )
        return self.view.tables or tuple(named)


def shown_analyses(anatomy: AnatomyReadings, registry: Registry) -> list[ShownAnalysis]:
    """Return the analyses of an anatomy with their views, in the order to show them.

    An analysis whose plugin is not loaded is shown by tables alone.
    """
    shown = [
        ShownAnalysis(readings, _view(name, registry))
        for name, readings in anatomy.analyses.items()
    ]
    return sorted(shown, key=lambda analysis: (analysis.view.position, analysis.name))


def _view(analysis: str, registry: Registry) -> AnalysisView:
    if analysis == CONVERGENCE:
        return ConvergenceView()
    card = registry.cards[Kind.ANALYSIS].get(Name.parse(analysis).stem)
    return cast(Analysis, card).view if card else AnalysisView()
