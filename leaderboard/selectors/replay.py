"""A question put to a selector again: what it estimates and measures is read from the store, with what that cost.

``estimate`` costs the features of each source once, and each score. ``measure`` reads the cell of that size; where fewer epochs are
asked for, a shorter training of the same data, or else the validation curve of the cell up to there, at that share of its cost.
Sizes are those that every source was trained on: the largest that is not above what was asked for, or else the smallest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headwater.leaderboard.selectors.history import Recorded, Setting, named, rows_of
from headwater.registry import Name, Question, Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trained:
    """One recorded training: the best validation of its epochs so far, by epoch, and what all of it took."""

    images: int
    epochs: int | None
    validation: float | None
    seconds: float
    curve: Mapping[int, float]


@dataclass
class Replay:
    """The work of one question: a setting under one of its seeds. ``spent`` counts seconds, ``unscored`` sources without an estimate."""

    setting: Setting
    seed: int | None
    recorded: Recorded
    share: float
    spent: float = 0.0
    worked: bool = False
    unscored: int = 0
    _paid: set[tuple[Any, ...]] = field(default_factory=set)

    def question(self) -> Question:
        """Leave-one-target-out: all that the store knows of other tasks, nothing of this one but what is asked for."""
        setting, recorded = self.setting, self.recorded
        costs = self.everything > 0
        return Question(
            recorded.tasks.get(setting.task)
            or Task(name=setting.task, load=lambda: None, metric=setting.metric),
            named(setting.sources, recorded.sources),
            setting.images,
            recorded.records_but(setting.task),
            recorded.relations.get(setting.task, {}),
            recorded.domain_parents,
            self.estimate,
            self.measure if costs else None,
            self.budget,
            lambda: self.spent,
            setting.epochs,
        )

    @cached_property
    def everything(self) -> float:
        """Seconds of fine-tuning every source on all images once; 0 where that is not recorded."""
        cells = self._cells
        return float(
            cells.loc[
                cells["protocol"].eq(self.setting.protocol) & cells["size"].eq(self.setting.size),
                "seconds",
            ]
            .fillna(0)
            .sum()
        )

    @property
    def budget(self) -> float:
        return self.share * self.everything

    # -- what a selector may ask ------------------------------------------------------------------------------

    def estimate(self, estimator: str) -> dict[str, float]:
        self.worked = True
        rows, scores = self._estimates, dict[str, float]()
        for row in rows_of(rows[rows["estimator"] == str(Name.parse(estimator))]):
            scores[row["source"]] = float(row["score"])
            self._pay(("features", row["source"]), row["feature_seconds"])
            self._pay((estimator, row["source"]), row["seconds"])
        if scores:  # of an estimator that scored none, the selector says so itself
            self.unscored = max(self.unscored, len(self.setting.sources) - len(scores))
        return scores

    def measure(
        self, sources: Sequence[str], *, size: int | None = None, epochs: int | None = None
    ) -> dict[str, float]:
        self.worked = True
        found = {}
        for source in sources:
            known = self._trained(
                source, size or self.setting.images, epochs or self.setting.epochs
            )
            if known is None:
                continue
            value, cost, identity = known
            if identity not in self._paid and self.spent + cost > self.budget:
                break
            self._pay(identity, cost)
            found[source] = value
        return found

    def _pay(self, what: tuple[Any, ...], seconds: float | None) -> None:
        if what not in self._paid:
            self._paid.add(what)
            self.spent += seconds or 0.0

    # -- what is recorded -------------------------------------------------------------------------------------

    @cached_property
    def _estimates(self) -> pd.DataFrame:
        rows, setting = self.recorded.estimates, self.setting
        mine = (
            rows["task"].eq(setting.task)
            & rows["size"].eq(setting.size)
            & rows["source"].isin(setting.sources)
        )
        mine &= rows["protocol"].isna() | rows["protocol"].eq(setting.protocol)
        return rows[
            mine
            & _same(rows["image_size"], setting.image_size)
            & (_same(rows["seed"], self.seed) | rows["seed"].isna())
        ]

    @cached_property
    def _cells(self) -> pd.DataFrame:
        """Every training on this target under this seed: of the same protocol, of whatever size; of another, the shorter ones."""
        rows, setting = self.recorded.cells, self.setting
        mine = (
            rows["task"].eq(setting.task)
            & rows["metric"].eq(setting.metric)
            & rows["source"].isin(setting.sources)
        )
        mine &= _same(rows["image_size"], setting.image_size) & _same(rows["seed"], self.seed)
        shorter = rows["epochs"].lt(setting.epochs) if setting.epochs else False
        return rows[mine & (rows["protocol"].eq(setting.protocol) | shorter)]

    @cached_property
    def _trainings(self) -> dict[str, list[Trained]]:
        found: dict[str, list[Trained]] = {}
        for row in rows_of(self._cells):
            curve = self.recorded.curves_by_job.get(row["job"], {})
            one = Trained(
                row["train_size"] or 0,
                row["epochs"],
                row["validation"],
                row["seconds"] or 0.0,
                curve,
            )
            found.setdefault(row["source"], []).append(one)
        return found

    @cached_property
    def _sizes(self) -> list[int]:
        """The sizes that every source was trained on: values of unlike sizes do not compare."""
        of = [
            {training.images for training in self._trainings.get(source, [])}
            for source in self.setting.sources
        ]
        return sorted(set.intersection(*of)) if of else []

    def _trained(
        self, source: str, images: int | None, epochs: int | None
    ) -> tuple[float, float, tuple[Any, ...]] | None:
        """Validation of a training of so many images and epochs, its seconds, and what is paid for by them."""
        if not self._sizes:
            return None
        size = max(
            (n for n in self._sizes if images is None or n <= images), default=self._sizes[0]
        )
        identity, of_size = (
            (source, size, epochs),
            [one for one in self._trainings[source] if one.images == size],
        )
        for one in of_size:
            if one.epochs == epochs and one.validation is not None:
                return one.validation, one.seconds, identity
        for one in sorted(of_size, key=lambda one: one.epochs or 0):
            if (
                one.epochs
                and epochs
                and one.epochs > epochs
                and (seen := [v for epoch, v in one.curve.items() if epoch <= epochs])
            ):
                return max(seen), one.seconds * epochs / one.epochs, identity
        return None


def _same(column: pd.Series, value: int | None) -> pd.Series:
    return column.isna() if value is None else column.eq(value)
