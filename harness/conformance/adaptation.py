"""Checks of an adaptation: an objective that can be optimised, or a solution that predicts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from headwater.harness.conformance.check import CardChecks, Check, broken, finite, promise
from headwater.harness.conformance.toys import CLASSES, WIDTH, clusters, network, stripes
from headwater.registry import (
    Adaptation,
    Batch,
    Context,
    Features,
    Kind,
    Objective,
    Registry,
    Solution,
    SourceData,
    TaskType,
)
from headwater.registry.cards.card import wrong_return
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 5
LEARNING_RATE = 0.01
BUNDLE_TOLERANCE = 0.02
"""How far scores of cells solved together may lie from those solved alone, relative to the largest:
iterative solvers have tolerances."""


def checks(card: Adaptation, registry: Registry) -> list[Check]:
    """Return the checks of an adaptation, on images or on features as the card says."""
    kind = ImageAdaptationChecks if card.on == "images" else FeatureAdaptationChecks
    return kind(card, registry).all()


class AdaptationChecks(CardChecks[Adaptation]):
    """Checks that adaptations on images and on features share."""

    @cached_property
    def type(self) -> TaskType:
        return self.registry.task_type(stripes.type)

    @promise("card")
    def card_is_sound(self) -> str:
        adaptations = self.registry.cards[Kind.ADAPTATION]
        if self.card.control not in adaptations and self.card.control != self.card.name:
            raise broken(
                f"its control {self.card.control!r} is not known",
                f"Use one of: {', '.join(adaptations)}.",
            )
        return f"on {self.card.on} · {self.card.setting}"


class ImageAdaptationChecks(AdaptationChecks):
    """Checks of an adaptation that trains a toy network on toy images."""

    def objective(self) -> Objective:
        import torch

        from headwater.harness.measure.backbone import Backbone

        torch.manual_seed(0)
        backbone = Backbone(network.network(network.input_size))
        head = self.type.methods.head(WIDTH, CLASSES)
        context = Context(
            source=network,
            task=stripes,
            backbone=backbone,
            head=head,
            loss=self.type.methods.loss,
            steps=STEPS,
            images=lambda: iter([self._batch()]),
            load_source=lambda name: Backbone(network.network(network.input_size)),
            image_size=network.input_size,
            source_data=self._source_data() if self.card.needs_source else None,
        )
        objective = self.card.method(context, **self.card.options())
        if not isinstance(objective, Objective):
            raise wrong_return(self.card.name, objective, "a headwater.Objective(network, groups)")
        return objective

    def _source_data(self) -> SourceData:
        """Return source data as a chain on the target's own images has them."""
        batch = self._batch()
        methods = self.type.methods
        return SourceData(
            repeat(batch),
            methods.head(WIDTH, CLASSES),
            methods.loss,
            len(batch.rows),
            shares_classes=True,
        )

    def _batch(self) -> Batch:
        import torch

        split = stripes.load()["train"]
        images = torch.from_numpy(np.stack(split.images)).permute(0, 3, 1, 2).float() / 255
        return Batch(images, torch.tensor(split.targets), torch.arange(len(split.targets)))

    @promise("applies", essential=True)
    def applies(self) -> str:
        try:
            objective = self.objective()
        except NotApplicable as error:
            raise broken(
                f"it does not apply to a plain source: {error.message}",
                "Its conformance needs a source it applies to.",
            ) from error
        if not any(len(group.parameters) for group in objective.groups):
            raise broken(
                "it trains no parameter",
                "Give the parameters to train: hw.ParameterGroup(list(module.parameters())).",
            )
        return "applies"

    @promise("outputs")
    def outputs_fit(self) -> str:
        batch = self._batch()
        outputs = self.objective().network(batch.images)
        if tuple(outputs.shape) != (len(batch.images), CLASSES) or not finite(outputs.detach()):
            hint = "The objective's network maps images to the head's outputs."
            raise broken(
                f"outputs of {len(batch.images)} images have shape {tuple(outputs.shape)}", hint
            )
        return "outputs fit"

    @promise("learns")
    def learns(self) -> str:
        losses = self._train()
        if not np.isfinite(losses).all():
            raise broken("its loss is not a number", "Look at loss().")
        if losses[-1] >= losses[0]:
            raise broken(
                f"its loss does not fall in {STEPS} steps ({losses[0]:.3f} to {losses[-1]:.3f})",
                "Are the right parameters trained?",
            )
        return "learns"

    @promise("deterministic")
    def is_deterministic(self) -> str:
        if self._train() != self._train():
            raise broken(
                "the same seed gives different losses",
                "Draw random numbers from torch's global generator only.",
            )
        return "deterministic"

    def _train(self) -> list[float]:
        import torch

        objective, batch = self.objective(), self._batch()
        groups = [
            {"params": list(group.parameters), "lr": LEARNING_RATE * group.scale}
            for group in objective.groups
        ]
        optimiser, losses = torch.optim.Adam(groups), []
        for step in range(STEPS):
            loss = self._loss(objective, batch, step)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if objective.after_step:
                objective.after_step(step)
            losses.append(float(loss.detach()))
        return losses

    def _loss(self, objective: Objective, batch: Batch, step: int) -> Tensor:
        if objective.loss:
            return objective.loss(batch, step)
        return self.type.methods.loss(objective.network(batch.images), batch.targets)


class FeatureAdaptationChecks(AdaptationChecks):
    """Checks of an adaptation that solves two cells over the same clusters.

    One cell trains on a third of the other's rows.
    """

    @cached_property
    def cells(self) -> list[Features]:
        features, labels = clusters(90, WIDTH)
        validation = np.arange(60, 90)
        return [
            Features(
                features,
                labels,
                train_rows=np.arange(rows),
                validation_rows=validation,
                outputs=CLASSES,
                measure=self._measure,
            )
            for rows in (60, 20)
        ]

    def solutions(self, cells: Sequence[Features]) -> Sequence[Solution]:
        solutions = self.card.method(cells, **self.card.options())
        is_list = isinstance(solutions, Sequence)
        if not is_list or not all(isinstance(solution, Solution) for solution in solutions):
            words = "a list with a headwater.Solution(predict) for each cell"
            raise wrong_return(self.card.name, solutions, words)
        if len(solutions) != len(cells):
            raise broken(
                f"it returned {len(solutions)} solutions for {len(cells)} cells",
                "Return one for each cell, in their order.",
            )
        return solutions

    def _scores(self, cells: Sequence[Features]) -> list[np.ndarray]:
        features, _ = clusters(12, WIDTH, seed=2)
        return [np.asarray(solution.predict(features)) for solution in self.solutions(cells)]

    def _measure(self, scores: np.ndarray, targets: np.ndarray) -> float:
        import torch

        return self.type.methods.measure(
            torch.from_numpy(np.asarray(scores)).float(), torch.from_numpy(targets)
        )["accuracy"]

    @promise("applies", essential=True)
    def applies(self) -> str:
        self.solutions(self.cells)
        return "applies"

    @promise("outputs")
    def outputs_fit(self) -> str:
        for scores in self._scores(self.cells):
            if scores.shape != (12, CLASSES) or np.isnan(scores).any():
                raise broken(
                    f"scores of 12 images and {CLASSES} classes have shape {scores.shape}",
                    "predict maps (N, D) to (N, outputs).",
                )
        return "outputs fit"

    @promise("learns")
    def learns(self) -> str:
        features, labels = clusters(60, WIDTH, seed=3)
        accuracy = min(
            self._measure(solution.predict(features), labels)
            for solution in self.solutions(self.cells)
        )
        if accuracy < 2 / CLASSES:
            hint = "It may be fitted on the wrong rows, or its scores be in another order than the classes."
            raise broken(f"accuracy is {accuracy:.2f} on classes that lie far apart", hint)
        return "learns"

    @promise("deterministic")
    def is_deterministic(self) -> str:
        for first, second in zip(self._scores(self.cells), self._scores(self.cells), strict=True):
            if not np.array_equal(first, second, equal_nan=True):
                raise broken(
                    "two fits of the same data predict differently", "Seed whatever is random."
                )
        return "deterministic"

    @promise("together")
    def goes_together(self) -> str:
        """Check that a cell's scores do not depend on the cells that are solved with it."""
        together = self._scores(self.cells)
        alone = [self._scores([cell])[0] for cell in self.cells]
        for in_bundle, by_itself in zip(together, alone, strict=True):
            largest = np.abs(by_itself[np.isfinite(by_itself)]).max(initial=0.0)
            is_close = np.allclose(
                in_bundle,
                by_itself,
                rtol=BUNDLE_TOLERANCE,
                atol=BUNDLE_TOLERANCE * largest,
                equal_nan=True,
            )
            if not is_close:
                raise broken(
                    "cells that are solved together predict otherwise than alone",
                    "Each solution is that of its cell alone: let none of them see another's rows "
                    "or random numbers.",
                )
        return "together as alone"
