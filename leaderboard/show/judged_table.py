"""JudgedSelector selectors as people read them: regret against cost, with what the measurements cannot tell."""

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
from headwater.leaderboard.statistics.bootstrap import LEVEL

GOAL, GOAL_SHARE = 0.01, 0.1
"""What a selector should reach: regret@1 of at most 1 % at a tenth of the cost of fine-tuning everything."""

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
"""Of each statistic, its heading and how soon a narrow terminal leaves it out."""


def judged_table(found: Judgement) -> Table:
    """A row a selector, by regret@1; ``=`` marks those that cannot be told from the best."""
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
    figures = [cell for key in _HEADINGS for cell in (row.figures[key], *_parts(row.figures[key]))]
    stable = dict(row.stability)
    tail = [
        row.uses_target,
        *_parts(row.behind or Bounded(None)),
        dict(row.refused),
        row.regret_by_target,
    ]
    return [
        row.tied,
        row.name,
        *figures,
        row.share,
        row.seconds,
        stable,
        stable,
        row.targets,
        row.unscored,
        *tail,
    ]


def _parts(figure: Bounded) -> tuple[float | None, float | None, float | None]:
    return figure.value, figure.low, figure.high


def _interval(figure: Bounded) -> str:
    if figure.value is None:
        return "–"
    return (
        f"{figure.value:.3f}"
        if figure.low is None
        else f"{figure.value:.3f} [{figure.low:.2f}, {figure.high:.2f}]"
    )


def _percents(figure: Bounded) -> str:
    if figure.value is None:
        return "–"
    value = f"{100 * figure.value:.1f}"
    return (
        value
        if figure.low is None or figure.high is None
        else f"{value} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
    )


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.1f}" if share else "0"


def _seconds(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:.1f}" if seconds else "0"


def _mean_shown(by_component: Mapping[str, float]) -> str:
    return f"{sum(by_component.values()) / len(by_component):.2f}" if by_component else "–"


# -- what to know of it -----------------------------------------------------------------------------------


def _title(found: Judgement) -> str:
    cells = sum(setting.quality.size for setting in found.settings)
    targets, most = len(found.targets), max(len(setting.sources) for setting in found.settings)
    return f"selectors · judged by {cells} cells of {found.adaptation} on {_count(targets, 'target')}, up to {most} sources each"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _notes(found: Judgement) -> Iterator[str]:
    yield (
        f"[…] {LEVEL:.0%} intervals from resampling {_units(found)}, sources and seeds; = cannot be told from {_best(found)} by regret@1; "
        "ties are left to chance"
    )
    if any(row.share is None for row in found.rows if row.targets):
        yield "cost ?: the store does not know what it took, as of imported scores"
    else:
        yield f"cost: of fine-tuning every source once; 0: from metadata and records alone. A search may spend {found.budget:.0%}"
    yield from _against_static(found)
    yield from _left_out(found)
    yield from _refusals(found)
    if found.order_stability:
        parts = ", ".join(f"{key} {tau:.2f}" for key, tau in found.order_stability.items())
        yield f"stable: mean τ_b of a selector's rankings where one component differs. The order of the selectors themselves: {parts}"


def _units(found: Judgement) -> str:
    return "targets" if len(found.targets) > 1 else "(one target only)"


def _best(found: Judgement) -> str:
    if found.best is None or found.best is found.rows[0]:
        return "the best"
    return f"{found.best.name}, the best of those that answered for {_count(found.best.targets, 'target')},"


def _against_static(found: Judgement) -> Iterator[str]:
    """Whether what looks at the target beats the best rule that does not, and whether the goal is met."""
    static, looking = found.best_static, found.best_looking
    if static and looking:
        gap = regret_difference(looking, static, found.resampling)
        told = gap.low is not None and gap.high is not None and (gap.low > 0 or gap.high < 0)
        both = f"{looking.name}, the best that looks at the target, against {static.name}, the best that does not"
        yield f"{both}: regret@1 {_points(gap)} points{'' if told else ', cannot be told apart'}"
    cheap = [
        row
        for row in found.rows
        if row.targets and row.share is not None and row.share <= GOAL_SHARE
    ]
    met = [row.name for row in cheap if row.regret <= GOAL]
    if cheap:
        yield f"regret@1 of at most {GOAL:.0%} at no more than {GOAL_SHARE:.0%} of the cost: {', '.join(met) or 'none'}"
    if found.noise is not None:
        yield f"noise: the source that the test values of one seed put first is {100 * found.noise:.1f} % behind the best by the others"


def _points(gap: Bounded) -> str:
    if gap.value is None:
        return "unknown"
    around = (
        ""
        if gap.low is None or gap.high is None
        else f" [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    )
    return f"{100 * gap.value:+.1f}{around}"


def _left_out(found: Judgement) -> Iterator[str]:
    lacking = {
        setting.task: len(setting.left_out) for setting in found.settings if setting.left_out
    }
    if lacking:
        names = shortened_tasks(list(lacking))
        parts = ", ".join(f"{names[task]} {count}" for task, count in list(lacking.items())[:4])
        yield f"sources without every seed are left out of a target: {parts}{' …' if len(lacking) > 4 else ''}"
    if found.too_few:
        yield f"{found.too_few} protocols have fewer than {MIN_SOURCES} sources and tell nothing"


def _refusals(found: Judgement) -> Iterator[str]:
    alike: dict[str, list[str]] = {}
    for row in found.rows:
        if row.refused and row.targets:
            reason = next(iter(row.refused.values())).removeprefix(f"{row.name} ")
            alike.setdefault(f"{_unanswered(row)} ({reason})", []).append(row.name)
    for what, names in alike.items():
        yield f"{', '.join(names)}: no answer for {what}"
    silent = [row for row in found.rows if not row.targets]
    reasons: dict[str, list[str]] = {}
    for row in silent:
        reason = next(iter(row.refused.values()), "").removeprefix(f"{row.name} ")
        reasons.setdefault(reason, []).append(row.name)
    for reason, names in reasons.items():
        yield f"not judged: {', '.join(names)} ({reason})"


def _unanswered(row: JudgedSelector) -> str:
    """Targets without an answer, and those that were answered for in some sizes or protocols only."""
    partly = sum(task in row.by_task for task in row.refused)
    wholly = len(row.refused) - partly
    parts = [_count(wholly, "target")] if wholly else []
    return " and ".join(
        [*parts, *([f"some sizes or protocols of {_count(partly, 'target')}"] if partly else [])]
    )
