"""Columns: networks side by side, the activations of the frozen ones led into a new one.

Rusu et al., Progressive Neural Networks, 2016 (arXiv 1606.04671), equation 2: with h_i the
activations after stage i of the new column, h_i^(j) those of frozen column j, and f_i the stage,

    h_i = f_i( h_{i−1} + Σ_j U_j σ(V_j (α_j h_{i−1}^(j))) )

Each summand is a ``Lateral``. They are added in front of each stage but the first, whose input is
the image, and in front of the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from headwater import NotApplicable, called_modules, stages

REDUCTION = 4
"""How many times narrower an adapter is than the activations it adds to: so the laterals stay fewer
than the column's own weights.
"""
MIN_ADAPTER_UNITS = 16
"""Rectified units of an adapter, however narrow the stage: of very few all may be off."""
MAX_INITIAL_ALPHA = 0.1
"""Largest initial value of a learned scale α, which is drawn between 0 and this."""


class Lateral(nn.Module):
    """U σ(V (α h)), the paper's adapter: a column's activations to those of the new one, along the
    axis of their channels.

    U and V are matrices on channels: 1×1 convolutions of maps, linear layers of tokens. α makes up
    for other scales.
    """

    def __init__(self, inputs: int, outputs: int, axis: int) -> None:
        super().__init__()
        inner = max(MIN_ADAPTER_UNITS, outputs // REDUCTION)
        self.axis = axis
        self.alpha = nn.Parameter(MAX_INITIAL_ALPHA * torch.rand(()))
        self.reduce = nn.Linear(inputs, inner)
        self.expand = nn.Linear(inner, outputs, bias=False)
        # Beside a small α h another start of the bias would decide for good which units are off.
        nn.init.zeros_(self.reduce.bias)

    def forward(self, activations: Tensor) -> Tensor:
        inner = self.reduce((self.alpha * activations).movedim(self.axis, -1)).relu()
        return self.expand(inner).movedim(-1, self.axis)


class Progressive(nn.Module):
    """A new column on images (B, 3, H, W), to which frozen columns contribute before each stage and
    before the head.

    Args:
        columns: The frozen columns by name.
        column: The new column.
        head: What the new column's features go into.
        image_size: Side of the images in pixels.

    Raises:
        NotApplicable: A network cannot be cut into stages that hand on one tensor each, or the
            stages of the columns do not meet.
    """

    def __init__(
        self, columns: Mapping[str, nn.Module], column: nn.Module, head: nn.Module, image_size: int
    ) -> None:
        super().__init__()
        self.columns = nn.ModuleList(columns.values()).requires_grad_(False)
        self.column = column
        self.head = head
        self._entries = [_entries(backbone) for backbone in (column, *columns.values())]

        new_shapes = _shapes("", column, self._entries[0], image_size)
        frozen_shapes = {}
        for (name, backbone), entries in zip(columns.items(), self._entries[1:], strict=True):
            frozen_shapes[name] = _shapes(name, backbone, entries, image_size)
        axes = [_channel_axis(shape, column) for shape in new_shapes]
        first_name = next(iter(columns))
        for name, shapes in frozen_shapes.items():
            _check_meet(name, shapes, first_name, new_shapes, axes=axes)

        self.laterals = nn.ModuleList()
        for place, axis in enumerate(axes):
            outputs = new_shapes[place][axis]
            inputs = [shapes[place][axis] for shapes in frozen_shapes.values()]
            self.laterals.append(nn.ModuleList(Lateral(width, outputs, axis) for width in inputs))

    def forward(self, images: Tensor) -> Tensor:
        # What the frozen columns make of an image has no gradient to pass on.
        with torch.no_grad():
            frozen_activations = [
                _activations(backbone, images, entries)
                for backbone, entries in zip(self.columns, self._entries[1:], strict=True)
            ]

        def add_laterals(place: int, activations: Tensor) -> Tensor:
            laterals = self.laterals[place].children()
            for lateral, by_place in zip(laterals, frozen_activations, strict=True):
                activations = activations + lateral(by_place[place])
            return activations

        features = _through(self.column, images, self._entries[0], add_laterals)
        return self.head(features)


def _entries(backbone: nn.Module) -> list[nn.Module]:
    """Return the modules with which the stages after the first begin: what goes into them is
    h_{i−1}.
    """
    later_stages = list(stages(backbone).values())[1:]
    return [next(called_modules(stage)) for stage in later_stages]


def _through(
    backbone: nn.Module,
    images: Tensor,
    entries: list[nn.Module],
    change: Callable[[int, Tensor], Tensor],
) -> Tensor:
    """Return a backbone's features, its activations changed on the way.

    Args:
        backbone: The network.
        images: (B, 3, H, W).
        entries: The modules with which its later stages begin.
        change: Called with a place and the activations there, and returns what replaces them; the
            places are the entries, and last the features.
    """

    def hook(place: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
        return lambda _, inputs: (change(place, inputs[0]), *inputs[1:])

    # The hooks go when the pass is over, or failed: the backbone is used elsewhere too.
    with ExitStack() as hooks:
        for place, module in enumerate(entries):
            handle = module.register_forward_pre_hook(hook(place))
            hooks.callback(handle.remove)
        features = backbone(images)
    return change(len(entries), features)


def _activations(
    backbone: nn.Module, images: Tensor, entries: list[nn.Module]
) -> dict[int, Tensor]:
    """Return the activations before each later stage, by its place, and last the features."""
    by_place: dict[int, Tensor] = {}

    def keep(place: int, activations: Tensor) -> Tensor:
        by_place[place] = activations
        return activations

    _through(backbone, images, entries, keep)
    return by_place


@torch.no_grad()
def _shapes(
    name: str, backbone: nn.Module, entries: list[nn.Module], image_size: int
) -> list[tuple[int, ...]]:
    """Return the shapes of the activations for one image.

    Args:
        name: Name of the column for messages; "" for the new one.
        backbone: The column.
        entries: The modules with which its later stages begin.
        image_size: Side of the image in pixels.

    Raises:
        NotApplicable: A stage is not called with a tensor.
    """
    was_training = backbone.training
    device = next(backbone.parameters()).device
    image = torch.zeros(1, 3, image_size, image_size, device=device)
    try:
        # In training the pass would change the statistics of norms.
        by_place = _activations(backbone.eval(), image, entries)
        return [tuple(by_place[place].shape) for place in range(len(entries) + 1)]
    except (KeyError, IndexError, AttributeError):
        raise NotApplicable(
            f"the stages of {name or 'the new column'} do not hand on one tensor each", subject=name
        ) from None
    finally:
        backbone.train(was_training)


def _channel_axis(shape: tuple[int, ...], backbone: nn.Module) -> int:
    """Return the axis of the channels: of maps (B, C, H, W) or (B, H, W, C), of tokens (B, N, C),
    of features (B, D).
    """
    # timm's networks, or parts of them, say so where their maps have the channels last.
    parts = (backbone, *backbone.children())
    formats = {str(getattr(part, "output_fmt", "")) for part in parts}
    is_map = len(shape) == 4
    if is_map and "NHWC" not in formats:
        return 1
    return len(shape) - 1


def _check_meet(
    name: str,
    shapes: list[tuple[int, ...]],
    first_name: str,
    new_shapes: list[tuple[int, ...]],
    *,
    axes: list[int],
) -> None:
    """Raise NotApplicable unless a frozen column's activations differ from those of the new one in
    their channels alone.

    Args:
        name: The frozen column.
        shapes: Shapes of its activations, by place.
        first_name: The column that the new one is built like.
        new_shapes: Shapes of the new column's activations, by place.
        axes: Axis of the channels, by place.
    """
    if len(new_shapes) != len(shapes):
        raise NotApplicable(
            f"{name} has a stem and {len(shapes) - 1} stages, {first_name} {len(new_shapes) - 1}: columns need as many",
            subject=name,
        )
    for place, axis in enumerate(axes):
        if _without_axis(shapes[place], axis) != _without_axis(new_shapes[place], axis):
            sizes = f"{_size(shapes[place])} and {_size(new_shapes[place])}"
            raise NotApplicable(
                f"{name} and {first_name} do not meet before stage {place + 1}: {sizes}",
                subject=name,
            )


def _without_axis(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _size(shape: tuple[int, ...]) -> str:
    """Return the shape of one image's activations in words: ``64×7×7``."""
    return "×".join(str(length) for length in shape[1:])
