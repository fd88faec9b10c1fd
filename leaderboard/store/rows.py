"""Records as Arrow tables: DuckDB takes in thousands of rows at once from these, and one at a time
from anything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from headwater.leaderboard.store.records import JobRecord, Outcome, RunRecord, State
from headwater.registry import SourceModel, Task

_TEXT, _INT, _REAL, _FLAG, _TIME, _TEXTS = (
    pa.string(),
    pa.int64(),
    pa.float64(),
    pa.bool_(),
    pa.timestamp("us"),
    pa.list_(pa.string()),
)
_TYPES = {
    "seed": _INT, "sign": _INT, "seconds": _REAL, "images": _INT, "peak_memory_mb": _REAL, "train_images": _INT, "attempts": _INT,
    "value": _REAL, "epoch": _INT, "started": _TIME, "ended": _TIME, "git_dirty": _FLAG, "parameters": _INT, "accuracy": _REAL,
    "input_size": _INT, "pretrained_on": _TEXTS, "chain_tasks": _TEXTS, "random": _FLAG, "classes": _INT,
    "x": _REAL, "trial": _INT, "epochs": _INT, "chosen": _FLAG, "decoded": _INT,
    "lowest": _REAL, "highest": _REAL,
}  # fmt: skip
"""Columns that are not text."""


def table_of(columns: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as the store's columns have them; what a row lacks is NULL."""
    return pa.Table.from_pylist(
        list(rows), schema=pa.schema([(name, _TYPES.get(name, _TEXT)) for name in columns.split()])
    )


def run_table(run: RunRecord, state: State, ended: datetime | None = None) -> pa.Table:
    """Return the one row of ``runs`` that ``sql/begin_run.sql`` reads."""
    columns = [field.name for field in fields(run)]
    row = {name: getattr(run, name) for name in columns}
    row |= {name: _json(value) for name, value in row.items() if isinstance(value, Mapping)}
    row |= {"started": _utc(run.started), "state": state.value, "ended": ended}
    return table_of(" ".join([*columns, "state", "ended"]), [row])


def job_table(run: str, jobs: Iterable[JobRecord]) -> pa.Table:
    columns = [field.name for field in fields(JobRecord)]
    rows = [
        {name: getattr(job, name) for name in columns} | {"options": _json(job.options), "run": run}
        for job in jobs
    ]
    return table_of(" ".join([*columns, "run"]), rows)


def outcome_tables(outcomes: Iterable[Outcome]) -> dict[str, pa.Table]:
    """The tables that ``sql/record.sql`` reads; of several outcomes of one job the last counts."""
    latest, attempts = {}, dict[str, int]()
    for outcome in outcomes:
        latest[outcome.job] = outcome
        attempts[outcome.job] = attempts.get(outcome.job, 0) + (outcome.state in _ATTEMPTED)
    final = list(latest.values())
    scalars = (
        "job state reason error log seconds images peak_memory_mb device train_images decoded note"
    )
    return {
        "outcomes": table_of(
            f"{scalars} started choice attempts",
            (
                {name: getattr(o, name) for name in scalars.split()}
                | {
                    "started": _utc(o.started),
                    "choice": _json(o.choice),
                    "attempts": attempts[o.job],
                }
                for o in final
            ),
        ),
        "new_metrics": table_of(
            "job split metric value", ({"job": o.job} | vars(m) for o in final for m in o.metrics)
        ),
        "new_curves": table_of(
            "job epoch split metric value",
            ({"job": o.job} | vars(p) for o in final for p in o.curves),
        ),
        "new_readings": table_of(
            "job subject quantity module x value",
            ({"job": o.job} | vars(r) for o in final for r in o.readings),
        ),
        "new_trials": table_of(
            "job trial config epochs value seconds state reason chosen",
            (
                {"job": o.job} | vars(t) | {"config": _json(t.config)}
                for o in final
                for t in o.trials
            ),
        ),
        "new_artifacts": table_of(
            "job role path",
            ({"job": o.job, "role": r, "path": p} for o in final for r, p in o.artifacts.items()),
        ),
    }


_ATTEMPTED = (State.DONE, State.FAILED, State.INTERRUPTED)


def card_tables(
    sources: Iterable[SourceModel],
    tasks: Iterable[Task],
    domain_parents: Mapping[str, frozenset[str]],
) -> dict[str, pa.Table]:
    """The tables that ``sql/cards.sql`` reads."""
    plain = "name architecture pretrained_on domain task_type images licence parameters accuracy input_size scratch random"
    return {
        "sources": table_of(
            f"{plain} base chain_tasks facts",
            (
                {name: getattr(s, name) for name in plain.split()}
                | {
                    "base": s.chain and s.chain.base,
                    "chain_tasks": s.chain and s.chain.tasks,
                    "facts": _json(s.facts()),
                }
                for s in sources
            ),
        ),
        "targets": table_of(
            "name family domain type metric images licence revision classes facts",
            (
                {
                    name: getattr(t, name)
                    for name in (
                        "name",
                        "domain",
                        "type",
                        "metric",
                        "images",
                        "licence",
                        "revision",
                    )
                }
                | {
                    "family": t.family_name,
                    "classes": len(t.classes) or None,
                    "facts": _json(t.facts()),
                }
                for t in tasks
            ),
        ),
        **domain_tables(domain_parents),
    }


def domain_tables(domain_parents: Mapping[str, frozenset[str]]) -> dict[str, pa.Table]:
    """Which domain is contained in which, and which domains that speaks of."""
    contained = (
        {"domain": domain, "contained_in": parent}
        for domain, above in domain_parents.items()
        for parent in sorted(above)
    )
    return {
        "parents": table_of("domain contained_in", contained),
        "known_domains": table_of("domain", ({"domain": domain} for domain in domain_parents)),
    }


def _utc(moment: datetime | None) -> datetime | None:
    """Without a zone, as the store keeps it; a moment that names no zone is local time."""
    return moment and moment.astimezone(UTC).replace(tzinfo=None)


def _json(value: object) -> str:
    return json.dumps(value, default=_plain, allow_nan=True)


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
