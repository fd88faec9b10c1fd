"""The pool: the sources that a question is about, and those that were left out, with why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from headwater.harness.planning.chains import without_target
from headwater.registry import Kind, Registry, SourceModel, Task
from headwater.registry.errors import BadName, BadSpec, HeadwaterError, UnknownName
from headwater.registry.names import glob_matches, split_list

MAX_COUNTED_SOURCES = 24
"""Sources whose parameters are counted only to be shown, at most: each takes a moment."""

LICENCE_UNKNOWN = "their licence is not known"


@dataclass
class Pool:
    """The sources to choose from.

    Attributes:
        sources: Their cards.
        left_out: Reason -> the sources that are left out for it.
        failed: Source -> why its card could not even be built.
    """

    sources: list[SourceModel] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def leave_out(self, source: str, reason: str) -> None:
        self.left_out.setdefault(reason, []).append(source)


def pool_of(
    patterns: Sequence[str],
    task: Task,
    registry: Registry,
    max_parameters: int | None = None,
    licences: Sequence[str] = (),
) -> Pool:
    """Resolve names and globs, and leave out what is too large or not licensed so.

    Args:
        patterns: Names and globs of sources.
        task: The target; chains are taken as if they had never been trained on it.
        registry: Where the names are looked up.
        max_parameters: The most parameters that a source may have; None: any number.
        licences: Globs of allowed licences; empty: any licence.

    Raises:
        UnknownName: A name or a glob matches nothing.
        BadSpec: No source is left.
    """
    pool = Pool()
    cards: dict[str, SourceModel] = {}
    for card in _cards(patterns, registry, pool):
        cards[card.name] = card
    for card in cards.values():
        source = without_target(card, task, registry)
        if source is None:
            pool.leave_out(card.name, "they were trained on nothing but this task")
            continue
        reason = _licence_problem(source, licences, registry) if licences else ""
        if reason:
            pool.leave_out(source.name, reason)
            continue
        parameters = source.parameters
        if max_parameters is not None:
            # Counting builds the network, so only where the number decides.
            parameters = source.count_parameters() if parameters is None else parameters
            if parameters is None:
                pool.leave_out(source.name, "their parameters are not known")
                continue
            if parameters > max_parameters:
                pool.leave_out(source.name, f"they have more than {max_parameters:,} parameters")
                continue
        # Two chains can be one without the target.
        if source.name not in [pooled.name for pooled in pool.sources]:
            pool.sources.append(replace(source, parameters=parameters))
    if not pool.sources:
        reasons = [f"{len(names)}: {reason}" for reason, names in pool.left_out.items()]
        reasons = reasons or list(pool.failed.values())
        raise BadSpec(
            f"no source is left to choose from ({'; '.join(reasons)})",
            subject=",".join(patterns),
            hint="headwater list sources 'PATTERN*'",
        )
    return pool


def _cards(patterns: Sequence[str], registry: Registry, pool: Pool) -> Iterator[SourceModel]:
    """Yield the cards of names and globs, and note in the pool those that cannot be built."""
    for pattern in patterns:
        for text in split_list(pattern):
            try:
                yield from cast(list[SourceModel], registry.find(Kind.SOURCE, text))
            except (UnknownName, BadName):
                raise
            except HeadwaterError as error:  # a missing weights file is one source's trouble
                pool.failed[text] = error.message


def _licence_problem(source: SourceModel, licences: Sequence[str], registry: Registry) -> str:
    """Return why a source's licence is not among the allowed ones; "" if it is."""
    licence = source.licence or None
    if licence is None and source.chain:
        # A chain's weights are made of its base's, and are under their licence.
        licence = registry.source(source.chain.base).licence
    if licence is None:
        return LICENCE_UNKNOWN
    for pattern in licences:
        if glob_matches([licence.lower()], pattern.lower()):
            return ""
    return f"their licence is not {' or '.join(licences)}"


def with_parameters(sources: Sequence[SourceModel]) -> list[SourceModel]:
    """Return the cards with their parameters counted where those are not known.

    Of more than ``MAX_COUNTED_SOURCES`` none is counted.
    """
    unknown = [source for source in sources if source.parameters is None and not source.chain]
    if len(unknown) > MAX_COUNTED_SOURCES:
        return list(sources)
    counted: list[SourceModel] = []
    for source in sources:
        if source in unknown:
            source = replace(source, parameters=source.count_parameters())
        counted.append(source)
    return counted
