"""Searching: how a tuned cell's trials are drawn, from Ray Tune's domains at random or by Optuna's sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from headwater.harness.planning.spec import Range, Tuning
from headwater.harness.planning.tuning_space import is_whole, keys_for
from headwater.registry.errors import HeadwaterError
from headwater.registry.names import Value

Config = dict[str, Value]


class Search(Protocol):
    """Suggests configurations and hears what the last one was worth: higher is better, None where it failed."""

    def suggest(self) -> Config: ...

    def learn(self, quality: float | None) -> None: ...


def search_for(
    tuning: Tuning, options: Mapping[str, Value], seed: int, recipe: Config, quality: float | None
) -> Search:
    """The search of a cell whose adaptation has ``options``; it begins with what the recipe was worth."""
    domains = {
        key: _domain(tuning.space[key], is_whole(key, options)) for key in keys_for(tuning, options)
    }
    if tuning.search == "optuna" and domains:  # Ray refuses to search an empty space
        return OptunaSearch(domains, seed, tuning.trials, recipe, quality)
    return RandomSearch(domains, seed)


def _domain(choices: Sequence[Value] | Range, whole: bool) -> Any:
    """A ``ray.tune`` search domain; bounds are included."""
    from ray import tune

    if not isinstance(choices, Range):
        return tune.choice(list(choices))
    if whole:
        low, high = (
            round(choices.low),
            round(choices.high) + 1,
        )  # Ray leaves the upper bound of whole numbers out
        return tune.lograndint(low, high) if choices.log else tune.randint(low, high)
    return (
        tune.loguniform(choices.low, choices.high)
        if choices.log
        else tune.uniform(choices.low, choices.high)
    )


class RandomSearch:
    """Independent draws. Each key has a stream of its own, made from the seed and its name: so every source, and every
    adaptation that has the key, meets the same values in the same order."""

    def __init__(self, domains: Mapping[str, Any], seed: int) -> None:
        self.domains = domains
        self.streams = {key: np.random.default_rng([seed, *key.encode()]) for key in domains}

    def suggest(self) -> Config:
        return {
            key: domain.sample(random_state=self.streams[key])
            for key, domain in self.domains.items()
        }

    def learn(self, quality: float | None) -> None:
        return None


class OptunaSearch:
    """Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), through Ray Tune.

    A third of the trials, three at least, are drawn at random before it begins to learn. From then on what is tried
    depends on what was found, so that sources no longer meet the same configurations, only as many.
    """

    def __init__(
        self,
        domains: Mapping[str, Any],
        seed: int,
        trials: int,
        recipe: Config,
        quality: float | None,
    ) -> None:
        try:
            import optuna
        except ImportError:
            raise HeadwaterError(
                'tuning.search = "optuna" needs Optuna, which is not installed',
                hint="pip install 'headwater[optuna]'",
            ) from None
        from ray.tune.search.optuna import OptunaSearch as Searcher

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(3, trials // 3))
        self.searcher = Searcher(
            space=Searcher.convert_search_space(dict(domains)),
            metric="quality",
            mode="max",
            sampler=sampler,
        )
        self.number = 0
        if quality is not None and all(
            _holds(domain, recipe[key]) for key, domain in domains.items()
        ):
            self.searcher.add_evaluated_point(recipe, quality)

    def suggest(self) -> Config:
        self.number += 1
        suggested = self.searcher.suggest(str(self.number))
        return {key: suggested[key] for key in sorted(suggested)} if suggested else {}

    def learn(self, quality: float | None) -> None:
        result = None if quality is None else {"quality": quality}
        self.searcher.on_trial_complete(str(self.number), result, error=quality is None)


def _holds(domain: Any, value: Value) -> bool:
    """Whether a value lies in a domain; the recipe as it stands need not."""
    if hasattr(domain, "categories"):
        return value in domain.categories
    return isinstance(value, int | float) and bool(domain.lower <= value <= domain.upper)
