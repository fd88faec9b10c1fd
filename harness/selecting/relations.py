"""Relations of a source's domain to a task's, from their cards, as in the store's view
``relations``.
"""

from __future__ import annotations

from collections.abc import Mapping

from headwater.registry import Registry, SourceModel, Task


def relation(
    source: SourceModel, task: Task, registry: Registry, parents: Mapping[str, frozenset[str]]
) -> str | None:
    """Return what a source's domain is to a task's.

    Args:
        source: The source; a chain counts by all tasks of its last stage.
        task: The target.
        registry: Where a chain's tasks are looked up.
        parents: Each domain -> the domains that contain it.

    Returns:
        ``within-domain`` where the domains are the same, ``including`` where one of the source's is
        the target's or contains it, else ``cross-domain``; None where a card names no domain.
    """
    domains = [source.domain]
    if source.chain:
        domains = [registry.task(name).domain for name in source.chain.tasks]
    target = task.domain
    if target is None:
        return None
    if all(domain == target for domain in domains):
        return "within-domain"
    containing = {target, *parents.get(target, frozenset())}
    if any(domain in containing for domain in domains):
        return "including"
    return None if None in domains else "cross-domain"
