"""A ridge regression of relative rank on what is known of a source before training: the model of
``learned_prior`` and ``search``.

A row is a record. Its target is the source's relative rank in its setting
(``headwater.plugins.relative_rank``), less ½. Its columns are

- the relation of the source's domain to the task's: within-domain, including, cross-domain or not
  known;
- the logarithm of the source's images, and the same again where it is within the domain;
- an effect of the source itself, and one of the base that it was chained from;
- for each estimator, the relative rank of the source's score in the setting, less ½.

With X the columns, centred within each setting since a rank says nothing across settings, y the
targets, S the diagonal of row shares by which every task counts the same, and Λ the diagonal of
penalties, the weights w minimise

    (y − Xw)ᵀ S (y − Xw) + wᵀ Λ w,    so that    (XᵀSX + Λ) w = XᵀSy.

Λ holds two penalties: one for the effects of sources and bases, one for all other columns. Both are
chosen by leaving one task out at a time: the pair that predicts the ranks of a task best from the
other tasks. So the effect of a source that was seen often is trusted more than that of one seen
once, and an estimator as much as it was right elsewhere.

A handful of tasks hardly tells penalties apart. The model is therefore the mean of two: the best
pair, and the plainest pair that is within one standard error of it (Breiman et al., Classification
and Regression Trees, 1984, section 3.4.3), where the plainest leaves most to the effects of the
sources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from math import log10, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from headwater import Question, Record, RecordSetting
from headwater.plugins.calibration import Calibration
from headwater.plugins.relative_rank import ranks_by_setting, relative_ranks

if TYPE_CHECKING:
    import numpy as np

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Values tried for each of the two penalties."""
MIN_TASKS = 3
"""Fewest tasks to learn from: with fewer there is nothing to choose the penalties by."""

EFFECT_PREFIXES = ("source ", "base ")
"""Names of the columns under the first penalty begin with one of these."""
DOMAIN_RELATIONS = ("within-domain", "including", "cross-domain")
"""Relations of a source's domain to the task's that have a column each."""
LOG_IMAGES_SCALE = 2.0
"""Divisor of log10(images): sources a hundred times as large differ by 1, as two domain relations
do.
"""


@dataclass(frozen=True)
class PriorModel:
    """A fitted prior.

    Attributes:
        weights: Coefficient of each column: the mean of those under each pair of ``penalties``.
        penalties: The pairs (for effects, for all other columns): the best, and the plainest near
            it.
        errors: Mean squared error of ranks under the best pair, on each task when it is left out.
        calibration: The meaning of a predicted relative rank in quality.
        estimators: The estimators whose scores are columns.
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
        """Fit a prior to records of other targets.

        Args:
            records: The records; settings with a single source are ignored.
            estimators: Estimators to use, of which every setting has the scores.
            size: Training images of the target, which the calibration is made for; None where it is
                not known.

        Returns:
            The model, or None where the records cover fewer than three tasks.
        """
        ranks = ranks_by_setting(records)
        rows = [record for record in records if record.setting in ranks]
        rows.sort(key=lambda record: (*record.setting.sort_key, record.source))
        if len({record.task for record in rows}) < MIN_TASKS:
            return None
        data = _design(rows, ranks, estimators)
        pairs = list(product(PENALTIES, PENALTIES))
        penalties = _penalties(data.names, pairs)
        predicted = _predict_left_out(data, penalties)
        losses = _losses(data, predicted)
        chosen = choose_penalties(losses, pairs)
        gram, moment = _normal_equations(data)
        weights = _solve(gram, moment, penalties[chosen]).mean(axis=0)
        # Of tasks that took no part, as the target takes none: fitted ranks would look too good.
        left_out_ranks = predicted[chosen].mean(axis=0)
        return cls(
            weights=dict(zip(data.names, weights.tolist(), strict=True)),
            penalties=tuple(pairs[index] for index in chosen),
            errors=tuple(losses[:, chosen[0]].tolist()),
            calibration=Calibration.of(rows, left_out_ranks, size),
            estimators=tuple(estimators),
        )

    def is_better_than(self, simpler: PriorModel) -> bool:
        """Return whether the errors are lower by more than one standard error over tasks.

        Args:
            simpler: A model learned from the same records.
        """
        errors = zip(self.errors, simpler.errors, strict=True)
        gains = [simpler_error - error for error, simpler_error in errors]
        standard_error = stdev(gains) / sqrt(len(gains))
        return fmean(gains) > standard_error

    def predict(
        self, question: Question, estimates: Mapping[str, Mapping[str, float]] | None = None
    ) -> dict[str, float]:
        """Predict the relative rank, less ½, of each source in question.

        Args:
            question: The sources and the target.
            estimates: Estimator -> source -> score on the target's images.

        Returns:
            The prediction for each source's name.
        """
        rows = _rows_of_question(question, estimates or {})
        descriptions = _describe(rows, self.estimators)
        ranks = {}
        for row, columns in zip(rows, descriptions, strict=True):
            # A column that no record had, such as the effect of a new source, counts nothing.
            terms = [self.weights.get(name, 0.0) * value for name, value in columns.items()]
            ranks[row.source] = sum(terms)
        return ranks


def _rows_of_question(
    question: Question, estimates: Mapping[str, Mapping[str, float]]
) -> list[Record]:
    """Return a record without a measurement for each source in question."""
    rows = []
    for source in question.sources:
        scores = {
            estimator: by_source[source.name]
            for estimator, by_source in estimates.items()
            if source.name in by_source
        }
        row = Record(
            source=source.name,
            setting=RecordSetting(question.task.name),
            quality=0.0,
            relation=question.relations.get(source.name),
            source_images=source.images,
            task_images=question.task.images,
            base=source.chain.base if source.chain else None,
            estimates=scores,
        )
        rows.append(row)
    return rows


# -- columns ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Design:
    """Rows of the regression.

    Attributes:
        names: Names of the columns.
        x: (rows, columns), centred within each setting.
        y: (rows,) relative rank less ½.
        tasks: (rows,) names.
        shares: (rows,) weights, by which every task counts the same.
    """

    names: list[str]
    x: np.ndarray
    y: np.ndarray
    tasks: np.ndarray
    shares: np.ndarray


def _design(
    rows: Sequence[Record],
    ranks: Mapping[RecordSetting, Mapping[str, float]],
    estimators: Sequence[str],
) -> _Design:
    """Return the regression of records with these ranks (setting -> source -> rank)."""
    import numpy as np

    descriptions = _describe(rows, estimators)
    names = sorted(set(chain.from_iterable(descriptions)))
    values = np.array([[columns.get(name, 0.0) for name in names] for columns in descriptions])
    numbers: dict[RecordSetting, int] = {}
    for record in rows:
        numbers.setdefault(record.setting, len(numbers))
    settings = np.array([numbers[record.setting] for record in rows])
    tasks = np.array([record.task for record in rows])
    targets = np.array([ranks[record.setting][record.source] for record in rows])
    return _Design(
        names=names,
        x=_centred(values, settings),
        y=targets - 0.5,
        tasks=tasks,
        shares=_equal_shares(tasks, settings),
    )


def _describe(rows: Sequence[Record], estimators: Sequence[str]) -> list[dict[str, float]]:
    """Return the columns of each row, by their names."""
    by_setting: dict[RecordSetting, list[Record]] = {}
    for row in rows:
        by_setting.setdefault(row.setting, []).append(row)
    ranks: dict[tuple[RecordSetting, str], dict[str, float]] = {}
    for setting, of_setting in by_setting.items():
        for estimator in estimators:
            scored = [row for row in of_setting if estimator in row.estimates]
            scores = {row.source: row.estimates[estimator] for row in scored}
            ranks[setting, estimator] = relative_ranks(scores)
    descriptions = []
    for row in rows:
        columns = _metadata_columns(row)
        for estimator in estimators:
            # A source without a score is taken to be in the middle.
            rank = ranks[row.setting, estimator].get(row.source, 0.5)
            columns[f"by {estimator}"] = rank - 0.5
        descriptions.append(columns)
    return descriptions


def _metadata_columns(row: Record) -> dict[str, float]:
    """Return the columns of a row that need no estimator, by their names."""
    relation = row.relation if row.relation in DOMAIN_RELATIONS else "not known"
    log_images = log10(1 + (row.source_images or 0)) / LOG_IMAGES_SCALE
    columns = {
        f"is {relation}": 1.0,
        f"source {row.source}": 1.0,
        f"base {row.base or row.source}": 1.0,
        "images": log_images,
    }
    if row.source_images is None:
        columns["images not known"] = 1.0
    if relation == "within-domain":
        columns["images within the domain"] = log_images
    return columns


def _centred(values: np.ndarray, settings: np.ndarray) -> np.ndarray:
    """Return values less their mean in each setting.

    Args:
        values: (rows, columns).
        settings: (rows,) index of each row's setting.
    """
    import numpy as np

    counts = np.bincount(settings).astype(float)
    sums = [np.bincount(settings, column) for column in values.T]
    means = np.stack(sums, axis=1) / counts[:, None]
    return values - means[settings]


def _equal_shares(tasks: np.ndarray, settings: np.ndarray) -> np.ndarray:
    """Return row weights by which every task counts the same, however many settings it was measured
    in.

    A row weighs 1 over the settings of its task, so that a task adds up to one setting.
    """
    import numpy as np

    pairs = set(zip(tasks, settings, strict=True))
    settings_of_task = Counter(task for task, _ in pairs)
    return np.array([1 / settings_of_task[task] for task in tasks])


# -- regression ------------------------------------------------------------------------------------


def _penalties(names: Sequence[str], pairs: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return the penalty of each column under each pair, (pairs, columns)."""
    import numpy as np

    is_effect = np.array([name.startswith(EFFECT_PREFIXES) for name in names])
    of_effects, of_others = np.array(pairs).T
    return np.where(is_effect, of_effects[:, None], of_others[:, None])


def _normal_equations(
    data: _Design, rows: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Return XᵀSX and XᵀSy of some rows."""
    weighted = data.x[rows] * data.shares[rows][:, None]
    return weighted.T @ data.x[rows], weighted.T @ data.y[rows]


def _solve(gram: np.ndarray, moment: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Return the weights (pairs, columns) under penalties (pairs, columns)."""
    import numpy as np

    # XᵀSX + Λ of every pair at once.
    diagonals = penalties[:, :, None] * np.eye(len(moment))
    solutions = np.linalg.solve(gram + diagonals, moment[:, None])
    return solutions[..., 0]


def _predict_left_out(data: _Design, penalties: np.ndarray) -> np.ndarray:
    """Return (pairs, rows) predictions of each task from the others."""
    import numpy as np

    predicted = np.zeros((len(penalties), len(data.y)))
    for task in np.unique(data.tasks):
        is_left_out = data.tasks == task
        gram, moment = _normal_equations(data, ~is_left_out)
        weights = _solve(gram, moment, penalties)
        predicted[:, is_left_out] = weights @ data.x[is_left_out].T
    return predicted


def _losses(data: _Design, predicted: np.ndarray) -> np.ndarray:
    """Return the mean squared error (tasks, pairs) of predictions (pairs, rows)."""
    import numpy as np

    squares = (data.y - predicted) ** 2
    losses = []
    for task in np.unique(data.tasks):
        of_task = squares[:, data.tasks == task]
        losses.append(of_task.mean(axis=1))
    return np.stack(losses)


def choose_penalties(losses: np.ndarray, pairs: Sequence[tuple[float, float]]) -> list[int]:
    """Return the index of the best pair, and of the plainest pair within one standard error of it.

    Args:
        losses: (tasks, pairs).
        pairs: The penalties (for effects, for all other columns) of each pair.
    """
    import numpy as np

    means = losses.mean(axis=0)
    best = int(np.argmin(means))
    # The error of the difference: hard tasks are hard for all pairs, which cancels.
    behind = losses - losses[:, [best]]
    standard_errors = behind.std(axis=0, ddof=1) / np.sqrt(len(losses))
    is_near = behind.mean(axis=0) <= standard_errors
    near = np.flatnonzero(is_near)
    # The plainest pair has the largest penalty on all that is not an effect of a source.
    plainest = max(near.tolist(), key=lambda index: (pairs[index][1], -means[index]))
    return [best, plainest]
