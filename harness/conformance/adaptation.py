"""What an adaptation promises: something to optimise that can be, or a solution that predicts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from headwater.harness.conformance.check import Check, broken, finite
from headwater.harness.conformance.toys import CLASSES, clusters, network, stripes
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
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 5
RATE = 0.01
TOGETHER = 0.02
"""How far scores of cells solved together may lie from those solved alone, relative to the largest: iterative solvers have tolerances."""


def checks(card: Adaptation, registry: Registry) -> list[Check]:
    subject = _OnImages(card, registry) if card.on == "images" else _OnFeatures(card, registry)
    made = [
        Check(card.name, "card", subject.card_is_sound),
        Check(card.name, "applies", subject.applies, essential=True),
        Check(card.name, "outputs", subject.outputs_fit),
        Check(card.name, "learns", subject.learns),
        Check(card.name, "deterministic", subject.is_deterministic),
    ]
    return (
        [*made, Check(card.name, "together", subject.goes_together)]
        if isinstance(subject, _OnFeatures)
        else made
    )


class _Subject:
    def __init__(self, card: Adaptation, registry: Registry) -> None:
        self.card = card
        self.registry = registry

    @cached_property
    def type(self) -> TaskType:
        return self.registry.task_type(stripes.type)

    def card_is_sound(self) -> str:
        adaptations = self.registry.cards[Kind.ADAPTATION]
        if self.card.control not in adaptations and self.card.control != self.card.name:
            raise broken(
                f"its control {self.card.control!r} is not known",
                f"Use one of: {', '.join(adaptations)}.",
            )
        return f"on {self.card.on} · {self.card.setting}"


class _OnImages(_Subject):
    def objective(self) -> Objective:
        import torch

        from headwater.harness.measure.backbone import Backbone

        torch.manual_seed(0)
        backbone, head = (
            Backbone(network.network(network.input_size)),
            self.type.methods.head(8, CLASSES),
        )
        context = Context(
            network,
            stripes,
            backbone,
            head,
            self.type.methods.loss,
            STEPS,
            images=lambda: iter([self._batch()]),
            load_source=lambda name: Backbone(network.network(network.input_size)),
            image_size=network.input_size,
            source_data=self._source_data() if self.card.needs_source else None,
        )
        made = self.card.method(context, **self.card.options())
        if not isinstance(made, Objective):
            raise broken(
                f"it returned a {type(made).__name__}", "Return hw.Objective(network, groups)."
            )
        return made

    def _source_data(self) -> SourceData:
        """As of a chain on the target's own images."""
        batch, methods = self._batch(), self.type.methods
        return SourceData(
            repeat(batch),
            methods.head(8, CLASSES),
            methods.loss,
            len(batch.rows),
            shares_classes=True,
        )

    def _batch(self) -> Batch:
        import torch

        split = stripes.load()["train"]
        images = torch.from_numpy(np.stack(split.images)).permute(0, 3, 1, 2).float() / 255
        return Batch(images, torch.tensor(split.targets), torch.arange(len(split.targets)))

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

    def outputs_fit(self) -> str:
        batch = self._batch()
        outputs = self.objective().network(batch.images)
        if tuple(outputs.shape) != (len(batch.images), CLASSES) or not finite(outputs.detach()):
            hint = "The objective's network maps images to the head's outputs."
            raise broken(
                f"outputs of {len(batch.images)} images have shape {tuple(outputs.shape)}", hint
            )
        return "outputs fit"

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
            {"params": list(group.parameters), "lr": RATE * group.scale}
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


class _OnFeatures(_Subject):
    """Two cells over the same clusters, one on a third of the other's rows."""

    @cached_property
    def cells(self) -> list[Features]:
        features, labels = clusters(90, 8)
        return [
            Features(features, labels, np.arange(rows), np.arange(60, 90), CLASSES, self._measure)
            for rows in (60, 20)
        ]

    def solutions(self, cells: Sequence[Features]) -> Sequence[Solution]:
        made = self.card.method(cells, **self.card.options())
        if not isinstance(made, Sequence) or not all(
            isinstance(solution, Solution) for solution in made
        ):
            raise broken(
                f"it returned a {type(made).__name__}",
                "Return a list: hw.Solution(predict) for each cell.",
            )
        if len(made) != len(cells):
            raise broken(
                f"it returned {len(made)} solutions for {len(cells)} cells",
                "Return one for each cell, in their order.",
            )
        return made

    def _scores(self, cells: Sequence[Features]) -> list[np.ndarray]:
        features, _ = clusters(12, 8, seed=2)
        return [np.asarray(solution.predict(features)) for solution in self.solutions(cells)]

    def _measure(self, scores: np.ndarray, targets: np.ndarray) -> float:
        import torch

        return self.type.methods.measure(
            torch.from_numpy(np.asarray(scores)).float(), torch.from_numpy(targets)
        )["accuracy"]

    def applies(self) -> str:
        self.solutions(self.cells)
        return "applies"

    def outputs_fit(self) -> str:
        for scores in self._scores(self.cells):
            if scores.shape != (12, CLASSES) or np.isnan(scores).any():
                raise broken(
                    f"scores of 12 images and {CLASSES} classes have shape {scores.shape}",
                    "predict maps (N, D) to (N, outputs).",
                )
        return "outputs fit"

    def learns(self) -> str:
        features, labels = clusters(60, 8, seed=3)
        accuracy = min(
            self._measure(solution.predict(features), labels)
            for solution in self.solutions(self.cells)
        )
        if accuracy < 2 / CLASSES:
            hint = "It may be fitted on the wrong rows, or its scores be in another order than the classes."
            raise broken(f"accuracy is {accuracy:.2f} on classes that lie far apart", hint)
        return "learns"

    def is_deterministic(self) -> str:
        twice = zip(self._scores(self.cells), self._scores(self.cells), strict=True)
        if not all(np.array_equal(one, other, equal_nan=True) for one, other in twice):
            raise broken(
                "two fits of the same data predict differently", "Seed whatever is random."
            )
        return "deterministic"

    def goes_together(self) -> str:
        """What a cell comes to does not depend on which others are solved with it."""
        together, alone = self._scores(self.cells), [self._scores([cell])[0] for cell in self.cells]
        for one, other in zip(together, alone, strict=True):
            largest = np.abs(other[np.isfinite(other)]).max(initial=0.0)
            if not np.allclose(one, other, rtol=TOGETHER, atol=TOGETHER * largest, equal_nan=True):
                hint = "Each solution is that of its cell alone: let none of them see another's rows or random numbers."
                raise broken("cells that are solved together predict otherwise than alone", hint)
        return "together as alone"
