"""Tuning: a cell's trials, one after another on its worker, the poor ones stopped early by Ray Tune's ASHA scheduler.

ASHA: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (arXiv 1810.05934). Why the trials
are no jobs of their own: docs/decisions/tuning.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import torch
from torch import nn

from headwater.harness.measure.training import Report, TrainingResult
from headwater.harness.measure.trial_search import Config, Search, search_for
from headwater.harness.measure.workbench import ReportProgress
from headwater.harness.planning.spec import Training, Tuning
from headwater.harness.planning.tuning_space import keys_for, longest
from headwater.leaderboard.store.records import Trial
from headwater.registry.errors import HeadwaterError, NotApplicable, TrainingError
from headwater.registry.names import Value

ATTEMPTS = 100
"""Draws in search of a configuration that was not tried yet; a small space may hold no more."""

Enough = Callable[[int, tuple[float, float]], bool]


@dataclass(frozen=True)
class TrialSetting:
    """What a trial is given: the recipe, and the adaptation's options."""

    training: Training
    options: Mapping[str, Value]

    def config(self, keys: list[str]) -> Config:
        return {
            key: getattr(self.training, key) if key in Training.model_fields else self.options[key]
            for key in keys
        }

    def changed(self, config: Config) -> TrialSetting:
        recipe = {key: value for key, value in config.items() if key in Training.model_fields}
        options = {key: value for key, value in config.items() if key not in recipe}
        training = type(self.training).model_validate(self.training.model_dump() | recipe)
        return TrialSetting(training, {**self.options, **options})


Attempt = Callable[[TrialSetting, Report, Enough], tuple[nn.Module, TrainingResult]]
"""One training: (setting, report, enough) -> the network with its best epoch's weights, and what came of it."""


@dataclass(frozen=True)
class Tuned:
    """The trial best on validation, with its network, and all trials."""

    setting: TrialSetting
    network: nn.Module
    trained: TrainingResult
    trials: tuple[Trial, ...]
    images: int
    """Of all trials."""

    @property
    def choice(self) -> Config:
        """What was chosen: the trial, its tuned values, its epoch."""
        chosen = next(trial for trial in self.trials if trial.chosen)
        return {"trial": chosen.trial, **chosen.config, "epoch": self.trained.epoch}


class Halving:
    """Ray Tune's asynchronous successive halving, asked for each trial in turn; it knows a trial by its number only."""

    def __init__(self, tuning: Tuning, epochs: int) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self.scheduler = AsyncHyperBandScheduler(
            "epoch",
            "quality",
            "max",
            max_t=epochs,
            grace_period=min(tuning.grace, epochs),
            reduction_factor=tuning.reduction,
        )

    def begin(self, trial: int) -> Enough:
        """What a new trial is to be asked after each epoch: whether it is to stop."""
        label = SimpleNamespace(trial_id=str(trial))
        self.scheduler.on_trial_add(None, label)  # type: ignore[arg-type]

        def enough(epoch: int, quality: tuple[float, float]) -> bool:
            result = {"epoch": epoch, "quality": quality[0]}
            return self.scheduler.on_trial_result(None, label, result) == self.scheduler.STOP  # type: ignore[arg-type]

        return enough


@dataclass
class _Seen:
    """What a trial reported, for the trial that fails."""

    epoch: int = 0
    images: int = 0


@dataclass
class _Tuner:
    tuning: Tuning
    recipe: TrialSetting
    defaults: Mapping[str, Value]
    seed: int
    sign: int
    attempt: Attempt
    report: ReportProgress
    trials: list[Trial] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    known: dict[tuple[tuple[str, Value], ...], float | None] = field(default_factory=dict)
    images: int = 0
    best: tuple[int, TrialSetting, nn.Module, TrainingResult] | None = None

    def tune(self) -> Tuned:
        self.halving = Halving(self.tuning, longest(self.tuning, self.recipe.training.epochs))
        config: Config | None = self.recipe.config(keys_for(self.tuning, self.defaults))
        assert config is not None
        search = search_for(self.tuning, self.defaults, self.seed, config, self._try(config))
        while len(self.trials) < self.tuning.trials and (config := self._new(search)) is not None:
            search.learn(self._try(config))
        if self.best is None:
            raise self._failure()
        number, setting, network, trained = self.best
        trials = tuple(replace(trial, chosen=trial.trial == number) for trial in self.trials)
        return Tuned(setting, network, trained, trials, self.images)

    def _new(self, search: Search) -> Config | None:
        """A configuration not tried yet; the same one would only come to the same again."""
        for _ in range(ATTEMPTS):
            config = search.suggest()
            if (key := tuple(config.items())) not in self.known:
                return config
            search.learn(self.known[key])
        return None

    def _try(self, config: Config) -> float | None:
        """Run one trial and note it; its quality, or None where it failed."""
        began, number, seen = time.perf_counter(), len(self.trials) + 1, _Seen()
        state, reason, value, quality = "finished", "", None, None

        def report(epoch: int, epochs: int, value: float, images: int) -> None:
            seen.epoch, seen.images = epoch, images
            self.report(epoch, epochs, value, self.images + images, number, self.tuning.trials)

        try:
            setting = self.recipe.changed(config)
            network, trained = self.attempt(setting, report, self.halving.begin(number))
        except (TrainingError, NotApplicable, torch.OutOfMemoryError) as error:
            self.errors.append(
                error.with_traceback(None)
            )  # the frames would hold on to the network
            state, reason = "failed", str(error).strip()
        else:
            quality, value = trained.quality[0], self.sign * trained.quality[0]
            state = "stopped" if trained.epochs < setting.training.epochs else "finished"
            if self.best is None or trained.quality > self.best[3].quality:
                self.best = number, setting, network, trained
        self.images += seen.images
        self.known[tuple(config.items())] = quality
        self.trials.append(
            Trial(
                number, config, seen.epoch, value, time.perf_counter() - began, state, reason=reason
            )
        )
        return quality

    def _failure(self) -> Exception:
        error = next(
            (error for error in self.errors if not isinstance(error, NotApplicable)), self.errors[0]
        )
        if not isinstance(error, HeadwaterError):
            return error
        return type(error)(
            f"all {len(self.errors)} trials failed, one with: {error.message}",
            subject=error.subject,
            hint=error.hint,
        )


def tune(
    tuning: Tuning,
    recipe: TrialSetting,
    defaults: Mapping[str, Value],
    seed: int,
    sign: int,
    attempt: Attempt,
    report: ReportProgress,
) -> Tuned:
    """Search a cell's space on validation and return the best trial; the first is the recipe as it stands.

    ``defaults`` are the adaptation's options; keys of the space that neither it nor [training] has are dropped. A trial
    whose loss is no number, that cannot apply or that runs out of memory is a failed trial; where all fail, so does the cell.
    """
    return _Tuner(tuning, recipe, defaults, seed, sign, attempt, report).tune()
