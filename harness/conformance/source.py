"""Checks of a source model: it builds, the same every time, gives features and can be trained."""

from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from headwater.harness.conformance.check import CardChecks, Check, broken, finite, promise
from headwater.harness.conformance.elsewhere import digest_elsewhere, weights_digest
from headwater.registry import Kind, Registry, SourceModel
from headwater.registry.cards.source_model import weights_read
from headwater.registry.errors import UnknownName, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from headwater.harness.measure.backbone import Backbone


SUPERVISION_WITHOUT_TARGETS = ("self-supervised", "contrastive")
"""What a source may have been trained by that is not a task type."""


def checks(card: SourceModel, registry: Registry) -> list[Check]:
    """Return the checks of a source model."""
    return SourceChecks(card, registry).all()


class SourceChecks(CardChecks[SourceModel]):
    """Checks that a network builds, gives features and can be trained; it is built once."""

    @cached_property
    def backbone(self) -> Backbone:
        from headwater.harness.measure.backbone import build

        before = len(weights_read)
        backbone = build(self.card, self.card.input_size, seed=0).eval()
        self._files_read = {path.resolve() for path in weights_read[before:]}
        return backbone

    def _images(self, count: int, seed: int) -> Tensor:
        """Return normal noise, (count, 3, S, S)."""
        import torch

        side = self.card.input_size
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(count, 3, side, side, generator=generator)

    def _features(self, backbone: Backbone) -> Tensor:
        """Return the features of two images, which should be (2, D)."""
        import torch

        with torch.no_grad():
            return backbone(self._images(2, seed=0))

    @promise("card")
    def card_is_sound(self) -> str:
        card = self.card
        domains = self.registry.cards[Kind.DOMAIN]
        if card.domain and card.domain not in domains:
            hint = f"Use one of: {', '.join(domains)}; or add a Domain to the plugin."
            raise broken(f"its domain {card.domain!r} is not known", hint)
        types = (*self.registry.cards[Kind.TASK_TYPE], *SUPERVISION_WITHOUT_TARGETS)
        if card.task_type and card.task_type not in types:
            hint = f"Use one of: {', '.join(types)}."
            raise broken(f"its task type {card.task_type!r} is not known", hint)
        if card.input_size < 1 or len(card.mean) != 3 or len(card.std) != 3 or min(card.std) <= 0:
            raise broken(
                "its input is not sound",
                "input_size is in pixels; mean and std have three numbers, std above 0.",
            )
        if card.weights and not Path(card.weights).is_file():
            raise WeightsError.no_file_at(card.weights)
        lacking = []
        if not card.random:
            facts = ("domain", "pretrained_on", "images")
            lacking = [fact for fact in facts if not getattr(card, fact)]
        if not self._has_scratch():
            lacking.append("a scratch reference")
        return f"card lacks {', '.join(lacking)}" if lacking else "card complete"

    def _has_scratch(self) -> bool:
        """Tell whether there is a random reference for gains; a random source is its own."""
        if self.card.random or not self.card.scratch:
            return self.card.random
        try:
            reference = self.registry.source(self.card.scratch)
        except UnknownName as error:
            if self.card.scratch != f"scratch/{self.card.architecture}":
                raise broken(f"its scratch reference: {error.message}", error.hint) from None
            return False  # derived from an architecture that timm does not have
        if not reference.random:
            raise broken(
                f"its scratch reference {self.card.scratch} is not random",
                "Name a source at random initialisation.",
            )
        return True

    @promise("builds", essential=True)
    def builds(self) -> str:
        count = sum(parameter.numel() for parameter in self.backbone.parameters())
        return f"builds · {count / 1e6:.1f} M parameters · {self.card.input_size} px"

    @promise("weights")
    def names_its_weights(self) -> str:
        """Report weights files that ``build`` reads and the card does not name.

        Results are tied to the file that the card names; a change of any other goes unnoticed.
        """
        named = {Path(self.card.weights).resolve()} if self.card.weights else set()
        self.builds()
        strays = ", ".join(path.name for path in sorted(self._files_read - named))
        if not strays:
            return ""
        return (
            f"card does not name {strays} (weights=PATH, absolute), "
            "so that a changed file will not be measured anew"
        )

    @promise("features", essential=True)
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

    @promise("deterministic")
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
        other_seed = build(self.card, self.card.input_size, seed=1)
        is_same = weights_digest(other_seed) == weights_digest(self.backbone)
        if self.card.random and is_same:
            raise broken(
                "two seeds give the same weights, but the card says random=True",
                "Leave random out.",
            )
        if not self.card.random and not is_same:
            raise broken(
                "its weights depend on the seed, so they were not all loaded",
                "Load every tensor, or say random=True.",
            )
        return "deterministic"

    @promise("trains")
    def trains(self) -> str:
        network = copy.deepcopy(self.backbone).train()
        images = self._images(4, seed=1)
        network(images).square().mean().backward()
        gradients = [
            parameter.grad for parameter in network.parameters() if parameter.grad is not None
        ]
        if not gradients or not all(finite(gradient) for gradient in gradients):
            hint = "Build without torch.no_grad() and leave requires_grad on: adaptations decide what is frozen."
            raise broken("a backward pass gives no finite gradient", hint)
        return "trains"

    @promise("picklable")
    def pickles(self) -> str:
        from ray import cloudpickle

        pickled = cloudpickle.dumps(self.backbone)  # as Ray does
        copied = cast("Backbone", cloudpickle.loads(pickled))
        if weights_digest(copied) != weights_digest(self.backbone):
            raise broken(
                "a pickled copy has other weights",
                "Keep tensors as parameters or buffers of the module.",
            )
        return "picklable"

    @promise("elsewhere")
    def same_elsewhere(self) -> str:
        digest = digest_elsewhere(self.card, self.registry)
        if digest != weights_digest(self.backbone):
            raise broken(
                "another process builds other weights",
                "Depend on nothing but the seed and the files: no time, no hash().",
            )
        return "same in another process"
