"""The bundled selectors against the rules they state."""

from dataclasses import replace

import numpy as np
import pytest

from headwater.plugins import prior_model
from headwater.plugins.calibration import Calibration
from headwater.plugins.prior_model import PriorModel
from headwater.plugins.relative_rank import mean_relative_rank, ranks_by_setting, relative_ranks
from headwater.plugins.selectors.search import FineTuningRung, TrainingCosts
from headwater.registry import (
    Chain,
    Question,
    Record,
    RecordSetting,
    Registry,
    Selector,
    SourceModel,
    Task,
)
from headwater.registry.errors import NotApplicable

PARENTS = {
    "indoor": frozenset({"consumer"}),
    "sketches": frozenset({"drawings"}),
    "art": frozenset({"consumer"}),
}


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
def test_metadata_rules_order_by_what_they_say_and_put_the_unknown_last(
    registry, name, first, last
):
    found = order(registry, name, question(*ALL, domain_parents=PARENTS))
    assert found[: len(first)] == first
    assert last is None or found[-1] == last


@pytest.mark.parametrize(
    "name",
    ["largest", "parameters", "source_accuracy", "domain_size", "prior", "learned_prior", "search"],
)
def test_they_refuse_where_nothing_is_known(registry, name):
    card, options = registry.selector(name)
    with pytest.raises(NotApplicable):
        card.rank(question(UNKNOWN, source("other")), **options)


def test_outside_every_domain_the_broadest_one_counts(registry):
    found = order(registry, "domain_size", question(*ALL, domain="medical", domain_parents=PARENTS))
    assert found[:2] == ["consumer", "aerial"]
    assert (
        order(registry, "domain_size", question(*ALL, domain="medical"))[0] == "aerial"
    )  # no domain contains another


def test_a_chain_is_within_the_domain_by_what_the_store_says_of_it(registry):
    chain = source("chain", None, 5)
    found = order(
        registry,
        "domain_size",
        question(chain, CONSUMER, relations={"chain": "within-domain"}, domain_parents=PARENTS),
    )
    assert found == ["chain", "consumer"]


def test_random_is_the_same_for_a_task_another_for_another_and_a_matter_of_chance(registry):
    card, options = registry.selector("random")
    one = card.rank(question(*ALL), **options)
    assert one == card.rank(question(*ALL[::-1]), **options) and card.chance
    assert one != card.rank(
        replace(question(*ALL), task=Task(name="u", load=lambda: None)), **options
    )
    assert one != card.rank(question(*ALL), seed=1)


def test_every_estimator_is_a_selector_with_its_options(registry):
    asked = []
    card, options = registry.selector("nleep[components=2]")
    assert isinstance(card, Selector) and card.estimator is not None
    scores = card.rank(
        question(*ALL, estimate=lambda name: asked.append(name) or {"aerial": 0.1, "rooms": -2.0}),
        **options,
    )
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
        Record(
            name,
            RecordSetting(task, seed=seed),
            value + seed / 1000,
            estimates=(estimates or {}).get((task, name), {}),
            **facts.get(name, {}),
        )
        for task, known in qualities.items()
        for name, value in known.items()
        for seed in (0, 1)
    ]


def test_standing_is_the_share_of_others_beaten_ties_half():
    values = {"a": 3.0, "b": 1.0, "c": 1.0, "d": 0.0}
    brute = {
        one: np.mean(
            [(mine > other) + (mine == other) / 2 for name, other in values.items() if name != one]
        )
        for one, mine in values.items()
    }
    assert relative_ranks(values) == pytest.approx(brute) and brute["a"] == 1
    assert ranks_by_setting([Record("a", RecordSetting("t"), 1.0)]) == {}


def test_the_prior_averages_over_settings_then_over_tasks(registry):
    known = [
        *records({"x": {"a": 0.9, "b": 0.5}}),
        Record("a", RecordSetting("y"), 0.1),
        Record("b", RecordSetting("y"), 0.2),
    ]
    assert mean_relative_rank(known) == {"a": 0.5, "b": 0.5}
    found = order(
        registry,
        "prior",
        question(
            source("b"),
            source("a"),
            source("new"),
            records=[*known, *records({"z": {"a": 1, "b": 0}})],
        ),
    )
    assert found == ["a", "b", "new"]


def test_the_prior_ranks_among_the_sources_asked_about(registry):
    """A source that only ever met weak ones is not thereby strong: others that are not asked about do not count."""
    known = records({"x": {"a": 0.9, "weak": 0.1}, "y": {"b": 0.8, "a": 0.7, "weak": 0.1}})
    assert order(registry, "prior", question(source("a"), source("b"), records=known)) == ["b", "a"]


WITHIN = {"relation": "within-domain", "source_images": 1000, "task_images": 100}
CROSS = {"relation": "cross-domain", "source_images": 1000, "task_images": 100}


def test_the_learned_prior_judges_a_new_source_by_what_it_learned_of_domains(registry):
    tasks = {
        f"t{number}": {"in": 0.8 + number / 100, "out": 0.6, "far": 0.5} for number in range(4)
    }
    known = records(tasks, **{"in": WITHIN, "out": CROSS, "far": CROSS})
    new = [source("new in", images=1000), source("new out", images=1000)]
    asked = question(
        *new, records=known, relations={"new in": "within-domain", "new out": "cross-domain"}
    )
    assert order(registry, "learned_prior", asked) == ["new in", "new out"]


def test_the_learned_prior_is_the_prior_where_records_cover_two_tasks(registry):
    known = records({"x": {"a": 0.9, "b": 0.5}, "y": {"a": 0.9, "b": 0.5}})
    assert PriorModel.learn(known) is None
    assert order(registry, "learned_prior", question(source("b"), source("a"), records=known)) == [
        "a",
        "b",
    ]


def test_ridge_weights_are_the_minimum_of_what_they_are_said_to_minimise(monkeypatch):
    monkeypatch.setattr(
        prior_model, "choose_penalties", lambda losses, pairs: [pairs.index((1.0, 10.0))]
    )
    draw = np.random.default_rng(0)
    tasks = {f"t{n}": {name: float(draw.random()) for name in "abcd"} for n in range(5)}
    known = records(tasks, **{name: WITHIN if name == "a" else CROSS for name in "abcd"})
    model = PriorModel.learn(known)
    assert model is not None
    standing = ranks_by_setting(known)

    def loss(weights):
        total = sum(
            (1.0 if key.startswith(("source ", "base ")) else 10.0) * value**2
            for key, value in weights.items()
        )
        for own in standing.values():
            facts = {name: _columns(name) for name in own}
            mean = {
                key: np.mean([facts[name].get(key, 0.0) for name in own])
                for name in own
                for key in facts[name]
            }
            for name, value in own.items():
                predicted = sum(
                    weights.get(key, 0.0) * (facts[name].get(key, 0.0) - mean[key]) for key in mean
                )
                total += (
                    value - 0.5 - predicted
                ) ** 2 / 2  # two settings a task, each task counts once
        return total

    def _columns(name):
        from math import log10

        size = log10(1001) / 2
        own = {f"source {name}": 1.0, f"base {name}": 1.0, "images": size}
        return own | (
            {"is within-domain": 1.0, "images within the domain": size}
            if name == "a"
            else {"is cross-domain": 1.0}
        )

    least = loss(dict(model.weights))
    for key in model.weights:
        for step in (-1e-3, 1e-3):
            assert loss(dict(model.weights) | {key: model.weights[key] + step}) > least


def test_estimators_weigh_as_much_as_they_were_right_elsewhere():
    draw = np.random.default_rng(1)
    tasks = {
        f"t{n}": dict(zip("abcdef", draw.permutation(6) / 10 + 0.3, strict=True)) for n in range(8)
    }
    said = {
        (task, name): {"right": value, "noise": float(draw.random())}
        for task, own in tasks.items()
        for name, value in own.items()
    }
    model = PriorModel.learn(records(tasks, said), ("noise", "right"))
    assert model is not None and model.weights["by right"] > 0.5 > 5 * abs(
        model.weights["by noise"]
    )
    scores = model.predict(
        question(source("a"), source("b")),
        {"right": {"a": 0.0, "b": 1.0}, "noise": {"a": 1.0, "b": 0.0}},
    )
    assert scores["b"] > scores["a"]
    known = model.calibration
    assert (
        known.slope == pytest.approx(0.5 / 0.8, rel=0.4) and 0 <= known.spread < 0.05**2
    )  # 0.1 apart of 0.8 for each place of five


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
        return question(
            *sources,
            size=self.size,
            epochs=9,
            measure=self.measure,
            spent=lambda: self.spent,
            budget=self.budget,
            **known,
        )


TRUTH = {name: 0.5 + 0.04 * place for place, name in enumerate("abcdefghij")}


def test_search_takes_errors_for_no_shares_of_images(registry, monkeypatch):
    """A mean absolute error of 0.3 came as −0.3, and was trusted as little as an accuracy of 0.3."""
    from headwater.plugins.calibration import Calibration

    trusted, trust = [], Calibration.trust

    def heard(self, images, share, validation, metric=None):
        trusted.append(
            (
                metric,
                trust(self, images, share, validation, metric),
                trust(self, images, share, validation),
            )
        )
        return trusted[-1][1]

    monkeypatch.setattr(Calibration, "trust", heard)
    bench = Bench({name: -0.4 + 0.02 * place for place, name in enumerate("abcdefghij")})
    card, options = registry.selector("search")
    card.rank(bench.question(), **options)
    seen = [(found, plain) for metric, found, plain in trusted if metric is not None]
    assert seen and all(
        found == plain for found, plain in seen
    )  # as a metric of which nothing is known


def test_search_halves_on_growing_subsets_and_epochs(registry):
    bench = Bench(TRUTH)
    card, options = registry.selector("search")
    scores = card.rank(bench.question(), **options)
    rungs = list(dict.fromkeys((size, epochs) for _, size, epochs in bench.asked))
    assert rungs == [(50, 3), (150, 6), (None, 6), (None, None)][: len(rungs)] and len(rungs) >= 3
    assert [sum((size, epochs) == rung for _, size, epochs in bench.asked) for rung in rungs][
        :2
    ] == [9, 3]
    assert (
        max(scores, key=scores.get) == "i"
    )  # the ninth enters, by its name; the tenth is not measured
    assert (
        max(
            card.rank(Bench(TRUTH).question(), **options | {"most": 10}).items(),
            key=lambda one: one[1],
        )[0]
        == "j"
    )


def test_search_begins_no_training_that_would_stay_alone(registry):
    """It spent 8 % of the cost of everything on one training that there was nothing to compare with."""
    known = [
        replace(record, size=5_000, seconds=2.0)
        for record in records({f"t{n}": {"a": 0.5 + 0.1 * (n % 2), "b": 0.55} for n in range(4)})
    ]
    bench = Bench({"a": 0.5, "b": 0.6}, budget=1.0)
    costs = TrainingCosts(bench.question(records=known))  # 4 s each, from half as many images
    assert [costs.affordable(["a", "b"], share) for share in (1.0, 0.25, 0.2, 0.1)] == [0, 1, 1, 2]
    costs.measure(
        ["a", "b"], FineTuningRung(50, 9, 50, 0.005)
    )  # they took a quarter of what was forecast
    assert costs.affordable(["a", "b"], 0.4) == 2
    card, options = registry.selector("search")
    alone = Bench({"a": 0.5, "b": 0.6}, budget=0.001)
    card.rank(alone.question(records=known), **options)
    assert alone.asked == []


def simulated(seed, own, noise, images, budget, questions=20):
    """Regrets (questions, 2) of prior and search: six sources of known skill, records with noise between seeds, and trainings."""
    draw = np.random.default_rng(seed)
    skill, names, size = draw.normal(0.7, 0.03, 6), "abcdef", 500
    read = (0.21 / images) ** 0.5
    known = [
        Record(
            name,
            RecordSetting(f"t{t}", seed=s),
            test,
            size=size,
            validation=test + draw.normal(0, read),
            seconds=1.0,
        )
        for t in range(8)
        for truth in [skill + draw.normal(0, own, 6)]
        for s in (0, 1)
        for name, test in zip(names, truth + draw.normal(0, noise, 6), strict=True)
    ]
    found = []
    for _ in range(questions):
        truth, spent = dict(zip(names, skill + draw.normal(0, own, 6), strict=True)), [0.0]

        def measure(wanted, *, size=None, epochs=None, truth=truth, spent=spent):
            values = {}
            for name in wanted:
                share = (size or 500) / 500 * (epochs or 9) / 9
                if spent[0] + share > budget * 6:
                    break
                spent[0] += share
                off = (noise**2 + read**2 * 500 / (size or 500) + own**2 * (1 / share - 1)) ** 0.5
                values[name] = truth[name] + draw.normal(0, off)
            return values

        asked = question(
            *map(source, names),
            size=size,
            records=known,
            measure=measure,
            budget=budget * 6,
            epochs=9,
        )
        asked = replace(asked, spent=lambda spent=spent: spent[0])
        scores = [card.rank(asked) for card in (registry_of("prior"), registry_of("search"))]
        found.append([max(truth.values()) - truth[max(one, key=one.get)] for one in scores])
    return found


def registry_of(name):
    from headwater.plugins.selectors import prior, search

    return {"prior": prior.prior, "search": search.search}[name]


@pytest.mark.parametrize(
    ("own", "noise", "images", "budget", "better"),
    [(0.02, 0.05, 30, 0.3, False), (0.03, 0.01, 3000, 0.5, True)],
)
def test_search_is_no_worse_than_the_prior_in_noise_and_better_without(
    monkeypatch, own, noise, images, budget, better
):
    learned, learn = {}, PriorModel.learn

    def once(known, names=(), size=None):
        return learned.setdefault(id(known), learned.get(id(known)) or learn(known, names, size))

    monkeypatch.setattr(PriorModel, "learn", once)
    regrets = []
    for seed in range(12):
        learned.clear()
        regrets += simulated(seed, own, noise, images, budget)
    gain = np.subtract(*np.array(regrets).T)
    error = gain.std() / len(gain) ** 0.5
    assert gain.mean() > 3 * error if better else gain.mean() > -2 * error


def test_variances_are_those_that_records_were_made_with():
    """Seed noise of the records was taken for what sources are worth on a task."""
    draw = np.random.default_rng(3)
    rows, tasks, sources = [], 60, 8
    for t in range(tasks):
        own = draw.normal(0, 0.03, sources)
        for s in (0, 1):
            for n in range(sources):
                test = 1 + own[n] + draw.normal(0, 0.06)
                rows.append(
                    Record(
                        f"s{n}",
                        RecordSetting(f"t{t}", seed=s),
                        test,
                        size=100,
                        validation=test + draw.normal(0, 0.1),
                    )
                )
    scale = np.mean(
        [
            max(row.quality for row in rows if row.setting == one)
            for one in {row.setting for row in rows}
        ]
    )
    known = Calibration.of(rows, np.zeros(len(rows)), 100)
    assert known.spread**0.5 * scale == pytest.approx(0.03, rel=0.25)
    assert known.seed**0.5 * scale == pytest.approx(0.06, rel=0.1)
    assert (known.image / 100) ** 0.5 * scale == pytest.approx(0.1, rel=0.1)
    assert known.shortened == 1.0


def test_search_stops_with_the_budget_and_still_ranks_everything(registry):
    bench = Bench(TRUTH, budget=0.003)
    card, options = registry.selector("search")
    scores = card.rank(bench.question(), **options)
    assert 0 < len(bench.asked) < 9 and set(scores) == set(TRUTH)


def test_search_does_not_fine_tune_what_is_settled(registry):
    tasks = {
        f"t{n}": {name: 0.9 - 0.2 * place for place, name in enumerate("abcd")} for n in range(6)
    }
    bench = Bench(dict.fromkeys("abcd", 0.5), size=150)
    card, options = registry.selector("search")
    scores = card.rank(bench.question(records=records(tasks)), **options)
    assert bench.asked == [] and sorted(scores, key=lambda name: -scores[name]) == list("abcd")


def test_few_validation_images_do_not_overturn_a_prior_and_many_do(registry):
    draw = np.random.default_rng(0)
    tasks = {
        f"t{n}": {"a": 0.70 + draw.normal(0, 0.03), "b": 0.68 + draw.normal(0, 0.03), "c": 0.4}
        for n in range(12)
    }
    card, options = registry.selector("search")

    def first(size):
        scores = card.rank(
            Bench({"a": 0.60, "b": 0.66, "c": 0.3}, size=size).question(records=records(tasks)),
            **options,
        )
        return max(scores, key=lambda name: scores[name])

    assert (first(60), first(50_000)) == ("a", "b")


def test_search_starts_from_estimators_where_there_are_no_records(registry):
    card, options = registry.selector("search")
    asked = question(
        *(source(name) for name in "abc"),
        estimate=lambda name: {"a": 0.1, "b": 0.3} if name == "logme" else {},
    )
    scores = card.rank(asked, **options)
    assert scores["b"] > scores["a"] >= scores["c"]


def test_a_chains_base_is_known_to_the_model():
    known = [
        replace(record, base="good" if record.source.startswith("g") else "bad")
        for record in records({f"t{n}": {f"g{n}": 0.8, f"b{n}": 0.5} for n in range(5)})
    ]
    model = PriorModel.learn(known)
    assert model is not None
    new = [
        source("new on bad", chain=Chain("bad", ("t",))),
        source("new on good", chain=Chain("good", ("t",))),
    ]
    scores = model.predict(question(*new))
    assert scores["new on good"] > scores["new on bad"]


def test_settings_differ_by_each_of_their_fields_and_seeds_are_left_out_together():
    settings = [
        RecordSetting("a", "f1", "50", 0, "p"),
        RecordSetting("a", "f1", "50", None, "p"),
        RecordSetting("a", "f1", "50", 0, "q"),
        RecordSetting("a", "f1", "full", 0, "p"),
        RecordSetting("a", "mae", "50", 0, "p"),
        RecordSetting("b", "f1", "50", 0, "p"),
    ]
    assert len(set(settings)) == 6
    by_text = [settings[place] for place in (0, 2, 1, 3, 4, 5)]
    settings.reverse()
    assert sorted(settings) == by_text
    settings.reverse()
    assert settings[0].across_seeds == settings[1] == settings[1].across_seeds
    assert len({setting.across_seeds for setting in settings}) == 5
