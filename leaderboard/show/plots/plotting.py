"""Drawing helpers for plots of analyses, and one look for all plots.

Colours are those that colour-blind readers tell apart (Okabe and Ito 2008), each with a marker of
its own. matplotlib is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.registry.cards.analysis import PAIRS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "MARKERS", "NAMES", "PAIRS", "bars", "curve", "frame", "panels"]
__all__ += ["save", "stages_below", "styled"]

COLOURS = {
    "P-T": "#0072B2",
    "RI-T": "#D55E00",
    "P/P-T": "#56B4E9",
    "RI/RI-T": "#E69F00",
    "P-T/P-T": "#0072B2",
    "RI-T/RI-T": "#D55E00",
    "P-T/RI-T": "#009E73",
}
"""The colour of each network and pair of networks."""

MARKERS = {
    "P-T": "o",
    "RI-T": "s",
    "P/P-T": "^",
    "RI/RI-T": "v",
    "P-T/P-T": "o",
    "RI-T/RI-T": "s",
    "P-T/RI-T": "D",
}
"""The marker of each network and pair of networks."""

NAMES = {
    "P-T": "P-T (pre-trained, then trained)",
    "RI-T": "RI-T (random, then trained)",
    "P/P-T": "P/P-T (before, after)",
    "RI/RI-T": "RI/RI-T (before, after)",
    "P-T/P-T": "P-T/P-T (two seeds)",
    "RI-T/RI-T": "RI-T/RI-T (two seeds)",
    "P-T/RI-T": "P-T/RI-T",
}
"""What a legend calls each network and pair of networks."""

_SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "headwater",
}
_PAD = 0.08
"""The margin above and below curves, as a share of their range."""

_MAX_LETTERS = 45
"""Labels on x with more letters in all would touch, and are slanted."""


@contextmanager
def styled() -> Iterator[None]:
    """Apply the look to what is drawn and saved while the context lasts."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


def panels(
    count: int = 1, columns: int = 1, size: tuple[float, float] = (6.4, 4.0), **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure of several axes; no window is opened.

    Args:
        count: The number of axes.
        columns: The number of axes in a row, at most.
        size: The width and height of one of them in inches.
        **options: Options of matplotlib's ``Figure.add_subplot``.
    """
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, place + 1, **options) for place in range(count)]
    return figure, axes


def curve(
    axes: Axes, lines: pd.DataFrame, subject: str, places: Sequence[float] | np.ndarray | pd.Series
) -> None:
    """Draw the means of a network or pair with markers, and their 95 % interval as a band.

    Args:
        axes: The axes to draw on.
        lines: Lines of ``AnalysisReadings.of``.
        subject: The network or pair, see ``NAMES``.
        places: The place of each line on x.
    """
    colour = COLOURS[subject]
    untrained = subject.partition("/")[0] in ("P", "RI")
    axes.plot(
        places,
        lines["mean"],
        "--" if untrained else "-",
        color=colour,
        marker=MARKERS[subject],
        markersize=5,
        label=NAMES[subject],
    )
    if lines["low"].notna().any():
        axes.fill_between(
            places, lines["low"], lines["high"], color=colour, alpha=0.18, linewidth=0
        )


def frame(
    axes: Axes, values: Any, within: tuple[float | None, float | None] = (None, None)
) -> None:
    """Set the limits of y by these values, so that a wide interval does not flatten the curves.

    Bands beyond the limits are cut.

    Args:
        axes: The axes.
        values: The values to hold, with a margin.
        within: The lowest and highest limit that make sense; None for no such limit.
    """
    numbers = np.asarray(values, float)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return
    pad = _PAD * (np.ptp(numbers) or abs(numbers[0]) or 1)
    low, high = numbers.min() - pad, numbers.max() + pad
    bottom, top = within
    axes.set_ylim(
        low if bottom is None else max(low, bottom - pad / 2),
        high if top is None else min(high, top + pad / 2),
    )


def stages_below(axes: Axes, names: Sequence[str]) -> None:
    """Write module names at 0, 1, 2, … on x, slanted where they would touch."""
    axes.set_xticks(range(len(names)), names)
    if sum(map(len, names)) > _MAX_LETTERS:
        axes.tick_params(axis="x", rotation=45)


def bars(axes: Axes, lines: pd.DataFrame, values: Any) -> None:
    """Draw horizontal bars of means with whiskers of 95 % intervals.

    Args:
        axes: The axes.
        lines: Lines of ``AnalysisReadings.of``, indexed by network or pair.
        values: Single values: x reaches as far as they do, and whiskers beyond are cut.
    """
    pairs = list(lines.index)
    errors = np.array([lines["mean"] - lines["low"], lines["high"] - lines["mean"]])
    axes.barh(
        range(len(pairs)),
        lines["mean"],
        xerr=errors,  # NaN draws no whisker
        color=[COLOURS[pair] for pair in pairs],
        ecolor="#333333",
        capsize=3,
    )
    axes.set_yticks(range(len(pairs)), [NAMES[pair] for pair in pairs])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(min(0, np.nanmin(values)), 1.15 * max(np.nanmax(values), 1e-6))


def save(figure: Figure, stem: Path) -> None:
    """Save as PNG (150 dots an inch) and SVG, whose text stays text.

    The same figure gives the same bytes.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(f"{stem}.png", dpi=150, metadata={"Software": None})
    figure.savefig(f"{stem}.svg", metadata={"Date": None})
