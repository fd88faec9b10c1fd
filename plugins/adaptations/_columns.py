"""Columns: networks side by side, the activations of the frozen ones led into a new one (Rusu et
al. 2016, arXiv 1606.04671).
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

    Raises NotApplicable for a network that cannot be cut so, and for columns whose stages do not
    meet.
    """

    def __init__(
        self, columns: Mapping[str, nn.Module], column: nn.Module, head: nn.Module, image_size: int
    ) -> None:
        super().__init__()
        self.columns, self.column, self.head = (
            nn.ModuleList(columns.values()).requires_grad_(False),
            column,
            head,
        )
        self._entries = [_entries(one) for one in (column, *columns.values())]
        named = zip({"": column, **columns}.items(), self._entries, strict=True)
        shapes = [_shapes(name, one, entries, image_size) for (name, one), entries in named]
        own, first = shapes[0], next(iter(columns))
        places = [_axis(shape, column) for shape in own]
        for name, others in zip(columns, shapes[1:], strict=True):
            _check_meet(first, own, name, others, places)
        self.laterals = nn.ModuleList(
            nn.ModuleList(
                Lateral(others[place][axis], own[place][axis], axis) for others in shapes[1:]
            )
            for place, axis in enumerate(places)
        )

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            known = [
                _activations(one, images, at)
                for one, at in zip(self.columns, self._entries[1:], strict=True)
            ]

        def joined(place: int, activations: Tensor) -> Tensor:
            for lateral, of_column in zip(self.laterals[place].children(), known, strict=True):
                activations = activations + lateral(of_column[place])
            return activations

        return self.head(_through(self.column, images, self._entries[0], joined))


def _entries(backbone: nn.Module) -> list[nn.Module]:
    """Return the modules with which the stages after the first begin: what goes into them is
    h_{i−1}.
    """
    return [next(called_modules(part)) for part in list(stages(backbone).values())[1:]]


def _through(
    backbone: nn.Module,
    images: Tensor,
    entries: list[nn.Module],
    at: Callable[[int, Tensor], Tensor],
) -> Tensor:
    """Return a backbone's features, where ``at(place, activations)`` stands before each of its
    later stages and, last, after the features.
    """

    def hook(place: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
        return lambda _, given: (at(place, given[0]), *given[1:])

    with ExitStack() as hooks:
        for place, module in enumerate(entries):
            hooks.callback(module.register_forward_pre_hook(hook(place)).remove)
        features = backbone(images)
    return at(len(entries), features)


def _activations(
    backbone: nn.Module, images: Tensor, entries: list[nn.Module]
) -> dict[int, Tensor]:
    """Return the activations before each later stage, by its place, and last the features."""
    found: dict[int, Tensor] = {}

    def keep(place: int, activations: Tensor) -> Tensor:
        found[place] = activations
        return activations

    _through(backbone, images, entries, keep)
    return found


@torch.no_grad()
def _shapes(
    name: str, backbone: nn.Module, entries: list[nn.Module], image_size: int
) -> list[tuple[int, ...]]:
    """Return the shapes of the activations for one image; raise NotApplicable where a stage is not
    called with a tensor.
    """
    training, device = backbone.training, next(backbone.parameters()).device
    try:
        found = _activations(
            backbone.eval(), torch.zeros(1, 3, image_size, image_size, device=device), entries
        )
        shapes = [tuple(found[place].shape) for place in range(len(entries) + 1)]
    except (KeyError, IndexError, AttributeError):
        raise NotApplicable(
            f"the stages of {name or 'the new column'} do not hand on one tensor each", subject=name
        ) from None
    finally:
        backbone.train(training)
    return shapes


def _axis(shape: tuple[int, ...], backbone: nn.Module) -> int:
    """Return the axis of the channels: of maps (B, C, H, W) or (B, H, W, C), of tokens (B, N, C),
    of features (B, D).
    """
    last = "NHWC" in {
        str(getattr(module, "output_fmt", "")) for module in (backbone, *backbone.children())
    }
    return 1 if len(shape) == 4 and not last else len(shape) - 1


def _check_meet(
    first: str,
    own: list[tuple[int, ...]],
    name: str,
    others: list[tuple[int, ...]],
    axes: list[int],
) -> None:
    if len(own) != len(others):
        raise NotApplicable(
            f"{name} has a stem and {len(others) - 1} stages, {first} {len(own) - 1}: columns need as many",
            subject=name,
        )
    for place, (mine, theirs, axis) in enumerate(zip(own, others, axes, strict=True), start=1):
        if len(mine) != len(theirs) or any(
            a != b for at, (a, b) in enumerate(zip(mine, theirs, strict=True)) if at != axis
        ):
            shapes = " and ".join("×".join(map(str, shape[1:])) for shape in (theirs, mine))
            raise NotApplicable(
                f"{name} and {first} do not meet before stage {place}: {shapes}", subject=name
            )
