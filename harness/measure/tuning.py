"""Tune a cell: run its trials one after another on its worker and keep the one that is best on
validation.

Poor trials are stopped early by successive halving (``halving``). docs/decisions/tuning.md says why
trials are no jobs of their own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import nn

from headwater.harness.measure.halving import SuccessiveHalving
from headwater.harness.measure.training import ReportEpoch, StoppingRule, TrainingResult, never_stop
from headwater.harness.measure.trial_search import Config, Search, search_for
from headwater.harness.measure.workbench import ReportProgress
from headwater.harness.planning.recipes import Recipe
from headwater.harness.planning.spec import Training, Tuning
from headwater.harness.planning.tuning_space import keys_for, longest
from headwater.leaderboard.store.records import Trial
from headwater.registry.errors import HeadwaterError, NotApplicable, TrainingError
from headwater.registry.names import Value

MAX_DRAWS = 100
"""Draws in search of a configuration that was not tried yet; a small space may hold no more."""


@dataclass(frozen=True)
class TrialSetting:
    """The hyper-parameters of a trial: the recipe, and the adaptation's options."""

    training: Recipe
    options: Mapping[str, Value]

    @property
    def epochs(self) -> int:
        return self.training.epochs

    def values(self, keys: Sequence[str]) -> Config:
        """Return the values of some keys; a key of [training] is looked up there first."""
        config: Config = {}
        for key in keys:
            is_recipe_key = key in Training.model_fields
            config[key] = getattr(self.training, key) if is_recipe_key else self.options[key]
        return config

    def with_values(self, config: Config) -> TrialSetting:
        """Return the setting with the values of ``config`` in the place of its own."""
        recipe = {key: value for key, value in config.items() if key in Training.model_fields}
        options = {key: value for key, value in config.items() if key not in recipe}
        training = type(self.training).model_validate(self.training.model_dump() | recipe)
        return TrialSetting(training, {**self.options, **options})


RunTrial = Callable[[TrialSetting, ReportEpoch, StoppingRule], tuple[nn.Module, TrainingResult]]
"""Trains once under a setting and returns the network with its best epoch's weights, and the
training's result.
"""


@dataclass(frozen=True)
class TuningResult:
    """The trial best on validation, with its network, and all trials."""

    setting: TrialSetting
    network: nn.Module
    trained: TrainingResult
    trials: tuple[Trial, ...]
    images: int
    """Images that all trials together were trained on."""

    @property
    def choice(self) -> Config:
        """The number of the chosen trial, its tuned values and its epoch."""
        chosen = next(trial for trial in self.trials if trial.chosen)
        return {"trial": chosen.trial, **chosen.config, "epoch": self.trained.epoch}


@dataclass
class _TrialProgress:
    """The last report of a trial: all that is known of a trial that fails."""

    epoch: int = 0
    images: int = 0


@dataclass
class _BestTrial:
    number: int
    setting: TrialSetting
    network: nn.Module
    trained: TrainingResult


ConfigKey = tuple[tuple[str, Value], ...]


def _key(config: Config) -> ConfigKey:
    return tuple(config.items())


@dataclass
class _TrialRunner:
    """Runs trials and remembers their rows, their errors and the best of them."""

    tuning: Tuning
    recipe: TrialSetting
    sign: int
    run_trial: RunTrial
    report: ReportProgress
    halving: SuccessiveHalving
    trials: list[Trial] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    qualities: dict[ConfigKey, float | None] = field(default_factory=dict)
    """Each configuration that was tried, with its quality; None for a trial that failed."""
    images: int = 0
    best: _BestTrial | None = None

    def run(self, config: Config) -> float | None:
        """Run one trial and add its row; return its quality, or None where it failed."""
        began = time.perf_counter()
        number = len(self.trials) + 1
        progress = _TrialProgress()
        trial = Trial(number, config, epochs=0, value=None, seconds=0.0, state="finished")
        quality: float | None = None

        def report(epoch: int, epochs: int, value: float, images: int) -> None:
            progress.epoch = epoch
            progress.images = images
            total = self.images + images
            self.report(epoch, epochs, value, total, trial=number, trials=self.tuning.count)

        try:
            setting = self.recipe.with_values(config)
            is_grid = self.tuning.search == "grid"
            should_stop = never_stop if is_grid else self.halving.stopping_rule(number)
            network, trained = self.run_trial(setting, report, should_stop)
        except (TrainingError, NotApplicable, torch.OutOfMemoryError) as error:
            # The frames of the traceback would hold on to the network.
            self.errors.append(error.with_traceback(None))
            trial = replace(trial, state="failed", reason=str(error).strip())
        else:
            quality = trained.quality[0]
            ended_early = trained.epochs < setting.epochs
            state = "stopped" if ended_early else "finished"
            trial = replace(trial, value=self.sign * quality, state=state)
            if self.best is None or trained.quality > self.best.trained.quality:
                self.best = _BestTrial(number, setting, network, trained)
        self.images += progress.images
        self.qualities[_key(config)] = quality
        seconds = time.perf_counter() - began
        self.trials.append(replace(trial, epochs=progress.epoch, seconds=seconds))
        return quality

    def draw_new(self, search: Search) -> Config | None:
        """Draw a configuration that was not tried yet; None where the search comes up with no
        other.

        The same configuration would only come to the same result again, so the search is told that
        result instead.
        """
        for _ in range(MAX_DRAWS):
            config = search.suggest()
            if _key(config) not in self.qualities:
                return config
            search.learn(self.qualities[_key(config)])
        return None

    def result(self) -> TuningResult:
        """Return the best trial; raises the error of one of them where all failed."""
        best = self.best
        if best is None:
            raise self._failure()
        trials = tuple(replace(trial, chosen=trial.trial == best.number) for trial in self.trials)
        return TuningResult(
            setting=best.setting,
            network=best.network,
            trained=best.trained,
            trials=trials,
            images=self.images,
        )

    def _failure(self) -> Exception:
        """Return the error that the cell fails with: a trial's failure before a trial that did not
        apply.
        """
        failures = [error for error in self.errors if not isinstance(error, NotApplicable)]
        error = (failures or self.errors)[0]
        if not isinstance(error, HeadwaterError):
            return error
        message = f"all {len(self.errors)} trials failed, one with: {error.message}"
        return type(error)(message, subject=error.subject, hint=error.hint)


def _grid(tuning: Tuning, keys: Sequence[str]) -> Iterator[Config]:
    """Yield every combination of the values of these keys."""
    choices = [list(cast(Sequence[Value], tuning.space[key])) for key in keys]
    for values in itertools.product(*choices):
        yield dict(zip(keys, values, strict=True))


def tune(
    tuning: Tuning,
    recipe: TrialSetting,
    *,
    defaults: Mapping[str, Value],
    seed: int,
    sign: int,
    run_trial: RunTrial,
    report: ReportProgress,
) -> TuningResult:
    """Search a cell's space on validation; the first trial is the recipe as it stands, but of a
    grid, whose trials are the combinations of its values.

    A trial whose loss is no number, that cannot apply or that runs out of memory is a failed trial.
    Where all fail, so does the cell.

    Args:
        tuning: The space, the number of trials and the rungs.
        recipe: The setting of the first trial; the others change its values.
        defaults: The adaptation's options. Keys of the space that neither they nor [training] have
            are dropped.
        seed: Seed of the draws.
        sign: 1 where a higher metric is better, -1 where a lower one is.
        run_trial: Trains once under a setting.
        report: Called after each epoch, with images added up over trials.

    Returns:
        The trial best on validation, among equals the earliest.

    Raises:
        HeadwaterError, torch.OutOfMemoryError: Every trial failed; the error of one of them.
    """
    max_epochs = longest(tuning, recipe.epochs)
    runner = _TrialRunner(
        tuning=tuning,
        recipe=recipe,
        sign=sign,
        run_trial=run_trial,
        report=report,
        halving=SuccessiveHalving(tuning, max_epochs),
    )
    keys = keys_for(tuning, defaults)
    if tuning.search == "grid":
        for config in _grid(tuning, keys):
            runner.run(config)
        return runner.result()
    first = recipe.values(keys)
    quality = runner.run(first)
    search = search_for(tuning, defaults, seed, recipe=first, quality=quality)
    while len(runner.trials) < tuning.trials:
        drawn = runner.draw_new(search)
        if drawn is None:
            break
        search.learn(runner.run(drawn))
    return runner.result()
