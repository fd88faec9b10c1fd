"""Selectors: regret against cost, each with its interval; the lower left is where one wants to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headwater.leaderboard.selectors.judging import JudgedSelector, Judgement
from headwater.leaderboard.show.plots import check_matplotlib
from headwater.registry.errors import BadName, HeadwaterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Regret against cost"
FORMULA = "regret@1 = (best − chosen) / |best|"
READ = (
    "What each selector's first choice loses on the best source, and what it cost to ask it, as a share of fine-tuning every source once. "
    "At the left edge stand the rules that cost nothing: what costs more has to be lower than they are. Whiskers are 95 % intervals; "
    "filled marks cannot be told from the best."
)
ENDINGS = (".png", ".svg", ".pdf")
_COLOURS = {"rule": "#D55E00", "look": "#0072B2", "chance": "#666666"}
_MARKERS = {"rule": "s", "look": "o", "chance": "X"}
_NAMES = {"rule": "metadata and records", "look": "looks at the target", "chance": "chance"}
_LEFT = 0.2
"""Where rules that cost nothing stand: this share of the cheapest of the others."""
_FAN = 0.25
"""In powers of ten, over how much room they spread there, so that their whiskers are told apart."""


def draw(found: Judgement) -> Figure:
    from headwater.leaderboard.show.plots.plotting import panels

    rows = [
        row
        for row in found.rows
        if row.targets and row.figures["regret1"].value is not None and row.share is not None
    ]
    if not rows:
        raise HeadwaterError(
            "there is nothing to plot: of no selector are both regret and cost known",
            hint="Imported scores have no cost.",
        )
    figure, (axes,) = panels(size=(8.0, 5.2))
    paid = [row.share for row in rows if row.share]
    edge = _LEFT * min(paid, default=0.01)
    places, free = (
        {row.name: row.share or edge for row in rows},
        [row.name for row in rows if not row.share],
    )
    places |= {name: edge * 10 ** (-_FAN * at / len(free)) for at, name in enumerate(free)}
    for row in rows:
        _mark(axes, row, places[row.name])
    axes.set_xscale("log")
    axes.set_xlim(0.8 * min(places.values()), 2 * max([*paid, 20 * edge]))
    axes.set_ylim(bottom=0)
    axes.axvline(edge * 3, color="black", linewidth=0.5, linestyle=":")
    _ticks(axes, edge, paid)
    axes.set(
        xlabel="cost, % of fine-tuning every source once",
        ylabel="regret@1, %",
        title=f"{TITLE}: {len(found.targets)} targets",
    )
    _names(axes, rows, edge)
    _legend(axes, rows)
    return figure


def _kind(row: JudgedSelector) -> str:
    return "chance" if row.chance else "look" if row.uses_target else "rule"


def _mark(axes: Axes, row: JudgedSelector, place: float) -> None:
    figure, kind = row.figures["regret1"], _kind(row)
    value = 100 * (figure.value or 0.0)
    errors = (
        None
        if figure.low is None or figure.high is None
        else [[value - 100 * figure.low], [100 * figure.high - value]]
    )
    face = _COLOURS[kind] if row.tied else "white"
    axes.errorbar(
        [place],
        [value],
        errors,
        fmt=_MARKERS[kind],
        color=_COLOURS[kind],
        markerfacecolor=face,
        capsize=2,
        elinewidth=0.7,
    )


def _names(axes: Axes, rows: list[JudgedSelector], edge: float) -> None:
    """Names beside the marks, from the lowest up, pushed apart where marks of about the same cost
    lie close.
    """
    low, high = axes.get_ylim()
    step, taken = 0.032 * (high - low), list[tuple[float, float]]()
    for row in sorted(rows, key=lambda row: row.regret):
        place, height = row.share or edge, 100 * row.regret
        while any(abs(height - other) < step and 1 / 4 < place / at < 4 for at, other in taken):
            height += step / 4
        taken.append((place, height))
        axes.annotate(
            row.name,
            (place, 100 * row.regret),
            (place * 1.06, height),
            fontsize=8,
            color=_COLOURS[_kind(row)],
            verticalalignment="center",
        )


def _ticks(axes: Axes, edge: float, paid: list[float]) -> None:
    from math import floor, log10

    top = max([*paid, 20 * edge])
    places = [
        m * 10.0**e for e in range(floor(log10(edge)), floor(log10(top)) + 1) for m in (1, 2, 5)
    ]
    kept = [place for place in places if 3 * edge < place <= 1.5 * top]
    axes.set_xticks([edge, *kept], ["0", *(f"{100 * place:g}" for place in kept)])
    axes.minorticks_off()


def _legend(axes: Axes, rows: list[JudgedSelector]) -> None:
    from matplotlib.lines import Line2D

    kinds = [kind for kind in _NAMES if any(_kind(row) == kind for row in rows)]
    marks = [
        Line2D(
            [], [], linestyle="", marker=_MARKERS[kind], color=_COLOURS[kind], label=_NAMES[kind]
        )
        for kind in kinds
    ]
    axes.legend(handles=marks, loc="upper right")


def check_plot(path: Path) -> None:
    """Before any work: raises HeadwaterError without matplotlib, BadName for an ending that is no
    plot's.
    """
    check_matplotlib()
    if path.suffix.lower() not in ENDINGS:
        raise BadName(
            f"{path} is no plot", subject=str(path), hint=f"End it in one of {', '.join(ENDINGS)}."
        )


def save_plot(found: Judgement, path: Path) -> None:
    """Draw into one file, PNG, SVG or PDF by its ending; raises as ``check_plot`` does, and BadName
    for a place that cannot be written.
    """
    check_plot(path)
    from headwater.leaderboard.show.plots.plotting import styled

    with styled():
        figure = draw(found)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=150, metadata=_METADATA[path.suffix.lower()])
        except OSError as error:
            raise BadName(
                f"{path} cannot be written: {error.strerror}",
                subject=str(path),
                hint="Choose another file.",
            ) from None


_METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
"""Nothing that differs between two drawings of the same figure."""
