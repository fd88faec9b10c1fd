"""Criticality: what is lost where one module is rewound, and the way there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.leaderboard.anatomy.readings import AnatomyReadings
from headwater.leaderboard.show.plots.style import COLOURS, NAMES, frame, panels, stages_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Module criticality"
FORMULA = "drop = s · (A(network) − A(network with one module at its initial parameters))"
READ = (
    "A tall bar: the network cannot do without what training did to that module. A bar near 0: the module could have stayed as it "
    "was before training on the target. In the paths below, one module alone moves from its initial (0) to its trained "
    "parameters (1): a curve that is level early marks a module whose exact weights matter little."
)


def draw(found: AnatomyReadings) -> Figure:
    figure, axes = panels(3, 3, size=(5.2, 4.0))
    drops = found.of("criticality", "drop")
    names = list(dict.fromkeys(drops["module"]))
    width = 0.4
    for turn, subject in enumerate(("P-T", "RI-T")):
        own = drops[drops["subject"] == subject].set_index("module").reindex(names)
        errors = np.array([own["mean"] - own["low"], own["high"] - own["mean"]])
        places = np.arange(len(names)) + (turn - 0.5) * width
        hatch = "//" if subject == "RI-T" else ""
        axes[0].bar(
            places,
            own["mean"],
            width,
            yerr=errors,
            color=COLOURS[subject],
            hatch=hatch,
            label=NAMES[subject],
            capsize=3,
        )
    frame(axes[0], [*found.rows.loc[found.rows["quantity"] == "drop", "value"], 0])
    axes[0].axhline(0, color="black", linewidth=0.8)
    stages_below(axes[0], names)
    axes[0].set(
        title="Rewound to before training",
        xlabel="module, from the input to the head",
        ylabel=f"drop of test {found.metric}",
    )
    axes[0].legend(loc="best")
    paths = found.of("criticality", "path")
    for subject, panel in (("P-T", axes[1]), ("RI-T", axes[2])):
        _paths(panel, paths[paths["subject"] == subject], names)
        frame(panel, paths["mean"])
        panel.set(
            title=f"{subject}: one module on its path",
            xlabel="from initial (0) to trained (1)",
            ylabel=f"test {found.metric}",
        )
    axes[1].legend(loc="best", ncols=2)
    return figure


def _paths(panel: Any, paths: Any, names: list[str]) -> None:
    import matplotlib

    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(names)))
    for place, name in enumerate(names):
        own = paths[paths["module"] == name]
        marker = "ovs^Dpx+*"[place % 9]
        panel.plot(
            own["x"], own["mean"], color=shades[place], marker=marker, markersize=4, label=name
        )
