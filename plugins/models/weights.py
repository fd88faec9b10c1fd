"""Read weights files: safetensors, or torch files that hold nothing but tensors. Nothing read here
can run code.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater import WeightsError, weights_read

if TYPE_CHECKING:
    from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

WRAPPER_KEYS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which training scripts put the tensors, the averaged ones first, as timm reads them.
"""

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""


def shapes_of(path: Path) -> Shapes:
    """Return tensor names and shapes; of a safetensors file, only the header is read.

    Raises:
        WeightsError: There is no such file, or it cannot be read.
    """
    _check_present(path)
    if path.suffix != ".safetensors":
        return {name: tuple(tensor.shape) for name, tensor in tensors_of(path).items()}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Return the tensors by name, floating ones as float32.

    Raises:
        WeightsError: There is no such file, or it cannot be read.
    """
    _check_present(path)
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    in_single_precision = {}
    for name, tensor in tensors.items():
        in_single_precision[name] = tensor.float() if tensor.is_floating_point() else tensor
    return in_single_precision


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise WeightsError.no_file_at(path)
    if not path.stat().st_size:
        raise WeightsError(
            f"the weights file {path} is empty", subject=str(path), hint="Fetch it again."
        )
    weights_read.append(path.absolute())


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> Mapping[str, Tensor]:
    import torch

    try:
        # torch warns of pickle protocols that it does not write itself.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # "GLOBAL module.name": the file asks for a class or a function.
        asks_for_code = "GLOBAL " in str(error)
        raise (_refused(path) if asks_for_code else _not_torch(path)) from error
    except (KeyError, ValueError, IndexError) as error:  # bytes that mean nothing to the unpickler
        raise _not_torch(path) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise _damaged(path, error) from error
    return _unwrapped(loaded, path)


def _unwrapped(loaded: Any, path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of what a training script saved, by the network's own names."""
    import torch

    tensors = loaded if isinstance(loaded, Mapping) else {}
    for key in WRAPPER_KEYS:
        if isinstance(tensors.get(key), Mapping):
            tensors = tensors[key]
            break
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise WeightsError(
            f"{path} does not hold tensors by name",
            subject=str(path),
            hint="Save the network's state_dict(): "
            "safetensors.torch.save_file(model.state_dict(), 'model.safetensors').",
        )
    return {_without_prefixes(name): tensor for name, tensor in tensors.items()}


def _without_prefixes(name: str) -> str:
    for prefix in WRAPPER_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _refused(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} is refused: it holds Python objects, and unpickling them could run any code",
        subject=str(path),
        hint='Where you trust its origin, convert it once: python -c "import torch, safetensors.torch as s; '
        f"s.save_file(torch.load('{path}', weights_only=False).state_dict(), '{path.with_suffix('.safetensors')}')\"",
    )


def _not_torch(path: Path) -> WeightsError:
    hint = "Is it the right file, and whole? Save weights with safetensors.torch.save_file(model.state_dict(), 'model.safetensors')."
    return WeightsError(
        f"the weights file {path} cannot be read: it is no torch file; nothing in it was run",
        subject=str(path),
        hint=hint,
    )


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return WeightsError(
        f"the weights file {path} cannot be read: {reason}",
        subject=str(path),
        hint="It is damaged or cut short: fetch it again.",
    )
