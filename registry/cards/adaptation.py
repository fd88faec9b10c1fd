"""Adaptations: how a source is adapted to a target. They say what to optimise; the harness trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headwater.registry.cards.card import Card, Kind, names_bad_keywords, summary_of, wrong_return
from headwater.registry.errors import NotApplicable
from headwater.registry.evidence.labels import LabelKind, label_kinds
from headwater.registry.identity import code_of
from headwater.registry.names import Value
from headwater.registry.options import defaults_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from headwater.registry.cards.source_model import SourceModel
    from headwater.registry.cards.task import Task

Approach = Literal["network", "mapping", "relation", "instance", ""]


@dataclass(frozen=True, kw_only=True)
class Adaptation(Card):
    """A way of adapting a source to a target.

    ``on="images"``: ``method(context, **options) -> Objective``, trained by the harness's loop.
    ``on="features"``: ``method(cells: Sequence[Features], **options) -> Sequence[Solution]``, on
    frozen features: it is given the cells (sizes, seeds) that share one source's features of one
    task, and may solve them together. How many come at once decides nothing but the cost: each
    solution is that of the cell alone. ``control`` is the adaptation that the scratch reference of
    its gains runs: from_scratch for those that train the whole network, the same one on random
    features for those that never touch it.
    ``needs_source``: it goes on learning from the source's own data, so that the source must be a
        chain on registered tasks.
    ``pooled``: it works on vectors of features, and so not on the maps that dense task types take.
    ``extra_sources_option``: the option that names further sources, joined by ``+``, whose networks
        it uses. The two label booleans and the approach follow Iman et al. 2022 (arXiv 2201.09679).
        An adaptation with an option ``labelled`` works on an unlabelled target where that is false.
    """

    kind: ClassVar[Kind] = Kind.ADAPTATION
    list_columns: ClassVar[tuple[str, ...]] = (
        "name",
        "approach",
        "setting",
        "on",
        "options",
        "summary",
    )
    usage: ClassVar[str] = 'adaptations = ["{name}"]'

    method: Callable[..., Any] = field(repr=False)
    on: Literal["images", "features"] = "images"
    approach: Approach = ""
    source_labelled: bool = False
    target_labelled: bool = True
    control: str = ""
    from_random: bool = False
    labels: tuple[LabelKind, ...] = ()
    needs_source: bool = False
    pooled: bool = False
    extra_sources_option: str = ""

    @property
    def setting(self) -> str:
        """Transductive, inductive or unsupervised, derived from which labels are used; both where
        an option decides.
        """
        settings = [_setting(self.source_labelled, self.target_labelled)]
        return " or ".join(
            dict.fromkeys(
                settings + [_setting(self.source_labelled, False)] * ("labelled" in self.options())
            )
        )

    def sees_labels(self, options: Mapping[str, Value]) -> bool:
        """Return whether it is shown the target's labels."""
        return self.target_labelled and bool(options.get("labelled", True))

    def objective(self, context: Context, **options: Any) -> Objective:
        """Return what to optimise, for an adaptation on images; raises BadPlugin for anything else."""
        objective = self.method(context, **options)
        if not isinstance(objective, Objective):
            raise wrong_return(self.name, objective, "a headwater.Objective")
        return objective

    def solutions(self, cells: Sequence[Features], **options: Any) -> Sequence[Solution]:
        """Return one solution a cell, for an adaptation on features; raises BadPlugin for anything
        else.
        """
        solutions = self.method(cells, **options)
        expected = f"{len(cells)} headwater.Solution, one a cell"
        if not isinstance(solutions, Sequence):
            raise wrong_return(self.name, solutions, expected)
        strangers = [each for each in solutions if not isinstance(each, Solution)]
        if strangers or len(solutions) != len(cells):
            raise wrong_return(self.name, strangers[0] if strangers else solutions, expected)
        return solutions

    def options(self) -> Mapping[str, Value]:
        return defaults_of(self.method)

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"setting": self.setting, "options": dict(self.options())}


def _setting(source_labelled: bool, target_labelled: bool) -> str:
    if target_labelled:
        return "inductive"
    return "transductive" if source_labelled else "unsupervised"


HIDDEN = -1
"""In place of the labels of a target that counts as unlabelled."""


@dataclass(frozen=True)
class Batch:
    """The images of one step (B, 3, H, W) float, normalised and augmented; targets; train rows.

    Where the target counts as unlabelled, its targets are all ``HIDDEN``.
    """

    images: Tensor
    targets: Tensor
    rows: Tensor


def _as_it_is(module: nn.Module) -> nn.Module:
    return module


def _none() -> Iterator[Batch]:
    return iter(())


@dataclass(frozen=True)
class SourceData:
    """The images that a chain was last trained on, for adaptations that go on learning from them."""

    batches: Iterator[Batch]
    """Endless and shuffled, as large as the target's, augmented like them, fed as the source is."""
    head: nn.Module
    """(B, D) -> outputs of the source task: its own classifier, as its training left it."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """Of the source task, on (outputs, targets)."""
    images: int
    shares_classes: bool
    """Whether source and target have the same classes; targets and the head's outputs then come in
    the target's order.
    """


@dataclass(frozen=True)
class Context:
    """The input of an adaptation: a source with its weights, a fresh head, and the task they meet."""

    source: SourceModel
    task: Task
    backbone: nn.Module
    """(B, 3, H, W) -> (B, D): the source without its own classifier; for dense task types a list of
    maps, a ``Pyramid``.
    """
    head: nn.Module
    """(B, D), or the list of maps -> outputs."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """The task type's loss on (outputs, targets)."""
    steps: int
    """How many optimisation steps the budget allows."""
    to_device: Callable[[nn.Module], nn.Module] = _as_it_is
    """Puts a module of the adaptation's own on the device."""
    images: Callable[[], Iterator[Batch]] = _none
    """One look at the training images in order, not augmented."""
    load_source: Callable[[str], nn.Module] | None = None
    """The backbone of another source, by name: ``source.scratch``, or one of those that
    ``extra_sources_option`` names.
    """
    source_data: SourceData | None = None
    """Of a chain, for adaptations whose card says ``needs_source``."""
    image_size: int = 0
    """Side of the images, in pixels."""
    layer_decay: float = 1.0
    """The recipe's: the learning rate of each layer as a share of that of the next one."""

    def needed_source_data(self, adaptation: str) -> SourceData:
        """Return the data that the source was trained on.

        Args:
            adaptation: The name of the adaptation that cannot do without.

        Raises:
            NotApplicable: The source is no chain, so that its data are not known.
        """
        if self.source_data is None:
            raise needs_chain(adaptation, self.source)
        return self.source_data


def needs_chain(adaptation: str, source: SourceModel) -> NotApplicable:
    """Return why an adaptation that looks at the source's own data cannot start from a source."""
    return NotApplicable(
        f"{adaptation} needs a chain as source: {source.name} has no training data in the "
        "registry, only chains do",
        subject=source.name,
    )


@dataclass
class ParameterGroup:
    """Parameters that share a learning rate: ``scale`` times the training's own."""

    parameters: Sequence[nn.Parameter]
    scale: float = 1.0
    weight_decay: float | None = None


@dataclass
class Objective:
    """The training that an adaptation asks of the harness.

    ``network``: images -> outputs, also what is evaluated. ``loss`` sees the batch and the step
        (from 0); the default is the task's own loss on the network's outputs. ``frozen`` modules
        stay in evaluation mode, so that their normalisation statistics do not move.
        ``after_step(step)`` runs after each update. ``finish()`` returns the network to be tested
        and kept, where that is another than was trained (adapters merged). ``converge``: the
        training goes on until validation stops improving, for at most so many times the budget.
    """

    network: nn.Module
    groups: Sequence[ParameterGroup]
    loss: Callable[[Batch, int], Tensor] | None = None
    frozen: Sequence[nn.Module] = ()
    after_step: Callable[[int], None] | None = None
    finish: Callable[[], nn.Module] | None = None
    converge: int = 1


@dataclass(frozen=True)
class Features:
    """A cell on frozen features: the rows it trains on, and those it chooses on, of what its
    source makes of a task.
    """

    pool: np.ndarray
    """(N, D) float32 features of all training images, one read-only array for all cells of a call.
    """
    targets: np.ndarray
    """(N, ...) theirs."""
    train_rows: np.ndarray
    validation_rows: np.ndarray
    outputs: int
    measure: Callable[[np.ndarray, np.ndarray], float]
    """(scores, targets) -> the task's metric, higher is better whatever its direction."""
    label_kind: LabelKind | None = LabelKind.CLASSES
    """What the targets are; None where they are no labels of a kind that estimators know."""

    @property
    def train(self) -> np.ndarray:
        return self.pool[self.train_rows]

    @property
    def train_targets(self) -> np.ndarray:
        return self.targets[self.train_rows]

    @property
    def validation(self) -> np.ndarray:
        return self.pool[self.validation_rows]

    @property
    def validation_targets(self) -> np.ndarray:
        return self.targets[self.validation_rows]


@dataclass(frozen=True)
class Solution:
    """The fit of a method on features: ``predict`` maps (N, D) features to (N, outputs) scores."""

    predict: Callable[[np.ndarray], np.ndarray]
    choice: Mapping[str, Value] = field(default_factory=dict)


@names_bad_keywords
def adaptation(
    name: str,
    *,
    summary: str = "",
    on: Literal["images", "features"] = "images",
    approach: Approach = "",
    source_labelled: bool = False,
    target_labelled: bool = True,
    control: str = "",
    from_random: bool = False,
    labels: Sequence[str] = (),
    needs_source: bool = False,
    pooled: bool = False,
    extra_sources_option: str = "",
) -> Callable[[Callable[..., Any]], Adaptation]:
    """Register an adaptation: decorates its method. What the method gets and returns:
    ``Adaptation``.

    Args:
        name: The name of the adaptation, as in a spec.
        summary: One line on what it is; by default the first line of the method's docstring.
        on: What it works on: "images", trained by the harness's loop, or frozen "features".
        approach: What is transferred (Iman et al. 2022, arXiv 2201.09679).
        source_labelled: True if it uses labels of the source's own data.
        target_labelled: True if it uses the target's labels.
        control: The adaptation that the scratch reference of its gains runs; by default itself.
        from_random: True if it starts from random weights, whatever the source's are.
        labels: The kinds of targets that it is for ("classes", "numbers", "flags": ``LabelKind``); by
            default every task type, also those whose targets are no such labels.
        needs_source: True if it goes on learning from the source's own data.
        pooled: True if it works on vectors of features only, not on the maps of dense task types.
        extra_sources_option: The option that names further sources whose networks it uses.

    Raises:
        BadPlugin: An argument does not exist.
    """

    def make(method: Callable[..., Any]) -> Adaptation:
        return Adaptation(
            name=name,
            summary=summary or summary_of(method),
            code=code_of(method),
            method=method,
            on=on,
            approach=approach,
            source_labelled=source_labelled,
            target_labelled=target_labelled,
            control=control or name,
            from_random=from_random,
            labels=label_kinds(labels, name),
            needs_source=needs_source,
            pooled=pooled,
            extra_sources_option=extra_sources_option,
        )

    return make
