"""Short names: sources and tasks as people read them, by what tells them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from headwater.registry.cards.chain import parse_chain
from headwater.registry.errors import BadName
from headwater.registry.names import Name, Value

Option = tuple[str, Value]


def shortened(sources: Sequence[str]) -> dict[str, str]:
    """Source names as people read them: chains as ``chain(base→tasks)``, paths by their last part,
    tasks without options, and without the options that all sources of a stem share, bases of chains
    included (where each has a weights file of its own, that alone is kept); in full where two would
    read the same.
    """
    hidden = _hidden({name for source in sources for name in _names_in(source)})
    return _distinct({source: _short(source, hidden) for source in sources})


def shortened_tasks(tasks: Sequence[str]) -> dict[str, str]:
    """The last part of each task's name, without options; in full where two would read the same."""
    return _distinct({task: _last_part(task) for task in tasks})


def _names_in(source: str) -> Iterator[Name]:
    """The source itself and, of a chain, those below it."""
    if name := _parsed(source):
        yield name
        if chain := parse_chain(name):
            yield from _names_in(chain.base)


def _hidden(names: set[Name]) -> dict[str, set[Option]]:
    """By stem, the options that tell nothing."""
    hidden: dict[str, set[Option]] = {}
    for stem in {name.stem for name in names}:
        options = [set(name.options) for name in names if name.stem == stem]
        files = {value for own in options for key, value in own if key == "weights"}
        if len(options) > 1 and len(files) == len(
            options
        ):  # what each file holds need not be said beside it
            hidden[stem] = {
                (key, value) for own in options for key, value in own if key != "weights"
            }
        elif len(options) > 1:
            hidden[stem] = set.intersection(*options)
        elif any(key == "weights" for key, _ in options[0]):
            hidden[stem] = {(key, value) for key, value in options[0] if key != "weights"}
    return hidden


def _short(source: str, hidden: Mapping[str, set[Option]]) -> str:
    name = _parsed(source)
    if name is None:
        return source
    if chain := parse_chain(name):
        tasks = "+".join(_last_part(task) for task in chain.tasks)
        return f"chain({_short(chain.base, hidden)}→{tasks})"
    own = {
        key: value
        for key, value in name.options
        if (key, value) not in hidden.get(name.stem, set())
    }
    return str(
        Name.of(
            name.stem,
            {
                key: _file(value, name.stem) if isinstance(value, str) else value
                for key, value in own.items()
            },
        )
    )


def _file(path: str, stem: str) -> str:
    """A path's last part, without the architecture that the stem names already."""
    return path.rpartition("/")[2].removeprefix(f"{stem.rpartition('/')[2]}.")


def _last_part(task: str) -> str:
    return task.partition("[")[0].rpartition("/")[2]


def _distinct(short: dict[str, str]) -> dict[str, str]:
    readings = list(short.values())
    return {full: name if readings.count(name) == 1 else full for full, name in short.items()}


def _parsed(source: str) -> Name | None:
    try:
        return Name.parse(source)
    except BadName:
        return None
