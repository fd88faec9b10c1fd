"""Put a question to a selector again: what it estimates and measures is read from the store, with
what that cost.

``estimate`` costs the features of each source once, and each score. ``measure`` reads the cell of
that size. Where fewer epochs are asked for, it reads a shorter training of the same data, or else
the validation curve of the cell up to there, at that share of its cost. Sizes are those that every
source was trained on: the largest that is not above what was asked for, or else the smallest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headwater.leaderboard.selectors.history import History, TargetSetting, named, rows_of
from headwater.registry import Name, Question, Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RecordedTraining:
    """Hold one recorded training: its validation, what all of it took, and its validation after
    each epoch.
    """

    images: int
    epochs: int | None
    validation: float | None
    seconds: float
    curve: Mapping[int, float]

    def best_until(self, epoch: int) -> float | None:
        """Return the best validation up to an epoch; None where there is none."""
        values = [value for at, value in self.curve.items() if at <= epoch]
        return max(values, default=None)


@dataclass(frozen=True)
class RecordedValue:
    """Hold a training's validation, its seconds, and what is paid for by them."""

    value: float
    seconds: float
    paid_for: tuple[Any, ...]


@dataclass
class Replay:
    """Answer one question from the store: a setting under one of its seeds.

    Attributes:
        setting: The target, size, protocol and metric.
        seed: The seed.
        history: What the store knows.
        share: The share of the full cost that the selector may spend.
        spent: The seconds spent so far.
        worked: Whether the selector looked at the target.
        unscored: The number of sources without an estimate.
    """

    setting: TargetSetting
    seed: int | None
    history: History
    share: float
    spent: float = 0.0
    worked: bool = False
    unscored: int = 0
    _paid: set[tuple[Any, ...]] = field(default_factory=set)

    def question(self) -> Question:
        """Return the question: all that the store knows of other tasks, nothing of this one but
        what is asked for.
        """
        setting = self.setting
        history = self.history
        unknown = Task(name=setting.task, load=lambda: None, metric=setting.metric)
        return Question(
            task=history.tasks.get(setting.task) or unknown,
            sources=named(setting.sources, history.sources),
            size=setting.images,
            records=history.records_but(setting.task),
            relations=history.relations.get(setting.task, {}),
            domain_parents=history.domain_parents,
            estimate=self.estimate,
            measure=self.measure if self.full_cost > 0 else None,
            budget=self.budget,
            spent=lambda: self.spent,
            epochs=setting.epochs,
        )

    @cached_property
    def full_cost(self) -> float:
        """The seconds of fine-tuning every source on all images once; 0 where that is not recorded."""
        cells = self._cells
        is_whole = cells["protocol"].eq(self.setting.protocol) & cells["size"].eq(self.setting.size)
        return float(cells.loc[is_whole, "seconds"].fillna(0).sum())

    @property
    def budget(self) -> float:
        """The seconds that the selector may spend."""
        return self.share * self.full_cost

    # -- what a selector may ask -------------------------------------------------------------------

    def estimate(self, estimator: str) -> dict[str, float]:
        """Return the recorded scores of an estimator, by source, and pay for them."""
        self.worked = True
        estimates = self._estimates
        scores: dict[str, float] = {}
        for row in rows_of(estimates[estimates["estimator"] == str(Name.parse(estimator))]):
            scores[row["source"]] = float(row["score"])
            self._pay(("features", row["source"]), row["feature_seconds"])
            self._pay((estimator, row["source"]), row["seconds"])
        if scores:  # of an estimator that scored no source, the selector says so itself
            self.unscored = max(self.unscored, len(self.setting.sources) - len(scores))
        return scores

    def measure(
        self, sources: Sequence[str], *, size: int | None = None, epochs: int | None = None
    ) -> dict[str, float]:
        """Return recorded validations by source, until the budget is spent, and pay for them."""
        self.worked = True
        values: dict[str, float] = {}
        images = size or self.setting.images
        for source in sources:
            recorded = self._read(source, images, epochs or self.setting.epochs)
            if recorded is None:
                continue
            is_paid = recorded.paid_for in self._paid
            if not is_paid and self.spent + recorded.seconds > self.budget:
                break
            self._pay(recorded.paid_for, recorded.seconds)
            values[source] = recorded.value
        return values

    def _pay(self, what: tuple[Any, ...], seconds: float | None) -> None:
        """Count the seconds of something once."""
        if what not in self._paid:
            self._paid.add(what)
            self.spent += seconds or 0.0

    # -- what is recorded --------------------------------------------------------------------------

    @cached_property
    def _estimates(self) -> pd.DataFrame:
        """The estimates of the setting's sources under its seed, or that no seed decides."""
        rows = self.history.estimates
        setting = self.setting
        wanted = rows["task"].eq(setting.task) & rows["size"].eq(setting.size)
        wanted &= rows["source"].isin(setting.sources)
        wanted &= rows["protocol"].isna() | rows["protocol"].eq(setting.protocol)
        wanted &= _same(rows["image_size"], setting.image_size)
        wanted &= _same(rows["seed"], self.seed) | rows["seed"].isna()
        return rows[wanted]

    @cached_property
    def _cells(self) -> pd.DataFrame:
        """The trainings on the target under the seed: all of the same protocol, the shorter ones of
        others.
        """
        rows = self.history.cells
        setting = self.setting
        wanted = rows["task"].eq(setting.task) & rows["metric"].eq(setting.metric)
        wanted &= rows["source"].isin(setting.sources)
        wanted &= _same(rows["image_size"], setting.image_size) & _same(rows["seed"], self.seed)
        is_shorter = rows["epochs"].lt(setting.epochs) if setting.epochs else False
        return rows[wanted & (rows["protocol"].eq(setting.protocol) | is_shorter)]

    @cached_property
    def _trainings(self) -> dict[str, list[RecordedTraining]]:
        """The trainings of each source."""
        trainings: dict[str, list[RecordedTraining]] = {}
        for row in rows_of(self._cells):
            training = RecordedTraining(
                images=row["train_size"] or 0,
                epochs=row["epochs"],
                validation=row["validation"],
                seconds=row["seconds"] or 0.0,
                curve=self.history.curves_by_job.get(row["job"], {}),
            )
            trainings.setdefault(row["source"], []).append(training)
        return trainings

    @cached_property
    def _sizes(self) -> list[int]:
        """The sizes that every source was trained on: values of unlike sizes do not compare."""
        sizes = [
            {training.images for training in self._trainings.get(source, [])}
            for source in self.setting.sources
        ]
        return sorted(set.intersection(*sizes)) if sizes else []

    def _read(self, source: str, images: int | None, epochs: int | None) -> RecordedValue | None:
        """Read a training of so many images and epochs; None where the store has none."""
        if not self._sizes:
            return None
        allowed = [size for size in self._sizes if images is None or size <= images]
        size = max(allowed, default=self._sizes[0])
        paid_for = (source, size, epochs)
        trainings = [each for each in self._trainings[source] if each.images == size]
        for training in trainings:
            if training.epochs == epochs and training.validation is not None:
                return RecordedValue(training.validation, training.seconds, paid_for)
        for training in sorted(trainings, key=lambda each: each.epochs or 0):
            if not (training.epochs and epochs and training.epochs > epochs):
                continue
            value = training.best_until(epochs)
            if value is not None:
                return RecordedValue(value, training.seconds * epochs / training.epochs, paid_for)
        return None


def _same(column: pd.Series, value: int | None) -> pd.Series:
    """Return where a column holds a value, or lacks one where the value is None."""
    return column.isna() if value is None else column.eq(value)
