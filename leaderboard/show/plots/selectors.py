"""Plot selectors: regret against cost, each with its interval; the lower left is the best place."""

from __future__ import annotations

from collections.abc import Sequence
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
    "What each selector's first choice loses on the best source, and what it cost to ask it, as a "
    "share of fine-tuning every source once. At the left edge stand the rules that cost nothing: "
    "what costs more has to be lower than they are. Whiskers are 95 % intervals; filled marks "
    "cannot be told from the best."
)
ENDINGS = (".png", ".svg", ".pdf")
"""File endings that a plot may have."""

_COLOURS = {"rule": "#D55E00", "look": "#0072B2", "chance": "#666666"}
_MARKERS = {"rule": "s", "look": "o", "chance": "X"}
_NAMES = {"rule": "metadata and records", "look": "looks at the target", "chance": "chance"}
_EDGE_SHARE = 0.2
"""Where rules that cost nothing stand: this share of the cheapest of the others."""

_SPREAD_DECADES = 0.25
"""Powers of ten over which they spread there, so that their whiskers are told apart."""

_CHEAPEST_IF_FREE = 0.01
"""The share of the full cost that stands for the cheapest where no selector costs anything."""

_LABEL_HEIGHT = 0.032
"""Height of a name, as a share of the y-axis."""


def draw(found: Judgement) -> Figure:
    """Draw the selectors that have a regret and a cost.

    Raises:
        HeadwaterError: There is none.
    """
    from headwater.leaderboard.show.plots.plotting import panels

    rows = [row for row in found.rows if _is_drawn(row)]
    if not rows:
        raise HeadwaterError(
            "there is nothing to plot: of no selector are both regret and cost known",
            hint="Imported scores have no cost.",
        )
    figure, (axes,) = panels(size=(8.0, 5.2))
    paid = [row.share for row in rows if row.share]
    # A logarithmic axis has no 0: what costs nothing stands left of all that costs something.
    edge = _EDGE_SHARE * min(paid, default=_CHEAPEST_IF_FREE)
    places = _places(rows, edge)
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


def _is_drawn(row: JudgedSelector) -> bool:
    has_regret = row.figures["regret1"].value is not None
    return bool(row.targets) and has_regret and row.share is not None


def _places(rows: Sequence[JudgedSelector], edge: float) -> dict[str, float]:
    """Return the place on x of each selector; those that cost nothing spread left of the edge."""
    places = {row.name: row.share or edge for row in rows}
    free = [row.name for row in rows if not row.share]
    for number, name in enumerate(free):
        decades = _SPREAD_DECADES * number / len(free)
        places[name] = edge * 10**-decades
    return places


def _kind(row: JudgedSelector) -> str:
    if row.chance:
        return "chance"
    return "look" if row.uses_target else "rule"


def _mark(axes: Axes, row: JudgedSelector, place: float) -> None:
    """Draw a selector's regret with its interval."""
    kind = _kind(row)
    figure = row.figures["regret1"]
    value = 100 * (figure.value or 0.0)
    errors = None
    if figure.low is not None and figure.high is not None:
        errors = [[value - 100 * figure.low], [100 * figure.high - value]]
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
    """Write names beside the marks, from the lowest up, pushed apart where marks of about the same
    cost lie close.
    """
    low, high = axes.get_ylim()
    step = _LABEL_HEIGHT * (high - low)
    taken: list[tuple[float, float]] = []
    for row in sorted(rows, key=_by_regret):
        place = row.share or edge
        mark_height = 100 * row.regret
        height = _free_height(place, mark_height, taken, step)
        taken.append((place, height))
        axes.annotate(
            row.name,
            (place, mark_height),
            (place * 1.06, height),
            fontsize=8,
            color=_COLOURS[_kind(row)],
            verticalalignment="center",
        )


def _by_regret(row: JudgedSelector) -> float:
    return row.regret


def _free_height(
    place: float, height: float, taken: Sequence[tuple[float, float]], step: float
) -> float:
    """Return the lowest height from here up at which a name touches none that is written."""
    # A name is about as wide as a factor of four on x.
    beside = [other_height for other, other_height in taken if 1 / 4 < place / other < 4]
    while any(abs(height - other_height) < step for other_height in beside):
        height += step / 4
    return height


def _ticks(axes: Axes, edge: float, paid: list[float]) -> None:
    """Write ticks at 1, 2 and 5 times powers of ten, and 0 at the edge."""
    from math import floor, log10

    top = max([*paid, 20 * edge])
    decades = range(floor(log10(edge)), floor(log10(top)) + 1)
    places = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    shown = [place for place in places if 3 * edge < place <= 1.5 * top]
    labels = [f"{100 * place:g}" for place in shown]
    axes.set_xticks([edge, *shown], ["0", *labels])
    axes.minorticks_off()


def _legend(axes: Axes, rows: list[JudgedSelector]) -> None:
    from matplotlib.lines import Line2D

    drawn_kinds = {_kind(row) for row in rows}
    marks = []
    for kind, name in _NAMES.items():
        if kind in drawn_kinds:
            marker, colour = _MARKERS[kind], _COLOURS[kind]
            marks.append(Line2D([], [], linestyle="", marker=marker, color=colour, label=name))
    axes.legend(handles=marks, loc="upper right")


def check_plot(path: Path) -> None:
    """Check, before any work, that a plot can be drawn into a file.

    Raises:
        HeadwaterError: matplotlib is missing.
        BadName: The file's ending is no plot's.
    """
    check_matplotlib()
    if path.suffix.lower() not in ENDINGS:
        raise BadName(
            f"{path} is no plot", subject=str(path), hint=f"End it in one of {', '.join(ENDINGS)}."
        )


def save_plot(found: Judgement, path: Path) -> None:
    """Draw into one file, PNG, SVG or PDF by its ending.

    Raises:
        HeadwaterError: matplotlib is missing, or there is nothing to draw.
        BadName: The file's ending is no plot's, or it cannot be written.
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
