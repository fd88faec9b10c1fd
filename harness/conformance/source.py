"""What a source model promises: it builds, the same every time, gives features and can be trained."""

from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from headwater.harness.conformance.check import Check, broken, finite
from headwater.harness.conformance.elsewhere import answer_elsewhere, weights_digest
from headwater.registry import Kind, Registry, SourceModel
from headwater.registry.cards.source_model import weights_read
from headwater.registry.errors import UnknownName

if TYPE_CHECKING:
    from torch import Tensor

    from headwater.harness.measure.backbone import Backbone


def checks(card: SourceModel, registry: Registry) -> list[Check]:
    subject = _Subject(card, registry)
    named = {
        "card": subject.card_is_sound,
        "builds": subject.builds,
        "weights": subject.names_its_weights,
        "features": subject.features_fit,
        "deterministic": subject.is_deterministic,
        "trains": subject.trains,
        "picklable": subject.pickles,
        "elsewhere": subject.same_elsewhere,
    }
    return [
        Check(card.name, name, look, essential=name in ("builds", "features"))
        for name, look in named.items()
    ]


class _Subject:
    def __init__(self, card: SourceModel, registry: Registry) -> None:
        self.card = card
        self.registry = registry

    @cached_property
    def backbone(self) -> Backbone:
        from headwater.harness.measure.backbone import build

        before = len(weights_read)
        backbone = build(self.card, self.card.input_size, seed=0).eval()
        self.read = {path.resolve() for path in weights_read[before:]}
        return backbone

    def _features(self, backbone: Backbone, images: int = 2) -> Tensor:
        import torch

        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            return backbone(
                torch.randn(
                    images, 3, self.card.input_size, self.card.input_size, generator=generator
                )
            )

    def card_is_sound(self) -> str:
        card, known = self.card, self.registry.cards
        if card.domain and card.domain not in known[Kind.DOMAIN]:
            hint = f"Use one of: {', '.join(known[Kind.DOMAIN])}; or add a Domain to the plugin."
            raise broken(f"its domain {card.domain!r} is not known", hint)
        if (
            card.task_type
            and card.task_type not in known[Kind.TASK_TYPE]
            and card.task_type not in FORESEEN
        ):
            raise broken(
                f"its task type {card.task_type!r} is not known",
                f"Use one of: {', '.join(FORESEEN)}.",
            )
        if card.input_size < 1 or len(card.mean) != 3 or len(card.std) != 3 or min(card.std) <= 0:
            raise broken(
                "its input is not sound",
                "input_size is in pixels; mean and std have three numbers, std above 0.",
            )
        if card.weights and not Path(card.weights).is_file():
            raise broken(
                f"there is no weights file at {card.weights}", "Give an absolute path in weights=."
            )
        lacking = (
            []
            if card.random
            else [fact for fact in ("domain", "pretrained_on", "images") if not getattr(card, fact)]
        )
        lacking += [] if self._has_scratch() else ["a scratch reference"]
        return f"card lacks {', '.join(lacking)}" if lacking else "card complete"

    def _has_scratch(self) -> bool:
        if self.card.random or not self.card.scratch:
            return self.card.random
        try:
            reference = self.registry.source(self.card.scratch)
        except UnknownName:
            return False
        if not reference.random:
            raise broken(
                f"its scratch reference {self.card.scratch} is not random",
                "Name a source at random initialisation.",
            )
        return True

    def builds(self) -> str:
        count = sum(parameter.numel() for parameter in self.backbone.parameters())
        return f"builds · {count / 1e6:.1f} M parameters · {self.card.input_size} px"

    def names_its_weights(self) -> str:
        """Results are tied to the file that the card names; a change of any other would go unnoticed."""
        named = {Path(self.card.weights).resolve()} if self.card.weights else set()
        self.builds()
        strays = ", ".join(path.name for path in sorted(self.read - named))
        return (
            f"card does not name {strays} (weights=PATH, absolute), so that a changed file will not be measured anew"
            if strays
            else ""
        )

    def features_fit(self) -> str:
        features = self._features(self.backbone)
        if features.ndim != 2 or len(features) != 2:
            hint = "forward_head(forward_features(images), pre_logits=True) returns (B, D)."
            raise broken(
                f"features of 2 images have shape {tuple(features.shape)}, not (2, D)", hint
            )
        if not finite(features):
            raise broken("features are not finite", "Look at the weights, and at mean and std.")
        return f"features ({features.shape[1]},)"

    def is_deterministic(self) -> str:
        from headwater.harness.measure.backbone import build

        again = build(self.card, self.card.input_size, seed=0).eval()
        if weights_digest(again) != weights_digest(self.backbone):
            raise broken(
                "two builds with one seed have different weights",
                "Draw random numbers from torch's global generator only.",
            )
        if not self._features(self.backbone).equal(self._features(self.backbone)):
            raise broken(
                "the same images give different features twice",
                "Nothing random may run in evaluation mode.",
            )
        other = build(self.card, self.card.input_size, seed=1)
        if self.card.random == (weights_digest(other) == weights_digest(self.backbone)):
            if self.card.random:
                raise broken(
                    "two seeds give the same weights, but the card says random=True",
                    "Leave random out.",
                )
            raise broken(
                "its weights depend on the seed, so they were not all loaded",
                "Load every tensor, or say random=True.",
            )
        return "deterministic"

    def trains(self) -> str:
        network = copy.deepcopy(self.backbone).train()
        images = self._images(4)
        network(images).square().mean().backward()
        gradients = [
            parameter.grad for parameter in network.parameters() if parameter.grad is not None
        ]
        if not gradients or not all(finite(gradient) for gradient in gradients):
            hint = "Build without torch.no_grad() and leave requires_grad on: adaptations decide what is frozen."
            raise broken("a backward pass gives no finite gradient", hint)
        return "trains"

    def _images(self, count: int) -> Tensor:
        import torch

        return torch.randn(
            count,
            3,
            self.card.input_size,
            self.card.input_size,
            generator=torch.Generator().manual_seed(1),
        )

    def pickles(self) -> str:
        from ray import cloudpickle

        copied = cast(
            "Backbone", cloudpickle.loads(cloudpickle.dumps(self.backbone))
        )  # as Ray does
        if weights_digest(copied) != weights_digest(self.backbone):
            raise broken(
                "a pickled copy has other weights",
                "Keep tensors as parameters or buffers of the module.",
            )
        return "picklable"

    def same_elsewhere(self) -> str:
        there = answer_elsewhere(self.card, self.registry)
        if there != weights_digest(self.backbone):
            raise broken(
                "another process builds other weights",
                "Depend on nothing but the seed and the files: no time, no hash().",
            )
        return "same in another process"


FORESEEN = (
    "classification",
    "multilabel",
    "segmentation",
    "detection",
    "keypoints",
    "depth",
    "regression",
    "self-supervised",
    "contrastive",
)
"""Task types that a source may have been trained on, whether or not targets of that type can be measured yet."""
