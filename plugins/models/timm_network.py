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
    """Return a timm network.

    Args:
        architecture: ``resnet18`` (random, or the weights of a file), or ``resnet18.a1_in1k`` (the
            tag's weights from the Hub).
        weights: A safetensors or torch file with timm's tensor names; a relative path starts at the
            working directory or else beside the file that calls.
        image_size: Side of the images in pixels; None for the architecture's own.
        head: Whether the network has its own classifier.
        cut: Modules, joined by ``+``, to leave out at the end.
        options: Arguments of timm.create_model.

    Raises:
        BadName: An option cannot be set, or timm does not take it.
        WeightsError: The weights cannot be used.
    """
    check_settled(architecture, options)
    image = _size_option(architecture, image_size)
    # timm would take hf-hub:… too, and draw its weights at random.
    if ":" in architecture:
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
    network = create(architecture, **_classifier_option(head), **image, **options)
    return without(network, modules_in(cut))


def _classifier_option(head: bool) -> dict[str, Any]:
    """Return timm's option that leaves out the classifier, unless it is wanted."""
    return {} if head else {"num_classes": 0}


def modules_in(cut: str) -> list[str]:
    """Return the names of the modules in the option ``cut``."""
    return [name for name in cut.split("+") if name]


def check_settled(architecture: str, options: Mapping[str, Value]) -> None:
    """Raise BadName for an option that is not the caller's to set."""
    for key in SETTLED:
        if key in options:
            raise BadName(
                f"{architecture}: {key} cannot be set here",
                subject=architecture,
                hint="The number of classes comes from the weights file, the image size from the "
                "benchmark; input is RGB.",
            )


def create(architecture: str, **arguments: Any) -> nn.Module:
    """Return timm.create_model's network; raise BadName naming the option that timm does not take."""
    import timm

    try:
        return timm.create_model(architecture, **arguments)
    except (TypeError, ValueError, AssertionError, AttributeError, ZeroDivisionError) as error:
        options = dict(arguments)
        # These are ours: whoever reads the message has not set them.
        options.pop("pretrained", None)
        options.pop("pretrained_cfg_overlay", None)
        written = ",".join(f"{key}={value}" for key, value in options.items())
        raise BadName(
            f"timm cannot make {architecture}[{written}]: {error}",
            subject=architecture,
            hint=f"Options are the arguments of timm's {architecture}: "
            "see https://huggingface.co/docs/timm.",
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
    network = _on_meta(architecture, num_classes=0, **options)
    return _count(without(network, modules_in(cut)))


def outline(architecture: str, path: Path, options: Mapping[str, Value]) -> Outline:
    """Compare a file with its architecture; raise WeightsError naming the first tensor that does
    not belong.
    """
    shapes = _without_counters(shapes_of(path))
    bare = _on_meta(architecture, num_classes=0, **options)
    classes = _classes_in(shapes, _on_meta(architecture, **options))
    whole = _on_meta(architecture, num_classes=classes, **options)
    expected = _without_counters(_shapes(whole))
    _check_shapes(shapes, expected, architecture, path)
    children = [name for name, _ in whole.named_children()]
    cut = _missing_modules(shapes, expected, children, path)
    return {"classes": classes, "cut": cut, "parameters": _count(without(bare, cut))}


def _shapes(network: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _without_counters(shapes: Shapes) -> Shapes:
    """Return the shapes without batch norms' counters, which some files lack and nothing here
    uses.
    """
    names = [name for name in shapes if not name.endswith("num_batches_tracked")]
    return {name: shapes[name] for name in names}


def _on_meta(architecture: str, **arguments: Any) -> nn.Module:
    """Return the network without memory for its tensors, of which only the shapes are wanted."""
    import torch

    with torch.device("meta"):
        return create(architecture, **arguments)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _classifiers(network: Any) -> tuple[str, ...]:
    """Return the names of a timm network's classifiers: distilled ones have two."""
    names = network.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _classes_in(shapes: Shapes, network: nn.Module) -> int:
    """Return the outputs of the classifier in a file; 0 where it has none."""
    for name in _classifiers(network):
        shape = shapes.get(f"{name}.weight")
        if shape:
            return shape[0]
    return 0


def _check_shapes(shapes: Shapes, expected: Shapes, architecture: str, path: Path) -> None:
    """Raise WeightsError for a tensor that the architecture has not, or has in another shape."""
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


def _missing_modules(
    shapes: Shapes, expected: Shapes, children: list[str], path: Path
) -> list[str]:
    """Return the modules that the file lacks whole, if they are the network's last.

    Raises:
        WeightsError: The file lacks other tensors.
    """
    missing = sorted(set(expected) - set(shapes))
    if not missing:
        return []
    incomplete = {_module_of(name) for name in missing}
    with_tensors = {_module_of(name) for name in expected}
    in_order = [child for child in children if child in with_tensors]
    last = in_order[len(in_order) - len(incomplete) :]
    lacks_whole_modules = incomplete.isdisjoint(_module_of(name) for name in shapes)
    is_end = incomplete == set(last) and len(incomplete) < len(in_order)
    if not (lacks_whole_modules and is_end):
        raise WeightsError(
            f"{path} lacks {len(missing)} tensors, {missing[0]!r} the first",
            subject=str(path),
            hint="Only modules at the end of the network may be missing, each of them whole.",
        )
    return last


def _module_of(tensor: str) -> str:
    """Return the name of the network's child that a tensor belongs to."""
    return tensor.partition(".")[0]


def _size_option(architecture: str, image_size: int | None) -> dict[str, Any]:
    """Return ``img_size`` if the architecture is made for one size and another is wanted."""
    facts = listing()["tags"].get(architecture)
    if not facts:
        facts = listing()["architectures"].get(architecture, {})
    if image_size is None or not facts.get("fixed_size") or facts["input_size"] == image_size:
        return {}
    return {"img_size": image_size}


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
    """Return the network with the weights of a file, cut where the file ends."""
    import torch

    # The shapes of a file are those of the architecture's own image size.
    of_architecture = {key: value for key, value in options.items() if key != "img_size"}
    contents = outline(architecture, path, of_architecture)
    tensors = tensors_of(path)
    whole = _on_meta(architecture, num_classes=contents["classes"], **of_architecture)
    # timm loads all or nothing; what the file lacks is cut off again below, counters start at zero.
    filled = {}
    for name, shape in _shapes(whole).items():
        filled[name] = tensors[name] if name in tensors else torch.zeros(shape)
    overlay = {
        "state_dict": filled,
        "num_classes": contents["classes"],
        "label_offset": 0,
        "custom_load": False,
        "source": "",
    }
    classes = contents["classes"] if head else 0
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
    return without(network, contents["cut"])


def _from_hub(tag: str, head: bool, options: Mapping[str, Any]) -> nn.Module:
    """Return the network with a tag's weights, from the Hub or from its cache."""

    def load() -> nn.Module:
        return create(tag, pretrained=True, **_classifier_option(head), **options)

    try:
        with hub_or_cache():
            return _quietly(load)
    except HeadwaterError:
        raise
    except Exception as error:  # the network, the disk, the Hub: each library has its own errors
        first_line = str(error).partition("\n")[0]
        reason = f"{type(error).__name__}: {first_line}"
        architecture = tag.partition(".")[0]
        raise WeightsError(
            f"the weights of timm/{tag} could not be fetched: {reason}",
            subject=f"timm/{tag}",
            hint="With no network, name a mirror (HF_ENDPOINT=https://...), or a file: "
            f"timm/{architecture}[weights=PATH].",
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
