"""Mistakes: for each pair of networks, who gets which images right, and how ambiguous those images are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.leaderboard.anatomy.readings import AnatomyReadings
from headwater.leaderboard.show.plots.style import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Mistakes"
FORMULA = "kappa = (p_o − p_e) / (1 − p_e) of being right; ambiguity = entropy (nats) of an ensemble without the two networks"
READ = (
    "Each table sorts the test images by which of two networks is right. Kappa 1: they fail on the same images; 0: as often together "
    "as by chance. Two fine-tunings usually agree more than two trainings from scratch. Ambiguity says how much other networks "
    "disagree about those images, and so how hard they are: the darker the cell, the more ambiguous. Where the mistakes of P-T alone "
    "are more ambiguous than those of RI-T alone, what transfer gets wrong is what cannot well be told."
)
_PAIRS = {
    "P-T/RI-T": ("P-T", "RI-T"),
    "P-T/P-T": ("P-T", "P-T, other seed"),
    "RI-T/RI-T": ("RI-T", "RI-T, other seed"),
}
_CELLS = (("both-right", "only-second-wrong"), ("only-first-wrong", "both-wrong"))
"""Rows: the first network right, wrong; columns: the second right, wrong."""


def draw(found: AnatomyReadings) -> Figure:
    shares, ambiguity, kappas = (
        found.of("mistakes", quantity) for quantity in ("share", "ambiguity", "kappa")
    )
    pairs = [pair for pair in _PAIRS if pair in set(shares["subject"])]
    darkest = ambiguity["mean"].max() if len(ambiguity) else 1.0
    figure, axes = panels(len(pairs), 3, size=(4.6, 3.8))
    for panel, pair in zip(axes, pairs, strict=True):
        share, doubt = (
            lines[lines["subject"] == pair].set_index("module") for lines in (shares, ambiguity)
        )
        shade = np.array(
            [[doubt["mean"].get(name, np.nan) for name in row] for row in _CELLS], float
        )
        image = panel.imshow(shade, cmap="cividis_r", vmin=0, vmax=darkest, aspect="auto")
        for row, names in enumerate(_CELLS):
            for column, name in enumerate(names):
                dark = shade[row, column] > 0.55 * darkest
                panel.text(
                    column,
                    row,
                    _cell(share, doubt, name),
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                    fontsize=9,
                )
        first, second = _PAIRS[pair]
        panel.set_xticks([0, 1], [f"{second}\nright", f"{second}\nwrong"])
        panel.set_yticks([0, 1], [f"{first.split(',')[0]}\nright", f"{first.split(',')[0]}\nwrong"])
        kappa = kappas[kappas["subject"] == pair]
        panel.set_title(f"{pair}\nkappa {_mean(kappa.iloc[0])}" if len(kappa) else pair)
        panel.grid(visible=False)
    if len(ambiguity):
        figure.colorbar(image, ax=axes, label="ambiguity (nats)", shrink=0.85)
    return figure


def _cell(share: Any, doubt: Any, name: str) -> str:
    lines = [f"{100 * share['mean'][name]:.1f} %"]
    if not np.isnan(share["low"][name]):
        lines[0] += f" ± {50 * (share['high'][name] - share['low'][name]):.1f}"
    if name in doubt.index:
        lines += ["of images", f"ambiguity {_mean(doubt.loc[name])}"]
    return "\n".join(lines)


def _mean(line: Any) -> str:
    return f"{line['mean']:.2f}" + (
        "" if np.isnan(line["low"]) else f" ± {(line['high'] - line['low']) / 2:.2f}"
    )
