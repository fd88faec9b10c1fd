"""Module criticality: what a network loses where one module is rewound.

Neyshabur et al. 2020 (arXiv 2008.11687), after Zhang, Bengio and Singer 2019 (arXiv 1902.01996).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import headwater as hw

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class CriticalityView(hw.AnalysisView):
    title = "Module criticality"
    position = 60
    formula = "drop = s · (A(network) − A(network with one module at its initial parameters))"
    how_to_read = (
        "A tall bar: the network cannot do without what training did to that module. A bar near 0: "
        "the module could have stayed as it was before training on the target. In the paths below, "
        "one module alone moves from its initial (0) to its trained parameters (1): a curve that "
        "is level early marks a module whose exact weights matter little."
    )
    tables = (hw.SummaryTable("drop", "criticality: drop of {metric}"),)
    bar_width = 0.4

    def draw(self, readings: hw.AnalysisReadings) -> Figure:
        figure, axes = hw.plotting.panels(3, 3, size=(5.2, 4.0))
        drops, paths = readings.of("drop"), readings.of("path")
        modules = list(dict.fromkeys(drops["module"]))
        for turn, role in enumerate(("P-T", "RI-T")):
            lines = drops[drops["subject"] == role].set_index("module").reindex(modules)
            self._bars(axes[0], lines, role, turn)
        hw.plotting.frame(axes[0], [*readings.values("drop"), 0])
        axes[0].axhline(0, color="black", linewidth=0.8)
        hw.plotting.stages_below(axes[0], modules)
        axes[0].set(
            title="Rewound to before training",
            xlabel="module, from the input to the head",
            ylabel=f"drop of test {readings.metric}",
        )
        axes[0].legend(loc="best")
        for role, panel in (("P-T", axes[1]), ("RI-T", axes[2])):
            self._paths(panel, paths[paths["subject"] == role], modules)
            hw.plotting.frame(panel, paths["mean"])
            panel.set(
                title=f"{role}: one module on its path",
                xlabel="from initial (0) to trained (1)",
                ylabel=f"test {readings.metric}",
            )
        axes[1].legend(loc="best", ncols=2)
        return figure

    def _bars(self, panel: Axes, lines: pd.DataFrame, role: str, turn: int) -> None:
        import numpy as np

        panel.bar(
            np.arange(len(lines)) + (turn - 0.5) * self.bar_width,
            lines["mean"],
            self.bar_width,
            yerr=np.array([lines["mean"] - lines["low"], lines["high"] - lines["mean"]]),
            color=hw.plotting.COLOURS[role],
            hatch="//" if role == "RI-T" else "",
            label=hw.plotting.NAMES[role],
            capsize=3,
        )

    def _paths(self, panel: Axes, paths: pd.DataFrame, modules: Sequence[str]) -> None:
        import matplotlib
        import numpy as np

        shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(modules)))
        for place, module in enumerate(modules):
            line = paths[paths["module"] == module]
            panel.plot(
                line["x"],
                line["mean"],
                color=shades[place],
                marker="ovs^Dpx+*"[place % 9],
                markersize=4,
                label=module,
            )


@hw.analysis("criticality", looks_at="one seed", view=CriticalityView)
def criticality(networks: hw.Networks, *, points: int = 11, images: int = 512) -> list[hw.Reading]:
    """Measure what a network loses where one module goes back to before its training.

    Reads ``drop`` = s · (A − A(module rewound)) of each stage and the head, and the metric on the
    module's ``path``. A module is rewound to the parameters that training found; the rest of the
    network, and the module's own statistics of normalisation, stay as training left them. On the
    path the module alone moves, straight from its initial (0) to its final parameters (1).
    """
    import numpy as np

    places = np.linspace(0, 1, points).tolist()
    readings = []
    for role in ("P-T", "RI-T"):
        trained, initial = networks.trained(role), networks.initial(role)
        rows = trained.test_rows(images)
        for module, part in trained.parts.items():
            start = {name: initial.state[name].clone() for name in part.parameters}
            end = {name: trained.state[name].clone() for name in part.parameters}
            values = []
            for place in places:
                with trained.holding_between(start, end, place):
                    values.append(trained.metric(rows))
            drop = networks.sign * (values[-1] - values[0])
            readings.append(hw.Reading(role, "drop", drop, module=module, x=part.depth))
            for place, value in zip(places, values, strict=True):
                readings.append(hw.Reading(role, "path", value, module=module, x=place))
    return readings
