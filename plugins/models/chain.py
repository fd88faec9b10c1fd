"""Chains: a source made by the harness, its card derived from its parents' cards."""

from __future__ import annotations

from headwater import (
    CHAIN_FORM,
    BadName,
    Chain,
    Kind,
    Name,
    Provider,
    Registry,
    SourceModel,
    chain_name,
    code_of,
    parse_chain,
)


def resolve(name: Name, registry: Registry) -> SourceModel:
    """Return the card of base weights trained on one task, or jointly on several (multi-source).

    Raises:
        BadName: The name is not a chain's, or names a task twice.
    """
    parsed = parse_chain(name)
    if parsed is None:
        raise BadName(f"{name} is not a chain", subject=str(name), hint=f"Write {CHAIN_FORM}.")
    base = registry.source(parsed.base)
    tasks = [registry.task(task) for task in parsed.tasks]
    names = tuple(sorted(task.name for task in tasks))
    if len(set(names)) < len(names):
        raise BadName(f"{name} names a task twice", subject=str(name))
    domains = {task.domain for task in tasks}
    types = {task.type for task in tasks}
    # A sum of those that are known would be too small.
    sizes = [task.images for task in tasks]
    images = sum(size for size in sizes if size) if all(sizes) else None
    return SourceModel(
        name=chain_name(base.name, names),
        summary=f"{base.name}, then trained on {' and '.join(names)}",
        build=base.build,
        code=code_of(resolve),
        architecture=base.architecture,
        pretrained_on=(*base.pretrained_on, *names),
        domain=domains.pop() if len(domains) == 1 else None,
        task_type=types.pop() if len(types) == 1 else None,
        images=images,
        licence=base.licence,
        parameters=base.parameters,
        parameter_counter=base.count_parameters,
        input_size=base.input_size,
        mean=base.mean,
        std=base.std,
        scratch=base.name if base.random else base.scratch,
        recipe=base.recipe,
        chain=Chain(base.name, names),
    )


chain = Provider(
    prefix="chain",
    kind=Kind.SOURCE,
    form=CHAIN_FORM,
    summary="Any source trained by the harness on one task, or jointly on several, before it meets the target.",
    resolve=resolve,
)
