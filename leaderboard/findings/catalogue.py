"""The findings in order, and what a store's rows say of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.leaderboard.findings._base import Finding, FindingResult, FindingRows
from headwater.leaderboard.findings.anatomy import F10, F11, F12
from headwater.leaderboard.findings.convergence import F9
from headwater.leaderboard.findings.domains import F3, F4, F6
from headwater.leaderboard.findings.screening import F8
from headwater.leaderboard.findings.sources import F5, F7
from headwater.leaderboard.findings.transfer import F1, F2
from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.store.store import Store
from headwater.registry.errors import QueryError, UnknownName
from headwater.registry.names import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

FINDINGS: dict[str, Finding] = {
    finding.id: finding for finding in (F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11, F12)
}


def chosen(ids: Sequence[str]) -> list[Finding]:
    """The findings of these ids, all for none; raises UnknownName."""
    unknown = [name for name in ids if name.upper() not in FINDINGS]
    if unknown:
        hint = f"There are {', '.join(FINDINGS)}."
        raise UnknownName(
            f"no finding is called {unknown[0]!r}.{did_you_mean(unknown[0].upper(), FINDINGS)}",
            subject=unknown[0],
            hint=hint,
        )
    wanted = {name.upper() for name in ids} or set(FINDINGS)
    return [finding for name, finding in FINDINGS.items() if name in wanted]


def examine(
    store: Store, ids: Sequence[str] = (), wanted: Filter | None = None
) -> list[FindingResult]:
    """Return what the rows of a store say of findings.

    Raises UnknownName, QueryError where the filter leaves nothing, and what reading a store raises.
    F8 compares sizes, so that a filter on ``size`` does not apply to it.
    """
    findings = chosen(ids)
    evidence = gather(
        store, {view for finding in findings for view in finding.views}, wanted or Filter()
    )
    return [FindingResult(finding, tuple(finding.examine(evidence))) for finding in findings]


def gather(store: Store, views: set[str], wanted: Filter) -> FindingRows:
    """The rows of views that a filter keeps, always in the same order; raises QueryError where it
    leaves none of those there are.
    """
    names = sorted(views)
    frames = dict(zip(names, store.frames(*names), strict=True))
    kept = {view: _kept(rows, wanted) for view, rows in frames.items()}
    if all(rows.empty for rows in kept.values()) and not all(
        rows.empty for rows in frames.values()
    ):
        raise _nothing(store, frames.values(), wanted)
    return FindingRows(kept)


def _kept(rows: pd.DataFrame, wanted: Filter) -> pd.DataFrame:
    return (wanted if "size" in rows.columns else replace(wanted, size="")).keep(rows)


def _nothing(store: Store, frames: Iterable[pd.DataFrame], wanted: Filter) -> QueryError:
    """Return what was asked for, and what there is of it."""
    asked = {key: value for key, value in vars(wanted).items() if value}
    there: dict[str, list[str]] = {
        key: sorted({name for rows in frames for name in rows.get(key, ())}) for key in asked
    }
    near = "".join(
        did_you_mean(value, there[key]) for key, value in asked.items() if value not in there[key]
    )
    words = " ".join(f"--{key} {value}" for key, value in asked.items())
    hint = "; ".join(f"{key}: {', '.join(names[:12])}" for key, names in there.items())
    return QueryError(
        f"nothing that findings rest on in {store.path} matches {words}.{near}",
        subject=words,
        hint=f"There is {hint}.",
    )
