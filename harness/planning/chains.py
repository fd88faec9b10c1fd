"""Chains that a spec asks for: which source tasks together, and what is left of a chain for a target it was trained on."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations

from headwater.harness.planning.spec import Chains
from headwater.registry import Name, Registry, SourceModel, Task, chain_name

MOST_SUBSETS = 31
"""Shapley values are exact up to so many chains (five source tasks); beyond, orders of the tasks are sampled."""


def groups(section: Chains, tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """The source tasks of each chain over one base, each group once: singles first, then the joint one, then what attribution needs."""
    found: list[tuple[str, ...]] = [(task,) for task in tasks] if section.each else []
    if len(tasks) > 1:
        found += [tuple(tasks)] if section.joint or section.attribution != "none" else []
        found += (
            [tuple(task for task in tasks if task != left) for left in tasks]
            if section.attribution == "leave-one-out"
            else []
        )
        found += (
            _for_shapley(tasks, section.permutations) if section.attribution == "shapley" else []
        )
    return list(dict.fromkeys(tuple(sorted(group)) for group in found))


def _for_shapley(tasks: Sequence[str], permutations: int) -> Iterator[tuple[str, ...]]:
    if 2 ** len(tasks) - 1 <= MOST_SUBSETS:
        yield from (
            group for count in range(1, len(tasks) + 1) for group in combinations(tasks, count)
        )
        return
    draw = random.Random(0)
    for _ in range(min(permutations, math.factorial(len(tasks)))):
        order = draw.sample(list(tasks), len(tasks))
        yield from (tuple(order[:count]) for count in range(1, len(tasks) + 1))


def without_target(source: SourceModel, target: Task, registry: Registry) -> SourceModel | None:
    """The source as if its chain had never seen the target (leave-target-out); None where nothing but the target made it.

    The same data under another name (other options, another revision, another way to write a path) is the target too.
    """
    if source.chain is None:
        return source
    base = registry.source(source.chain.base)
    below = _below(base, target, registry)
    tasks = tuple(
        task for task in source.chain.tasks if not _same_data(registry.task(task), target)
    )
    if not tasks:
        return None
    if (below.name, tasks) == (source.chain.base, source.chain.tasks):
        return source
    return registry.source(chain_name(below.name, tasks))


def _below(base: SourceModel, target: Task, registry: Registry) -> SourceModel:
    """The base without the target; where nothing but the target made its last stage, what that stage began with."""
    while (found := without_target(base, target, registry)) is None:
        assert base.chain is not None, "only a chain was made by tasks"
        base = registry.source(base.chain.base)
    return found


def _same_data(one: Task, other: Task) -> bool:
    by_files = bool(one.files) and (one.code, one.files) == (other.code, other.files)
    return by_files or _stem(one.name) == _stem(other.name)


def _stem(name: str) -> str:
    """The name without options and revision."""
    folder, slash, last = Name.parse(name).stem.rpartition("/")
    return folder + slash + last.partition("@")[0]
