"""Read what selectors can be asked about from a store: measured cells, estimates, curves, and the
cards behind their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.leaderboard.store.store import Store
from headwater.registry import Chain, Record, RecordSetting, SourceModel, Task
from headwater.registry.cards.chain import parse_chain
from headwater.registry.errors import WeightsError

if TYPE_CHECKING:
    import pandas as pd

SETTING_COLUMNS = ["task", "size", "protocol", "metric"]
"""Columns whose values name a setting."""

COUNT_COLUMNS = (
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

MIN_SEED_SHARE = 0.5
"""Share of a setting's sources that a seed must have been measured for; others do not count."""

HISTORY_QUERIES = (
    "judged_cells",
    "judged_estimates",
    "judged_curves",
    "judged_cards",
    "judged_tasks",
    "judged_relations",
    "judged_domains",
)
"""Queries that a history is read by, all from one state of the store."""

EstimateKey = tuple[Any, ...]
"""The source, task, size, seed, image size and protocol that an estimate belongs to."""


@dataclass(frozen=True)
class TargetSetting:
    """A question that the store can answer: a target under one size, protocol and metric.

    Attributes:
        task: The target.
        size: Its train size.
        protocol: The protocol that its cells share.
        metric: The metric that they were measured by.
        seeds: (K,) seeds, each of which every source was measured under.
        sources: (S,) sources.
        quality: (K, S), the sign-corrected test metric; no value is missing.
        left_out: The sources that lack a seed.
        images: The number of training images; None where it is not known, and so below.
        epochs: The epochs of a training.
        image_size: The images' side in pixels.
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


@dataclass(frozen=True, kw_only=True)
class History:
    """Hold the rows of one adaptation, as frames, and the cards.

    Attributes:
        cells: The measured cells, a row each.
        estimates: The estimators' scores, a row each.
        curves: The validation after each epoch, a row each.
        sources: The card of each source.
        tasks: The card of each task.
        relations: By task and source, what the source's domain is to the task's.
        domain_parents: By domain, the domains that contain it.
    """

    cells: pd.DataFrame
    estimates: pd.DataFrame
    curves: pd.DataFrame
    sources: Mapping[str, SourceModel]
    tasks: Mapping[str, Task]
    relations: Mapping[str, Mapping[str, str | None]]
    domain_parents: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, store: Store, adaptation: str) -> History:
        """Read all rows of an adaptation from one state of the store."""
        frames = store.frames(*HISTORY_QUERIES, adaptation=adaptation)
        by_query = dict(zip(HISTORY_QUERIES, frames, strict=True))
        relations: dict[str, dict[str, str | None]] = {}
        for row in rows_of(by_query["judged_relations"]):
            of_task = relations.setdefault(row["task"], {})
            of_task[row["source"]] = row["domain_relation"]
        parents: dict[str, set[str]] = {}
        for row in rows_of(by_query["judged_domains"]):
            above = parents.setdefault(row["domain"], set())
            above.add(row["contained_in"])
        return cls(
            cells=by_query["judged_cells"],
            estimates=by_query["judged_estimates"],
            curves=by_query["judged_curves"],
            sources={row["name"]: _source(row) for row in rows_of(by_query["judged_cards"])},
            tasks={row["name"]: _task(row) for row in rows_of(by_query["judged_tasks"])},
            relations=relations,
            domain_parents={domain: frozenset(above) for domain, above in parents.items()},
        )

    @cached_property
    def settings(self) -> list[TargetSetting]:
        """Every target, size, protocol and metric, with the sources that were measured there."""
        settings = []
        for key, rows in self.cells.groupby(SETTING_COLUMNS, sort=True):
            setting = _setting(key, rows)
            if setting is not None:
                settings.append(setting)
        return settings

    @cached_property
    def records(self) -> list[Record]:
        """Every measured cell, as selectors are told of those on other tasks."""
        estimates: dict[EstimateKey, dict[str, float]] = {}
        for row in rows_of(self.estimates):
            key = _estimate_key(row, row["seed"], row["protocol"])
            scores = estimates.setdefault(key, {})
            scores[row["estimator"]] = float(row["score"])
        return [_record(row, _scores_for(row, estimates)) for row in rows_of(self.cells)]

    def records_but(self, task: str) -> list[Record]:
        """Return the records of all other tasks: what is known where this one was never seen."""
        return [record for record in self.records if record.task != task]

    @cached_property
    def curves_by_job(self) -> dict[str, dict[int, float]]:
        """By job, the sign-corrected validation after each epoch."""
        curves: dict[str, dict[int, float]] = {}
        points = self.curves[["job", "epoch", "value"]]
        for job, epoch, value in points.itertuples(index=False):
            curve = curves.setdefault(job, {})
            curve[int(epoch)] = float(value)
        return curves

    @cached_property
    def estimators(self) -> list[str]:
        """The names of the estimators that scored anything."""
        return sorted(self.estimates["estimator"].unique())


# -- rows ------------------------------------------------------------------------------------------


def _setting(key: tuple[Any, ...], rows: pd.DataFrame) -> TargetSetting | None:
    """Return a setting with the sources that have every seed; None where no source has.

    Seeds that fewer than ``MIN_SEED_SHARE`` of the sources have do not count: one source measured
    under a further seed would leave out all others.
    """
    # Cells without a seed share a row of the table: -1 stands for "no seed".
    seeds = rows["seed"].astype(float).fillna(-1).astype(int)
    table = rows.assign(seed=seeds).pivot(index="seed", columns="source", values="quality")
    is_common = table.notna().mean(axis=1) >= MIN_SEED_SHARE
    common = table[is_common]
    complete = common.columns[common.notna().all(axis=0)]
    if not len(common) or not len(complete):
        return None
    first = next(rows_of(rows))
    task, size, protocol, metric = key
    return TargetSetting(
        task=task,
        size=size,
        protocol=protocol,
        metric=metric,
        seeds=tuple(None if seed < 0 else int(seed) for seed in common.index),
        sources=tuple(map(str, complete)),
        quality=common[complete].to_numpy(float),
        left_out=tuple(map(str, table.columns.difference(complete, sort=False))),
        images=first["train_size"],
        epochs=first["epochs"],
        image_size=first["image_size"],
    )


def _estimate_key(row: Mapping[str, Any], seed: int | None, protocol: str | None) -> EstimateKey:
    return row["source"], row["task"], row["size"], seed, row["image_size"], protocol


def _scores_for(
    cell: Mapping[str, Any], estimates: Mapping[EstimateKey, Mapping[str, float]]
) -> Mapping[str, float]:
    """Return a cell's estimates, by estimator; empty where there are none.

    Those of its own seed come before those that no seed decides. Imported estimates belong to the
    protocol of their import, measured ones to none.
    """
    for seed in (cell["seed"], None):
        for protocol in (cell["protocol"], None):
            key = _estimate_key(cell, seed, protocol)
            if key in estimates:
                return estimates[key]
    return {}


def _record(cell: Mapping[str, Any], estimates: Mapping[str, float]) -> Record:
    setting = RecordSetting(
        task=cell["task"],
        metric=cell["metric"],
        size=cell["size"],
        seed=cell["seed"],
        protocol=cell["protocol"],
    )
    return Record(
        source=cell["source"],
        setting=setting,
        quality=cell["quality"],
        relation=cell["relation"],
        source_images=cell["source_images"],
        task_images=cell["task_images"],
        base=cell["base"],
        estimates=estimates,
        size=cell["train_size"],
        validation=cell["validation"],
        seconds=cell["seconds"],
    )


def rows_of(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield rows as plain values: what is missing is None, whole numbers are int."""
    columns = {}
    for name in map(str, frame.columns):
        is_count = name in COUNT_COLUMNS
        columns[name] = [_plain(value, is_count) for value in frame[name].tolist()]
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _plain(value: Any, is_count: bool) -> Any:
    if isinstance(value, np.ndarray | list):
        return tuple(value)
    # NaN is the one value that differs from itself; pandas' own missing values are no numbers.
    is_missing = type(value).__name__ in ("NAType", "NaTType")
    if value is None or is_missing or value != value:
        return None
    return int(value) if is_count else value


# -- cards -----------------------------------------------------------------------------------------


def _source(row: Mapping[str, Any]) -> SourceModel:
    """Return a card that has all but how to build its network."""
    return SourceModel(
        name=row["name"],
        build=_not_loaded,
        architecture=row["architecture"] or "",
        pretrained_on=tuple(row["pretrained_on"] or ()),
        domain=row["domain"],
        task_type=row["task_type"],
        images=row["images"],
        licence=row["licence"],
        parameters=row["parameters"],
        input_size=row["input_size"] or SourceModel.input_size,
        accuracy=row["accuracy"],
        scratch=row["scratch"],
        random=bool(row["random"]),
        chain=_chain(row),
    )


def _chain(row: Mapping[str, Any]) -> Chain | None:
    """Return how a source was made, if it is a chain."""
    if not row["chain_tasks"]:
        return None
    # A card may not know its base, which the chain's name tells as well.
    by_name = parse_chain(row["name"])
    base = row["base"] or (by_name.base if by_name else "")
    return Chain(base, tuple(row["chain_tasks"]))


def _task(row: Mapping[str, Any]) -> Task:
    """Return a card that has all but how to load its images."""
    return Task(
        name=row["name"],
        load=_not_loaded,
        type=row["type"] or "",
        metric=row["metric"] or "",
        revision=row["revision"] or "",
        domain=row["domain"],
        licence=row["licence"],
        images=row["images"],
    )


def _not_loaded() -> Any:
    raise WeightsError(
        "this card is known only from stored results; its plugin is not loaded",
        hint="Name its plugin to use it: headwater … --plugin FILE.",
    )


def cards_of(names: Sequence[str], cards: Mapping[str, SourceModel]) -> list[SourceModel]:
    """Return the cards of these sources; one that the store has no card of has its name alone."""
    return [cards.get(name) or SourceModel(name=name, build=_not_loaded) for name in names]
