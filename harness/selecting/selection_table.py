"""The answer as people read it: a table, and what it can and cannot tell in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from headwater.harness.running.progress import duration
from headwater.harness.selecting.prediction import Predicted
from headwater.harness.selecting.rungs import Rung
from headwater.harness.selecting.select import Candidate, Selection
from headwater.leaderboard.show.short_names import shortened
from headwater.leaderboard.show.tables import Column, Table
from headwater.leaderboard.statistics.bootstrap import LEVEL
from headwater.registry import directed

NAMED = 3
"""Sources named one by one before the others are counted."""


def selection_table(selection: Selection) -> Table:
    """Return one row a source, best first."""
    names = shortened([candidate.source.name for candidate in selection.candidates])
    columns = [
        Column("rank", show=_span, rank=0, only="text"),
        Column("rank_best", only="data"),
        Column("rank_worst", only="data"),
        Column("source", show=lambda name: names.get(name, name), rank=0),
        Column(
            "predicted",
            f"predicted {directed(selection.metric, selection.sign)}",
            _interval,
            rank=0,
            only="text",
        ),
        Column("predicted", only="data"),
        Column("low", only="data"),
        Column("high", only="data"),
        Column(
            "measured_on", "read from", lambda found: _basis(found, selection), rank=1, only="text"
        ),
        Column("images", only="data"),
        Column("epochs", only="data"),
        Column("estimator", only="data"),
        Column("fine_tune", "fine-tune", _seconds, rank=1, only="text"),
        Column("fine_tune_seconds", only="data"),
        Column("fine_tune_measured", only="data"),
        Column(
            "images_per_second",
            "serves, img/s",
            lambda speed: f"≥ {speed:,.0f}" if speed else "",
            rank=3,
        ),
        Column(
            "parameters", "params", lambda count: f"{count / 1e6:.1f} M" if count else "", rank=2
        ),
        Column("licence", rank=2),
        Column("score", only="data"),
    ]
    return Table(
        _title(selection),
        columns,
        [_row(candidate, selection.sign) for candidate in selection.candidates],
    )


def _row(candidate: Candidate, sign: int) -> list[Any]:
    found, source = candidate.predicted, candidate.source
    values = in_metric(found, sign)
    rung = (found.rung.images, found.rung.epochs) if found.rung else (None, None)
    cost = (candidate.seconds, candidate.measured)
    licence = source.licence or ""
    head = [
        candidate.ranks,
        *candidate.ranks,
        source.name,
        values,
        *values,
        found,
        *rung,
        found.estimator or None,
        cost,
        *cost,
    ]
    return [*head, candidate.speed, source.parameters, licence, candidate.score]


def in_metric(found: Predicted, sign: int) -> tuple[float | None, float | None, float | None]:
    """The predicted value and its bounds as the metric has them, which may be lower for better."""
    if found.quality is None or found.low is None or found.high is None:
        return (None if found.quality is None else sign * found.quality), None, None
    low, high = sorted((sign * found.low, sign * found.high))
    return sign * found.quality, low, high


def _title(selection: Selection) -> str:
    return f"which source for {selection.task.partition('[')[0]}, by {selection.selector}"


def _span(ranks: tuple[int, int]) -> str:
    return str(ranks[0]) if ranks[0] == ranks[1] else f"{ranks[0]}–{ranks[1]}"


def _interval(values: tuple[float | None, float | None, float | None]) -> str:
    value, low, high = values
    if value is None:
        return "not measured"
    return f"{value:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def _basis(found: Predicted, selection: Selection) -> str:
    if found.rung:
        return _on(found.rung, selection)
    return f"its {found.estimator}" if found.estimator else ""


def _on(rung: Rung, selection: Selection) -> str:
    images = f"all {rung.images:,}" if rung.images == selection.images else f"{rung.images:,}"
    return f"{images}{_briefly(rung, selection)}"


def _briefly(rung: Rung, selection: Selection) -> str:
    """Its epochs, where it was trained for fewer than all."""
    return (
        ""
        if rung.epochs == selection.epochs
        else f" × {rung.epochs} epoch{'s' * (rung.epochs != 1)}"
    )


def _seconds(cost: tuple[float | None, bool]) -> str:
    seconds, measured = cost
    return "" if seconds is None else f"{'' if measured else '≈ '}{duration(seconds)}"


# -- in words ---------------------------------------------------------------------------------------------


def words(selection: Selection) -> Iterator[str]:
    """Yield what the answer rests on, what it cannot tell, and what to do with it."""
    names = shortened([candidate.source.name for candidate in selection.candidates])
    shown = [names[candidate.source.name] for candidate in selection.candidates]
    yield _tested(selection)
    if not shown:
        yield "no source could be used"
        return
    yield from _unreached(selection)
    yield from _ties(selection, shown)
    if test := selection.on_test:
        found = _interval((test.value, test.low, test.high))
        yield f"the first on {test.images:,} test images, which no choice looked at: {directed(selection.metric, selection.sign)} {found}"
    yield f"fine-tune the first:\n   {selection.adapt}"


def _tested(selection: Selection) -> str:
    count = len(selection.pool.sources)
    tested = selection.tested.items()
    if not tested:
        return f"nothing was fine-tuned: the order is {selection.selector}'s word alone, and what it is worth here cannot be told"
    parts = [
        f"{number}{f' of {count}' if at == 0 else ''} on {_images(rung, selection)}"
        for at, (rung, number) in enumerate(tested)
    ]
    seeds = (
        f"{len(selection.seeds)} seeds"
        if len(selection.seeds) > 1
        else "one seed, whose luck no interval here covers"
    )
    return f"tested {', '.join(parts)}; {seeds}"


def _images(rung: Rung, selection: Selection) -> str:
    few = "all" if rung.images == selection.images else f"{rung.images:,}"
    return f"{few} images{_briefly(rung, selection)}"


def _unreached(selection: Selection) -> Iterator[str]:
    """Yield what a prediction is for, where nobody was trained on everything for as long as asked."""
    top = selection.top
    if top and (top.images, top.epochs) != (selection.images, selection.epochs):
        yield f"predictions are for {_images(top, selection)}: none went on to all {selection.images:,} for {selection.epochs} epochs"


def _ties(selection: Selection, shown: Sequence[str]) -> Iterator[str]:
    if len(shown) < 2:
        return
    if not selection.tested:
        return
    if not selection.tied:
        yield f"the first can be told from all others at {LEVEL:.0%}"
        return
    if len(selection.tied) == len(shown) - 1 and len(shown) > 2:
        yield f"none can be told from the first at {LEVEL:.0%}: {_remedy(selection)}"
        return
    few = [shown[at] for at in selection.tied[:NAMED]]
    more = f" and {len(selection.tied) - NAMED} more" if len(selection.tied) > NAMED else ""
    yield f"{_listed([shown[0], *few], more)} cannot be told apart at {LEVEL:.0%}: {_remedy(selection)}"


def _remedy(selection: Selection) -> str:
    known = [count for at in selection.tied if (count := selection.more_seeds.get(at)) is not None]
    if not known:
        return "more seeds would hardly tell; more images might"
    least, seeds = min(known), len(selection.seeds)
    some = "" if len(known) == len(selection.tied) else " some of them"
    return f"about {least} more seed{'s' * (least != 1)} would tell{some or ' the nearest'} (--seeds {seeds + least})"


def _listed(names: Sequence[str], more: str) -> str:
    if more:
        return ", ".join(names) + more
    return f"{', '.join(names[:-1])} and {names[-1]}"


def remarks(selection: Selection) -> Iterator[str]:
    """Yield what did not go as asked: sources that failed, were left out or were not reached,
    scores that are not defined.
    """
    for reason, sources in _by_reason(selection.failures).items():
        yield f"failed: {_some(sources)}: {reason}"
    for estimator, reasons in selection.unscored.items():
        for reason, sources in _by_reason(reasons).items():
            if set(sources) - set(selection.failures):
                yield f"no {estimator} for {_some(sources)}: {reason}"
    for why, sources in selection.pool.left_out.items():
        yield f"left out {len(sources)} ({_some(sources)}): {why}"
    if selection.unreached or selection.spent > selection.budget:
        yield f"the budget of {duration(selection.budget)} was spent; the same command goes on from here, and --budget gives it more"


def _by_reason(reasons: dict[str, str] | Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source, reason in reasons.items():
        found.setdefault(reason, []).append(source)
    return found


def _some(sources: Sequence[str]) -> str:
    names = list(shortened(list(sources)).values())
    return ", ".join(names[:NAMED]) + (
        f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    )
