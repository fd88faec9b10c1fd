"""Search: prior and estimators first, then fine-tuning by successive halving (Jamieson and Talwalkar 2016), where it can tell more.

What is believed of a source is a relative quality: at first what a model learned from records of other targets says
(``headwater.plugins.prior_model``), then what a fine-tuning showed, weighed by the variances that records tell (``headwater.plugins.calibration``). A
validation metric on 30 images is off by a tenth and more, so that ordering by it alone would undo a good prior: on nine real targets even
fine-tuning *everything* and choosing by validation was worse than the prior.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from statistics import fmean, variance

from headwater.plugins.calibration import Calibration
from headwater.plugins.prior_model import PriorModel
from headwater.plugins.standing import mean_standing, standing_of
from headwater.registry import Question, selector
from headwater.registry.errors import NotApplicable

SIZES = (50, 150, 500)
"""Images of the rungs below all."""
WORTH = 0.001
"""Fine-tuning goes on while it can be expected to find a choice that is better by this much of its quality."""
DRAWS = 2000
"""Of what measuring may show."""


@dataclass(frozen=True)
class Rung:
    """Images and epochs, None for all; ``share``: of the steps that all would take."""

    size: int | None
    epochs: int | None
    images: float
    share: float


@selector("search")
def search(
    question: Question,
    *,
    estimators: str = "logme+linear_probe",
    keep: int = 3,
    most: int = 9,
    validation: float = 0.2,
) -> dict[str, float]:
    """Successive halving on growing subsets and epochs that starts from prior and estimators and spends a budget only where it can tell.

    ``estimators``: what to start from, joined by +. ``most`` sources enter the first rung; of each rung, the best 1/``keep`` go on.
    ``validation``: the share of the images that measured values are read on.
    """
    start, known = _start(question, estimators.split("+") if estimators else [])
    believed, purse, seen_by = dict(start), Purse(question), 0.0
    contenders = _best(believed, most)
    # where there was nothing to learn from, there is no good start to lose, and the budget is there to be spent
    everything = 0.0 if known == Calibration() else _gain(start.values(), known.spread)
    for place, rung in enumerate(_rungs(question)):
        contenders = _best(
            {name: believed[name] for name in contenders}, max(2, most // keep**place)
        )
        if question.measure is None or len(contenders) < 2:
            break
        fitting = contenders[: purse.holds(contenders, rung.share)]
        gain = _gain(
            (believed[name] for name in fitting),
            known.spread * (known.trust(rung.images, rung.share, validation) - seen_by),
        )
        if len(fitting) < 2 or gain < max(
            WORTH, everything * rung.share * len(fitting) / len(start)
        ):
            continue  # it would hardly tell more than is known, or show one with nothing to compare it with
        found = purse.measured(contenders, rung)
        if len(found) > 1 and (scale := fmean(map(abs, found.values()))):
            seen = {name: value / scale for name, value in found.items()}
            # where values differ by more than was expected, all that is more is noise
            surprise = variance(value - start[name] for name, value in seen.items())
            # of a metric where lower is better, values are negative: no shares, whatever they look like without their sign
            trust = known.trust(rung.images, rung.share, validation, fmean(found.values()))
            seen_by = min(trust, known.spread / max(surprise, known.spread, 1e-12))
            believed |= _updated(start, believed, seen, seen_by)
        if len(found) < len(contenders):
            break
    return believed


# -- the start --------------------------------------------------------------------------------------------


def _start(question: Question, estimators: Sequence[str]) -> tuple[dict[str, float], Calibration]:
    """What is believed before anything is fine-tuned. Estimators cost time: where there are records to judge them by, they are asked
    where these tell that the model predicts better with them than without."""
    model = PriorModel.learn(question.records, size=question.size)
    if model is None:
        return _by_standing(question, dict(_estimates(question, estimators))), Calibration()
    recorded = {name for record in question.records for name in record.estimates}
    if question.estimate is not None and (
        wanted := tuple(name for name in estimators if name in recorded)
    ):
        richer = PriorModel.learn(question.records, wanted, question.size)
        if richer is not None and richer.tells_more(model):
            estimates = dict(_estimates(question, wanted))
            return (
                _meant(richer, richer.predict(question, estimates))
                if len(estimates) == len(wanted)
                else _meant(model, model.predict(question))
            )
    return _meant(model, model.predict(question))


def _meant(model: PriorModel, scores: Mapping[str, float]) -> tuple[dict[str, float], Calibration]:
    return {
        name: model.calibration.slope * score for name, score in scores.items()
    }, model.calibration


def _by_standing(
    question: Question, estimates: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """Too few records to learn from: the mean of the standings by prior and estimators."""
    known = [
        standing_of(scores)
        for scores in (mean_standing(question.records), *estimates.values())
        if scores
    ]
    if not known and question.measure is None:
        raise NotApplicable(
            "nothing is known of these sources, and there is nothing to measure with",
            subject="search",
        )
    own = {
        source.name: [one[source.name] for one in known if source.name in one]
        for source in question.sources
    }
    return {
        name: Calibration.slope * (fmean(values) if values else 0.0) for name, values in own.items()
    }


def _estimates(
    question: Question, estimators: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, float]]]:
    for name in estimators if question.estimate is not None else ():
        try:
            scores = question.estimate(name) if question.estimate is not None else {}
        except NotApplicable:  # not for this type of task
            continue
        if scores:
            yield name, scores


# -- the rungs --------------------------------------------------------------------------------------------


def _rungs(question: Question) -> Iterator[Rung]:
    """A third of the epochs on the smallest subset, two thirds on the next and on all images, then everything."""
    below = list(question.sizes) or [
        size for size in SIZES if question.size is None or size < question.size
    ]
    everything = float(question.size or 2 * SIZES[-1])
    for place, size in enumerate([*below[:2], None]):
        epochs = (
            max(1, round(question.epochs * (1 + min(place, 1)) / 3)) if question.epochs else None
        )
        share = (
            (epochs / question.epochs if epochs and question.epochs else 1.0)
            * (size or everything)
            / everything
        )
        yield Rung(size, epochs, float(size or everything), share)
    yield Rung(None, None, everything, 1.0)


def _best(believed: Mapping[str, float], count: int) -> list[str]:
    return sorted(believed, key=lambda name: (-believed[name], name))[:count]


def _gain(means: Iterable[float], learned: float) -> float:
    """By how much a choice is expected to be better when each mean has moved by the variance ``learned``: E max − max E (the knowledge
    gradient of Frazier, Powell and Dayanik 2008), by draws that are the same every time."""
    import numpy as np

    known = np.array(list(means))
    if learned <= 0 or len(known) < 2:
        return 0.0
    moved = known + sqrt(learned) * np.random.default_rng(0).standard_normal((DRAWS, len(known)))
    return float(moved.max(axis=1).mean() - known.max())


def _updated(
    start: Mapping[str, float],
    believed: Mapping[str, float],
    seen: Mapping[str, float],
    trust: float,
) -> dict[str, float]:
    """Differences between those seen: what was believed at the start and what is seen, by trust. An earlier rung of the same training
    and validation images tells nothing beside this one. Their mean stays: values of another rung do not compare."""
    level, began, centre = (
        fmean(values[name] for name in seen) for values in (believed, start, seen)
    )
    return {
        name: level + (1 - trust) * (start[name] - began) + trust * (value - centre)
        for name, value in seen.items()
    }


# -- the budget -------------------------------------------------------------------------------------------


@dataclass
class Purse:
    """What trainings will cost, so that none is begun that would stay alone: from records of these sources, corrected by what the
    first ones took."""

    question: Question
    factor: float = 1.0
    known: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Seconds of a whole training of each source, by the records of the size nearest to the question's."""
        size, timed = (
            self.question.size,
            [record for record in self.question.records if record.seconds and record.size],
        )
        sizes = {record.size or 1 for record in timed}
        nearest = min(sizes, key=lambda one: (abs(log(one / (size or one))), one), default=1)
        of: dict[str, list[float]] = {}
        for record in timed:
            if record.size == nearest and record.seconds:
                of.setdefault(record.source, []).append(
                    record.seconds * (size or nearest) / nearest
                )
        self.known = {name: fmean(seconds) for name, seconds in of.items()}

    def holds(self, names: Sequence[str], share: float) -> int:
        """How many of these, in their order, what is left of the budget is enough for; all where nothing tells."""
        left = self.question.budget - self._spent()
        return sum(self._forecast(names[: count + 1], share) <= left for count in range(len(names)))

    def measured(self, names: Sequence[str], rung: Rung) -> Mapping[str, float]:
        before = self._spent()
        found = (
            self.question.measure(names, size=rung.size, epochs=rung.epochs)
            if self.question.measure is not None
            else {}
        )
        if found and (took := self._spent() - before) > 0:
            if forecast := self._forecast(list(found), rung.share):
                self.factor *= took / forecast
            else:
                self.known = dict.fromkeys(names, took / len(found) / rung.share)
        return found

    def _forecast(self, names: Sequence[str], share: float) -> float:
        return self.factor * share * sum(self.known.get(name, 0.0) for name in names)

    def _spent(self) -> float:
        return self.question.spent() if self.question.spent is not None else 0.0
