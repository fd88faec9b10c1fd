"""Block shuffle: both networks' metric, and the relative drop between them, by block size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.anatomy.readings import AnatomyReadings
from headwater.leaderboard.show.plots.style import COLOURS, curve, frame, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Block shuffle"
FORMULA = "relative drop = 100 · s · (A(P-T) − A(RI-T)) / |A(P-T)|"
READ = (
    "Images are cut into square blocks, the blocks shuffled by one fixed order, and both networks trained and tested on the result. "
    "From right to left, images lose what is larger than a block: shapes first, then parts; at 1 pixel only colours are left. "
    "Where the drop stays above 0 with small blocks, transfer helps although hardly a visual feature of the source fits any more: "
    "something else is reused, such as low-level statistics or the scale of weights. Where it falls to 0, it was features that helped."
)


def draw(found: AnatomyReadings) -> Figure:
    figure, (metric, drop) = panels(2, 2)
    lines = found.of("block_shuffle", "metric")
    sizes = sorted(lines["x"].unique())
    for subject in ("P-T", "RI-T"):
        own = lines[lines["subject"] == subject]
        curve(metric, own, subject, own["x"])
    frame(
        metric,
        found.rows.loc[
            (found.rows["analysis"] == "block_shuffle") & (found.rows["quantity"] == "metric"),
            "value",
        ],
    )
    metric.set(title="Trained and tested on shuffled images", ylabel=f"test {found.metric}")
    metric.legend(loc="best")
    relative = found.of("block_shuffle", "relative_drop")
    errors = np.array([relative["mean"] - relative["low"], relative["high"] - relative["mean"]])
    drop.errorbar(
        relative["x"],
        relative["mean"],
        errors,
        color=COLOURS["P-T/RI-T"],
        marker="D",
        markersize=5,
        capsize=3,
    )
    drop.axhline(0, color="black", linewidth=0.8)
    frame(
        drop,
        [*relative["mean"], 0, *found.rows.loc[found.rows["quantity"] == "relative_drop", "value"]],
    )
    drop.set(title="What RI-T lacks", ylabel="relative drop (%)")
    for axes in (metric, drop):
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes[:-1]] + [f"{sizes[-1]:g}\n(intact)"])
        axes.minorticks_off()
        axes.set_xlabel("block size (pixels)")
    return figure
