"""Turn records into Arrow tables: DuckDB takes in thousands of rows at once from these, and one at
a time from anything else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from headwater.leaderboard.store.records import JobRecord, Outcome, RunRecord, State
from headwater.registry import SourceModel, Task

_TEXT = pa.string()
_INT = pa.int64()
_REAL = pa.float64()
_FLAG = pa.bool_()
_TIME = pa.timestamp("us")
_TEXTS = pa.list_(pa.string())

_COLUMNS_BY_TYPE = {
    _INT: (
        "seed sign images train_images attempts epoch parameters input_size classes trial epochs "
        "decoded"
    ),
    _REAL: "seconds peak_memory_mb value accuracy x",
    _FLAG: "git_dirty random chosen",
    _TIME: "started ended",
    _TEXTS: "pretrained_on chain_tasks",
}
"""The columns that are not text."""

_TYPES = {name: type_ for type_, names in _COLUMNS_BY_TYPE.items() for name in names.split()}

_ATTEMPTED_STATES = (State.DONE, State.FAILED, State.INTERRUPTED)
"""States that count as an attempt at a job."""


def table_of(columns: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return rows as the store's columns have them; what a row lacks is NULL.

    Args:
        columns: The names of the columns, with blanks between them.
        rows: The rows.
    """
    schema = pa.schema([(name, _TYPES.get(name, _TEXT)) for name in columns.split()])
    return pa.Table.from_pylist(list(rows), schema=schema)


def run_table(run: RunRecord, state: State, ended: datetime | None = None) -> pa.Table:
    """Return the one row of ``runs`` that ``sql/begin_run.sql`` reads."""
    columns = [field.name for field in fields(run)]
    row = {name: getattr(run, name) for name in columns}
    row |= {name: _json(value) for name, value in row.items() if isinstance(value, Mapping)}
    row |= {"started": _utc(run.started), "state": state.value, "ended": ended}
    return table_of(" ".join([*columns, "state", "ended"]), [row])


def job_table(run: str, jobs: Iterable[JobRecord]) -> pa.Table:
    """Return the rows of ``jobs`` that ``sql/plan.sql`` reads."""
    columns = [field.name for field in fields(JobRecord)]
    rows = []
    for job in jobs:
        row = {name: getattr(job, name) for name in columns}
        rows.append(row | {"options": _json(job.options), "run": run})
    return table_of(" ".join([*columns, "run"]), rows)


def outcome_tables(outcomes: Iterable[Outcome]) -> dict[str, pa.Table]:
    """Return the tables that ``sql/record.sql`` reads.

    Of several outcomes of one job the last counts, and the number of its attempts is that of all.
    """
    latest: dict[str, Outcome] = {}
    attempts: Counter[str] = Counter()
    for outcome in outcomes:
        latest[outcome.job] = outcome
        attempts[outcome.job] += outcome.state in _ATTEMPTED_STATES
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _OUTCOME_COLUMNS}
    for job, outcome in latest.items():
        row = {name: getattr(outcome, name) for name in _OUTCOME_SCALARS.split()}
        row["started"] = _utc(outcome.started)
        row["choice"] = _json(outcome.choice)
        row["attempts"] = attempts[job]
        rows["outcomes"].append(row)
        rows["new_metrics"] += [{"job": job} | vars(metric) for metric in outcome.metrics]
        rows["new_curves"] += [{"job": job} | vars(point) for point in outcome.curves]
        rows["new_readings"] += [{"job": job} | vars(reading) for reading in outcome.readings]
        for trial in outcome.trials:
            rows["new_trials"].append({"job": job} | vars(trial) | {"config": _json(trial.config)})
        for role, path in outcome.artifacts.items():
            rows["new_artifacts"].append({"job": job, "role": role, "path": path})
    return {name: table_of(columns, rows[name]) for name, columns in _OUTCOME_COLUMNS.items()}


_OUTCOME_SCALARS = (
    "job state reason error log seconds images peak_memory_mb device train_images decoded note"
)
"""The columns of an outcome that are written as they are."""

_OUTCOME_COLUMNS = {
    "outcomes": f"{_OUTCOME_SCALARS} started choice attempts",
    "new_metrics": "job split metric value",
    "new_curves": "job epoch split metric value",
    "new_readings": "job subject quantity module x value",
    "new_trials": "job trial config epochs value seconds state reason chosen",
    "new_artifacts": "job role path",
}
"""The columns of the tables that ``sql/record.sql`` reads."""


def card_tables(
    sources: Iterable[SourceModel],
    tasks: Iterable[Task],
    domain_parents: Mapping[str, frozenset[str]],
) -> dict[str, pa.Table]:
    """Return the tables that ``sql/cards.sql`` reads."""
    source_rows = []
    for source in sources:
        row = {name: getattr(source, name) for name in _SOURCE_SCALARS.split()}
        row["base"] = source.chain and source.chain.base
        row["chain_tasks"] = source.chain and source.chain.tasks
        row["facts"] = _json(source.facts())
        source_rows.append(row)
    task_rows = []
    for task in tasks:
        row = {name: getattr(task, name) for name in _TASK_SCALARS.split()}
        row["classes"] = len(task.classes) or None
        row["facts"] = _json(task.facts())
        task_rows.append(row)
    return {
        "sources": table_of(f"{_SOURCE_SCALARS} base chain_tasks facts", source_rows),
        "targets": table_of(f"{_TASK_SCALARS} classes facts", task_rows),
        **domain_tables(domain_parents),
    }


_SOURCE_SCALARS = (
    "name architecture pretrained_on domain task_type images licence parameters accuracy "
    "input_size scratch random"
)
_TASK_SCALARS = "name domain type metric images licence revision"
"""The columns of cards that are written as they are."""


def domain_tables(domain_parents: Mapping[str, frozenset[str]]) -> dict[str, pa.Table]:
    """Return which domain is contained in which, and which domains that speaks of."""
    contained = []
    for domain, above in domain_parents.items():
        contained += [{"domain": domain, "contained_in": parent} for parent in sorted(above)]
    declared = [{"domain": domain} for domain in domain_parents]
    return {
        "parents": table_of("domain contained_in", contained),
        "known_domains": table_of("domain", declared),
    }


def _utc(moment: datetime | None) -> datetime | None:
    """Return a moment in UTC without its zone, as the store has it; one that names no zone is local
    time.
    """
    return moment and moment.astimezone(UTC).replace(tzinfo=None)


def _json(value: object) -> str:
    return json.dumps(value, default=_plain, allow_nan=True)


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
