"""timm's models as sources: every pre-trained tag, any architecture with a weights file, any at
random initialisation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from headwater import (
    BadName,
    Kind,
    Name,
    Provider,
    Registry,
    SourceModel,
    UnknownName,
    Value,
    WeightsError,
    check_options,
    code_of,
    did_you_mean,
    digest,
)
from headwater.plugins.models.pretraining import IMAGENET_1K, Corpus, stages
from headwater.plugins.models.timm_listing import (
    Facts,
    keep_parameters,
    kept,
    listing,
    parameter_counts,
)
from headwater.plugins.models.timm_network import (
    Outline,
    check_settled,
    count_parameters,
    outline,
    timm_model,
)
from headwater.plugins.models.weights import tensors_of

__all__ = ["scratch", "timm", "timm_model"]

FACTS: dict[str, Value] = {
    "accuracy": 0.76,
    "domain": "consumer",
    "images": 1_281_167,
    "licence": "apache-2.0",
    "mean": 0.5,
    "pretrained_on": "imagenet-1k",
    "std": 0.5,
    "task_type": "classification",
}
"""Options that say what is known of weights, with an example each; every other is the
architecture's own.

``pretrained_on=a+b`` names several data sets; ``mean`` and ``std`` hold for all three channels.
"""


def parameters_key(architecture: str, options: Mapping[str, Value]) -> str:
    """Return the key under which an architecture's number of parameters is cached."""
    return str(Name.of(architecture, dict(options)))


def counted_parameters(architecture: str, options: Mapping[str, Value]) -> int:
    """Return an architecture's parameters without its classifier, counted on the first call."""
    key = parameters_key(architecture, options)
    if key not in parameter_counts():
        keep_parameters(key, count_parameters(architecture, **options))  # type: ignore[arg-type]
    return parameter_counts()[key]


# -- timm/TAG and timm/ARCHITECTURE[weights=PATH] ---------------------------------------------------------------


def _tags() -> Iterator[SourceModel]:
    for tag in listing()["tags"]:
        yield _tag_card(tag)


def _resolve(name: Name, registry: Registry) -> SourceModel:
    stem = name.stem.removeprefix("timm/")
    facts, options = _split_options(name)
    weights = options.pop("weights", None)
    architecture = stem.partition(".")[0]
    check_settled(architecture, options)
    if weights is not None and architecture in listing()["architectures"]:
        path = Path(str(weights)).expanduser().absolute()
        return _file_card(name, architecture, path, facts, options)
    if stem not in listing()["tags"]:
        raise _unknown_tag(name, stem)
    # The scratch reference is fed the same images, normalised in the same way.
    normalisation = _unlike_default(stem, architecture) | _normalisation(facts)
    scratch = Name.of(f"scratch/{architecture}", options | normalisation)
    changes = {
        "name": str(name),
        "build": partial(timm_model, stem, **options),  # type: ignore[arg-type]
        "scratch": str(scratch),
        "parameters": parameter_counts().get(parameters_key(architecture, options)),
        "parameter_counter": partial(counted_parameters, architecture, options),
    }
    return _replaced(_tag_card(stem), changes | _card_facts(name, facts))


def _tag_card(tag: str) -> SourceModel:
    facts = listing()["tags"][tag]
    architecture = tag.partition(".")[0]
    corpora = stages(facts["tag"])
    names = tuple(corpus.name for corpus in corpora)
    training = ", then ".join(names) or "data timm does not name"
    last = corpora[-1] if corpora else None
    has_classifier = last is not None and last.labelled and facts["classes"]
    scratch = Name.of(f"scratch/{architecture}", _unlike_default(tag, architecture))
    return SourceModel(
        name=f"timm/{tag}",
        summary=f"{architecture}, pre-trained on {training}",
        build=partial(timm_model, tag),
        architecture=architecture,
        pretrained_on=names,
        domain=last.domain if last else None,
        images=_images_of_largest(corpora),
        task_type="classification" if has_classifier else None,
        licence=facts["licence"],
        parameters=parameter_counts().get(architecture),
        parameter_counter=partial(counted_parameters, architecture, {}),
        scratch=str(scratch),
        code=_code(),
        **_input_facts(facts),
    )


def _images_of_largest(corpora: tuple[Corpus, ...]) -> int | None:
    """Return the images of the largest stage, where every stage's number is known."""
    # No sum: the stages overlap.
    sizes = [corpus.images for corpus in corpora]
    if None in sizes:
        return None
    return max((size for size in sizes if size), default=None)


def _file_card(
    name: Name, architecture: str, path: Path, facts: dict[str, Value], options: dict[str, Value]
) -> SourceModel:
    contents = _outline(architecture, path, options)
    # What the file lacks, the scratch reference lacks too.
    cut = {"cut": "+".join(contents["cut"])} if contents["cut"] else {}
    scratch = Name.of(f"scratch/{architecture}", options | cut | _normalisation(facts))
    card = SourceModel(
        name=str(name),
        summary=f"{architecture} with the weights of {path.name}",
        build=partial(timm_model, architecture, path, **options),  # type: ignore[arg-type]
        architecture=architecture,
        task_type="classification" if contents["classes"] else None,
        parameters=contents["parameters"],
        weights=str(path),
        scratch=str(scratch),
        code=_code(),
        **_input_facts(listing()["architectures"][architecture]),
    )
    return _replaced(card, _card_facts(name, facts))


def _outline(architecture: str, path: Path, options: dict[str, Value]) -> Outline:
    if not path.is_file():
        raise WeightsError.no_file_at(path)
    stat = path.stat()
    key = digest(architecture, options, str(path), stat.st_size, stat.st_mtime_ns, _code())
    return kept(f"outline-{key}", lambda: outline(architecture, path, options))


def _unknown_tag(name: Name, stem: str) -> UnknownName:
    tags = listing()["tags"]
    architectures = listing()["architectures"]
    if stem in architectures and "." not in stem:
        siblings = [f"timm/{tag}" for tag in tags if tag.partition(".")[0] == stem]
        examples = ", ".join(siblings[:3]) or "none"
        if len(siblings) > 3:
            examples += " ..."
        return UnknownName(
            f"timm/{stem} is an architecture; say which weights",
            subject=str(name),
            hint=f"Its pre-trained tags: {examples}; or timm/{stem}[weights=PATH]; or scratch/{stem}.",
        )
    names = [f"timm/{tag}" for tag in (*tags, *architectures)]
    family = stem.partition(".")[0].partition("_")[0]
    return UnknownName(
        f"{name.stem!r} is not a known source.{did_you_mean(name.stem, names)}",
        subject=str(name),
        hint=f"{len(tags):,} timm sources: headwater list sources 'timm/{family}*'",
    )


# -- scratch/ARCHITECTURE ----------------------------------------------------------------------------------------


def _resolve_scratch(name: Name, registry: Registry) -> SourceModel:
    architecture = name.stem.removeprefix("scratch/")
    facts, options = _split_options(name)
    architectures = listing()["architectures"]
    if architecture not in architectures:
        names = [f"scratch/{each}" for each in architectures]
        raise UnknownName(
            f"{name.stem!r} is not a known source.{did_you_mean(name.stem, names)}",
            subject=str(name),
            hint=f"{len(architectures):,} architectures of timm; write scratch/resnet18, without a tag.",
        )
    check_settled(architecture, options)
    if "weights" in options:
        raise BadName(
            f"{name}: a scratch source has no weights",
            subject=str(name),
            hint=f"Write timm/{architecture}[weights=PATH].",
        )
    not_settable = sorted(set(facts) - {"mean", "std"})
    if not_settable:
        raise BadName(
            f"{name}: a scratch source has no {not_settable[0]}",
            subject=str(name),
            hint="It was trained on nothing; mean and std can be set.",
        )
    card = SourceModel(
        name=str(name),
        summary=f"{architecture} at random initialisation",
        build=partial(timm_model, architecture, **options),  # type: ignore[arg-type]
        architecture=architecture,
        images=0,
        parameters=parameter_counts().get(parameters_key(architecture, options)),
        parameter_counter=partial(counted_parameters, architecture, options),
        scratch=str(name),
        random=True,
        code=_code(),
        **_input_facts(architectures[architecture]),
    )
    return _replaced(card, _card_facts(name, facts))


# -- what they share ---------------------------------------------------------------------------------------------


@lru_cache
def _code() -> str:
    """Return the digest of the code that decides which network is built, not of what is merely said
    about it.
    """
    return digest(code_of(timm_model), code_of(tensors_of))


def _input_facts(facts: Facts) -> dict[str, Any]:
    """Return timm's input size and normalisation as fields of a card; none where timm has none."""
    if not facts:
        return {}
    return {
        "input_size": facts["input_size"],
        "mean": tuple(facts["mean"]),
        "std": tuple(facts["std"]),
    }


def _normalisation(facts: Mapping[str, Value]) -> dict[str, Value]:
    """Return what the scratch reference must share: a network that is fed otherwise is no pair."""
    return {key: value for key, value in facts.items() if key in ("mean", "std")}


def _unlike_default(tag: str, architecture: str) -> dict[str, Value]:
    """Return a tag's normalisation where it is not the architecture's own, and one number says
    it.
    """
    of_tag = listing()["tags"][tag]
    of_architecture = listing()["architectures"].get(architecture)
    if not of_architecture:
        return {}
    normalisation = {}
    for key in ("mean", "std"):
        channels = of_tag[key]
        if channels != of_architecture[key] and len(set(channels)) == 1:
            normalisation[key] = channels[0]
    return normalisation


def _split_options(name: Name) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return the options that are facts about the weights, and those of the architecture."""
    facts = {key: value for key, value in name.options if key in FACTS}
    return facts, {key: value for key, value in name.options if key not in FACTS}


def _card_facts(name: Name, options: dict[str, Value]) -> dict[str, Any]:
    """Return facts as the fields of a card; raise BadName for one of the wrong type."""
    # A name may look like a number, such as a licence "0".
    facts: dict[str, Any] = {}
    for key, value in options.items():
        facts[key] = str(value) if isinstance(FACTS[key], str) else value
    check_options(name.stem, facts, FACTS)
    if "pretrained_on" in facts:
        facts["pretrained_on"] = tuple(facts["pretrained_on"].split("+"))
    if facts.get("pretrained_on") == (IMAGENET_1K.name,):
        facts = {"domain": IMAGENET_1K.domain, "images": IMAGENET_1K.images} | facts
    for key in ("mean", "std"):
        if key in facts:
            facts[key] = (float(facts[key]),) * 3
    return facts


def _replaced(card: SourceModel, changes: Mapping[str, Any]) -> SourceModel:
    from dataclasses import replace

    return replace(card, **changes)


timm = Provider(
    prefix="timm",
    kind=Kind.SOURCE,
    form="timm/ARCHITECTURE[weights=PATH]",
    summary="timm's pre-trained tags, or a timm architecture with a weights file of yours.",
    resolve=_resolve,
    cards=_tags,
)

scratch = Provider(
    prefix="scratch",
    kind=Kind.SOURCE,
    form="scratch/ARCHITECTURE",
    summary="Any timm architecture at random initialisation.",
    resolve=_resolve_scratch,
)
