"""The layers of the package: which modules come with ``headwater[run]`` and not with plain
``headwater``.
"""

from __future__ import annotations

import importlib.util

from headwater.registry.errors import MissingLayer

RUN_MODULES = (
    "torch",
    "torchvision",
    "timm",
    "ray",
    "datasets",
    "torchmetrics",
    "pycocotools",
    "sklearn",
    "PIL",
    "safetensors",
)
"""Top-level modules of the measuring layer. Reading stores needs none of them."""


def require_run_layer(purpose: str) -> None:
    """Raise MissingLayer where a module of the measuring layer is not installed.

    Args:
        purpose: The command or name that needs the layer, such as ``headwater run``.
    """
    if not all(map(_is_installed, RUN_MODULES)):
        raise missing_layer(purpose)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def missing_layer(purpose: str) -> MissingLayer:
    """Return the error that names the command which installs the measuring layer."""
    return MissingLayer(
        f'{purpose} needs the measuring layer: pip install "headwater[run]"', subject=purpose
    )


def is_of_run_layer(error: ImportError) -> bool:
    """Tell whether an import failed because a module of the measuring layer is not installed."""
    top_level = (error.name or "").partition(".")[0]
    return top_level in RUN_MODULES
