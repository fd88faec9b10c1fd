"""Build timm networks for any image size; their weights are checked tensor by tensor before they
are loaded.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypedDict

from headwater import BadName, HeadwaterError, Value, WeightsError
from headwater.plugins.hub import hub_or_cache
from headwater.plugins.models.timm_listing import listing
from headwater.plugins.models.weights import Shapes, shapes_of, tensors_of

if TYPE_CHECKING:
    from torch import nn

SETTLED = (
    "num_classes",
    "in_chans",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "checkpoint_path",
    "features_only",
    "img_size",
)
"""Arguments of timm.create_model that are decided here: by the weights file, the image size, or for
safety.
"""


class Outline(TypedDict):
    """A weights file compared with its architecture."""

    classes: int
    """Outputs of the classifier in the file; 0 where it has none."""
    cut: list[str]
    """The modules at the end of the network that the file lacks."""
    parameters: int
    """Without the classifier and without what is cut."""


def timm_model(
    architecture: str,
    weights: str | Path | None = None,
    *,
    image_size: int | None = None,
    head: bool = False,
    cut: str = "",
    **options: Value,
) -> nn.Module:
    """A timm network, its own classifier left out unless ``head``.

    ``architecture``: ``resnet18`` (random, or the weights of a file), ``resnet18.a1_in1k`` (the
        tag's weights from the Hub). ``weights``: a safetensors or torch file with timm's tensor
        names; a relative path starts at the working directory or else beside the file that calls.
        ``cut``: modules, joined by ``+``, to leave out at the end. Other options are
        timm.create_model's. Raises BadName for options, WeightsError for weights that cannot be
        used.
    """
    check_settled(architecture, options)
    image = _size_option(architecture, image_size)
    if ":" in architecture:  # timm would take hf-hub:… too, and draw its weights at random
        raise BadName(
            f"{architecture!r} is not an architecture of timm",
            subject=architecture,
            hint="Give timm's tag (hw.timm_model('resnet18.a1_in1k')), or an architecture and a "
            "weights file that you downloaded: hw.timm_model('resnet18', 'PATH').",
        )
    if weights is not None:
        frame = inspect.currentframe()
        path = _located(Path(weights), frame.f_back if frame else None)
        return _from_file(architecture, path, head, image | options)
    if "." in architecture:
        return _from_hub(architecture, head, image | options)
    return without(
        create(architecture, **({} if head else {"num_classes": 0}), **image, **options), parts(cut)
    )


def parts(cut: str) -> list[str]:
    return [name for name in cut.split("+") if name]


def check_settled(architecture: str, options: Mapping[str, Value]) -> None:
    """Raise BadName for an option that is not the caller's to set."""
    for key in SETTLED:
        if key in options:
            hint = "The number of classes comes from the weights file, the image size from the benchmark; input is RGB."
            raise BadName(
                f"{architecture}: {key} cannot be set here", subject=architecture, hint=hint
            )


def create(architecture: str, **arguments: Any) -> nn.Module:
    """Return timm.create_model's network; raise BadName naming the option that timm does not take."""
    import timm

    try:
        return timm.create_model(architecture, **arguments)
    except (TypeError, ValueError, AssertionError, AttributeError, ZeroDivisionError) as error:
        shown = ",".join(
            f"{key}={value}"
            for key, value in arguments.items()
            if key not in ("pretrained", "pretrained_cfg_overlay")
        )
        hint = f"Options are the arguments of timm's {architecture}: see https://huggingface.co/docs/timm."
        raise BadName(
            f"timm cannot make {architecture}[{shown}]: {error}", subject=architecture, hint=hint
        ) from error


def without(network: nn.Module, cut: list[str]) -> nn.Module:
    """Return the network with those modules replaced by the identity; raise BadName for one it does
    not have.
    """
    from torch import nn

    for name in cut:
        if not isinstance(getattr(network, name, None), nn.Module):
            children = ", ".join(child for child, _ in network.named_children())
            raise BadName(
                f"there is no module {name!r} to cut",
                subject=name,
                hint=f"The network's modules: {children}.",
            )
        setattr(network, name, nn.Identity())
    return network


def count_parameters(architecture: str, cut: str = "", **options: Value) -> int:
    """Return the number of parameters of an architecture without its classifier; nothing is
    allocated.
    """
    return _count(without(_on_meta(architecture, num_classes=0, **options), parts(cut)))


def outline(architecture: str, path: Path, options: Mapping[str, Value]) -> Outline:
    """Compare a file with its architecture; raise WeightsError naming the first tensor that does
    not belong.
    """
    shapes = {
        name: shape
        for name, shape in shapes_of(path).items()
        if not name.endswith("num_batches_tracked")
    }
    bare = _on_meta(architecture, num_classes=0, **options)
    classes = _classes_in(shapes, _on_meta(architecture, **options))
    whole = _on_meta(architecture, num_classes=classes, **options)
    expected = {
        name: tuple(t.shape)
        for name, t in whole.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    _check_shapes(shapes, expected, architecture, path)
    cut = _cut(shapes, expected, [name for name, _ in whole.named_children()], path)
    return {"classes": classes, "cut": cut, "parameters": _count(without(bare, cut))}


def _on_meta(architecture: str, **arguments: Any) -> nn.Module:
    import torch

    with torch.device("meta"):
        return create(architecture, **arguments)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _classifiers(network: Any) -> tuple[str, ...]:
    names = network.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _classes_in(shapes: Shapes, network: nn.Module) -> int:
    weights = (shapes.get(f"{name}.weight") for name in _classifiers(network))
    return next((shape[0] for shape in weights if shape), 0)


def _check_shapes(shapes: Shapes, expected: Shapes, architecture: str, path: Path) -> None:
    for name, shape in shapes.items():
        if name not in expected:
            raise WeightsError(
                f"{path} has a tensor {name!r} that {architecture} has not",
                subject=str(path),
                hint="Is it the right architecture? Its options, such as pad_type=same, go in the brackets too.",
            )
        if shape != expected[name]:
            raise WeightsError(
                f"{path}: tensor {name!r} has shape {list(shape)}, {architecture} wants {list(expected[name])}",
                subject=str(path),
                hint="Is it the right architecture, and the right width?",
            )


def _cut(shapes: Shapes, expected: Shapes, children: list[str], path: Path) -> list[str]:
    """Return the modules that the file lacks whole, if they are the network's last; raise
    WeightsError otherwise.
    """
    missing = sorted(set(expected) - set(shapes))
    lacking = {name.partition(".")[0] for name in missing}
    with_tensors = [
        child for child in children if any(name.startswith(f"{child}.") for name in expected)
    ]
    last = with_tensors[len(with_tensors) - len(lacking) :]
    whole = not any(name.partition(".")[0] in lacking for name in shapes)
    if missing and not (whole and lacking == set(last) and len(lacking) < len(with_tensors)):
        raise WeightsError(
            f"{path} lacks {len(missing)} tensors, {missing[0]!r} the first",
            subject=str(path),
            hint="Only modules at the end of the network may be missing, each of them whole.",
        )
    return last if missing else []


def _size_option(architecture: str, image_size: int | None) -> dict[str, Any]:
    """Return ``img_size`` if the architecture is made for one size and another is wanted."""
    known = listing()
    facts = known["tags"].get(architecture) or known["architectures"].get(architecture, {})
    wants = image_size is not None and facts.get("fixed_size") and facts["input_size"] != image_size
    return {"img_size": image_size} if wants else {}


def _located(path: Path, caller: FrameType | None) -> Path:
    """Return the path if something is there; else, if something is there, the same path beside the
    caller's file.
    """
    path = path.expanduser()
    file = caller.f_globals.get("__file__") if caller else None
    if file is None or path.exists():
        return path
    beside = Path(file).parent / path
    return beside if beside.exists() else path


def _from_file(architecture: str, path: Path, head: bool, options: Mapping[str, Any]) -> nn.Module:
    import torch

    own = {key: value for key, value in options.items() if key != "img_size"}
    known = outline(architecture, path, own)
    tensors = tensors_of(path)
    shapes = {
        name: t.shape
        for name, t in _on_meta(architecture, num_classes=known["classes"], **own)
        .state_dict()
        .items()
    }
    # timm loads all or nothing; what the file lacks is cut off again below, counters start at zero.
    filled = {
        name: tensors[name] if name in tensors else torch.zeros(shape)
        for name, shape in shapes.items()
    }
    overlay = {
        "state_dict": filled,
        "num_classes": known["classes"],
        "label_offset": 0,
        "custom_load": False,
        "source": "",
    }
    classes = known["classes"] if head else 0
    try:
        network = create(
            architecture,
            pretrained=True,
            pretrained_cfg_overlay=overlay,
            num_classes=classes,
            **options,
        )
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not fit {architecture}: {error}", subject=str(path)
        ) from error
    return without(network, known["cut"])


def _from_hub(tag: str, head: bool, options: Mapping[str, Any]) -> nn.Module:
    def load() -> nn.Module:
        return create(tag, pretrained=True, **({} if head else {"num_classes": 0}), **options)

    try:
        with hub_or_cache():
            return _quietly(load)
    except HeadwaterError:
        raise
    except (
        Exception
    ) as error:  # the network, the disk, the Hub, a damaged file: each library has its own errors
        raise WeightsError(
            f"the weights of timm/{tag} could not be fetched: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            subject=f"timm/{tag}",
            hint=f"With no network, name a mirror (HF_ENDPOINT=https://...), or a file: timm/{tag.partition('.')[0]}[weights=PATH].",
        ) from error


def _quietly(load: Callable[[], nn.Module]) -> nn.Module:
    """Call ``load`` without the Hub client's progress bars and advice, which would break our own
    display.
    """
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return load()
    finally:
        logger.setLevel(level)
