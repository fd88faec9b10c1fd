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
    """Under which an architecture's number of parameters is kept."""
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
    facts, options = _split(name)
    path = options.pop("weights", None)
    architecture = stem.partition(".")[0]
    check_settled(architecture, options)
    if path is not None and architecture in listing()["architectures"]:
        return _file_card(
            name, architecture, Path(str(path)).expanduser().absolute(), facts, options
        )
    if stem in listing()["tags"]:
        card = _tag_card(stem)
        scratch = str(
            Name.of(
                f"scratch/{architecture}",
                options | _unlike_default(stem, architecture) | _normalisation(facts),
            )
        )
        build = partial(timm_model, stem, **options)  # type: ignore[arg-type]
        known = parameter_counts().get(parameters_key(architecture, options))
        return _replaced(
            card,
            {
                "name": str(name),
                "build": build,
                "scratch": scratch,
                "parameters": known,
                "parameter_counter": partial(counted_parameters, architecture, options),
            }
            | _read(name, facts),
        )
    raise _unknown_tag(name, stem)


def _tag_card(tag: str) -> SourceModel:
    facts, architecture = listing()["tags"][tag], tag.partition(".")[0]
    corpora = stages(facts["tag"])
    return SourceModel(
        name=f"timm/{tag}",
        summary=f"{architecture}, pre-trained on {', then '.join(corpus.name for corpus in corpora) or 'data timm does not name'}",
        build=partial(timm_model, tag),
        architecture=architecture,
        pretrained_on=tuple(corpus.name for corpus in corpora),
        domain=corpora[-1].domain if corpora else None,
        images=_largest(corpora),
        task_type="classification"
        if corpora and corpora[-1].labelled and facts["classes"]
        else None,
        licence=facts["licence"],
        parameters=parameter_counts().get(architecture),
        parameter_counter=partial(counted_parameters, architecture, {}),
        scratch=str(Name.of(f"scratch/{architecture}", _unlike_default(tag, architecture))),
        code=_code(),
        **_input(facts),
    )


def _largest(corpora: tuple[Corpus, ...]) -> int | None:
    """Images of the largest stage (stages overlap, so no sum), where every stage's number is known."""
    sizes = [corpus.images for corpus in corpora]
    return max((size for size in sizes if size), default=None) if None not in sizes else None


def _file_card(
    name: Name, architecture: str, path: Path, facts: dict[str, Value], options: dict[str, Value]
) -> SourceModel:
    known = _outline(architecture, path, options)
    cut = {"cut": "+".join(known["cut"])} if known["cut"] else {}
    card = SourceModel(
        name=str(name),
        summary=f"{architecture} with the weights of {path.name}",
        build=partial(timm_model, architecture, path, **options),  # type: ignore[arg-type]
        architecture=architecture,
        task_type="classification" if known["classes"] else None,
        parameters=known["parameters"],
        weights=str(path),
        scratch=str(Name.of(f"scratch/{architecture}", options | cut | _normalisation(facts))),
        code=_code(),
        **_input(listing()["architectures"][architecture]),
    )
    return _replaced(card, _read(name, facts))


def _outline(architecture: str, path: Path, options: dict[str, Value]) -> Outline:
    if not path.is_file():
        raise WeightsError.no_file_at(path)
    stat = path.stat()
    key = digest(architecture, options, str(path), stat.st_size, stat.st_mtime_ns, _code())
    return kept(f"outline-{key}", lambda: outline(architecture, path, options))


def _unknown_tag(name: Name, stem: str) -> UnknownName:
    tags = listing()["tags"]
    siblings = [tag for tag in tags if tag.partition(".")[0] == stem]
    if stem in listing()["architectures"] and "." not in stem:
        shown = ", ".join(f"timm/{tag}" for tag in siblings[:3]) or "none"
        message = f"timm/{stem} is an architecture; say which weights"
        hint = f"Its pre-trained tags: {shown}{' ...' if len(siblings) > 3 else ''}; or timm/{stem}[weights=PATH]; or scratch/{stem}."
        return UnknownName(message, subject=str(name), hint=hint)
    known = [f"timm/{tag}" for tag in (*tags, *listing()["architectures"])]
    message = f"{name.stem!r} is not a known source.{did_you_mean(name.stem, known)}"
    like = f"'timm/{stem.partition('.')[0].partition('_')[0]}*'"
    return UnknownName(
        message,
        subject=str(name),
        hint=f"{len(tags):,} timm sources: headwater list sources {like}",
    )


# -- scratch/ARCHITECTURE ----------------------------------------------------------------------------------------


def _resolve_scratch(name: Name, registry: Registry) -> SourceModel:
    architecture = name.stem.removeprefix("scratch/")
    facts, options = _split(name)
    known = listing()["architectures"]
    if architecture not in known:
        hint = f"{len(known):,} architectures of timm; write scratch/resnet18, without a tag."
        stems = [f"scratch/{other}" for other in known]
        raise UnknownName(
            f"{name.stem!r} is not a known source.{did_you_mean(name.stem, stems)}",
            subject=str(name),
            hint=hint,
        )
    check_settled(architecture, options)
    if "weights" in options:
        raise BadName(
            f"{name}: a scratch source has no weights",
            subject=str(name),
            hint=f"Write timm/{architecture}[weights=PATH].",
        )
    if odd := sorted(set(facts) - {"mean", "std"}):
        raise BadName(
            f"{name}: a scratch source has no {odd[0]}",
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
        **_input(known[architecture]),
    )
    return _replaced(card, _read(name, facts))


# -- what they share ---------------------------------------------------------------------------------------------


@lru_cache
def _code() -> str:
    """Of what decides which network is built; not of what is merely said about it."""
    return digest(code_of(timm_model), code_of(tensors_of))


def _input(facts: Facts) -> dict[str, Any]:
    if not facts:
        return {}
    return {
        "input_size": facts["input_size"],
        "mean": tuple(facts["mean"]),
        "std": tuple(facts["std"]),
    }


def _normalisation(facts: Mapping[str, Value]) -> dict[str, Value]:
    """What the scratch reference must share: a network that is fed otherwise is no pair."""
    return {key: value for key, value in facts.items() if key in ("mean", "std")}


def _unlike_default(tag: str, architecture: str) -> dict[str, Value]:
    """A tag's normalisation where it is not the architecture's own, and one number says it."""
    own, default = listing()["tags"][tag], listing()["architectures"].get(architecture, {})
    return {
        key: own[key][0]
        for key in ("mean", "std")
        if default and own[key] != default[key] and len(set(own[key])) == 1
    }


def _split(name: Name) -> tuple[dict[str, Value], dict[str, Value]]:
    """The options that are facts, and the others."""
    facts = {key: value for key, value in name.options if key in FACTS}
    return facts, {key: value for key, value in name.options if key not in FACTS}


def _read(name: Name, facts: dict[str, Value]) -> dict[str, Any]:
    """Facts as a card has them; raises BadName for one of the wrong type."""
    facts = {
        key: str(value) if key in ("domain", "pretrained_on", "licence", "task_type") else value
        for key, value in facts.items()
    }
    check_options(name.stem, facts, FACTS)
    read: dict[str, Any] = dict(facts)
    if "pretrained_on" in read:
        read["pretrained_on"] = tuple(read["pretrained_on"].split("+"))
    if read.get("pretrained_on") == (IMAGENET_1K.name,):
        read = {"domain": IMAGENET_1K.domain, "images": IMAGENET_1K.images} | read
    return read | {key: (float(read[key]),) * 3 for key in ("mean", "std") if key in read}


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
