"""Source models: an architecture with weights, and what is known of where they come from."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headwater.registry.cards.card import Card, Kind, names_bad_keywords, summary_of, wrong_return
from headwater.registry.cards.chain import Chain
from headwater.registry.errors import WeightsError
from headwater.registry.identity import code_of, digest_files
from headwater.registry.names import Name, Value
from headwater.registry.options import check_options, defaults_of

if TYPE_CHECKING:
    from torch import nn

Recipe = Literal["", "cnn", "transformer"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

weights_read: list[Path] = []
"""Weights files that this process has read, latest last; `headwater check` holds them against what
a card names.
"""


@dataclass(frozen=True, kw_only=True)
class SourceModel(Card):
    """How to build a network, what it was pre-trained on, and how it wants its input.

    ``build()`` (or ``build(image_size=…)``, where the network needs to know) returns a torch module
    with ``forward_features(images) -> maps`` and ``forward_head(maps, pre_logits=True) -> (B, D)``,
    as every timm model has; images are (B, 3, H, W) float, normalised by ``mean`` and ``std``.
    Where ``build`` takes ``head=True``, the network keeps its own classifier, ``forward_head(maps)
    -> (B, num_classes)`` logits, 0 classes for none. ``scratch`` names the source that is the same
    architecture at random initialisation: the reference that a gain is measured against. ``random``
    says that the weights depend on the seed. ``accuracy`` is that on its own pre-training task.
    """

    kind: ClassVar[Kind] = Kind.SOURCE
    list_columns: ClassVar[tuple[str, ...]] = (
        "name",
        "domain",
        "pretrained_on",
        "images",
        "parameters",
        "input_size",
        "licence",
    )
    usage: ClassVar[str] = 'sources = ["{name}"]'

    build: Callable[..., nn.Module] = field(repr=False)
    architecture: str = ""
    pretrained_on: tuple[str, ...] = ()
    domain: str | None = None
    task_type: str | None = None
    images: int | None = None
    licence: str | None = None
    parameters: int | None = None
    accuracy: float | None = None
    input_size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    weights: str | None = None
    scratch: str | None = None
    random: bool = False
    recipe: Recipe = ""
    chain: Chain | None = None
    parameter_counter: Callable[[], int | None] | None = field(
        default=None, repr=False, compare=False
    )

    def network(self, image_size: int, *, head: bool = False) -> nn.Module:
        """Build it for square images of ``image_size`` pixels; with its own classifier where
        ``head``, and where it can.
        """
        parameters = inspect.signature(self.build).parameters
        arguments = {"image_size": image_size, "head": head}
        network = self.build(
            **{name: value for name, value in arguments.items() if name in parameters}
        )
        if not hasattr(network, "state_dict"):
            raise wrong_return(self.name, network, "a torch module")
        return network

    def count_parameters(self) -> int | None:
        """Return the number of parameters without the classifier; None if it cannot be told.

        In order: what the card says, what its ``parameter_counter`` returns, or the count of the
        network, built without allocating memory (on torch's meta device).
        """
        if self.parameters is not None:
            return self.parameters
        if self.parameter_counter is not None:
            return self.parameter_counter()
        try:
            import torch

            # A plugin that loads weights would warn once a tensor that they do not reach the meta device.
            with torch.device("meta"), warnings.catch_warnings(action="ignore"):
                network = self.network(self.input_size)
        except Exception:  # foreign code that cannot be built, or not without weights in memory
            return None
        return sum(parameter.numel() for parameter in network.parameters())

    @property
    def revision(self) -> str:
        """Return the digest of the weights file if the card names one, else the plugin's code.

        Raises:
            WeightsError: there is no file where ``weights`` says.
        """
        if not self.weights:
            return self.code
        path = Path(self.weights)
        if not path.is_file():
            raise WeightsError.no_file_at(self.weights, source=self.name)
        return digest_files([path])

    def identity(self) -> tuple[Any, ...]:
        """All that decides what ``build`` returns and how images are fed to it."""
        return self.name, self.code, self.revision, self.mean, self.std

    def options(self) -> Mapping[str, Value]:
        """Return the keyword-only parameters of ``build`` with their defaults."""
        return defaults_of(self.build)

    def with_options(self, options: Mapping[str, Value]) -> SourceModel:
        """The same card with keyword options of ``build`` set: ``lab/net[width=2]``."""
        import functools

        if not options:
            return self
        check_options(self.name, options, self.options())
        return replace(
            self,
            name=str(Name.of(self.name, options)),
            build=functools.partial(self.build, **options),
        )


@names_bad_keywords
def source_model(
    name: str,
    *,
    summary: str = "",
    architecture: str = "",
    pretrained_on: Sequence[str] = (),
    domain: str | None = None,
    task_type: str | None = None,
    images: int | None = None,
    licence: str | None = None,
    parameters: int | None = None,
    parameter_counter: Callable[[], int | None] | None = None,
    accuracy: float | None = None,
    input_size: int = 224,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    weights: str | None = None,
    scratch: str | None = "",
    random: bool = False,
    recipe: Recipe = "",
) -> Callable[[Callable[..., nn.Module]], SourceModel]:
    """Register a source model: decorates the function that builds its network.

    Args:
        name: The name of the source, as in ``lab/net``.
        summary: One line on what it is; by default the first line of the function's docstring.
        architecture: The architecture, timm's name for it where timm has it.
        pretrained_on: The data sets that the weights were trained on, in order.
        domain: The appearance domain of the last of them.
        task_type: The task type that the weights were trained for.
        images: How many images the weights were trained on.
        licence: The licence of the weights.
        parameters: The number of parameters without the classifier.
        parameter_counter: Returns that number, if ``parameters`` does not say it; by default the
            network is built without memory and counted.
        accuracy: The accuracy on the pre-training task.
        input_size: The side of the images that the network wants, in pixels.
        mean: What is subtracted from each channel (values from 0 to 1).
        std: What each channel is divided by afterwards.
        weights: The path of the weights file, so that a changed file gives jobs new identities.
        scratch: The source that is the same architecture at random initialisation; by default
            ``scratch/ARCHITECTURE`` if an architecture is named, None for none.
        random: True if the weights depend on the seed.
        recipe: Whose training recipe the network wants, "cnn" or "transformer"; by default its
            normalisation layers tell.

    Raises:
        BadPlugin: An argument does not exist.
    """
    if scratch == "":
        scratch = f"scratch/{architecture}" if architecture and not random else None

    def make(build: Callable[..., nn.Module]) -> SourceModel:
        return SourceModel(
            name=name,
            summary=summary or summary_of(build),
            code=code_of(build),
            build=build,
            architecture=architecture or name,
            pretrained_on=tuple(pretrained_on),
            domain=domain,
            task_type=task_type,
            images=images,
            licence=licence,
            parameters=parameters,
            parameter_counter=parameter_counter,
            accuracy=accuracy,
            input_size=input_size,
            mean=mean,
            std=std,
            weights=weights,
            scratch=scratch,
            random=random,
            recipe=recipe,
        )

    return make
