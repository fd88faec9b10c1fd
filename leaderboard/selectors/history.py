"""What a store knows that selectors can be asked about: measured cells, estimates, curves, and the
cards behind their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.leaderboard.store.store import Store
from headwater.registry import Chain, Record, SourceModel, Task
from headwater.registry.cards.chain import parse_chain
from headwater.registry.errors import WeightsError

if TYPE_CHECKING:
    import pandas as pd

_SETTING = ["task", "size", "protocol", "metric"]


@dataclass(frozen=True)
class TargetSetting:
    """A question that the store can answer: a target under one size, protocol and metric.

    ``quality``: (K, S) of seeds and sources, the sign-corrected test metric; complete.
        ``left_out``: sources that lack a seed.
    """

    task: str
    size: str
    protocol: str
    metric: str
    seeds: tuple[int | None, ...]
    sources: tuple[str, ...]
    quality: np.ndarray
    left_out: tuple[str, ...]
    images: int | None
    epochs: int | None
    image_size: int | None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The target, size, protocol and metric."""
        return self.task, self.size, self.protocol, self.metric


@dataclass(frozen=True)
class History:
    """The rows of one adaptation, as frames, and the cards."""

    cells: pd.DataFrame
    estimates: pd.DataFrame
    curves: pd.DataFrame
    sources: Mapping[str, SourceModel]
    tasks: Mapping[str, Task]
    relations: Mapping[str, Mapping[str, str | None]]
    domain_parents: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, store: Store, adaptation: str) -> History:
        cells, estimates, curves, cards, tasks, related, domains = store.frames(
            "judged_cells",
            "judged_estimates",
            "judged_curves",
            "judged_cards",
            "judged_tasks",
            "judged_relations",
            "judged_domains",
            adaptation=adaptation,
        )
        relations: dict[str, dict[str, str | None]] = {}
        for row in rows_of(related):
            relations.setdefault(row["task"], {})[row["source"]] = row["domain_relation"]
        parents: dict[str, set[str]] = {}
        for row in rows_of(domains):
            parents.setdefault(row["domain"], set()).add(row["contained_in"])
        return cls(
            cells,
            estimates,
            curves,
            {row["name"]: _source(row) for row in rows_of(cards)},
            {row["name"]: _task(row) for row in rows_of(tasks)},
            relations,
            {domain: frozenset(above) for domain, above in parents.items()},
        )

    @cached_property
    def settings(self) -> list[TargetSetting]:
        """Every target, size, protocol and metric there is, with the sources that were measured
        there.
        """
        return [
            setting
            for key, rows in self.cells.groupby(_SETTING, sort=True)
            if (setting := _setting(key, rows)) is not None
        ]

    @cached_property
    def records(self) -> list[Record]:
        """Every measured cell, as selectors are told of those on other tasks."""
        known: dict[tuple[Any, ...], dict[str, float]] = {}
        for row in rows_of(self.estimates):
            place = known.setdefault(
                (
                    row["source"],
                    row["task"],
                    row["size"],
                    row["seed"],
                    row["image_size"],
                    row["protocol"],
                ),
                {},
            )
            place[row["estimator"]] = float(row["score"])
        return [self._record(row, known) for row in rows_of(self.cells)]

    def _record(
        self, row: Mapping[str, Any], known: Mapping[tuple[Any, ...], Mapping[str, float]]
    ) -> Record:
        place, seeded = (row["source"], row["task"], row["size"]), row["seed"]
        keys = [
            (*place, seed, row["image_size"], protocol)
            for seed in (seeded, None)
            for protocol in (row["protocol"], None)
        ]
        estimates = next((known[key] for key in keys if key in known), {})
        setting = " · ".join(
            str(row[column]) for column in ("task", "metric", "size", "seed", "protocol")
        )
        facts = {
            column: row[column]
            for column in (
                "relation",
                "source_images",
                "task_images",
                "base",
                "validation",
                "seconds",
            )
        }
        protocol = " · ".join(str(row[column]) for column in ("task", "metric", "size", "protocol"))
        return Record(
            row["source"],
            row["task"],
            setting,
            row["quality"],
            **facts,
            estimates=estimates,
            protocol=protocol,
            size=row["train_size"],
        )

    def records_but(self, task: str) -> list[Record]:
        """Leave-one-target-out: what is known where this task was never seen."""
        return [record for record in self.records if record.task != task]

    @cached_property
    def curves_by_job(self) -> dict[str, dict[int, float]]:
        """Validation after each epoch, sign-corrected."""
        found: dict[str, dict[int, float]] = {}
        for job, epoch, value in self.curves[["job", "epoch", "value"]].itertuples(index=False):
            found.setdefault(job, {})[int(epoch)] = float(value)
        return found

    @cached_property
    def estimators(self) -> list[str]:
        return sorted(self.estimates["estimator"].unique())


def _setting(key: tuple[Any, ...], rows: pd.DataFrame) -> TargetSetting | None:
    """The sources that have every seed; seeds that fewer than half of the sources have do not
    count.
    """
    table = rows.assign(seed=rows["seed"].astype(float).fillna(-1).astype(int)).pivot(
        index="seed", columns="source", values="quality"
    )
    kept = table[table.notna().mean(axis=1) >= 0.5]
    complete = kept.columns[kept.notna().all(axis=0)]
    if not len(kept) or not len(complete):
        return None
    first, (task, size, protocol, metric) = next(rows_of(rows)), key
    return TargetSetting(
        task,
        size,
        protocol,
        metric,
        seeds=tuple(None if seed < 0 else int(seed) for seed in kept.index),
        sources=tuple(map(str, complete)),
        quality=kept[complete].to_numpy(float),
        left_out=tuple(str(name) for name in table.columns if name not in set(complete)),
        images=first["train_size"],
        epochs=first["epochs"],
        image_size=first["image_size"],
    )


def rows_of(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as plain values: what is missing is None, whole numbers are int."""
    columns = {
        str(name): [_plain(value, name in _COUNTS) for value in frame[name].tolist()]
        for name in frame.columns
    }
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


_COUNTS = (
    "seed",
    "images",
    "source_images",
    "task_images",
    "image_size",
    "epochs",
    "parameters",
    "train_size",
    "input_size",
)
"""Columns of whole numbers; pandas makes floats of those that have gaps."""


def _plain(value: Any, count: bool = False) -> Any:
    if isinstance(value, np.ndarray | list):
        return tuple(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    return int(value) if count else value


# -- cards ------------------------------------------------------------------------------------------------


def _source(row: Mapping[str, Any]) -> SourceModel:
    """A card that knows all but how to build its network."""
    facts = {
        key: row[key]
        for key in ("domain", "task_type", "images", "licence", "parameters", "accuracy", "scratch")
    }
    chain = None
    if row["chain_tasks"]:
        named = parse_chain(row["name"])
        chain = Chain(row["base"] or (named.base if named else ""), tuple(row["chain_tasks"]))
    return SourceModel(
        name=row["name"],
        build=_not_here,
        architecture=row["architecture"] or "",
        pretrained_on=tuple(row["pretrained_on"] or ()),
        input_size=row["input_size"] or SourceModel.input_size,
        random=bool(row["random"]),
        chain=chain,
        **facts,
    )


def _task(row: Mapping[str, Any]) -> Task:
    facts = {key: row[key] for key in ("domain", "licence", "images")}
    return Task(
        name=row["name"],
        load=_not_here,
        type=row["type"] or "",
        metric=row["metric"] or "",
        revision=row["revision"] or "",
        **facts,
    )


def _not_here() -> Any:
    raise WeightsError(
        "only the record of this is here",
        hint="Name its plugin to use it: headwater … --plugin FILE.",
    )


def named(names: Sequence[str], cards: Mapping[str, SourceModel]) -> list[SourceModel]:
    """The cards of these names; one that the store has no card of is known by its name alone."""
    return [cards.get(name) or SourceModel(name=name, build=_not_here) for name in names]
