"""Analyses: what is read off the trained networks of a cell, and how people are shown it.

An analysis looks at up to four networks of a cell (Neyshabur et al. 2020, arXiv 2008.11687) and at
the same networks trained with another seed:

    P     the pre-trained source under a fresh head, before it meets the target
    P-T   P after training on the target: the cell itself
    RI    the same architecture at random initialisation
    RI-T  RI after the same training: the cell's scratch reference

``P-T'`` and ``RI-T'`` are the networks of the other seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from headwater.registry.cards.card import Card, Kind, summary_of, wrong_return
from headwater.registry.identity import code_of
from headwater.registry.options import defaults_of

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from headwater.registry.cards.task import Task
    from headwater.registry.cards.task_type import TaskType

PAIRS = ("P/P-T", "RI/RI-T", "P-T/P-T", "RI-T/RI-T", "P-T/RI-T")
"""The pairs of networks that analyses compare, in the order in which tables and plots show them."""

HEAD = "head"
"""The name of a network's classifier among its parts."""

LooksAt = Literal["one seed", "two seeds", "predictions"]


@dataclass(frozen=True)
class Reading:
    """A value that an analysis read off networks.

    Attributes:
        subject: The network or pair of networks: ``P-T``, ``P-T/RI-T``.
        quantity: What was measured: ``cka``, ``l2``.
        value: The value.
        module: The part of the network, "" for the whole network.
        x: The place along an axis (block size in pixels, place on a path, depth of the module);
            None where the quantity has no axis.
    """

    subject: str
    quantity: str
    value: float
    module: str = ""
    x: float | None = None


@dataclass(frozen=True)
class NetworkPart:
    """A stage of a network, or its head.

    Attributes:
        depth: The place of the part, from 0 (at the input) to 1 (the head).
        parameters: The names of its parameters in the whole network.
    """

    depth: float
    parameters: tuple[str, ...]


class AnalysedNetwork(Protocol):
    """A network of an analysis, in evaluation mode on the worker's device.

    Analyses of one job share it: leave its weights as they were (``holding`` puts them back).
    """

    @property
    def network(self) -> nn.Module:
        """The module: normalised images (B, 3, S, S) -> outputs (B, ...)."""
        ...

    @property
    def state(self) -> dict[str, Tensor]:
        """The state dict of the network: parameters and buffers by name, not copied."""
        ...

    @property
    def parts(self) -> Mapping[str, NetworkPart]:
        """The stages in order of depth, then the head. Every parameter is in exactly one part."""
        ...

    @property
    def depths(self) -> Mapping[str, float]:
        """The depth of each stage and of the head, those without parameters included."""
        ...

    def train_rows(self, count: int) -> np.ndarray:
        """Return the rows of at most ``count`` of the images that the network was trained on."""
        ...

    def test_rows(self, count: int | None = None) -> np.ndarray:
        """Return the rows of at most ``count`` test images, the same for every network of a task.

        Args:
            count: How many images; None for the whole test split.
        """
        ...

    def train_batches(self, rows: np.ndarray) -> Iterator[Tensor]:
        """Yield the training images of these rows in order, normalised, not augmented."""
        ...

    def test_batches(self, rows: np.ndarray) -> Iterator[Tensor]:
        """Yield the test images of these rows in order, normalised."""
        ...

    def features(self, rows: np.ndarray) -> Iterator[dict[str, Tensor]]:
        """Yield the features of test images, batch by batch, by the name of the stage.

        Features are (B, D) float32, averaged over places. The outputs come under ``head``, except
        those of dense task types, which are choices (classes of pixels, boxes) and no features.
        """
        ...

    def metric(self, rows: np.ndarray) -> float:
        """Return the cell's metric on the test images of these rows."""
        ...

    def precision(self) -> AbstractContextManager[None]:
        """Return the context in which the device computes networks fastest; enter it to call one."""
        ...

    def holding(self, state: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """Hold these tensors in place of the network's own while the context lasts."""
        ...

    def holding_between(
        self, start: Mapping[str, Tensor], end: Mapping[str, Tensor], place: float
    ) -> AbstractContextManager[None]:
        """Hold (1 − λ)·start + λ·end while the context lasts.

        The sum is exact where start and end are equal. Integer tensors (counters) are those of
        ``start``.

        Args:
            start: Tensors by their names in the state.
            end: Tensors of the same names and shapes.
            place: λ, from 0 to 1.
        """
        ...


class Networks(Protocol):
    """The networks of one analysis job, each built when it is first asked for."""

    @property
    def task(self) -> Task: ...

    @property
    def task_type(self) -> TaskType: ...

    @property
    def sign(self) -> int:
        """1 where the cell's metric should be high, -1 where it should be low."""
        ...

    @property
    def seed(self) -> int: ...

    @property
    def image_size(self) -> int:
        """The side of the images in pixels."""
        ...

    @property
    def roles(self) -> Sequence[str]:
        """The trained networks of the job: P-T and RI-T; P-T' and RI-T' where another seed ran.

        An analysis of predictions has the cells of every further seed too.
        """
        ...

    def trained(self, role: str) -> AnalysedNetwork:
        """Return the network of a role (P-T, RI-T) with the weights of the chosen epoch.

        Raises:
            WeightsError: The file with the weights is gone.
        """
        ...

    def initial(self, role: str) -> AnalysedNetwork:
        """Return the network of a role before training: P for P-T, RI for RI-T, bit for bit."""
        ...

    def pairs(
        self, *, initial: bool = False
    ) -> Iterator[tuple[str, AnalysedNetwork, AnalysedNetwork]]:
        """Yield the pairs to compare: their name (see ``PAIRS``) and the two networks.

        Args:
            initial: Yield the pairs of a network before and after training too.
        """
        ...

    def pairs_on_a_line(
        self, *, initial: bool = False
    ) -> Sequence[tuple[str, AnalysedNetwork, AnalysedNetwork]]:
        """Return the pairs whose weights can be subtracted: equal shapes, equal normalisation.

        Raises:
            NotApplicable: No pair can be compared in that way.
        """
        ...

    def retrain(self, role: str, change: Callable[[np.ndarray], np.ndarray]) -> float:
        """Train the cell of a role again on changed images, and return its metric on test.

        Args:
            role: P-T or RI-T.
            change: (N, S, S, 3) uint8 images -> images of the same shape; applied to the images
                of training and test as they are read, before augmentation.
        """
        ...

    def predictions(self, role: str) -> np.ndarray:
        """Return the stored predictions of a role's cell on the test images, (N, ...) float64."""
        ...

    @property
    def test_targets(self) -> np.ndarray:
        """The encoded targets of the test images, (N, ...)."""
        ...


@dataclass(frozen=True)
class SummaryTable:
    """A table of one quantity, one column a network or pair.

    Attributes:
        quantity: The quantity of the readings.
        title: The title; ``{metric}`` and ``{directed}`` (``accuracy ↑``) are filled in.
        rows: The heading of the first column; "" for a table of one row.
        abridged: Show a long axis at its ends and quarters only.
    """

    quantity: str
    title: str
    rows: str = "module"
    abridged: bool = False


class AnalysisView:
    """How people are shown an analysis. Inherit from it, and set or override what there is.

    A change of the class changes no result: it does not count in the analysis's fingerprint.
    """

    title = ""
    """The heading on the page; by default the name of the analysis."""
    how_to_read = ""
    """A few sentences for people who see the plot for the first time."""
    formula = ""
    """The quantity as a formula, in plain text."""
    tables: Sequence[SummaryTable] = ()
    """The tables to print; by default one for each quantity."""
    position = 100
    """Views are shown in the order of their position, then by name."""

    def draw(self, readings: Any) -> Figure | None:
        """Return a matplotlib figure of the readings; None for an analysis without a plot.

        Args:
            readings: The ``headwater.AnalysisReadings`` of one source, adaptation and size.
                ``headwater.plotting`` has panels, curves and colours.
        """
        return None


def _no_trainings(options: Mapping[str, Any], image_size: int) -> int:
    return 0


@dataclass(frozen=True, kw_only=True)
class Analysis(Card):
    """Something to measure on the trained networks of a cell.

    Attributes:
        measure: ``measure(networks, **options) -> readings``; keyword-only parameters are options.
            An option that is called as a key of the spec's [anatomy] (``blocks``, ``points``,
            ``images``) takes its value from there.
        looks_at: "two seeds": kept networks of this seed and of another one. "one seed": kept
            networks of this seed. "predictions": stored predictions of all seeds; no network is
            kept for it.
        trainings: (options, image size) -> how many networks the analysis trains, for forecasts.
        view: How people are shown the readings.
    """

    kind: ClassVar[Kind] = Kind.ANALYSIS
    list_columns: ClassVar[tuple[str, ...]] = ("name", "looks_at", "options", "summary")
    usage: ClassVar[str] = 'anatomy.analyses = ["{name}"]'

    measure: Callable[..., Sequence[Reading]] = field(repr=False)
    looks_at: LooksAt = "two seeds"
    trainings: Callable[[Mapping[str, Any], int], int] = field(default=_no_trainings, repr=False)
    view: AnalysisView = field(default_factory=AnalysisView, repr=False)

    def options(self) -> Mapping[str, Any]:
        return defaults_of(self.measure)

    def readings(self, networks: Networks, **options: Any) -> Sequence[Reading]:
        """Return the readings of a cell's networks; raises BadPlugin for anything else."""
        result: Any = self.measure(networks, **options)
        if not isinstance(result, Iterable):
            raise wrong_return(self.name, result, "a list of headwater.Reading")
        readings = list(result)
        for reading in readings:
            if not isinstance(reading, Reading):
                raise wrong_return(self.name, reading, "a headwater.Reading in its list")
        return readings

    def facts(self) -> dict[str, Any]:
        facts = super().facts() | {"options": dict(self.options())}
        del facts["view"]
        return facts


def analysis(
    name: str,
    *,
    summary: str = "",
    looks_at: LooksAt = "two seeds",
    trainings: Callable[[Mapping[str, Any], int], int] = _no_trainings,
    view: type[AnalysisView] = AnalysisView,
) -> Callable[[Callable[..., Sequence[Reading]]], Analysis]:
    """Register an analysis: decorates its measuring function ``(networks, **options) -> readings``.

    Args:
        name: The name, as in ``anatomy.analyses``.
        summary: One line; by default the first line of the function's docstring.
        looks_at: Which networks are trained and kept for it, see ``Analysis``.
        trainings: (options, image size) -> how many networks the analysis itself trains.
        view: The class that says how people are shown the readings.
    """

    def make(measure: Callable[..., Sequence[Reading]]) -> Analysis:
        return Analysis(
            name=name,
            summary=summary or summary_of(measure),
            code=code_of(measure, without=(view.__name__,)),
            measure=measure,
            looks_at=looks_at,
            trainings=trainings,
            view=view(),
        )

    return make
