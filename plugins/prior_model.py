"""The model behind ``learned_prior`` and ``search``: a ridge regression of standing on what is known of a source before training.

A row is one record; its target is the source's standing in its setting (see ``plugins.standing``), less ½. Columns:

- the source's domain relation to the task: within-domain, including, cross-domain, not known;
- the logarithm of its images, and the same again where it is within the domain;
- an effect of the source itself, and one of the base it was chained from;
- for each estimator, the source's standing by its score in the setting.

Columns are centred within a setting, since a standing says nothing across settings. The penalty is the same for all columns, which
are scaled alike, and is chosen by leaving one task out at a time: what predicts the standings of a task best from the others. Effects of
sources that were seen often are thereby trusted more than of those seen once, and an estimator as much as it was right elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING

from plugins.standing import standing_of, standings
from registry import Question, Record

if TYPE_CHECKING:
    import numpy as np

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
FEWEST_TASKS = 3
"""Below, there is nothing to choose the penalty by, and hardly anything to learn."""

_RELATIONS = ("within-domain", "including", "cross-domain")
_MAGNITUDE = 2.0
"""Logarithms of sizes are divided by this, so that sources a hundred times as large differ by 1, as two relations do."""


@dataclass(frozen=True)
class PriorModel:
    """Coefficients by column, and the penalty that was chosen.

    On tasks left out, a predicted standing that was higher by 1 meant a quality that was higher by ``slope`` of the best, give or take
    ``spread`` (a standard deviation); both among those predicted above the mean of their setting, which is where a choice is made.
    """

    weights: Mapping[str, float]
    penalty: float
    slope: float
    spread: float
    estimators: tuple[str, ...]

    @classmethod
    def learn(cls, records: Sequence[Record], estimators: Sequence[str] = ()) -> PriorModel | None:
        """From records of other targets; None where they cover fewer than three tasks. ``estimators``: those to count on, of which
        every setting knows the scores."""
        import numpy as np

        kept = standings(records)
        rows = sorted((record for record in records if record.setting in kept), key=lambda record: (record.setting, record.source))
        tasks = np.array([record.task for record in rows])
        if len(set(tasks)) < FEWEST_TASKS:
            return None
        described = _described(rows, estimators)
        names = sorted({name for row in described for name in row})
        settings = np.unique([record.setting for record in rows], return_inverse=True)[1]
        columns = _centred(np.array([[row.get(name, 0.0) for name in names] for row in described]), settings)
        target = np.array([kept[record.setting][record.source] - 0.5 for record in rows])
        shares = _equal_tasks(tasks, settings)
        predicted = _left_out(columns, target, tasks, shares)
        best = int(np.argmin(np.average((target[:, None] - predicted) ** 2, axis=0, weights=shares)))
        weights = np.linalg.solve(*_normal(columns, target, shares, PENALTIES[best]))
        slope, spread = _calibrated(predicted[:, best], _relative(rows), settings)
        return cls(dict(zip(names, weights.tolist(), strict=True)), PENALTIES[best], slope, spread, tuple(estimators))

    def predict(self, question: Question, estimates: Mapping[str, Mapping[str, float]] | None = None) -> dict[str, float]:
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
                estimates={name: scores[source.name] for name, scores in said.items() if source.name in scores},
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
        (setting, estimator): standing_of({row.source: row.estimates[estimator] for row in own if estimator in row.estimates})
        for setting, own in settings.items()
        for estimator in estimators
    }
    return [_facts(row) | {f"by {name}": ranked[row.setting, name].get(row.source, 0.5) - 0.5 for name in estimators} for row in rows]


def _facts(row: Record) -> dict[str, float]:
    relation = row.relation if row.relation in _RELATIONS else "not known"
    size = log10(1 + (row.source_images or 0)) / _MAGNITUDE
    facts = {f"is {relation}": 1.0, f"source {row.source}": 1.0, f"base {row.base or row.source}": 1.0, "images": size}
    if row.source_images is None:
        facts["images not known"] = 1.0
    if relation == "within-domain":
        facts["images within the domain"] = size
    return facts


def _centred(columns: np.ndarray, settings: np.ndarray) -> np.ndarray:
    import numpy as np

    counts = np.bincount(settings).astype(float)
    means = np.stack([np.bincount(settings, column) for column in columns.T], axis=1) / counts[:, None]
    return columns - means[settings]


def _equal_tasks(tasks: np.ndarray, settings: np.ndarray) -> np.ndarray:
    """Weights by which every task counts the same, however many settings it was measured in; they add up to one setting a task."""
    import numpy as np

    pairs = {(task, setting) for task, setting in zip(tasks, settings, strict=True)}
    held = {task: sum(other == task for other, _ in pairs) for task in set(tasks)}
    return np.array([1 / held[task] for task in tasks])


def _normal(columns: np.ndarray, target: np.ndarray, shares: np.ndarray, penalty: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The normal equations of min Σ share · (target − columns w)² + penalty · ‖w‖²."""
    import numpy as np

    weighted = columns * shares[:, None]
    return weighted.T @ columns + penalty * np.eye(columns.shape[1]), weighted.T @ target


def _left_out(columns: np.ndarray, target: np.ndarray, tasks: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(rows, penalties) what is predicted of each task from the others. One decomposition a task serves all penalties."""
    import numpy as np

    gram, moment = _normal(columns, target, shares)
    predicted, penalties = np.zeros((len(target), len(PENALTIES))), np.array(PENALTIES)
    for task in np.unique(tasks):
        own = tasks == task
        own_gram, own_moment = _normal(columns[own], target[own], shares[own])
        values, vectors = np.linalg.eigh(gram - own_gram)
        weights = vectors @ ((vectors.T @ (moment - own_moment))[:, None] / (np.maximum(values, 0)[:, None] + penalties))
        predicted[own] = columns[own] @ weights
    return predicted


def _relative(rows: Sequence[Record]) -> np.ndarray:
    """Each record's quality, over the size of the best of its setting."""
    import numpy as np

    best: dict[str, float] = {}
    for row in rows:
        best[row.setting] = max(best.get(row.setting, row.quality), row.quality)
    return np.array([row.quality / abs(best[row.setting]) if best[row.setting] else 0.0 for row in rows])


def _calibrated(predicted: np.ndarray, relative: np.ndarray, settings: np.ndarray) -> tuple[float, float]:
    """Least squares of relative quality on predicted standing. The rows are chosen by what was predicted: a choice by what came out
    would flatten the slope."""
    import numpy as np

    upper = predicted >= 0
    numbers = np.unique(settings[upper], return_inverse=True)[1]
    predicted, relative = _centred(np.stack([predicted[upper], relative[upper]], axis=1), numbers).T
    slope = float(predicted @ relative) / max(float(predicted @ predicted), 1e-12)
    return max(_FLATTEST, slope), float(np.std(relative - slope * predicted))


_FLATTEST = 0.02
"""What was learned counts at least so much: where nothing else is known, its order stands."""
