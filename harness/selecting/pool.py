"""The pool: the sources that a question is about, and those that were left out, with why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from headwater.harness.planning.chains import without_target
from headwater.registry import Kind, Registry, SourceModel, Task
from headwater.registry.errors import BadName, BadSpec, HeadwaterError, UnknownName
from headwater.registry.names import glob_matches, split_list

COUNTED = 24
"""Sources whose parameters are counted only to be shown, at most."""

LICENCE_UNKNOWN = "their licence is not known"


@dataclass
class Pool:
    """``left_out``: why -> sources; ``failed``: source -> why its card could not even be made."""

    sources: list[SourceModel] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def leave_out(self, source: str, why: str) -> None:
        self.left_out.setdefault(why, []).append(source)


def pool_of(
    patterns: Sequence[str],
    task: Task,
    registry: Registry,
    max_parameters: int | None = None,
    licences: Sequence[str] = (),
) -> Pool:
    """Resolve names and globs, and keep what is small enough and licensed so; raises UnknownName,
    or BadSpec where nothing is left.
    """
    pool = Pool()
    for source in {card.name: card for card in _cards(patterns, registry, pool)}.values():
        seen = without_target(source, task, registry)
        if seen is None:
            pool.leave_out(source.name, "they were trained on nothing but this task")
        elif licences and (why := _unlicensed(seen, licences, registry)):
            pool.leave_out(seen.name, why)
        elif (
            counted := _counted(seen, max_parameters is not None)
        ) is None and max_parameters is not None:
            pool.leave_out(seen.name, "their parameters are not known")
        elif max_parameters is not None and counted is not None and counted > max_parameters:
            pool.leave_out(seen.name, f"they have more than {max_parameters:,} parameters")
        elif seen.name not in {kept.name for kept in pool.sources}:
            pool.sources.append(replace(seen, parameters=counted))
    if not pool.sources:
        whys = "; ".join(
            f"{len(names)}: {why}" for why, names in pool.left_out.items()
        ) or "; ".join(pool.failed.values())
        raise BadSpec(
            f"no source is left to choose from ({whys})",
            subject=",".join(patterns),
            hint="headwater list sources 'PATTERN*'",
        )
    return pool


def _cards(patterns: Sequence[str], registry: Registry, pool: Pool) -> Iterator[SourceModel]:
    for text in (part for pattern in patterns for part in split_list(pattern)):
        try:
            yield from cast(list[SourceModel], registry.find(Kind.SOURCE, text))
        except (UnknownName, BadName):
            raise
        except HeadwaterError as error:  # a missing weights file is one source's trouble
            pool.failed[text] = error.message


def _unlicensed(source: SourceModel, licences: Sequence[str], registry: Registry) -> str:
    licence = source.licence or (
        registry.source(source.chain.base).licence if source.chain else None
    )
    if licence is None:
        return LICENCE_UNKNOWN
    allowed = any(glob_matches([licence.lower()], pattern.lower()) for pattern in licences)
    return "" if allowed else f"their licence is not {' or '.join(licences)}"


def _counted(source: SourceModel, needed: bool) -> int | None:
    """Parameters: as the card says, or counted where they decide; a chain has those of its base."""
    if source.parameters is not None:
        return source.parameters
    return source.count_parameters() if needed else None


def with_parameters(sources: Sequence[SourceModel]) -> list[SourceModel]:
    """The cards, parameters counted where they are not known; of many only what was counted before,
    since each takes a moment.
    """
    unknown = [source for source in sources if source.parameters is None and not source.chain]
    if len(unknown) > COUNTED:
        return list(sources)
    return [
        replace(source, parameters=source.count_parameters()) if source in unknown else source
        for source in sources
    ]
