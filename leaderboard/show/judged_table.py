"""Show judged selectors as a table: regret against cost, with notes on what the measurements cannot
tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headwater.leaderboard.selectors.judging import (
    MIN_SOURCES,
    Bounded,
    JudgedSelector,
    Judgement,
    regret_difference,
)
from headwater.leaderboard.show.short_names import shortened_tasks
from headwater.leaderboard.show.tables import Column, Table
from headwater.leaderboard.statistics.board import CONFIDENCE

GOAL = 0.01
"""The regret@1 that a selector should reach."""

GOAL_SHARE = 0.1
"""The share of the cost of fine-tuning everything at which it should."""

MAX_TARGETS = 4
"""Targets that a note names one by one."""

_HEADINGS = {
    "regret1": ("regret@1 (%)", 0),
    "regret3": ("regret@3 (%)", 4),
    "rel1": ("Rel@1", 2),
    "rel3": ("Rel@3", 9),
    "weighted_tau": ("τ_w", 1),
    "kendall": ("τ_b", 5),
    "spearman": ("Spearman", 6),
    "pearson": ("Pearson", 7),
    "recall3": ("recall@3", 8),
}
"""By statistic: its heading, and its rank among what a narrow terminal leaves out."""


def judged_table(found: Judgement) -> Table:
    """Build the table: a row a selector, by regret@1. ``=`` marks those that cannot be told from
    the best.
    """
    columns = [
        Column("tied", " ", lambda tied: "=" if tied else "", rank=0),
        Column("selector", rank=0),
        *(column for key in _HEADINGS for column in _columns_of(key)),
        Column("share", "cost (%)", _percent, rank=0),
        Column("seconds", "cost (s)", _seconds, rank=3),
        Column("stability", "stable", _mean_shown, rank=1, only="text"),
        Column("stability_by", only="data"),
        Column("targets", rank=2),
        Column("unscored", rank=3),
        Column("looks_at_target", only="data"),
        Column("behind", only="data"),
        Column("behind_low", only="data"),
        Column("behind_high", only="data"),
        Column("refused", only="data"),
        Column("regret1_by_target", only="data"),
    ]
    rows = [row for row in found.rows if row.targets]
    return Table(_title(found), columns, [_line(row) for row in rows], list(_notes(found)))


def _columns_of(key: str) -> Iterator[Column]:
    heading, rank = _HEADINGS[key]
    yield Column(
        key, heading, _percents if key.startswith("regret") else _interval, rank=rank, only="text"
    )
    yield Column(key, only="data")
    yield Column(f"{key}_low", only="data")
    yield Column(f"{key}_high", only="data")


def _line(row: JudgedSelector) -> list[Any]:
    """Return a selector's values, in the order of the columns."""
    values: list[Any] = [row.tied, row.name]
    for key in _HEADINGS:
        values += [row.figures[key], *_parts(row.figures[key])]
    stability = dict(row.stability)
    values += [row.share, row.seconds, stability, stability, row.targets, row.unscored]
    values += [row.uses_target, *_parts(row.behind or Bounded(None))]
    values += [dict(row.refused), row.regret_by_target]
    return values


def _parts(figure: Bounded) -> tuple[float | None, float | None, float | None]:
    return figure.value, figure.low, figure.high


def _interval(figure: Bounded) -> str:
    if figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.2f}, {figure.high:.2f}]"


def _percents(figure: Bounded) -> str:
    if figure.value is None:
        return "–"
    value = f"{100 * figure.value:.1f}"
    if figure.low is None or figure.high is None:
        return value
    return f"{value} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _percent(share: float | None) -> str:
    if share is None:
        return "?"
    return f"{100 * share:.1f}" if share else "0"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds:.1f}" if seconds else "0"


def _mean_shown(by_component: Mapping[str, float]) -> str:
    if not by_component:
        return "–"
    return f"{sum(by_component.values()) / len(by_component):.2f}"


# -- notes -----------------------------------------------------------------------------------------


def _title(found: Judgement) -> str:
    cells = sum(setting.quality.size for setting in found.settings)
    targets = _count(len(found.targets), "target")
    sources = max(len(setting.sources) for setting in found.settings)
    return (
        f"selectors · judged by {cells} cells of {found.adaptation} on {targets}, "
        f"up to {sources} sources each"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _notes(found: Judgement) -> Iterator[str]:
    units = "targets" if len(found.targets) > 1 else "(one target only)"
    yield (
        f"[…] {CONFIDENCE:.0%} intervals from resampling {units}, sources and seeds; "
        f"= cannot be told from {_best(found)} by regret@1; ties are left to chance"
    )
    if any(row.share is None for row in found.rows if row.targets):
        yield "cost ?: the store does not know what it took, as of imported scores"
    else:
        yield (
            "cost: of fine-tuning every source once; 0: from metadata and records alone. "
            f"A search may spend {found.budget:.0%}"
        )
    yield from _against_static(found)
    yield from _goal(found)
    yield from _left_out(found)
    yield from _refusals(found)
    if found.order_stability:
        parts = ", ".join(f"{key} {tau:.2f}" for key, tau in found.order_stability.items())
        yield (
            "stable: mean τ_b of a selector's rankings where one component differs. "
            f"The order of the selectors themselves: {parts}"
        )


def _best(found: Judgement) -> str:
    if found.best is None or found.best is found.rows[0]:
        return "the best"
    targets = _count(found.best.targets, "target")
    return f"{found.best.name}, the best of those that answered for {targets},"


def _against_static(found: Judgement) -> Iterator[str]:
    """Say whether what looks at the target beats the best rule that does not."""
    static = found.best_static
    looking = found.best_looking
    if not static or not looking:
        return
    gap = regret_difference(looking, static, found.resampling)
    doubt = "" if gap.excludes_zero else ", cannot be told apart"
    yield (
        f"{looking.name}, the best that looks at the target, against {static.name}, the best that "
        f"does not: regret@1 {_points(gap)} points{doubt}"
    )


def _goal(found: Judgement) -> Iterator[str]:
    """Say which selectors meet the goal, and what no choice by one training can better."""
    cheap = [
        row
        for row in found.rows
        if row.targets and row.share is not None and row.share <= GOAL_SHARE
    ]
    if cheap:
        met = ", ".join(row.name for row in cheap if row.regret <= GOAL) or "none"
        yield f"regret@1 of at most {GOAL:.0%} at no more than {GOAL_SHARE:.0%} of the cost: {met}"
    if found.noise is not None:
        yield (
            "noise: the source that the test values of one seed put first is "
            f"{100 * found.noise:.1f} % behind the best by the others"
        )


def _points(gap: Bounded) -> str:
    if gap.value is None:
        return "unknown"
    value = f"{100 * gap.value:+.1f}"
    if gap.low is None or gap.high is None:
        return value
    return f"{value} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def _left_out(found: Judgement) -> Iterator[str]:
    """Say which sources, and how many settings, were left out."""
    lacking = {
        setting.task: len(setting.left_out) for setting in found.settings if setting.left_out
    }
    if lacking:
        names = shortened_tasks(list(lacking))
        counts = [f"{names[task]} {count}" for task, count in lacking.items()]
        more = " …" if len(counts) > MAX_TARGETS else ""
        shown = ", ".join(counts[:MAX_TARGETS])
        yield f"sources without every seed are left out of a target: {shown}{more}"
    if found.too_few:
        yield f"{found.too_few} protocols have fewer than {MIN_SOURCES} sources and tell nothing"


def _refusals(found: Judgement) -> Iterator[str]:
    """Say what selectors had no answer for, and why.

    Estimators that the store has no scores by are many where scores were imported: they share a
    note. Any other reason is a selector's own, in its words.
    """
    lacking: dict[str, list[str]] = {}
    for row in found.rows:
        if not row.refused:
            continue
        unanswered = _unanswered(row) if row.targets else ""
        if row.lacks_estimates:
            lacking.setdefault(unanswered, []).append(row.name)
        else:
            reason = next(iter(row.refused.values()))
            yield _refusal(row.name, unanswered, reason)
    for unanswered, names in lacking.items():
        yield _refusal(", ".join(names), unanswered, "no scores of these sources are stored")


def _refusal(names: str, unanswered: str, reason: str) -> str:
    if unanswered:
        return f"{names}: no answer for {unanswered} ({reason})"
    return f"not judged: {names} ({reason})"


def _unanswered(row: JudgedSelector) -> str:
    """Count the targets without an answer, and those answered for in some sizes or protocols only."""
    partly = sum(task in row.by_task for task in row.refused)
    wholly = len(row.refused) - partly
    parts = []
    if wholly:
        parts.append(_count(wholly, "target"))
    if partly:
        parts.append(f"some sizes or protocols of {_count(partly, 'target')}")
    return " and ".join(parts)
