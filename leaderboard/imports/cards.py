"""Make cards of the sources and tasks that a published table names."""

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

SOURCE_COLUMNS = (
    "name architecture pretrained_on domain task_type images licence parameters accuracy "
    "input_size random facts"
)
TASK_COLUMNS = "name domain type metric images classes licence facts"
"""The columns that an import fills, with blanks between them."""


def source_rows(values: pd.DataFrame, mapping: TableMapping) -> dict[str, dict[str, Any]]:
    """Return, by name, a row of ``source_models`` for each source of a table."""
    rows = {}
    for name in sorted(values["source"].unique()):
        facts = mapping.source(name).model_dump()
        rows[name] = _card(name, mapping, facts) | {"random": False}
    return rows


def task_rows(values: pd.DataFrame, mapping: TableMapping) -> dict[str, dict[str, Any]]:
    """Return, by name, a row of ``tasks`` for each task of a table; its metric is the table's
    first.
    """
    metric = next(iter(mapping.metrics), "")
    rows = {}
    for name in sorted(values["task"].unique()):
        facts = mapping.task(name).model_dump()
        rows[name] = _card(name, mapping, facts) | {"metric": metric}
    return rows


def _card(name: str, mapping: TableMapping, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a card: its facts, and all of them once more as JSON."""
    stated = {}
    for key, value in facts.items():
        if value is not None:
            stated[key] = list(value) if isinstance(value, tuple) else value
    described = {"imported": mapping.name, "name": name} | stated
    return {"name": name} | stated | {"facts": json.dumps(described)}


def source_table(rows: Collection[Mapping[str, Any]]) -> pa.Table:
    """Return rows of ``source_rows`` as a table."""
    return table_of(SOURCE_COLUMNS, rows)


def task_table(rows: Collection[Mapping[str, Any]]) -> pa.Table:
    """Return rows of ``task_rows`` as a table."""
    return table_of(TASK_COLUMNS, rows)


def check_domains(mapping: TableMapping, domains: Collection[str]) -> None:
    """Check that every domain is declared: what is within another one could not be told.

    Raises:
        BadSpec: Nobody declares a domain.
    """
    stated = {"every_source": mapping.every_source.domain, "every_task": mapping.every_task.domain}
    stated |= {f"sources.{name}": facts.domain for name, facts in mapping.sources.items()}
    stated |= {f"tasks.{name}": facts.domain for name, facts in mapping.tasks.items()}
    for key, domain in stated.items():
        if domain is None or domain in domains:
            continue
        suggestion = did_you_mean(domain, domains)
        declared = ", ".join(sorted(domains))
        raise BadSpec(
            f"{key}.domain = {domain!r}: there is no such domain.{suggestion}",
            subject=domain,
            hint=f"There are {declared}; a plugin adds one (hw.Domain): --plugin FILE.",
        )


def unused(mapping: TableMapping, values: pd.DataFrame) -> list[str]:
    """Return a sentence for each fact or fault of the mapping on a name that the table lacks."""
    sentences = []
    for key, column in (("sources", "source"), ("tasks", "task")):
        names = set(values[column])
        for name in getattr(mapping, key):
            if name not in names:
                suggestion = did_you_mean(name, names)
                sentences.append(f"{key}.{name}: the table has no {name}.{suggestion}")
    estimators = set(values.loc[values["kind"] == "estimate", "adaptation"])
    for fault in mapping.faults:
        if fault.estimator not in estimators:
            sentences.append(f"faults: the table has no {fault.estimator}.")
    return sentences
