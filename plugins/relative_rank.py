"""Relative ranks of sources within the settings they were measured in, which the selectors that
learn from records share.

The relative rank of a source is the share of the other sources of its setting that it beats, with
ties counting half: 1 for the best, 0 for the last. Unlike the metric itself, it can be averaged
over settings and tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headwater import Record


def relative_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Return the share of the others that each value beats, ties counting half.

    Args:
        values: A value for each name; higher is better.

    Returns:
        A relative rank in [0, 1] for each name; ½ where there is only one name.
    """
    ordered = sorted(values.values())
    # The first and the last place of a value among the sorted ones: they differ where values tie.
    first_place = {value: place for place, value in reversed(list(enumerate(ordered)))}
    last_place = {value: place for place, value in enumerate(ordered)}
    others = len(ordered) - 1
    if not others:
        return dict.fromkeys(values, 0.5)
    return {
        name: (first_place[value] + last_place[value]) / (2 * others)
        for name, value in values.items()
    }


def ranks_by_setting(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """Return setting -> source -> relative rank, settings in alphabetical order.

    Settings with a single source are left out: a rank among one says nothing.
    """
    qualities: dict[str, dict[str, float]] = {}
    for record in records:
        qualities.setdefault(record.setting, {})[record.source] = record.quality
    return {
        setting: relative_ranks(by_source)
        for setting, by_source in sorted(qualities.items())
        if len(by_source) > 1
    }


def mean_relative_rank(records: Iterable[Record]) -> dict[str, float]:
    """Return each source's relative rank, averaged over the settings of a task, then over tasks."""
    records = list(records)
    task_of_setting = {record.setting: record.task for record in records}
    ranks: dict[str, dict[str, list[float]]] = {}
    for setting, by_source in ranks_by_setting(records).items():
        task = task_of_setting[setting]
        for source, rank in by_source.items():
            ranks.setdefault(source, {}).setdefault(task, []).append(rank)
    return {
        source: _mean([_mean(of_task) for of_task in by_task.values()])
        for source, by_task in ranks.items()
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
