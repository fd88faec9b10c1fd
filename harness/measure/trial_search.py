"""Draw the configurations of a tuned cell's trials, at random or by Optuna's sampler.

Both use the public search domains and searchers of Ray Tune; no trial runs under Ray Tune.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from headwater.harness.planning.spec import Range, Tuning
from headwater.harness.planning.tuning_space import is_whole, keys_for
from headwater.registry.errors import HeadwaterError
from headwater.registry.names import Value

Config = dict[str, Value]
"""Tuned values by key."""


class Search(Protocol):
    """Suggests configurations and hears the quality of the last one."""

    def suggest(self) -> Config: ...

    def learn(self, quality: float | None) -> None:
        """Hear the last suggestion's quality: higher is better, None where it failed."""


def search_for(
    tuning: Tuning,
    options: Mapping[str, Value],
    seed: int,
    *,
    recipe: Config,
    quality: float | None,
) -> Search:
    """Return the search of a cell.

    Args:
        tuning: The space and the kind of search.
        options: The adaptation's options; they decide which keys of the space there are, and which
            are whole.
        seed: Seed of the draws.
        recipe: The configuration that was tried first.
        quality: What that configuration was worth; None where it failed.
    """
    domains = {}
    for key in keys_for(tuning, options):
        domains[key] = _domain(tuning.space[key], is_whole(key, options))
    # Ray refuses to search an empty space.
    if tuning.search == "optuna" and domains:
        search = OptunaSearch(domains, seed, trials=tuning.trials)
        search.add_tried(recipe, quality)
        return search
    return RandomSearch(domains, seed)


def _domain(choices: Sequence[Value] | Range, whole: bool) -> Any:
    """Return the ``ray.tune`` search domain of a list or a range; bounds are included."""
    from ray import tune

    if not isinstance(choices, Range):
        return tune.choice(list(choices))
    if whole:
        low = round(choices.low)
        # Ray leaves the upper bound of whole numbers out.
        high = round(choices.high) + 1
        return tune.lograndint(low, high) if choices.log else tune.randint(low, high)
    if choices.log:
        return tune.loguniform(choices.low, choices.high)
    return tune.uniform(choices.low, choices.high)


class RandomSearch:
    """Draws each configuration independently.

    Each key has a stream of its own, made from the seed and the key's name. So every source, and
    every adaptation that has the key, meets the same values in the same order.
    """

    def __init__(self, domains: Mapping[str, Any], seed: int) -> None:
        self.domains = domains
        self.streams = {key: np.random.default_rng([seed, *key.encode()]) for key in domains}

    def suggest(self) -> Config:
        """Draw each key's next value from its stream."""
        config = {}
        for key, domain in self.domains.items():
            config[key] = domain.sample(random_state=self.streams[key])
        return config

    def learn(self, quality: float | None) -> None:
        """Ignore the quality: the draws are independent."""


class OptunaSearch:
    """Searches by Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011),
    through Ray Tune.

    A third of the trials, three at least, are drawn at random before it begins to learn. From then
    on what is tried depends on the results, so that sources no longer meet the same configurations,
    only as many.
    """

    def __init__(self, domains: Mapping[str, Any], seed: int, *, trials: int) -> None:
        try:
            import optuna
        except ImportError:
            raise HeadwaterError(
                'tuning.search = "optuna" needs Optuna, which is not installed',
                hint="pip install 'headwater[optuna]'",
            ) from None
        from ray.tune.search.optuna import OptunaSearch as Searcher

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.domains = domains
        self.searcher = Searcher(
            space=Searcher.convert_search_space(dict(domains)),
            metric="quality",
            mode="max",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(3, trials // 3)),
        )
        self.number = 0

    def add_tried(self, config: Config, quality: float | None) -> None:
        """Learn from a configuration that was not suggested; left out where it failed or lies
        outside of the space.
        """
        if quality is None:
            return
        if all(_contains(domain, config[key]) for key, domain in self.domains.items()):
            self.searcher.add_evaluated_point(config, quality)

    def suggest(self) -> Config:
        """Return the sampler's next suggestion, its keys in alphabetical order."""
        self.number += 1
        suggested = self.searcher.suggest(str(self.number)) or {}
        return {key: suggested[key] for key in sorted(suggested)}

    def learn(self, quality: float | None) -> None:
        """Tell the sampler the quality of its last suggestion."""
        result = None if quality is None else {"quality": quality}
        self.searcher.on_trial_complete(str(self.number), result, error=quality is None)


def _contains(domain: Any, value: Value) -> bool:
    """Return whether a value lies in a ``ray.tune`` search domain."""
    if hasattr(domain, "categories"):
        return value in domain.categories
    return isinstance(value, int | float) and bool(domain.lower <= value <= domain.upper)
