"""Relative ranks of sources within the settings they were measured in, which the selectors that
learn from records share.

The relative rank of a source is the share of the other sources of its setting that it beats, with
ties counting half: 1 for the best, 0 for the last. Unlike the metric itself, it can be averaged
over settings and tasks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping

from headwater import Record, RecordSetting


def relative_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Return the share of the others that each value beats, ties counting half.

    Args:
        values: A value for each name; higher is better.

    Returns:
        A relative rank in [0, 1] for each name; ½ where there is only one name.
    """
    others = len(values) - 1
    if not others:
        return dict.fromkeys(values, 0.5)
    ordered = sorted(values.values())
    ranks = {}
    for name, value in values.items():
        # Values below ``first_place`` are beaten and those from ``last_place`` on are not; between
        # them lie the ties, itself among them, whose half is the mean of the two places.
        first_place = bisect_left(ordered, value)
        last_place = bisect_right(ordered, value) - 1
        ranks[name] = (first_place + last_place) / (2 * others)
    return ranks


def ranks_by_setting(records: Iterable[Record]) -> dict[RecordSetting, dict[str, float]]:
    """Return setting -> source -> relative rank, settings in their order.

    Settings with a single source are left out: a rank among one says nothing.
    """
    qualities: dict[RecordSetting, dict[str, float]] = defaultdict(dict)
    for record in records:
        qualities[record.setting][record.source] = record.quality
    ranks = {}
    for setting in sorted(qualities):
        by_source = qualities[setting]
        if len(by_source) > 1:
            ranks[setting] = relative_ranks(by_source)
    return ranks


def mean_relative_rank(records: Iterable[Record]) -> dict[str, float]:
    """Return each source's relative rank, averaged over the settings of a task, then over tasks.

    A task that was measured in many settings so counts as much as one that was measured in one.
    """
    ranks: dict[str, dict[str, list[float]]] = {}
    for setting, by_source in ranks_by_setting(records).items():
        for source, rank in by_source.items():
            ranks_by_task = ranks.setdefault(source, {})
            ranks_by_task.setdefault(setting.task, []).append(rank)
    means = {}
    for source, ranks_by_task in ranks.items():
        task_means = [_mean(task_ranks) for task_ranks in ranks_by_task.values()]
        means[source] = _mean(task_means)
    return means


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
