"""Shorten the names of sources and tasks to what tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from headwater.registry.cards.chain import parse_chain
from headwater.registry.errors import BadName
from headwater.registry.names import Name, Value

Option = tuple[str, Value]


def shortened(sources: Sequence[str]) -> dict[str, str]:
    """Return, by name, sources as people read them; in full where two would read the same.

    Chains read ``chain(base→tasks)``, paths by their last part, tasks without options. Options that
    all sources of a stem share are left out, bases of chains included; where each has a weights
    file of its own, that alone is shown.
    """
    names = {name for source in sources for name in _names_in(source)}
    hidden = _hidden(names)
    return _distinct({source: _short(source, hidden) for source in sources})


def shortened_tasks(tasks: Sequence[str]) -> dict[str, str]:
    """Return, by name, the last part of each task's name without options; in full where two would
    read the same.
    """
    return _distinct({task: _last_part(task) for task in tasks})


def _names_in(source: str) -> Iterator[Name]:
    """Yield the source itself and, of a chain, those below it."""
    name = _parsed(source)
    if name is None:
        return
    yield name
    chain = parse_chain(name)
    if chain:
        yield from _names_in(chain.base)


def _hidden(names: set[Name]) -> dict[str, set[Option]]:
    """Return, by stem, the options that do not tell its sources apart."""
    by_stem: dict[str, list[set[Option]]] = {}
    for name in names:
        by_stem.setdefault(name.stem, []).append(set(name.options))
    return {stem: _hidden_of(options) for stem, options in by_stem.items()}


def _hidden_of(options: Sequence[set[Option]]) -> set[Option]:
    """Return the options to leave out among those of each source of one stem."""
    stated = set[Option]().union(*options)
    files = {(key, value) for key, value in stated if key == "weights"}
    # What each file holds need not be said beside it.
    if files and len(files) == len(options):
        return stated - files
    # A single source has nothing to be told apart from: its options say what it is.
    if len(options) == 1:
        return set()
    return set.intersection(*options)


def _short(source: str, hidden: Mapping[str, set[Option]]) -> str:
    """Return a source's name without the options that are hidden by its stem."""
    name = _parsed(source)
    if name is None:
        return source
    chain = parse_chain(name)
    if chain:
        base = _short(chain.base, hidden)
        tasks = "+".join(_last_part(task) for task in chain.tasks)
        return f"chain({base}→{tasks})"
    hidden_options = hidden.get(name.stem, set())
    shown: dict[str, Value] = {}
    for key, value in name.options:
        if (key, value) not in hidden_options:
            shown[key] = _file(value, name.stem) if isinstance(value, str) else value
    return str(Name.of(name.stem, shown))


def _file(path: str, stem: str) -> str:
    """Return a path's last part, without the architecture that the stem names already."""
    file = path.rpartition("/")[2]
    architecture = stem.rpartition("/")[2]
    return file.removeprefix(f"{architecture}.")


def _last_part(task: str) -> str:
    return task.partition("[")[0].rpartition("/")[2]


def _distinct(short: dict[str, str]) -> dict[str, str]:
    """Replace readings that stand for several names by the names."""
    counts = Counter(short.values())
    return {full: reading if counts[reading] == 1 else full for full, reading in short.items()}


def _parsed(source: str) -> Name | None:
    try:
        return Name.parse(source)
    except BadName:
        return None
