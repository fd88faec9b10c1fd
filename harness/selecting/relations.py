"""Relations: what a source's domain is to a task's, from their cards, as the store's view ``relations`` has it."""

from __future__ import annotations

from collections.abc import Mapping

from headwater.registry import Registry, SourceModel, Task


def relation(
    source: SourceModel, task: Task, registry: Registry, parents: Mapping[str, frozenset[str]]
) -> str | None:
    """within-domain, including or cross-domain; None where a card names no domain. A chain counts by all tasks of its last stage."""
    domains = (
        [registry.task(name).domain for name in source.chain.tasks]
        if source.chain
        else [source.domain]
    )
    target = task.domain
    if target is not None and all(domain == target for domain in domains):
        return "within-domain"
    if any(
        domain == target or domain in parents.get(target or "", frozenset())
        for domain in domains
        if domain is not None
    ):
        return "including"
    return "cross-domain" if target is not None and None not in domains else None
