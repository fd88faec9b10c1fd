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

from headwater.leaderboard.selectors.history import History, TargetSetting, cards_of, rows_of
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
        reached = [value for at, value in self.curve.items() if at <= epoch]
        return max(reached, default=None)


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
        task = history.tasks.get(setting.task)
        if task is None:  # imported tables may name tasks that have no card
            task = Task(name=setting.task, load=lambda: None, metric=setting.metric)
        return Question(
            task=task,
            sources=cards_of(setting.sources, history.sources),
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
        is_same_protocol = cells["protocol"].eq(self.setting.protocol)
        is_same_size = cells["size"].eq(self.setting.size)
        seconds = cells.loc[is_same_protocol & is_same_size, "seconds"]
        return float(seconds.fillna(0).sum())

    @property
    def budget(self) -> float:
        """The seconds that the selector may spend."""
        return self.share * self.full_cost

    # -- what a selector may ask -------------------------------------------------------------------

    def estimate(self, estimator: str) -> dict[str, float]:
        """Return the recorded scores of an estimator, by source, and pay for them."""
        self.worked = True
        estimates = self._estimates
        recorded_name = str(Name.parse(estimator))
        scores: dict[str, float] = {}
        for row in rows_of(estimates[estimates["estimator"] == recorded_name]):
            source = row["source"]
            scores[source] = float(row["score"])
            # All estimators share a source's features, so that the second one gets them for free.
            self._pay(("features", source), row["feature_seconds"])
            self._pay((estimator, source), row["seconds"])
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
            would_spend = self.spent + recorded.seconds
            if not is_paid and would_spend > self.budget:
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
        is_wanted = rows["task"].eq(setting.task)
        is_wanted &= rows["size"].eq(setting.size)
        is_wanted &= rows["source"].isin(setting.sources)
        # Imported scores belong to the protocol of their import, measured ones to none.
        is_wanted &= _is_same_or_missing(rows["protocol"], setting.protocol)
        is_wanted &= _is_same(rows["image_size"], setting.image_size)
        is_wanted &= _is_same_or_missing(rows["seed"], self.seed)
        return rows[is_wanted]

    @cached_property
    def _cells(self) -> pd.DataFrame:
        """The trainings on the target under the seed: all of the same protocol, the shorter ones of
        others.
        """
        rows = self.history.cells
        setting = self.setting
        is_wanted = rows["task"].eq(setting.task)
        is_wanted &= rows["metric"].eq(setting.metric)
        is_wanted &= rows["source"].isin(setting.sources)
        is_wanted &= _is_same(rows["image_size"], setting.image_size)
        is_wanted &= _is_same(rows["seed"], self.seed)
        # A search trains for fewer epochs first, which is a protocol of its own.
        is_comparable = rows["protocol"].eq(setting.protocol)
        if setting.epochs:
            is_comparable |= rows["epochs"].lt(setting.epochs)
        return rows[is_wanted & is_comparable]

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
            of_source = trainings.setdefault(row["source"], [])
            of_source.append(training)
        return trainings

    @cached_property
    def _sizes(self) -> list[int]:
        """The sizes that every source was trained on: values of unlike sizes do not compare."""
        sizes: set[int] | None = None
        for source in self.setting.sources:
            trainings = self._trainings.get(source, [])
            of_source = {training.images for training in trainings}
            sizes = of_source if sizes is None else sizes & of_source
        return sorted(sizes or ())

    def _read(self, source: str, images: int | None, epochs: int | None) -> RecordedValue | None:
        """Read a training of so many images and epochs; None where the store has none."""
        if not self._sizes:
            return None
        small_enough = [size for size in self._sizes if images is None or size <= images]
        size = max(small_enough, default=self._sizes[0])
        paid_for = (source, size, epochs)
        trainings = [each for each in self._trainings[source] if each.images == size]
        for training in trainings:
            if training.epochs == epochs and training.validation is not None:
                return RecordedValue(training.validation, training.seconds, paid_for)
        if not epochs:
            return None
        # No training of that length: the shortest longer one is nearest to what it would have been.
        longer = [each for each in trainings if each.epochs and each.epochs > epochs]
        longer.sort(key=_epochs_of)
        for training in longer:
            value = training.best_until(epochs)
            if value is not None:
                seconds = training.seconds * epochs / _epochs_of(training)
                return RecordedValue(value, seconds, paid_for)
        return None


def _epochs_of(training: RecordedTraining) -> int:
    return training.epochs or 0


def _is_same(column: pd.Series, value: Any) -> pd.Series:
    """Return where a column holds a value, or lacks one where the value is None."""
    return column.isna() if value is None else column.eq(value)


def _is_same_or_missing(column: pd.Series, value: Any) -> pd.Series:
    """Return where a column holds a value, and where it lacks one."""
    return _is_same(column, value) | column.isna()
