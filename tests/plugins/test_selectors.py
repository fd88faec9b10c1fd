"""The bundled selectors against the rules they state."""

from dataclasses import replace

import numpy as np
import pytest

from plugins.prior_model import PriorModel
from plugins.standing import mean_standing, standing_of, standings
from registry import Chain, Question, Record, Registry, Selector, SourceModel, Task
from registry.errors import NotApplicable

PARENTS = {"indoor": frozenset({"consumer"}), "sketches": frozenset({"drawings"}), "art": frozenset({"consumer"})}


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


def source(name, domain=None, images=None, **facts):
    return SourceModel(name=name, build=lambda: None, domain=domain, images=images, **facts)


def question(*sources, domain="indoor", **known):
    return Question(Task(name="t", load=lambda: None, domain=domain), sources, **known)


def order(registry, name, asked):
    card, options = registry.selector(name)
    scores = card.rank(asked, **options)
    return sorted(scores, key=lambda one: -scores[one])


CONSUMER = source("consumer", "consumer", 100, parameters=5, accuracy=0.9)
INDOOR = source("indoor", "indoor", 10, parameters=9)
ROOMS = source("rooms", "indoor", 20, accuracy=0.5)
AERIAL = source("aerial", "aerial", 1000, parameters=7, accuracy=0.7)
UNKNOWN = source("unknown")
ALL = (AERIAL, UNKNOWN, CONSUMER, INDOOR, ROOMS)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("largest", ["aerial", "consumer", "rooms", "indoor"], "unknown"),
        ("parameters", ["indoor", "aerial", "consumer"], None),
        ("source_accuracy", ["consumer", "aerial", "rooms"], None),
        ("domain_size", ["rooms", "indoor", "consumer", "aerial"], "unknown"),
    ],
)
def test_metadata_rules_order_by_what_they_say_and_put_the_unknown_last(registry, name, first, last):
    found = order(registry, name, question(*ALL, domain_parents=PARENTS))
    assert found[: len(first)] == first
    assert last is None or found[-1] == last


@pytest.mark.parametrize("name", ["largest", "parameters", "source_accuracy", "domain_size", "prior", "learned_prior", "search"])
def test_they_refuse_where_nothing_is_known(registry, name):
    card, options = registry.selector(name)
    with pytest.raises(NotApplicable):
        card.rank(question(UNKNOWN, source("other")), **options)


def test_outside_every_domain_the_broadest_one_counts(registry):
    found = order(registry, "domain_size", question(*ALL, domain="medical", domain_parents=PARENTS))
    assert found[:2] == ["consumer", "aerial"]
    assert order(registry, "domain_size", question(*ALL, domain="medical"))[0] == "aerial"  # no domain contains another


def test_a_chain_is_within_the_domain_by_what_the_store_says_of_it(registry):
    chain = source("chain", None, 5)
    found = order(registry, "domain_size", question(chain, CONSUMER, relations={"chain": "within-domain"}, domain_parents=PARENTS))
    assert found == ["chain", "consumer"]


def test_random_is_the_same_for_a_task_another_for_another_and_a_matter_of_chance(registry):
    card, options = registry.selector("random")
    one = card.rank(question(*ALL), **options)
    assert one == card.rank(question(*ALL[::-1]), **options) and card.chance
    assert one != card.rank(replace(question(*ALL), task=Task(name="u", load=lambda: None)), **options)
    assert one != card.rank(question(*ALL), seed=1)


def test_every_estimator_is_a_selector_with_its_options(registry):
    asked = []
    card, options = registry.selector("nleep[components=2]")
    assert isinstance(card, Selector) and card.estimator is not None
    scores = card.rank(question(*ALL, estimate=lambda name: asked.append(name) or {"aerial": 0.1, "rooms": -2.0}), **options)
    assert asked == ["nleep[components=2]"]
    assert (scores["aerial"], scores["rooms"]) == (0.1, -2.0) and scores["unknown"] < -2.0
    with pytest.raises(NotApplicable, match="score for none"):
        card.rank(question(*ALL, estimate=lambda name: {}), **options)
    with pytest.raises(NotApplicable, match="needs the target's images"):
        card.rank(question(*ALL), **options)


# -- records ------------------------------------------------------------------------------------------------------


def records(qualities, estimates=None, **facts):
    """task -> source -> quality, each under two seeds."""
    return [
        Record(name, task, f"{task} {seed}", value + seed / 1000, estimates=(estimates or {}).get((task, name), {}), **facts.get(name, {}))
        for task, known in qualities.items()
        for name, value in known.items()
        for seed in (0, 1)
    ]


def test_standing_is_the_share_of_others_beaten_ties_half():
    values = {"a": 3.0, "b": 1.0, "c": 1.0, "d": 0.0}
    brute = {
        one: np.mean([(mine > other) + (mine == other) / 2 for name, other in values.items() if name != one])
        for one, mine in values.items()
    }
    assert standing_of(values) == pytest.approx(brute) and brute["a"] == 1
    assert standings([Record("a", "t", "alone", 1.0)]) == {}


def test_the_prior_averages_over_settings_then_over_tasks(registry):
    known = [*records({"x": {"a": 0.9, "b": 0.5}}), Record("a", "y", "y", 0.1), Record("b", "y", "y", 0.2)]
    assert mean_standing(known) == {"a": 0.5, "b": 0.5}
    found = order(registry, "prior", question(source("b"), source("a"), source("new"), records=[*known, *records({"z": {"a": 1, "b": 0}})]))
    assert found == ["a", "b", "new"]


def test_the_prior_ranks_among_the_sources_asked_about(registry):
    """A source that only ever met weak ones is not thereby strong: others that are not asked about do not count."""
    known = records({"x": {"a": 0.9, "weak": 0.1}, "y": {"b": 0.8, "a": 0.7, "weak": 0.1}})
    assert order(registry, "prior", question(source("a"), source("b"), records=known)) == ["b", "a"]


WITHIN = {"relation": "within-domain", "source_images": 1000, "task_images": 100}
CROSS = {"relation": "cross-domain", "source_images": 1000, "task_images": 100}


def test_the_learned_prior_judges_a_new_source_by_what_it_learned_of_domains(registry):
    tasks = {f"t{number}": {"in": 0.8 + number / 100, "out": 0.6, "far": 0.5} for number in range(4)}
    known = records(tasks, **{"in": WITHIN, "out": CROSS, "far": CROSS})
    new = [source("new in", images=1000), source("new out", images=1000)]
    asked = question(*new, records=known, relations={"new in": "within-domain", "new out": "cross-domain"})
    assert order(registry, "learned_prior", asked) == ["new in", "new out"]


def test_the_learned_prior_is_the_prior_where_records_cover_two_tasks(registry):
    known = records({"x": {"a": 0.9, "b": 0.5}, "y": {"a": 0.9, "b": 0.5}})
    assert PriorModel.learn(known) is None
    assert order(registry, "learned_prior", question(source("b"), source("a"), records=known)) == ["a", "b"]


def test_ridge_weights_are_the_minimum_of_what_they_are_said_to_minimise():
    draw = np.random.default_rng(0)
    tasks = {f"t{n}": {name: float(draw.random()) for name in "abcd"} for n in range(5)}
    known = records(tasks, **{name: WITHIN if name == "a" else CROSS for name in "abcd"})
    model = PriorModel.learn(known)
    assert model is not None
    standing = standings(known)

    def loss(weights):
        total = model.penalty * sum(value**2 for value in weights.values())
        for own in standing.values():
            facts = {name: _columns(name) for name in own}
            mean = {key: np.mean([facts[name].get(key, 0.0) for name in own]) for name in own for key in facts[name]}
            for name, value in own.items():
                predicted = sum(weights.get(key, 0.0) * (facts[name].get(key, 0.0) - mean[key]) for key in mean)
                total += (value - 0.5 - predicted) ** 2 / 2  # two settings a task, each task counts once
        return total

    def _columns(name):
        from math import log10

        size = log10(1001) / 2
        own = {f"source {name}": 1.0, f"base {name}": 1.0, "images": size}
        return own | ({"is within-domain": 1.0, "images within the domain": size} if name == "a" else {"is cross-domain": 1.0})

    least = loss(dict(model.weights))
    for key in model.weights:
        for step in (-1e-3, 1e-3):
            assert loss(dict(model.weights) | {key: model.weights[key] + step}) > least


def test_estimators_weigh_as_much_as_they_were_right_elsewhere():
    draw = np.random.default_rng(1)
    tasks = {f"t{n}": dict(zip("abcdef", draw.permutation(6) / 10 + 0.3, strict=True)) for n in range(8)}
    said = {(task, name): {"right": value, "noise": float(draw.random())} for task, own in tasks.items() for name, value in own.items()}
    model = PriorModel.learn(records(tasks, said), ("noise", "right"))
    assert model is not None and model.weights["by right"] > 0.5 > 5 * abs(model.weights["by noise"])
    scores = model.predict(question(source("a"), source("b")), {"right": {"a": 0.0, "b": 1.0}, "noise": {"a": 1.0, "b": 0.0}})
    assert scores["b"] > scores["a"]
    assert model.slope == pytest.approx(0.5 / 0.8, rel=0.25) and 0 <= model.spread < 0.05  # 0.1 apart of 0.8 for each place of five


# -- search -------------------------------------------------------------------------------------------------------


class Bench:
    """Fine-tunings whose outcome is known; counts what is asked for."""

    def __init__(self, truth, budget=1e9, size=10_000):
        self.truth, self.budget, self.size, self.asked = truth, budget, size, []
        self.spent = 0.0

    def measure(self, sources, *, size=None, epochs=None):
        found = {}
        for name in sources:
            cost = (size or self.size) / self.size * (epochs or 9) / 9
            if self.spent + cost > self.budget:
                break
            self.spent += cost
            self.asked.append((name, size, epochs))
            found[name] = self.truth[name]
        return found

    def question(self, **known):
        sources = [source(name) for name in self.truth]
        return question(*sources, size=self.size, epochs=9, measure=self.measure, spent=lambda: self.spent, budget=self.budget, **known)


TRUTH = {name: 0.5 + 0.04 * place for place, name in enumerate("abcdefghij")}


def test_search_halves_on_growing_subsets_and_epochs(registry):
    bench = Bench(TRUTH)
    card, options = registry.selector("search")
    scores = card.rank(bench.question(), **options)
    rungs = list(dict.fromkeys((size, epochs) for _, size, epochs in bench.asked))
    assert rungs == [(50, 3), (150, 6), (None, 6), (None, None)][: len(rungs)] and len(rungs) >= 3
    assert [sum((size, epochs) == rung for _, size, epochs in bench.asked) for rung in rungs][:2] == [9, 3]
    assert max(scores, key=scores.get) == "i"  # the ninth enters, by its name; the tenth is not measured
    assert max(card.rank(Bench(TRUTH).question(), **options | {"most": 10}).items(), key=lambda one: one[1])[0] == "j"


def test_search_stops_with_the_budget_and_still_ranks_everything(registry):
    bench = Bench(TRUTH, budget=0.003)
    card, options = registry.selector("search")
    scores = card.rank(bench.question(), **options)
    assert 0 < len(bench.asked) < 9 and set(scores) == set(TRUTH)


def test_search_does_not_fine_tune_what_is_settled(registry):
    tasks = {f"t{n}": {name: 0.9 - 0.2 * place for place, name in enumerate("abcd")} for n in range(6)}
    bench = Bench(dict.fromkeys("abcd", 0.5), size=150)
    card, options = registry.selector("search")
    scores = card.rank(bench.question(records=records(tasks)), **options)
    assert bench.asked == [] and sorted(scores, key=lambda name: -scores[name]) == list("abcd")


def test_few_validation_images_do_not_overturn_a_prior_and_many_do(registry):
    draw = np.random.default_rng(0)
    tasks = {f"t{n}": {"a": 0.70 + draw.normal(0, 0.03), "b": 0.68 + draw.normal(0, 0.03), "c": 0.4} for n in range(12)}
    card, options = registry.selector("search")

    def first(size):
        scores = card.rank(Bench({"a": 0.60, "b": 0.66, "c": 0.3}, size=size).question(records=records(tasks)), **options)
        return max(scores, key=lambda name: scores[name])

    assert (first(60), first(50_000)) == ("a", "b")


def test_search_starts_from_estimators_where_there_are_no_records(registry):
    card, options = registry.selector("search")
    asked = question(*(source(name) for name in "abc"), estimate=lambda name: {"a": 0.1, "b": 0.3} if name == "logme" else {})
    scores = card.rank(asked, **options)
    assert scores["b"] > scores["a"] >= scores["c"]


def test_a_chains_base_is_known_to_the_model():
    known = [
        replace(record, base="good" if record.source.startswith("g") else "bad")
        for record in records({f"t{n}": {f"g{n}": 0.8, f"b{n}": 0.5} for n in range(5)})
    ]
    model = PriorModel.learn(known)
    assert model is not None
    new = [source("new on bad", chain=Chain("bad", ("t",))), source("new on good", chain=Chain("good", ("t",)))]
    scores = model.predict(question(*new))
    assert scores["new on good"] > scores["new on bad"]
