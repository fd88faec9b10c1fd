"""Reads benchmark specs: what to measure, from TOML and options that override it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from headwater.harness.planning.benchmarks import find_spec
from headwater.registry.defaults import DEFAULT_ADAPTATION
from headwater.registry.errors import BadSpec
from headwater.registry.names import split_list
from headwater.registry.validation import validated

Size = Annotated[int, Field(gt=0)] | Literal["full"]
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


def _names(value: object) -> object:
    """Split a text of names at its commas."""
    return split_list(value) if isinstance(value, str) else value


def _seeds(value: object) -> object:
    """Turn a count into that many seeds from 0."""
    if isinstance(value, int) and not isinstance(value, bool):
        return list(range(value))
    return value


SOURCE_SEED = 2**31 - 1
"""The seed of the first training of every chain; further ones count down from it. No cell may have
one of them: a chain on a random network would share the initial weights of the scratch reference,
and the two would lie closer together than two networks do."""
MAX_SOURCE_SEEDS = 16
"""How often a chain may be trained at most."""

Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, le=SOURCE_SEED - MAX_SOURCE_SEEDS)], ...],
    BeforeValidator(_seeds),
]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


DEFAULT_EPOCHS = 15
DEFAULT_MIN_STEPS = 200
"""The least optimisation steps where a spec names neither epochs nor steps: 15 epochs of 40 images
are 30 steps, and after 30 steps not even a gain over random weights says anything."""
MIN_VALIDATION = 50
"""Validation images from which the best epoch is chosen by them; the best of 15 epochs on ten
images is noise."""

VTAB_RECIPE: Mapping[str, Any] = {
    "optimiser": "sgd",
    "learning_rate": 0.01,
    "epochs": 1,
    "min_steps": 2500,
    "batch_size": 64,
    "clip": 0.0,
    "choose": "last",
    "refit": True,
}
"""What ``recipe = "vtab"`` stands for: 2,500 steps of SGD, choices on the validation images, then
a training on all of them (Zhai et al. 2019, arXiv 1910.04867). Keys beside it win."""


class Training(_Section):
    """The budget and recipe of one training, the same rule for every source.

    ``learning_rate`` and ``clip`` of None are those of the network's family (``recipes``). ``epochs`` of None are 15, and ``min_steps`` of None are 200 where ``epochs`` is
    None too, else 0.
    """

    recipe: Literal["family", "vtab"] = Field(
        "family", description="family: by the network's architecture; vtab: VTAB-1k's protocol"
    )
    epochs: Positive | None = Field(
        None, description="passes over the training images; by default 15, and at least 200 steps"
    )
    min_steps: Annotated[int, Field(ge=0)] | None = Field(
        None, description="least optimisation steps: epochs are added until there are as many"
    )
    batch_size: Annotated[int, Field(gt=1)] = Field(32, description="images a step")
    optimiser: Literal["adamw", "sgd"] = Field(
        "adamw", description="adamw, or sgd with Nesterov momentum 0.9"
    )
    learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        None, description="peak learning rate; by default that of the architecture's family"
    )
    rate_factor: Annotated[float, Field(gt=0)] = Field(
        1.0, description="multiplies the peak learning rate; what a search over rates varies"
    )
    clip: Annotated[float, Field(ge=0)] | None = Field(
        None, description="largest norm of the gradient, 0 for any; by default the family's"
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.01, description="decay of matrices; never of biases and norms"
    )
    warm_up: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share of the steps that warm up before the cosine"
    )
    augmentation: Literal["standard", "none"] = Field(
        "standard", description="shift, scale, and mirror where the task allows"
    )
    choose: Literal["auto", "best", "last"] = Field(
        "auto",
        description="the epoch that counts: best on validation, or last; auto: last below 50 "
        "validation images",
    )
    refit: bool = Field(
        False, description="train once more on all images, validation included, before the test"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_vtab(cls, keys: Any) -> Any:
        """Put the recipe ``vtab`` behind the keys that stand beside it."""
        if isinstance(keys, Mapping) and keys.get("recipe") == "vtab":
            return {**VTAB_RECIPE, **keys}
        return keys

    def epochs_for(self, steps_per_epoch: int) -> int:
        """Return how many epochs the budget is, of so many steps each."""
        epochs = self.default_epochs if self.epochs is None else self.epochs
        min_steps = self.min_steps
        if min_steps is None:
            min_steps = DEFAULT_MIN_STEPS if self.epochs is None else 0
        return max(epochs, math.ceil(min_steps / steps_per_epoch))

    def epochs_on(self, images: int) -> int:
        """Return how many epochs the budget is on so many images to train on."""
        return self.epochs_for(max(1, math.ceil(images / self.batch_size)))

    def chooses_last(self, validation_images: int) -> bool:
        """Return whether the last epoch counts, not the one that is best on validation."""
        if self.choose == "auto":
            return validation_images < MIN_VALIDATION
        return self.choose == "last"

    @property
    def default_epochs(self) -> int:
        return DEFAULT_EPOCHS


class Pretraining(Training):
    """The recipe of a chain's source step."""

    refit: Literal[False] = Field(False, description="a source step is never refitted")
    epochs: Positive | None = Field(
        None,
        description="passes over the source tasks' images; by default 10, and at least 200 steps",
    )

    @property
    def default_epochs(self) -> int:
        return 10


class Chains(_Section):
    """Sources to be made: chains over every base, each measured on every target that it was not
    trained on.
    """

    bases: Names = Field(
        (), description="base weights of the chains: source names and globs; none: no chains"
    )
    tasks: Names = Field(
        (), description="source tasks: names and globs; none: the benchmark's own tasks"
    )
    each: bool = Field(True, description="a chain on each source task by itself")
    joint: bool = Field(
        False,
        description="one chain on all source tasks jointly (multi-source), the target left out",
    )
    seeds: Annotated[int, Field(ge=1, le=MAX_SOURCE_SEEDS)] = Field(
        1,
        description="trainings of each chain; the cells' seeds take them in turn, so that their "
        "spread holds that of the source's training",
    )
    attribution: Literal["none", "leave-one-out", "shapley"] = Field(
        "none",
        description="also the joint chains on fewer tasks that tell which source task carried "
        "the joint one",
    )
    permutations: Positive = Field(
        8,
        description="orders of the source tasks drawn for shapley, where all subsets are too many",
    )


class Range(_Section):
    """A hyper-parameter's range: uniform between two bounds, or uniform in the logarithm."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"low {self.low:g} must be below high {self.high:g}, and above 0 where log = true"
            )
        return self


class Tuning(_Section):
    """A search for hyper-parameters on validation, with the same number of trials and epochs for
    every source.
    """

    trials: Annotated[int, Field(gt=1)] = Field(
        8, description="trials a cell; the first is the recipe as it stands"
    )
    space: dict[str, tuple[bool | int | float | str, ...] | Range] = Field(
        {
            "rate_factor": Range(low=0.1, high=10, log=True),
            "weight_decay": Range(low=1e-4, high=0.1, log=True),
        },
        description="what is searched: keys of [training], or options of the adaptation; "
        "a list of values, or {low, high, log}",
    )
    search: Literal["random", "optuna", "grid"] = Field(
        "random",
        description="how trials are drawn; grid: every combination of the space, none stopped "
        "early; optuna needs headwater[optuna]",
    )
    grace: Positive = Field(3, description="epochs before a trial may be stopped (ASHA)")
    reduction: Annotated[int, Field(gt=1)] = Field(
        3, description="of so many trials, one goes on at each rung (ASHA)"
    )

    @property
    def count(self) -> int:
        """Return the number of trials of a cell that has every key of the space."""
        if self.search != "grid":
            return self.trials
        return math.prod(len(values) for values in self.space.values() if isinstance(values, tuple))


class Anatomy(_Section):
    """Analyses of the trained networks (headwater analyse); none: the networks are not kept."""

    analyses: Names = Field((), description="analyses by name or glob: headwater list analyses")
    blocks: tuple[Positive, ...] = Field(
        (1, 2, 4, 8, 16, 32),
        description="sides of the blocks that images are shuffled by, in pixels",
    )
    points: Annotated[int, Field(ge=3)] = Field(
        11, description="places on a path between two networks, both ends included"
    )
    images: Positive = Field(512, description="test images that an analysis looks at, at most")


class Resources(_Section):
    """The resources of a cell, and how many cells run at once."""

    cpus_per_cell: Positive = Field(1, description="CPU threads a cell uses")
    gpus_per_cell: Annotated[float, Field(gt=0)] = Field(
        1.0, description="share of a GPU a cell uses, where there is one"
    )
    slots: Positive | None = Field(
        None, description="cells at once; by default as many as the machine holds"
    )


class Spec(_Section):
    """A benchmark. Every key is also an option of ``headwater run``."""

    name: str = Field("benchmark", description="what the run is called")
    sources: Names = Field(
        (),
        description="source models: names, globs, chain[base=…,on=task+task]; more come from [chains]",
    )
    tasks: Names = Field((), description="target tasks: names and globs")
    adaptations: Names = Field((DEFAULT_ADAPTATION,), description="how sources are adapted")
    estimators: Names = Field(
        (),
        description="transferability scores of every source on every task and size; none: no estimates",
    )
    jobs: Names = Field((), description="further kinds of jobs, of plugins: names and globs")
    sizes: tuple[Size, ...] = Field(
        ("full",), description='target training images: numbers, or "full"'
    )
    seeds: Seeds = Field((0, 1), description="a count, or a list of seeds")
    references: tuple[Literal["scratch", "converged", "base"], ...] = Field(
        ("scratch", "converged", "base"),
        description="what gains are measured against: the architecture from scratch at equal "
        "budget, from scratch until it has converged, a chain's base",
    )
    image_size: Annotated[int, Field(ge=8, le=2048)] = Field(
        224, description="side of the square images, in pixels"
    )
    validation: Fraction = Field(0.2, description="share of the training images kept for choices")
    small_target: Positive = Field(
        150, description="training images up to which a target counts as small"
    )
    store: Path = Field(Path("headwater.duckdb"), description="the DuckDB file of outcomes")
    plugins: tuple[Path, ...] = Field((), description="plugin files or folders")
    training: Training = Training()
    pretraining: Pretraining = Pretraining()
    chains: Chains = Chains()
    tuning: Tuning | None = Field(
        None, description="hyper-parameter search; none: the recipe as it stands"
    )
    anatomy: Anatomy = Anatomy()
    resources: Resources = Resources()

    @field_validator("sources", "tasks", "adaptations", "estimators", "jobs", "sizes", "seeds")
    @classmethod
    def _each_once(cls, value: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        if not value and info.field_name in ("tasks", "sizes", "seeds"):
            raise ValueError("needs at least one entry")
        if len(set(value)) < len(value):
            doubled = next(entry for entry in value if value.count(entry) > 1)
            raise ValueError(f"names {doubled!r} twice")
        return value

    @model_validator(mode="after")
    def _has_sources(self) -> Self:
        if not self.sources and not self.chains.bases:
            raise ValueError("sources needs at least one entry, or chains.bases")
        if not self.adaptations and not self.estimators and not self.jobs:
            raise ValueError("adaptations needs at least one entry, or estimators, or jobs")
        return self

    @classmethod
    def read(cls, path: Path | str, **overrides: Any) -> Spec:
        """Read a TOML spec.

        Plugins named in the file are found beside it; the store is made where the command runs.

        Args:
            path: The file, or the name of a benchmark that ships with the package (quickstart).
            **overrides: Keys that win over the file's.

        Raises:
            BadSpec: Names the file, the key, the value and what is allowed.
        """
        typed = str(path)
        path = find_spec(path)
        try:
            keys = tomllib.loads(path.read_text(encoding="utf-8"))
        except IsADirectoryError:
            raise BadSpec(f"{path} is a folder, not a TOML file", subject=str(path)) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSpec(f"{path} is not TOML: {error}", subject=str(path)) from None
        keys = {"name": path.stem} | keys
        if isinstance(keys.get("plugins"), list):
            keys["plugins"] = [path.parent / str(plugin) for plugin in keys["plugins"]]
        return cls.of(keys, where=typed, **overrides)

    @classmethod
    def of(cls, keys: Mapping[str, Any], *, where: str = "spec", **overrides: Any) -> Spec:
        """Validate the keys of a spec.

        Args:
            keys: The keys; a nested one is written ``{"training": {"epochs": 3}}``.
            where: What errors call the place that the keys came from.
            **overrides: Keys that win.

        Raises:
            BadSpec: Names the key, the value and what is allowed.
        """
        return validated(cls, keys, overrides, where, _keys_at)


def _keys_at(place: list[Any]) -> list[str]:
    return list(SECTIONS.get(str(place[0]) if place else "", Spec).model_fields)


SECTIONS: dict[str, type[BaseModel]] = {
    "training": Training,
    "pretraining": Pretraining,
    "chains": Chains,
    "tuning": Tuning,
    "anatomy": Anatomy,
    "resources": Resources,
}
"""The sections of a spec, by their keys."""
