"""Small published tables, and importing them in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headwater.leaderboard import Store
from headwater.leaderboard.imports import ImportResult, IncomingTable, TableMapping, import_table
from headwater.registry import Estimator
from headwater.registry.cards.domains import Domain, containing
from headwater.registry.evidence.shape import Bound

DOMAINS = containing(
    [
        Domain(name="web"),
        Domain(name="consumer", within=("web",)),
        Domain(name="indoor", within=("consumer",)),
    ]
)
ESTIMATORS = {
    "hscore": Estimator(
        name="hscore",
        score=lambda moments: 0.0,
        low=0.0,
        high=Bound("C − 1", lambda shape: shape.classes - 1),
    ),
    "leep": Estimator(name="leep", score=lambda labels: 0.0, high=0.0),
    "nce": Estimator(name="nce", score=lambda labels: 0.0, high=0.0),
    "logme": Estimator(name="logme", score=lambda moments: 0.0),
}

WIDE = """model,dataset,acc,hscore,leep,logme
alpha,pets,0.91,1.5,-0.5,0.7
beta,pets,0.89,2.5,-0.6,0.6
gamma,pets,0.80,1.0,-0.9,0.5
alpha,cars,0.70,0.5,-1.5,0.3
beta,cars,0.75,0.7,-1.4,0.4
gamma,cars,0.65,0.4,0.2,0.2
"""
COLUMNS = {"source": "model", "task": "dataset"}
WIDE_KEYS: dict[str, Any] = {
    "name": "wide",
    "columns": COLUMNS,
    "metrics": {"accuracy": "acc"},
    "estimators": {"hscore": "hscore", "leep": "leep", "logme": "logme"},
    "tasks": {"pets": {"classes": 3}},
}

LONG = """estimator,model,dataset,score,miou
leep,a,x,-1.0,0.5
leep,b,x,-2.0,0.4
LogME,a,x,0.3,0.5
LogME,b,x,0.2,0.4
"""
LONG_KEYS: dict[str, Any] = {
    "name": "long",
    "columns": {**COLUMNS, "estimator": "estimator", "score": "score"},
    "metrics": {"mean_iou": "miou"},
    "rename": {"estimators": {"LogME": "logme"}},
    "size": "small",
}


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def incoming(folder: Path, text: str, keys: dict[str, Any], **more: Any) -> IncomingTable:
    return IncomingTable.read(
        written(folder, text), TableMapping.of({**keys, **more}), ESTIMATORS, DOMAINS
    )


def imported(
    store: Store,
    folder: Path,
    text: str,
    keys: dict[str, Any],
    *,
    dry_run: bool = False,
    **more: Any,
) -> ImportResult:
    return import_table(store, incoming(folder, text, keys, **more), dry_run=dry_run)


def problems_of(found: IncomingTable) -> list[tuple[int, str, str]]:
    return [(row.row, row.column, row.problem) for row in found.problems.itertuples()]
