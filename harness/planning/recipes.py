"""Recipes: what a training uses where the spec says nothing, by the family of the network.

One learning rate for all networks ranks how well each bears that rate, not what it transfers. So
the keys that a spec leaves out are filled for the family that a network belongs to, the same for
all of its family:

- ``cnn``: networks that normalise by batch statistics, and those that do not normalise.
- ``transformer``: networks that normalise each sample by itself (layer norm), ConvNeXt included:
  they want a lower rate, rates that fall with the distance from the head, and clipped gradients
  (He et al. 2022, arXiv 2111.06377, table 9; Liu et al. 2022, arXiv 2201.03545, table 5).

A network that starts at random is far from any solution: it keeps its family's clipping, has no
layers worth sparing, and takes a higher rate. docs/adaptations/recipe.md has the measurements.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from headwater.harness.planning.spec import Training

Family = Literal["cnn", "transformer"]


@dataclass(frozen=True)
class FamilyRecipe:
    """What a family's trainings use where the spec says nothing.

    Attributes:
        learning_rate: Peak rate of AdamW.
        layer_decay: What the rate is multiplied by from each layer to the one below it.
        clip: The largest norm of the gradient; 0: it is not clipped.
    """

    learning_rate: float
    layer_decay: float
    clip: float


PRETRAINED: dict[Family, FamilyRecipe] = {
    "cnn": FamilyRecipe(learning_rate=1e-3, layer_decay=1.0, clip=0.0),
    "transformer": FamilyRecipe(learning_rate=3e-4, layer_decay=0.75, clip=1.0),
}
RANDOM: dict[Family, FamilyRecipe] = {
    "cnn": FamilyRecipe(learning_rate=1e-3, layer_decay=1.0, clip=0.0),
    "transformer": FamilyRecipe(learning_rate=5e-4, layer_decay=1.0, clip=1.0),
}

SGD_FACTOR = 10.0
"""How much higher the peak rate of SGD with momentum is than AdamW's, where a spec asks for SGD."""


def recipe_identity() -> dict[str, dict[str, dict[str, float]]]:
    """Return the two tables as plain values: they are part of every protocol."""
    tables = {"pretrained": PRETRAINED, "random": RANDOM}
    return {
        start: {family: asdict(recipe) for family, recipe in table.items()}
        for start, table in tables.items()
    }


class Recipe(Training):
    """A recipe with every key filled, as one training of one network follows it."""

    epochs: int
    min_steps: int = 0
    learning_rate: float
    layer_decay: float
    clip: float


def resolve(training: Training, family: Family, *, is_random: bool, steps_per_epoch: int) -> Recipe:
    """Return a recipe with every key filled: the spec's own values, else those of the family.

    Args:
        training: The spec's recipe.
        family: The family of the network.
        is_random: Whether the network starts from random weights.
        steps_per_epoch: Optimisation steps of one pass over the training images.
    """
    table = RANDOM if is_random else PRETRAINED
    recipe = table[family]
    values = training.model_dump()
    if training.learning_rate is None:
        factor = SGD_FACTOR if training.optimiser == "sgd" else 1.0
        values["learning_rate"] = recipe.learning_rate * factor
    values["layer_decay"] = 1.0 if training.recipe == "vtab" else recipe.layer_decay
    if training.clip is None:
        values["clip"] = recipe.clip
    values["epochs"] = training.epochs_for(steps_per_epoch)
    values["min_steps"] = 0
    return Recipe.model_validate(values)
