"""Enumerates the chains of a spec, and leaves targets out of chains."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations

from headwater.harness.planning.spec import Chains
from headwater.registry import Registry, SourceModel, Task, chain_name, data_set_of

MAX_EXACT_CHAINS = 31
"""Shapley values are exact up to so many chains (five source tasks). Beyond, orders of the tasks
are sampled.
"""


def groups(section: Chains, tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the source tasks of each chain over one base.

    Args:
        section: The spec's [chains].
        tasks: The names of the source tasks.

    Returns:
        Each group once, its tasks sorted: first single tasks, then all jointly, then what the
        attribution needs.
    """
    task_groups: list[tuple[str, ...]] = []
    if section.each:
        task_groups += [(task,) for task in tasks]
    if len(tasks) > 1:
        if section.joint or section.attribution != "none":
            task_groups.append(tuple(tasks))
        if section.attribution == "leave-one-out":
            for left_out in tasks:
                task_groups.append(tuple(task for task in tasks if task != left_out))
        if section.attribution == "shapley":
            task_groups += _for_shapley(tasks, section.permutations)
    # Sorted: a group is one chain, in whatever order the spec names its tasks.
    sorted_groups = [tuple(sorted(group)) for group in task_groups]
    return list(dict.fromkeys(sorted_groups))


def _for_shapley(tasks: Sequence[str], permutations: int) -> Iterator[tuple[str, ...]]:
    """Yield all groups of the tasks; if they are too many, those along sampled orders.

    The value of a task is its mean contribution to the tasks before it, over orders of all tasks
    (Shapley 1953); the groups of one order are its beginnings.
    """
    if 2 ** len(tasks) - 1 <= MAX_EXACT_CHAINS:
        for count in range(1, len(tasks) + 1):
            yield from combinations(tasks, count)
        return
    # A fixed seed: extending a spec must plan the same chains again, not others.
    random_orders = random.Random(0)
    count_of_orders = min(permutations, math.factorial(len(tasks)))
    for _ in range(count_of_orders):
        order = random_orders.sample(list(tasks), len(tasks))
        for count in range(1, len(tasks) + 1):
            yield tuple(order[:count])


def without_target(source: SourceModel, target: Task, registry: Registry) -> SourceModel | None:
    """Return a source as if its chain had never been trained on the target (leave-target-out).

    The same data under another name (other options, another revision, another way to write a
    path) counts as the target too.

    Returns:
        The source itself if it is no chain or was not trained on the target; None if it was
        trained on nothing else.
    """
    if source.chain is None:
        return source
    base = registry.source(source.chain.base)
    reduced_base = _reduced_base(base, target, registry)
    remaining: list[str] = []
    for task in source.chain.tasks:
        if not _same_data(registry.task(task), target):
            remaining.append(task)
    if not remaining:
        return None
    tasks = tuple(remaining)
    # Compared, not rebuilt: the same chain written another way would be planned twice.
    if (reduced_base.name, tasks) == (source.chain.base, source.chain.tasks):
        return source
    return registry.source(chain_name(reduced_base.name, tasks))


def _reduced_base(base: SourceModel, target: Task, registry: Registry) -> SourceModel:
    """Return the base without the target, going down to what stages on the target alone began with."""
    reduced = without_target(base, target, registry)
    while reduced is None:
        assert base.chain is not None, "only a chain is trained on tasks"
        base = registry.source(base.chain.base)
        reduced = without_target(base, target, registry)
    return reduced


def _same_data(task: Task, target: Task) -> bool:
    """Return whether two tasks share their images, by their files or by their names."""
    has_same_loader = (task.code, task.files) == (target.code, target.files)
    if task.files and has_same_loader:
        return True
    return data_set_of(task.name) == data_set_of(target.name)
