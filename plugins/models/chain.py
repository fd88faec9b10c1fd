"""Chains: a source made by the harness, its card derived from its parents' cards."""

from __future__ import annotations

from headwater.registry import Chain, Kind, Name, Provider, Registry, SourceModel
from headwater.registry.errors import BadName
from headwater.registry.identity import code_of
from headwater.registry.names import split_list

_FORM = "chain[base=SOURCE,on=TASK+TASK]"


def resolve(name: Name, registry: Registry) -> SourceModel:
    """The card of base weights trained on one task, or jointly on several (multi-source)."""
    options = dict(name.options)
    base_name, on = options.pop("base", None), options.pop("on", None)
    if not base_name or not on or options or name.stem != "chain":
        raise BadName(f"{name} is not a chain", subject=str(name), hint=f"Write {_FORM}.")
    base = registry.source(str(base_name))
    tasks = [registry.task(task) for task in split_list(str(on), "+")]
    names = tuple(sorted(task.name for task in tasks))
    if len(set(names)) < len(names):
        raise BadName(f"{name} names a task twice", subject=str(name))
    domains = {task.domain for task in tasks}
    types = {task.type for task in tasks}
    return SourceModel(
        name=str(Name.of("chain", {"base": base.name, "on": "+".join(names)})),
        summary=f"{base.name}, then trained on {' and '.join(names)}",
        build=base.build,
        code=code_of(resolve),
        architecture=base.architecture,
        pretrained_on=(*base.pretrained_on, *names),
        domain=domains.pop() if len(domains) == 1 else None,
        task_type=types.pop() if len(types) == 1 else None,
        images=sum(task.images for task in tasks if task.images)
        if all(task.images for task in tasks)
        else None,
        licence=base.licence,
        parameters=base.parameters,
        input_size=base.input_size,
        mean=base.mean,
        std=base.std,
        scratch=base.name if base.random else base.scratch,
        chain=Chain(base.name, names),
    )


chain = Provider(
    prefix="chain",
    kind=Kind.SOURCE,
    form=_FORM,
    summary="Any source trained by the harness on one task, or jointly on several, before it meets the target.",
    resolve=resolve,
)
