"""Search: prior and estimators first, then fine-tuning by successive halving (Jamieson and Talwalkar 2016), where it can tell more.

What is believed of a source is a relative quality, with a variance: at first what a model learned from records of other targets says
(``plugins.prior_model``, estimators included), then what a fine-tuning showed, each weighed by how far it is to be trusted. A validation
metric on 30 images is off by a tenth and more, so that ordering by it alone would undo a good prior: on nine real targets even
fine-tuning *everything* and choosing by validation was no better than the prior.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erf, exp, pi, sqrt

from plugins.prior_model import PriorModel
from plugins.standing import mean_standing, standing_of
from registry import Question, selector
from registry.errors import NotApplicable

SIZES = (50, 150, 500)
"""Images of the rungs below all."""
SLOPE, SPREAD = 0.1, 0.05
"""What a standing means where there are too few records to learn it: the best is a tenth better than the last, give or take 5 %."""
WORTH = 0.001
"""Fine-tuning goes on while it can be expected to find a choice that is better by this much of its quality."""
LIKELY = 0.7
"""A metric before anything is known of it; only how noisy validation will be depends on it."""


@dataclass(frozen=True)
class Belief:
    """What is believed of a source's quality, relative to that of others."""

    mean: float
    variance: float


@dataclass(frozen=True)
class Rung:
    """Images and epochs, None for all; ``share``: of the steps that all would take.

    The less of a training is seen, the less it says of the whole, however many images it is measured on: its relative value is taken
    to miss that of the whole by a variance of 1/share − 1 times that of what is believed.
    """

    size: int | None
    epochs: int | None
    images: float
    share: float

    def noise(self, belief: Belief, validation: float, metric: float) -> float:
        """Variance of a measured relative value: of a share of so many images, (1 − p)/(p·n), and of the part that was not seen. A metric
        that is no share of images is taken to be as noisy as one."""
        share = min(max(metric, 0.05), 0.95)
        return (1 - share) / (share * max(1.0, validation * self.images)) + belief.variance * (1 / self.share - 1)


@selector("search")
def search(
    question: Question, *, estimators: str = "logme+linear_probe", keep: int = 3, most: int = 9, validation: float = 0.2
) -> dict[str, float]:
    """Successive halving on growing subsets and epochs that starts from prior and estimators and spends a budget only where it can tell.

    ``estimators``: what to start from, joined by +. ``most`` sources enter the first rung; of each rung, the best 1/``keep`` go on.
    ``validation``: the share of the images that measured values are read on.
    """
    beliefs = _start(question, estimators.split("+") if estimators else [])
    contenders = _best(beliefs, most)
    for place, rung in enumerate(_rungs(question)):
        contenders = _best({name: beliefs[name] for name in contenders}, max(2, most // keep**place))
        if question.measure is None or len(contenders) < 2:
            break
        if _worth(beliefs[contenders[0]], beliefs[contenders[1]], rung, validation) < WORTH:
            continue  # it would hardly tell more than is known: the next rung shows more
        seen = question.measure(contenders, size=rung.size, epochs=rung.epochs)
        beliefs |= _updated(beliefs, seen, rung, validation)
        if len(seen) < len(contenders):
            break
    return {name: belief.mean for name, belief in beliefs.items()}


# -- the start --------------------------------------------------------------------------------------------


def _start(question: Question, estimators: Sequence[str]) -> dict[str, Belief]:
    estimates = dict(_estimates(question, estimators))
    model = PriorModel.learn(question.records, tuple(estimates))
    if model is not None:
        scores = model.predict(question, estimates)
        return {name: Belief(model.slope * score, model.spread**2) for name, score in scores.items()}
    known = [standing_of(scores) for scores in (mean_standing(question.records), *estimates.values()) if scores]
    if not known and question.measure is None:
        raise NotApplicable("nothing is known of these sources, and there is nothing to measure with", subject="search")
    names = [source.name for source in question.sources]
    means = {name: [one[name] for one in known if name in one] for name in names}
    return {name: Belief(SLOPE * (sum(own) / len(own) if own else 0.0), SPREAD**2) for name, own in means.items()}


def _estimates(question: Question, estimators: Sequence[str]) -> Iterator[tuple[str, Mapping[str, float]]]:
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
    below = list(question.sizes) or [size for size in SIZES if question.size is None or size < question.size]
    everything = float(question.size or 2 * SIZES[-1])
    for place, size in enumerate([*below[:2], None]):
        epochs = max(1, round(question.epochs * (1 + min(place, 1)) / 3)) if question.epochs else None
        share = (epochs / question.epochs if epochs and question.epochs else 1.0) * (size or everything) / everything
        yield Rung(size, epochs, float(size or everything), share)
    yield Rung(None, None, everything, 1.0)


def _best(beliefs: Mapping[str, Belief], count: int) -> list[str]:
    return sorted(beliefs, key=lambda name: (-beliefs[name].mean, name))[:count]


def _worth(first: Belief, second: Belief, rung: Rung, validation: float) -> float:
    """By how much measuring the first two can be expected to better the choice: E max(0, D) of their difference D as it may turn out,
    less what is known (the knowledge gradient of Frazier, Powell and Dayanik 2008)."""
    gains = [one.variance**2 / (one.variance + rung.noise(one, validation, LIKELY)) for one in (first, second) if one.variance]
    spread, gap = sqrt(sum(gains)), first.mean - second.mean
    if not spread:
        return 0.0
    z = gap / spread
    return spread * exp(-z * z / 2) / sqrt(2 * pi) - gap * (1 - erf(z / sqrt(2))) / 2


def _updated(beliefs: Mapping[str, Belief], seen: Mapping[str, float], rung: Rung, validation: float) -> dict[str, Belief]:
    """What is believed after these values: means drawn towards them, by their trust. One value alone compares with nothing."""
    if len(seen) < 2 or not (scale := sum(abs(value) for value in seen.values()) / len(seen)):
        return {}
    centre, expected = sum(seen.values()) / len(seen), sum(beliefs[name].mean for name in seen) / len(seen)
    metric = scale if scale <= 1 else LIKELY
    found = {}
    for name, value in seen.items():
        own = beliefs[name]
        trust = own.variance / (own.variance + rung.noise(own, validation, metric)) if own.variance else 0.0
        mean = own.mean + trust * ((value - centre) / scale - (own.mean - expected))
        found[name] = replace(own, mean=mean, variance=own.variance * (1 - trust))
    return found
