"""Cards of the sources and tasks that a published table names."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headwater.leaderboard.imports.mapping import TableMapping
from headwater.leaderboard.store.rows import table_of
from headwater.registry.errors import BadSpec
from headwater.registry.names import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_SOURCE = "name architecture pretrained_on domain task_type images licence parameters accuracy input_size random facts"
_TASK = "name domain type metric images classes licence facts"


def source_rows(values: pd.DataFrame, mapping: TableMapping) -> dict[str, dict[str, Any]]:
    """A row of ``source_models`` for each source of a table."""
    return {
        name: _card(name, mapping, mapping.source(name).model_dump(), random=False)
        for name in sorted(values["source"].unique())
    }


def task_rows(values: pd.DataFrame, mapping: TableMapping) -> dict[str, dict[str, Any]]:
    """A row of ``tasks`` for each task of a table; its metric is the table's first."""
    metric = next(iter(mapping.metrics), "")
    return {
        name: _card(name, mapping, mapping.task(name).model_dump(), metric=metric)
        for name in sorted(values["task"].unique())
    }


def _card(
    name: str, mapping: TableMapping, given: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    known = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in given.items()
        if value is not None
    }
    return (
        {"name": name}
        | known
        | more
        | {"facts": json.dumps({"imported": mapping.name, "name": name} | known)}
    )


def source_table(rows: Collection[Mapping[str, Any]]) -> pa.Table:
    return table_of(_SOURCE, rows)


def task_table(rows: Collection[Mapping[str, Any]]) -> pa.Table:
    return table_of(_TASK, rows)


def check_domains(mapping: TableMapping, known: Collection[str]) -> None:
    """Raise BadSpec for a domain that nobody declares: what is within it could not be told."""
    given = {"every_source": mapping.every_source.domain, "every_task": mapping.every_task.domain}
    given |= {f"sources.{name}": facts.domain for name, facts in mapping.sources.items()}
    given |= {f"tasks.{name}": facts.domain for name, facts in mapping.tasks.items()}
    for key, domain in given.items():
        if domain is not None and domain not in known:
            message = (
                f"{key}.domain = {domain!r}: there is no such domain.{did_you_mean(domain, known)}"
            )
            hint = f"There are {', '.join(sorted(known))}; a plugin adds one (hw.Domain): --plugin FILE."
            raise BadSpec(message, subject=domain, hint=hint)


def unused(mapping: TableMapping, values: pd.DataFrame) -> list[str]:
    """Facts, renames and faults of the mapping for names that the table does not have."""
    said = []
    there = {"sources": set(values["source"]), "tasks": set(values["task"])}
    for key, names in there.items():
        absent = [name for name in getattr(mapping, key) if name not in names]
        said += [
            f"{key}.{name}: the table has no {name}.{did_you_mean(name, names)}" for name in absent
        ]
    estimators = set(values.loc[values["kind"] == "estimate", "adaptation"])
    said += [
        f"faults: the table has no {fault.estimator}."
        for fault in mapping.faults
        if fault.estimator not in estimators
    ]
    return said
