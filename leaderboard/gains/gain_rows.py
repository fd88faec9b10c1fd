"""The gains of a store that a filter keeps, and the cells that have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from headwater.leaderboard.gains.scale import gain_column
from headwater.leaderboard.store.store import Store
from headwater.registry.errors import QueryError
from headwater.registry.names import did_you_mean, glob_matches, split_list

if TYPE_CHECKING:
    import pandas as pd

Reference = Literal["scratch", "converged", "base"]
SCENARIOS = (
    *("within-domain", "including", "cross-domain", "multi-source", "small-target", "full-target"),
    *("cross-task-type", "larger-to-smaller", "smaller-to-larger"),
)
"""What a gain can be in, as the view ``scenarios`` names it, in the order in which people read
them.
"""


@dataclass(frozen=True)
class Filter:
    """Which cells count. Tasks and adaptations are names and globs; ``size`` is small (as the run
    means it), full or a number; ``domain`` the target's; ``scenario`` names scenarios, all of which
    must hold.
    """

    task: str = ""
    adaptation: str = ""
    size: str = ""
    domain: str = ""
    scenario: str = ""

    def keep(self, rows: pd.DataFrame) -> pd.DataFrame:
        for column, patterns in (("task", self.task), ("adaptation", self.adaptation)):
            if patterns:
                names = [
                    name
                    for pattern in split_list(patterns)
                    for name in glob_matches(rows[column].unique(), pattern)
                ]
                rows = rows[rows[column].isin(names)]
        if self.size:
            rows = rows[
                rows["small_target"].fillna(False).astype(bool)
                if self.size == "small"
                else rows["size"] == self.size
            ]
        if self.domain:
            rows = rows[rows["target_domain"] == self.domain]
        for scenario in split_list(self.scenario):
            rows = rows[
                rows["scenarios"].map(lambda names, wanted=scenario: wanted in names).astype(bool)
            ]
        return rows


def main_reference(store: Store, wanted: Filter) -> Reference:
    """Return the reference that says how good a source is: scratch trained until it has converged,
    where every gain that the filter keeps has one; else scratch at equal budget.
    """
    converged = len(wanted.keep(read(store, "converged")[0]))
    at_budget = len(wanted.keep(read(store, "scratch")[0]))
    return "converged" if converged and converged >= at_budget else "scratch"


def measured(
    store: Store, wanted: Filter, reference: Reference
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The gains over a reference that a filter keeps, and the cells that have none; raises
    QueryError where it keeps no gain.
    """
    gains, absent = read(store, reference)
    kept = wanted.keep(gains)
    if kept.empty:
        raise _nothing(store, gains, absent, wanted, reference)
    if kept[gain_column(kept)].isna().all():
        raise QueryError(
            "the targets have unlike metrics or units, and none of them has a scale",
            subject=str(store.path),
            hint="Look at one of them (--task NAME), or at what scales lack: "
            'headwater query "FROM scales".',
        )
    return kept, wanted.keep(absent)


def read(store: Store, reference: Reference) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All gains over a reference, and the cells that have none."""
    gains, absent = store.frames("placed_gains", "cells_without_gain", reference=reference)
    return gains, absent


def _nothing(
    store: Store, gains: pd.DataFrame, absent: pd.DataFrame, wanted: Filter, reference: Reference
) -> QueryError:
    if gains.empty:
        why = absent["why"].value_counts()
        counts = f"{why.get('failed', 0)} cells failed, {why.get('unpaired', 0)} lack a reference"
        hint = "See headwater status; a benchmark measures its references unless its spec says references = []."
        if imported := store.result("imported_cells").rows[0][0]:
            counts += f", {imported} are of published tables and have none"
            hint = (
                "Published tables are for judging selectors: headwater leaderboard --selectors. "
                + hint
            )
        return QueryError(
            f"{store.path} holds no gain over {reference} yet: {counts}",
            subject=str(store.path),
            hint=hint,
        )
    asked = {key: value for key, value in vars(wanted).items() if value}
    words = " ".join(f"--{key} {value}" for key, value in asked.items())
    columns = {
        "task": "task",
        "adaptation": "adaptation",
        "size": "size",
        "domain": "target_domain",
        "scenario": "scenarios",
    }
    there = {key: sorted(gains[columns[key]].explode().dropna().unique()) for key in asked}
    names = [(key, name) for key, value in asked.items() for name in split_list(value)]
    known = there | {"scenario": list(SCENARIOS)}
    near = "".join(did_you_mean(name, known[key]) for key, name in names if name not in known[key])
    hint = "; ".join(f"{key}: {_listed(names)}" for key, names in there.items())
    return QueryError(
        f"no cell of {store.path} matches {words}.{near}", subject=words, hint=f"There is {hint}."
    )


def _listed(names: Sequence[str], most: int = 12) -> str:
    return (", ".join(names[:most]) or "none") + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )
