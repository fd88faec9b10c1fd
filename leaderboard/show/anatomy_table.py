"""The anatomy as tables: for people one an analysis, networks side by side; for programs one row a reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.leaderboard.anatomy.readings import PAIRS, AnatomyReadings
from headwater.leaderboard.show.short_names import shortened
from headwater.leaderboard.show.tables import Column, Table
from headwater.registry import directed

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = {
    ("block_shuffle", "metric"): ("block (px)", "block shuffle: test {directed}"),
    ("block_shuffle", "relative_drop"): ("block (px)", "block shuffle: relative drop (%)"),
    ("convergence", "validation"): ("epoch", "convergence: validation {directed}"),
    ("similarity", "cka"): ("stage", "similarity: linear CKA"),
    ("distance", "l2"): ("module", "distance of parameters (l2)"),
    ("barrier", "barrier"): ("", "height of the barrier ({metric})"),
    ("criticality", "drop"): ("module", "criticality: drop of {metric}"),
    ("mistakes", "share"): ("images", "mistakes: share of test images"),
    ("mistakes", "ambiguity"): ("images", "mistakes: ambiguity (nats)"),
    ("mistakes", "kappa"): ("", "mistakes: kappa"),
}
"""What a person is shown of each analysis: what its rows are, and its title. Paths are for the plots."""
_MOST = 8
"""Longer curves are shown at their ends and quarters."""


def readings_table(found: Sequence[AnatomyReadings]) -> Table:
    """Every reading with its mean, interval and counts."""
    columns = [
        *(
            "source",
            "adaptation",
            "size",
            "metric",
            "analysis",
            "subject",
            "quantity",
            "module",
            "x",
            "mean",
            "low",
            "high",
        )
    ]
    rows = [
        [one.source, one.adaptation, one.size, one.metric, *(_value(value) for value in line)]
        for one in found
        for line in one.lines.itertuples(index=False)
    ]
    return Table("anatomy", [*columns, "tasks", "seeds"], rows)


def summary_tables(one: AnatomyReadings) -> list[Table]:
    """A table for each analysis, networks side by side: ± is half of a 95 % interval."""
    tables = [
        _side_by_side(
            lines, of, title.format(metric=one.metric, directed=directed(one.metric, one.sign))
        )
        for (analysis, quantity), (of, title) in _SHOWN.items()
        if len(lines := one.of(analysis, quantity))
    ]
    if tables:
        tables[-1].notes += _notes(one)
    return tables


def heading(one: AnatomyReadings) -> str:
    """What the readings are of: ``chain(…→letters) · fine_tune · size full · 1 task · 3 seeds``."""
    tasks, seeds = one.rows["task"].nunique(), one.rows["seed"].nunique()
    counts = f"{tasks} task{'s' * (tasks > 1)} · {seeds} seed{'s' * (seeds > 1)}"
    return f"{shortened([one.source])[one.source]} · {one.adaptation} · size {one.size} · {counts}"


def _side_by_side(lines: pd.DataFrame, of: str, title: str) -> Table:
    subjects = [
        subject for subject in (*("P-T", "RI-T"), *PAIRS) if subject in set(lines["subject"])
    ]
    digits = 3 if lines["mean"].abs().max() < 10 else 1
    cells = {(_place(line), line.subject): _mean(line, digits) for line in lines.itertuples()}
    places = (
        _few(list(dict.fromkeys(place for place, _ in cells)))
        if of == "epoch"
        else dict.fromkeys(place for place, _ in cells)
    )
    columns = (
        [Column(of, rank=0), *(Column(subject, rank=0) for subject in subjects)]
        if of
        else [Column(s, rank=0) for s in subjects]
    )
    rows = [
        [*([place] if of else []), *(cells.get((place, subject), "") for subject in subjects)]
        for place in places
    ]
    return Table(title, columns, rows)


def _few(places: list[str]) -> list[str]:
    if len(places) <= _MOST:
        return places
    return [
        places[index] for index in np.unique(np.linspace(0, len(places) - 1, 5).round().astype(int))
    ]


def _place(line: Any) -> str:
    return line.module or ("whole" if np.isnan(line.x) else f"{line.x:g}")


def _mean(line: Any, digits: int) -> str:
    half = (line.high - line.low) / 2
    return f"{line.mean:.{digits}f}" + ("" if np.isnan(half) else f" ± {half:.{digits}f}")


def _notes(one: AnatomyReadings) -> Iterator[str]:
    if (protocols := int(one.rows.groupby("task")["protocol"].nunique().max())) > 1:
        yield f"{protocols} protocols of one task are mixed: other budgets, image sizes or data are averaged here"
    if one.rows["seed"].nunique() < 2 and one.rows["task"].nunique() < 2:
        yield "one task and one seed: no interval, and no pair of two seeds (headwater analyse … --seeds 3)"
    elif one.lines["low"].isna().any():
        yield "where there is no ±, only one cell or one pair of seeds was read"


def _value(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain
