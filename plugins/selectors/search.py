"""Successive halving (Jamieson and Talwalkar 2016) that starts from prior and estimators and
fine-tunes only where it can tell more.

A belief is a relative quality for each source. It starts as what a model learned from records of
other targets (``headwater.plugins.prior_model``), and is corrected by what fine-tuning shows,
weighed by the variances that the records tell (``headwater.plugins.calibration``). With b₀ the
first belief and m a measured relative quality, both centred,

    belief = (1 − t) b₀ + t m,    t = spread / (spread + noise of m)

A validation metric on 30 images is off by a tenth and more, so that ordering by it alone would undo
a good prior: on nine real targets even fine-tuning *every* source and choosing by validation was
worse than the prior. A rung is therefore run only where the expected improvement of the choice, E
max − max E (the knowledge gradient of Frazier, Powell and Dayanik 2008), is worth its cost.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from statistics import fmean, variance

from headwater import NotApplicable, Question, selector
from headwater.plugins.calibration import Calibration
from headwater.plugins.prior_model import PriorModel
from headwater.plugins.relative_rank import mean_relative_rank, relative_ranks

DEFAULT_SIZES = (50, 150, 500)
"""Training images of the rungs below all images, where the question names none."""
MIN_GAIN = 0.001
"""Least expected improvement of the choice, in relative quality, for which a rung is run."""
DRAWS = 2000
"""Random draws by which the expected improvement is computed."""


@dataclass(frozen=True)
class FineTuningRung:
    """A rung of successive halving.

    Attributes:
        size: Training images; None for all.
        epochs: Epochs; None for all.
        images: Training images as a number, also where ``size`` is None.
        share: Share of the steps of a whole training on all images.
    """

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
    """Successive halving on growing subsets and epochs that starts from prior and estimators and
    spends a budget only where it can tell.

    Args:
        question: The sources and the target.
        estimators: Estimators to start from, joined by +.
        keep: The best 1/``keep`` of a rung's sources enter the next.
        most: Sources that enter the first rung.
        validation: Share of the images that measured values are read on.

    Returns:
        The relative quality that is believed of each source.

    Raises:
        NotApplicable: Nothing is known of the sources, and there is nothing to measure with.
    """
    names = estimators.split("+") if estimators else []
    start, calibration = _first_belief(question, names)
    belief = dict(start)
    costs = TrainingCosts(question)
    trust_so_far = 0.0
    contenders = _best(belief, most)
    if calibration == Calibration():
        # Nothing was learned: there is no good start to lose, and the budget is there to be spent.
        gain_of_measuring_all = 0.0
    else:
        gain_of_measuring_all = _expected_gain(start.values(), calibration.spread)
    for place, rung in enumerate(_rungs(question)):
        of_contenders = {name: belief[name] for name in contenders}
        contenders = _best(of_contenders, max(2, most // keep**place))
        if question.measure is None or len(contenders) < 2:
            break
        count = costs.affordable(contenders, rung.share)
        affordable = contenders[:count]
        trust = calibration.trust(rung.images, rung.share, validation)
        learned = calibration.spread * (trust - trust_so_far)
        gain = _expected_gain((belief[name] for name in affordable), learned)
        # Measuring all sources whole has its gain and its cost: a rung should be as good value.
        fair_gain = gain_of_measuring_all * rung.share * len(affordable) / len(start)
        is_worth_it = gain >= max(MIN_GAIN, fair_gain)
        # One source alone would have nothing to be compared with.
        if len(affordable) < 2 or not is_worth_it:
            continue
        measured = costs.measure(contenders, rung)
        scale = fmean(map(abs, measured.values())) if len(measured) > 1 else 0.0
        if scale:
            relative = {name: value / scale for name, value in measured.items()}
            # Where values differ by more than was expected, all that is more is noise.
            surprise = variance(value - start[name] for name, value in relative.items())
            # Values of a metric where lower is better are negative. They must keep their sign here:
            # without it an error would pass for a share of the images.
            mean = fmean(measured.values())
            trust = calibration.trust(rung.images, rung.share, validation, mean)
            spread = calibration.spread
            explained = spread / max(surprise, spread, 1e-12)
            trust_so_far = min(trust, explained)
            belief |= _updated(start, belief, relative, trust_so_far)
        # The budget ended within the rung.
        if len(measured) < len(contenders):
            break
    return belief


# -- the first belief ------------------------------------------------------------------------------


def _first_belief(
    question: Question, estimators: Sequence[str]
) -> tuple[dict[str, float], Calibration]:
    """Return what is believed before any fine-tuning, and its calibration.

    Estimators cost time. Where there are records to judge them by, they are used only if the
    records show that the model predicts better with them than without.
    """
    model = PriorModel.learn(question.records, size=question.size)
    if model is None:
        estimates = _estimate(question, estimators)
        return _belief_without_model(question, estimates), Calibration()
    recorded = {name for record in question.records for name in record.estimates}
    usable = tuple(name for name in estimators if name in recorded)
    if question.estimate is not None and usable:
        with_estimators = PriorModel.learn(question.records, usable, question.size)
        if with_estimators is not None and with_estimators.is_better_than(model):
            estimates = _estimate(question, usable)
            # The model was learned from settings that had the scores of all of them.
            if len(estimates) == len(usable):
                ranks = with_estimators.predict(question, estimates)
                return _belief_of(with_estimators, ranks)
    return _belief_of(model, model.predict(question))


def _belief_of(
    model: PriorModel, ranks: Mapping[str, float]
) -> tuple[dict[str, float], Calibration]:
    """Return predicted relative ranks in units of relative quality."""
    slope = model.calibration.slope
    return {name: slope * rank for name, rank in ranks.items()}, model.calibration


def _belief_without_model(
    question: Question, estimates: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """Return the mean of the relative ranks by prior and by estimators, for too few records to
    learn from.
    """
    scores = [mean_relative_rank(question.records), *estimates.values()]
    ranks = [relative_ranks(by_source) for by_source in scores if by_source]
    if not ranks and question.measure is None:
        raise NotApplicable(
            "nothing is known of these sources, and there is nothing to measure with",
            subject="search",
        )
    belief = {}
    for source in question.sources:
        name = source.name
        ranks_of_source = [by_source[name] for by_source in ranks if name in by_source]
        rank = fmean(ranks_of_source) if ranks_of_source else 0.0
        belief[name] = Calibration.slope * rank
    return belief


def _estimate(question: Question, estimators: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """Return estimator -> source -> score, without the estimators that are not defined for this
    type of task.
    """
    if question.estimate is None:
        return {}
    estimates = {}
    for name in estimators:
        try:
            scores = question.estimate(name)
        except NotApplicable:
            continue
        if scores:
            estimates[name] = scores
    return estimates


# -- the rungs -------------------------------------------------------------------------------------


def _rungs(question: Question) -> Iterator[FineTuningRung]:
    """Yield a third of the epochs on the smallest subset, two thirds on the next and on all images,
    then everything.
    """
    sizes = list(question.sizes)
    if not sizes:
        sizes = [size for size in DEFAULT_SIZES if question.size is None or size < question.size]
    all_images = float(question.size or 2 * DEFAULT_SIZES[-1])
    for place, size in enumerate([*sizes[:2], None]):
        epochs = None
        share_of_epochs = 1.0
        if question.epochs:
            thirds = 1 if place == 0 else 2
            epochs = max(1, round(question.epochs * thirds / 3))
            share_of_epochs = epochs / question.epochs
        images = size or all_images
        share = share_of_epochs * images / all_images
        yield FineTuningRung(size, epochs, float(images), share)
    yield FineTuningRung(None, None, all_images, 1.0)


def _best(belief: Mapping[str, float], count: int) -> list[str]:
    """Return the sources with the highest belief, ties by name so that runs agree."""
    return sorted(belief, key=lambda name: (-belief[name], name))[:count]


def _expected_gain(means: Iterable[float], learned: float) -> float:
    """Return E max − max E: how much better a choice is expected to be after measuring.

    Args:
        means: What is believed of each source.
        learned: Variance by which measuring is expected to move each mean.

    Returns:
        The expected gain, by draws that are the same every time.
    """
    import numpy as np

    before = np.array(list(means))
    if learned <= 0 or len(before) < 2:
        return 0.0
    normal = np.random.default_rng(0).standard_normal((DRAWS, len(before)))
    after = before + sqrt(learned) * normal
    best_after = after.max(axis=1)
    return float(best_after.mean() - before.max())


def _updated(
    start: Mapping[str, float],
    belief: Mapping[str, float],
    measured: Mapping[str, float],
    trust: float,
) -> dict[str, float]:
    """Return the new belief in the measured sources: (1 − trust) · first belief + trust · measured
    value, both centred.

    An earlier rung of the same training and validation images tells nothing beside this one, so the
    first belief is taken, not the last. The mean of the last belief stays: values of different
    rungs do not compare.
    """
    level = fmean(belief[name] for name in measured)
    start_mean = fmean(start[name] for name in measured)
    measured_mean = fmean(measured[name] for name in measured)
    belief_of_measured = {}
    for name, value in measured.items():
        believed = (1 - trust) * (start[name] - start_mean)
        shown = trust * (value - measured_mean)
        belief_of_measured[name] = level + believed + shown
    return belief_of_measured


# -- the budget ------------------------------------------------------------------------------------


@dataclass
class TrainingCosts:
    """Forecasts of what trainings cost, so that no training is begun that would stay alone.

    Attributes:
        question: The question, with its budget and what is spent of it.
        factor: Correction by what the trainings so far took.
        seconds: Seconds of a whole training of each source, from the records of the size nearest to
            the question's, in proportion to the images.
    """

    question: Question
    factor: float = 1.0
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read ``seconds`` off the question's records."""
        size = self.question.size
        timed = [record for record in self.question.records if record.seconds and record.size]
        sizes = {record.size or 1 for record in timed}
        nearest = min(sizes, key=lambda n: (abs(log(n / (size or n))), n), default=1)
        by_source: dict[str, list[float]] = {}
        for record in timed:
            if record.size == nearest and record.seconds:
                # A training takes as many steps more as it has images more.
                seconds = record.seconds * (size or nearest) / nearest
                by_source.setdefault(record.source, []).append(seconds)
        self.seconds = {name: fmean(seconds) for name, seconds in by_source.items()}

    def affordable(self, names: Sequence[str], share: float) -> int:
        """Return how many of the sources, in their order, the rest of the budget is enough for.

        Args:
            names: The sources.
            share: Share of a whole training that each gets.

        Returns:
            The count; all of them where nothing tells what they cost.
        """
        rest = self.question.budget - self._spent()
        counts = range(1, len(names) + 1)
        return sum(self._forecast(names[:count], share) <= rest for count in counts)

    def measure(self, names: Sequence[str], rung: FineTuningRung) -> Mapping[str, float]:
        """Fine-tune the sources on a rung, and correct the forecasts by what it took.

        Returns:
            The validation metric of each source that was measured; higher is better.
        """
        if self.question.measure is None:
            return {}
        spent_before = self._spent()
        measured = self.question.measure(names, size=rung.size, epochs=rung.epochs)
        seconds = self._spent() - spent_before
        if measured and seconds > 0:
            forecast = self._forecast(list(measured), rung.share)
            if forecast:
                self.factor *= seconds / forecast
            else:
                # Nothing was known: all sources are taken to cost the same.
                mean_seconds = seconds / len(measured) / rung.share
                self.seconds = dict.fromkeys(names, mean_seconds)
        return measured

    def _forecast(self, names: Sequence[str], share: float) -> float:
        """Return the seconds of a share of a whole training of each source."""
        whole = sum(self.seconds.get(name, 0.0) for name in names)
        return self.factor * share * whole

    def _spent(self) -> float:
        """Return the seconds of the budget that are spent."""
        if self.question.spent is None:
            return 0.0
        return self.question.spent()
