"""The model behind ``learned_prior`` and ``search``: a ridge regression of standing on what is known of a source before training.

A row is one record; its target is the source's standing in its setting (see ``headwater.plugins.standing``), less ½. Columns:

- the source's domain relation to the task: within-domain, including, cross-domain, not known;
- the logarithm of its images, and the same again where it is within the domain;
- an effect of the source itself, and one of the base it was chained from;
- for each estimator, the source's standing by its score in the setting.

Columns are centred within a setting, since a standing says nothing across settings. One penalty is for the effects of sources and bases,
one for all else; both are chosen by leaving one task out at a time: what predicts the standings of a task best from the others. Effects of
sources that were seen often are thereby trusted more than of those seen once, and an estimator as much as it was right elsewhere.

A handful of tasks hardly tells penalties apart. So the model is the mean of two: the best, and the plainest that the tasks cannot tell
from it, the one that leaves most to the sources' own effects (the rule of one standard error, Breiman et al. 1984, section 3.4.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log10, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from headwater.plugins.calibration import Calibration
from headwater.plugins.standing import standing_of, standings
from headwater.registry import Question, Record

if TYPE_CHECKING:
    import numpy as np

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
FEWEST_TASKS = 3
"""Below, there is nothing to choose the penalty by, and hardly anything to learn."""

_EFFECTS = ("source ", "base ")
_RELATIONS = ("within-domain", "including", "cross-domain")
_MAGNITUDE = 2.0
"""Logarithms of sizes are divided by this, so that sources a hundred times as large differ by 1, as two relations do."""


@dataclass(frozen=True)
class PriorModel:
    """Coefficients by column: the mean of those under each of ``penalties`` (of effects, of all else).

    ``errors``: the mean squared error of standings under the better of them, on each task left out. ``calibration``: what a
    predicted standing means.
    """

    weights: Mapping[str, float]
    penalties: tuple[tuple[float, float], ...]
    errors: tuple[float, ...]
    calibration: Calibration
    estimators: tuple[str, ...]

    @classmethod
    def learn(
        cls, records: Sequence[Record], estimators: Sequence[str] = (), size: int | None = None
    ) -> PriorModel | None:
        """From records of other targets; None where they cover fewer than three tasks. ``estimators``: those to count on, of which
        every setting knows the scores; ``size``: the images that the calibration is for."""
        import numpy as np

        kept = standings(records)
        rows = sorted(
            (record for record in records if record.setting in kept),
            key=lambda record: (record.setting, record.source),
        )
        tasks = np.array([record.task for record in rows])
        if len(set(tasks)) < FEWEST_TASKS:
            return None
        described = _described(rows, estimators)
        names = sorted({name for row in described for name in row})
        settings = np.unique([record.setting for record in rows], return_inverse=True)[1]
        columns = _centred(
            np.array([[row.get(name, 0.0) for name in names] for row in described]), settings
        )
        target = np.array([kept[record.setting][record.source] - 0.5 for record in rows])
        shares = _equal_tasks(tasks, settings)
        pairs = [(effect, other) for effect in PENALTIES for other in PENALTIES]
        penalties = np.array(
            [
                [pair[0] if name.startswith(_EFFECTS) else pair[1] for name in names]
                for pair in pairs
            ]
        )
        predicted = _left_out(columns, target, tasks, shares, penalties)
        losses = np.stack(
            [
                ((target - predicted)[:, tasks == task] ** 2).mean(axis=1)
                for task in np.unique(tasks)
            ]
        )
        chosen = _chosen(losses, pairs)
        weights = _solved(*_normal(columns, target, shares), penalties[chosen]).mean(axis=0)
        calibration = Calibration.of(rows, predicted[chosen].mean(axis=0), size)
        errors = tuple(losses[:, chosen[0]].tolist())
        return cls(
            dict(zip(names, weights.tolist(), strict=True)),
            tuple(pairs[at] for at in chosen),
            errors,
            calibration,
            tuple(estimators),
        )

    def tells_more(self, than: PriorModel) -> bool:
        """Whether it is better than one learned from the same records, by more than one standard error over tasks."""
        gains = [other - own for own, other in zip(self.errors, than.errors, strict=True)]
        return fmean(gains) > stdev(gains) / sqrt(len(gains))

    def predict(
        self, question: Question, estimates: Mapping[str, Mapping[str, float]] | None = None
    ) -> dict[str, float]:
        """The expected standing of each source the question is about; ``estimates``: estimator -> source -> score."""
        said = estimates or {}
        rows = [
            Record(
                source=source.name,
                task=question.task.name,
                setting="",
                quality=0.0,
                relation=question.relations.get(source.name),
                source_images=source.images,
                task_images=question.task.images,
                base=source.chain.base if source.chain else None,
                estimates={
                    name: scores[source.name]
                    for name, scores in said.items()
                    if source.name in scores
                },
            )
            for source in question.sources
        ]
        described = _described(rows, self.estimators)
        return {row.source: sum(self.weights.get(name, 0.0) * value for name, value in facts.items())
                for row, facts in zip(rows, described, strict=True)}  # fmt: skip


def _described(rows: Sequence[Record], estimators: Iterable[str]) -> list[dict[str, float]]:
    """What is known of each row, by the names of columns."""
    settings: dict[str, list[Record]] = {}
    for row in rows:
        settings.setdefault(row.setting, []).append(row)
    ranked = {
        (setting, estimator): standing_of(
            {row.source: row.estimates[estimator] for row in own if estimator in row.estimates}
        )
        for setting, own in settings.items()
        for estimator in estimators
    }
    return [
        _facts(row)
        | {
            f"by {name}": ranked[row.setting, name].get(row.source, 0.5) - 0.5
            for name in estimators
        }
        for row in rows
    ]


def _facts(row: Record) -> dict[str, float]:
    relation = row.relation if row.relation in _RELATIONS else "not known"
    size = log10(1 + (row.source_images or 0)) / _MAGNITUDE
    facts = {
        f"is {relation}": 1.0,
        f"source {row.source}": 1.0,
        f"base {row.base or row.source}": 1.0,
        "images": size,
    }
    if row.source_images is None:
        facts["images not known"] = 1.0
    if relation == "within-domain":
        facts["images within the domain"] = size
    return facts


def _centred(columns: np.ndarray, settings: np.ndarray) -> np.ndarray:
    import numpy as np

    counts = np.bincount(settings).astype(float)
    means = (
        np.stack([np.bincount(settings, column) for column in columns.T], axis=1) / counts[:, None]
    )
    return columns - means[settings]


def _equal_tasks(tasks: np.ndarray, settings: np.ndarray) -> np.ndarray:
    """Weights by which every task counts the same, however many settings it was measured in; they add up to one setting a task."""
    import numpy as np

    pairs = {(task, setting) for task, setting in zip(tasks, settings, strict=True)}
    held = {task: sum(other == task for other, _ in pairs) for task in set(tasks)}
    return np.array([1 / held[task] for task in tasks])


def _normal(
    columns: np.ndarray, target: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The normal equations of min Σ share · (target − columns w)²."""
    weighted = columns * shares[:, None]
    return weighted.T @ columns, weighted.T @ target


def _solved(gram: np.ndarray, moment: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """(choices, columns) weights that minimise the squares and Σ penalty · w², by (choices, columns) penalties."""
    import numpy as np

    return np.linalg.solve(gram + penalties[:, :, None] * np.eye(len(moment)), moment[:, None])[
        ..., 0
    ]


def _left_out(
    columns: np.ndarray,
    target: np.ndarray,
    tasks: np.ndarray,
    shares: np.ndarray,
    penalties: np.ndarray,
) -> np.ndarray:
    """(choices, rows) what is predicted of each task from the others."""
    import numpy as np

    predicted = np.zeros((len(penalties), len(target)))
    for task in np.unique(tasks):
        own = tasks == task
        weights = _solved(*_normal(columns[~own], target[~own], shares[~own]), penalties)
        predicted[:, own] = weights @ columns[own].T
    return predicted


def _chosen(losses: np.ndarray, pairs: Sequence[tuple[float, float]]) -> list[int]:
    """Of (tasks, choices) losses: the best on average, and of those that are worse by no more than one standard error of the
    difference the plainest."""
    import numpy as np

    means = losses.mean(axis=0)
    best = int(np.argmin(means))
    behind = losses - losses[:, [best]]
    near = np.flatnonzero(behind.mean(axis=0) <= behind.std(axis=0, ddof=1) / np.sqrt(len(losses)))
    return [best, max(near.tolist(), key=lambda at: (pairs[at][1], -means[at]))]
