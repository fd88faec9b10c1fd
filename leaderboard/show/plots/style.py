"""One look for all plots: colours that colour-blind readers tell apart (Okabe and Ito 2008), and a marker for each besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"P-T": "#0072B2", "RI-T": "#D55E00", "P/P-T": "#56B4E9", "RI/RI-T": "#E69F00"} | {
    "P-T/P-T": "#0072B2",
    "RI-T/RI-T": "#D55E00",
    "P-T/RI-T": "#009E73",
}
MARKERS = {
    "P-T": "o",
    "RI-T": "s",
    "P/P-T": "^",
    "RI/RI-T": "v",
    "P-T/P-T": "o",
    "RI-T/RI-T": "s",
    "P-T/RI-T": "D",
}
NAMES = {"P-T": "P-T (pre-trained, then trained)", "RI-T": "RI-T (random, then trained)"} | {
    "P/P-T": "P/P-T (before, after)",
    "RI/RI-T": "RI/RI-T (before, after)",
    "P-T/P-T": "P-T/P-T (two seeds)",
    "RI-T/RI-T": "RI-T/RI-T (two seeds)",
    "P-T/RI-T": "P-T/RI-T",
}
_RC: dict[Any, Any] = {
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


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib's settings while a plot is drawn and saved."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield


def panels(
    count: int = 1, columns: int = 1, size: tuple[float, float] = (6.4, 4.0), **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes, drawn without any window; ``size``: inches of one of them."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, [
        figure.add_subplot(rows, columns, place + 1, **options) for place in range(count)
    ]


def curve(
    axes: Axes, lines: pd.DataFrame, subject: str, places: Sequence[float] | np.ndarray
) -> None:
    """Means with markers, and the 95 % interval as a band where there is one."""
    colour = COLOURS[subject]
    style = "--" if subject.partition("/")[0] in ("P", "RI") else "-"
    axes.plot(
        places,
        lines["mean"],
        style,
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
    """Limits of y by these values with a margin, so that a wide interval does not flatten the curves; bands beyond are cut."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if not len(known):
        return
    pad = _PAD * (np.ptp(known) or abs(known[0]) or 1)
    low, high = known.min() - pad, known.max() + pad
    bottom, top = within
    axes.set_ylim(
        low if bottom is None else max(low, bottom - pad / 2),
        high if top is None else min(high, top + pad / 2),
    )


def stages_below(axes: Axes, names: Sequence[str]) -> None:
    """Module names on x, slanted where they would touch."""
    axes.set_xticks(range(len(names)), names)
    if sum(map(len, names)) > 45:
        axes.tick_params(axis="x", rotation=45)


def bars(axes: Axes, lines: pd.DataFrame, values: Any) -> None:
    """Horizontal bars of lines indexed by subject, with intervals; as wide as ``values`` (the cells'), intervals beyond are cut."""
    pairs = list(lines.index)
    errors = np.array(
        [lines["mean"] - lines["low"], lines["high"] - lines["mean"]]
    )  # NaN: no whisker
    axes.barh(
        range(len(pairs)),
        lines["mean"],
        xerr=errors,
        color=[COLOURS[pair] for pair in pairs],
        ecolor="#333333",
        capsize=3,
    )
    axes.set_yticks(range(len(pairs)), [NAMES[pair] for pair in pairs])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(min(0, np.nanmin(values)), 1.15 * max(np.nanmax(values), 1e-6))


def save(figure: Figure, stem: Path) -> None:
    """As PNG (150 dots an inch) and SVG, whose text stays text; the same bytes for the same figure."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(f"{stem}.png", dpi=150, metadata={"Software": None})
    figure.savefig(f"{stem}.svg", metadata={"Date": None})
