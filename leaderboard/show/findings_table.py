"""Findings as people read them: one line a claim, or one finding in full."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from headwater.leaderboard.findings._base import FindingPart, FindingResult
from headwater.leaderboard.show.short_names import shortened_tasks
from headwater.leaderboard.show.tables import Column, Table
from headwater.leaderboard.statistics.board import CONFIDENCE, MIN_FAMILIES

_DATA = (
    "meaning",
    "value",
    "low",
    "high",
    "unit",
    "published",
    "targets",
    "families",
    "cells",
    "smallest_effect",
    "missing",
    "decides",
    "finding_verdict",
    "view",
)
"""What programs get besides the claim and its verdict."""

_HEADING = 22
"""Characters a line of a heading has before it is folded."""
_UNITS = {"epochs": " epochs", "s": " s", "nats": " nats"}


def findings_table(answers: Sequence[FindingResult], *, full: bool = False) -> Table:
    """Return one line for each claim that has a verdict; ``full``: for what only informs too. What
    is missing stands in the notes.
    """
    columns = [
        Column("id", rank=0, only="data"),
        Column("id", rank=0, only="text"),
        Column("claim", rank=0),
        Column("verdict", rank=0),
        Column("statistic", f"statistic [{CONFIDENCE:.0%}]", rank=0, only="text"),
        Column("targets", "targets\n/ cells", rank=0, only="text"),
        *(Column(name, only="data") for name in _DATA),
    ]
    lines = [
        _line(answer, part, first=place == 0)
        for answer in answers
        for place, part in enumerate(_shown(answer, full))
    ]
    return Table("", columns, lines, list(_notes(answers)))


def _shown(answer: FindingResult, full: bool) -> list[FindingPart]:
    return [part for part in answer.parts if full or part.verdict is not None]


def _line(answer: FindingResult, part: FindingPart, *, first: bool) -> list[object]:
    finding = answer.finding
    numbers = [
        part.value,
        part.low,
        part.high,
        part.unit,
        part.published,
        part.targets,
        part.families,
        part.cells,
        part.smallest_effect,
        part.missing,
    ]
    head = [
        finding.id,
        finding.id if first else "",
        part.claim,
        part.verdict.value if part.verdict else None,
        _statistic(part),
    ]
    counts = f"{part.targets} / {part.cells}" if part.cells else ""
    return [
        *head,
        counts,
        part.meaning,
        *numbers,
        part.decides,
        answer.verdict.value,
        finding.views[0],
    ]


def _statistic(part: FindingPart) -> str:
    """The value with its interval and, on the next line, what it is a value of."""
    published = "" if part.published is None else f" (published: {_percent(part.published)})"
    seen = f"; sees {_effect_text(part)}" if part.decides and part.smallest_effect else ""
    return f"{interval_text(part)}\n{part.meaning}{published}{seen}".lstrip("\n")


def _effect_text(part: FindingPart) -> str:
    """``±0.031``: the smallest distance from the null that would have been seen with 80 %."""
    effect = part.smallest_effect or 0.0
    if part.unit == "share":
        return f"±{_percent(effect)}"
    digits = 2 if part.unit in ("epochs", "s") else 3
    return f"±{effect:.{digits}f}{_UNITS.get(part.unit, '')}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def interval_text(part: FindingPart) -> str:
    """``+0.12 [+0.07, +0.17]``, ``83 % [52, 98]`` for shares; without bounds where there are none."""
    if part.value is None:
        return ""
    if part.unit == "share":
        bounds = (
            ""
            if part.low is None or part.high is None
            else f" [{100 * part.low:.0f}, {100 * part.high:.0f}]"
        )
        return _percent(part.value) + bounds
    form = "+.2f" if part.unit in ("epochs", "s") else "+.3f"
    bounds = (
        "" if part.low is None or part.high is None else f" [{part.low:{form}}, {part.high:{form}}]"
    )
    return f"{part.value:{form}}{_UNITS.get(part.unit, '')}{bounds}".replace("-", "−")


def _notes(answers: Sequence[FindingResult]) -> Iterator[str]:
    for answer in answers:
        texts = dict.fromkeys(part.missing for part in answer.parts if part.missing)
        for text in texts:
            yield f"{answer.finding.id}: {text}"


def explanation(answer: FindingResult, width: int = 100) -> str:
    """A finding in words: its claim, source, definition and rule, its verdict, and where its rows
    are.
    """
    finding = answer.finding
    lines = [
        ("claim", finding.claim),
        ("paper", finding.paper),
        ("measured", finding.definition),
        ("rule", f"{finding.rule}; at least {MIN_FAMILIES} families of targets"),
        ("verdict", answer.verdict.value),
        *(
            ("rows" if place == 0 else "", f'headwater query "FROM {view}"')
            for place, view in enumerate(finding.views)
        ),
    ]
    return "\n".join(
        textwrap.fill(
            text,
            width,
            initial_indent=f"{finding.id if place == 0 else '':<5}{label:<10}",
            subsequent_indent=" " * 15,
        )
        for place, (label, text) in enumerate(lines)
    )


def targets_table(answer: FindingResult) -> Table:
    """The value of each deciding part in each target."""
    parts = [part for part in answer.parts if part.by_target]
    tasks = sorted({task for part in parts for task in part.by_target})
    names = shortened_tasks(tasks)
    columns = [
        Column("target", rank=0),
        *(
            Column(part.meaning, textwrap.fill(part.meaning, _HEADING), "+.3f", rank=place)
            for place, part in enumerate(parts)
        ),
    ]
    return Table(
        "",
        columns,
        [[names[task], *(part.by_target.get(task) for part in parts)] for task in tasks],
    )
