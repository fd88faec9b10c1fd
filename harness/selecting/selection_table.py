"""Show an answer to people: as a table, and in words what it can and cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headwater.harness.selecting.prediction import Predicted
from headwater.harness.selecting.rungs import Rung
from headwater.harness.selecting.select import Candidate, Selection
from headwater.leaderboard.show.short_names import shortened
from headwater.leaderboard.show.tables import Column, Table
from headwater.leaderboard.show.values import duration
from headwater.leaderboard.statistics.board import CONFIDENCE
from headwater.registry import directed

MAX_NAMED_SOURCES = 3
"""Sources named one by one before the others are counted."""


def selection_table(selection: Selection) -> Table:
    """Return one row a source, best first."""
    names = shortened([candidate.source.name for candidate in selection.candidates])

    def basis(predicted: Predicted) -> str:
        return _basis(predicted, selection)

    # People read a value and its bounds in one column, programs in one column each.
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
        Column("measured_on", "read from", basis, rank=1, only="text"),
        Column("images", only="data"),
        Column("epochs", only="data"),
        Column("estimator", only="data"),
        Column("fine_tune", "fine-tune", _seconds, rank=1, only="text"),
        Column("fine_tune_seconds", only="data"),
        Column("fine_tune_measured", only="data"),
        Column("images_per_second", "serves, img/s", _speed, rank=3),
        Column("parameters", "params", _millions, rank=2),
        Column("licence", rank=2),
        Column("score", only="data"),
    ]
    rows = [_row(candidate, selection.sign) for candidate in selection.candidates]
    return Table(_title(selection), columns, rows)


def _row(candidate: Candidate, sign: int) -> list[Any]:
    """Return the values of a source, in the order of the columns."""
    predicted = candidate.predicted
    source = candidate.source
    values = in_metric(predicted, sign)
    rung = predicted.rung
    cost = (candidate.seconds, candidate.measured)
    return [
        candidate.ranks,
        *candidate.ranks,
        source.name,
        values,
        *values,
        predicted,
        rung.images if rung else None,
        rung.epochs if rung else None,
        predicted.estimator or None,
        cost,
        *cost,
        candidate.speed,
        source.parameters,
        source.licence or "",
        candidate.score,
    ]


Values = tuple[float | None, float | None, float | None]
"""A value, its lower bound and its upper bound."""


def in_metric(predicted: Predicted, sign: int) -> Values:
    """Return a predicted value and its bounds as the metric has them.

    Args:
        predicted: The prediction as a quality, higher for better.
        sign: -1 where the metric is lower for better; it swaps the bounds.
    """
    if predicted.quality is None:
        return None, None, None
    value = sign * predicted.quality
    if predicted.low is None or predicted.high is None:
        return value, None, None
    low, high = sorted((sign * predicted.low, sign * predicted.high))
    return value, low, high


def _title(selection: Selection) -> str:
    task, _, _ = selection.task.partition("[")
    return f"which source for {task}, by {selection.selector}"


def _span(ranks: tuple[int, int]) -> str:
    best, worst = ranks
    return str(best) if best == worst else f"{best}–{worst}"


def _interval(values: Values) -> str:
    value, low, high = values
    if value is None:
        return "not measured"
    if low is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _basis(predicted: Predicted, selection: Selection) -> str:
    """Return what a prediction is read from: a rung, an estimator, or nothing."""
    if predicted.rung:
        return _on(predicted.rung, selection)
    if predicted.estimator:
        return f"its {predicted.estimator}"
    return ""


def _on(rung: Rung, selection: Selection) -> str:
    images = f"{rung.images:,}"
    if rung.images == selection.images:
        images = f"all {images}"
    return f"{images}{_epochs(rung, selection)}"


def _epochs(rung: Rung, selection: Selection) -> str:
    """Return `` × 3 epochs`` with a leading space, if a rung has fewer than all; else ""."""
    if rung.epochs == selection.epochs:
        return ""
    return f" × {rung.epochs} epoch{_plural(rung.epochs)}"


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


def _seconds(cost: tuple[float | None, bool]) -> str:
    seconds, is_measured = cost
    if seconds is None:
        return ""
    return duration(seconds) if is_measured else f"≈ {duration(seconds)}"


def _speed(images_per_second: float | None) -> str:
    # At least: training counts among what it was seen to go through, and serving is faster.
    return f"≥ {images_per_second:,.0f}" if images_per_second else ""


def _millions(parameters: int | None) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters else ""


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
    test = selection.on_test
    if test:
        value = _interval((test.value, test.low, test.high))
        yield (
            f"the first on {test.images:,} test images, which no choice looked at: "
            f"{directed(selection.metric, selection.sign)} {value}"
        )
    yield f"fine-tune the first:\n   {selection.adapt}"


def _tested(selection: Selection) -> str:
    """Return how many sources were fine-tuned on which rungs, and with how many seeds."""
    if not selection.tested:
        return (
            f"nothing was fine-tuned: the order is {selection.selector}'s word alone, "
            "and what it is worth here cannot be told"
        )
    parts = [f"{count} on {_images(rung, selection)}" for rung, count in selection.tested.items()]
    # "3 of 12 on 50 images, 2 on all images": the whole is named once.
    count, _, rest = parts[0].partition(" ")
    parts[0] = f"{count} of {len(selection.pool.sources)} {rest}"
    seeds = "one seed, whose luck no interval here covers"
    if len(selection.seeds) > 1:
        seeds = f"{len(selection.seeds)} seeds"
    return f"tested {', '.join(parts)}; {seeds}"


def _images(rung: Rung, selection: Selection) -> str:
    count = "all" if rung.images == selection.images else f"{rung.images:,}"
    return f"{count} images{_epochs(rung, selection)}"


def _unreached(selection: Selection) -> Iterator[str]:
    """Yield what predictions are for, where no source reached all images and epochs."""
    top = selection.top
    if top and (top.images, top.epochs) != (selection.images, selection.epochs):
        yield (
            f"predictions are for {_images(top, selection)}: "
            f"none went on to all {selection.images:,} for {selection.epochs} epochs"
        )


def _ties(selection: Selection, shown: Sequence[str]) -> Iterator[str]:
    """Yield which sources cannot be told from the first, and what would tell them apart."""
    if len(shown) < 2 or not selection.tested:
        return
    if not selection.tied:
        yield f"the first can be told from all others at {CONFIDENCE:.0%}"
        return
    if len(selection.tied) == len(shown) - 1 and len(shown) > 2:
        yield f"none can be told from the first at {CONFIDENCE:.0%}: {_remedy(selection)}"
        return
    names = [shown[place] for place in selection.tied[:MAX_NAMED_SOURCES]]
    unnamed = len(selection.tied) - len(names)
    yield (
        f"{_listed([shown[0], *names], unnamed)} cannot be told apart at {CONFIDENCE:.0%}: "
        f"{_remedy(selection)}"
    )


def _remedy(selection: Selection) -> str:
    """Return how many more seeds would tell tied sources from the first."""
    counts: list[int] = []
    for place in selection.tied:
        count = selection.more_seeds.get(place)
        if count is not None:
            counts.append(count)
    if not counts:
        return "more seeds would hardly tell; more images might"
    fewest = min(counts)
    which = "the nearest" if len(counts) == len(selection.tied) else "some of them"
    seeds = len(selection.seeds) + fewest
    return f"about {fewest} more seed{_plural(fewest)} would tell {which} (--seeds {seeds})"


def _listed(names: Sequence[str], unnamed: int) -> str:
    """Return names as a list in words, with the number of those that are not named."""
    if unnamed:
        return f"{', '.join(names)} and {unnamed} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def remarks(selection: Selection) -> Iterator[str]:
    """Yield what did not go as asked.

    That is sources that failed, were left out or were not reached, and scores that are not defined.
    """
    for reason, sources in _by_reason(selection.failures).items():
        yield f"failed: {_some(sources)}: {reason}"
    for estimator, reasons in selection.unscored.items():
        for reason, sources in _by_reason(reasons).items():
            # A source that failed has no score either, and was told of above.
            if set(sources) - set(selection.failures):
                yield f"no {estimator} for {_some(sources)}: {reason}"
    for reason, sources in selection.pool.left_out.items():
        yield f"left out {len(sources)} ({_some(sources)}): {reason}"
    if selection.unreached or selection.spent > selection.budget:
        yield (
            f"the budget of {duration(selection.budget)} was spent; "
            "the same command goes on from here, and --budget gives it more"
        )


def _by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Return reason -> sources from source -> reason."""
    sources: dict[str, list[str]] = {}
    for source, reason in reasons.items():
        sources.setdefault(reason, []).append(source)
    return sources


def _some(sources: Sequence[str]) -> str:
    """Return the first few sources by their short names, and how many more there are."""
    names = list(shortened(list(sources)).values())
    text = ", ".join(names[:MAX_NAMED_SOURCES])
    if len(names) > MAX_NAMED_SOURCES:
        text = f"{text} and {len(names) - MAX_NAMED_SOURCES} more"
    return text
