"""Standing: where sources came in among those measured with them. What selectors that go by records share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headwater.registry import Record


def standings(records: Iterable[Record]) -> dict[str, dict[str, float]]:
    """For each setting, each source's standing: the share of the others that it beat, ties half; 1 is the best, 0 the last.

    Settings with a single source tell nothing and are left out.
    """
    qualities: dict[str, dict[str, float]] = {}
    for record in records:
        qualities.setdefault(record.setting, {})[record.source] = record.quality
    return {
        setting: standing_of(known)
        for setting, known in sorted(qualities.items())
        if len(known) > 1
    }


def standing_of(values: Mapping[str, float]) -> dict[str, float]:
    """The share of the others that each value beats, ties half; ½ where there is no other."""
    ordered = sorted(values.values())
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    last = {value: place for place, value in enumerate(ordered)}
    others = len(ordered) - 1
    return {
        name: (first[value] + last[value]) / (2 * others) if others else 0.5
        for name, value in values.items()
    }


def mean_standing(records: Iterable[Record]) -> dict[str, float]:
    """Each source's mean standing, over the settings of a task, then over tasks."""
    records = list(records)
    tasks = {record.setting: record.task for record in records}
    by_source: dict[str, dict[str, list[float]]] = {}
    for setting, known in standings(records).items():
        for source, standing in known.items():
            by_source.setdefault(source, {}).setdefault(tasks[setting], []).append(standing)
    means = {
        source: [sum(own) / len(own) for own in by_task.values()]
        for source, by_task in by_source.items()
    }
    return {source: sum(own) / len(own) for source, own in means.items()}
