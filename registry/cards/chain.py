"""Chains: sources made by the harness, and the one place that writes and reads their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headwater.registry.errors import BadName
from headwater.registry.names import Name, split_list

CHAIN_FORM = "chain[base=SOURCE,on=TASK+TASK]"
"""How the name of a chain is written, for hints and listings."""

_STEM = "chain"
_OPTIONS = {"base", "on"}


@dataclass(frozen=True)
class Chain:
    """How a chain was made.

    Attributes:
        base: The name of the source whose weights it began from, "" if not known.
        tasks: The tasks that it was trained on, jointly if there are several.
    """

    base: str
    tasks: tuple[str, ...]


def chain_name(base: str, tasks: Iterable[str]) -> str:
    """Return the name of a chain, ``chain[base=…,on=a+b]``, tasks in alphabetical order."""
    return str(Name.of(_STEM, {"base": base, "on": "+".join(sorted(tasks))}))


def parse_chain(name: Name | str) -> Chain | None:
    """Read the name of a chain.

    Args:
        name: Any name, parsed or as text.

    Returns:
        The base and the tasks in the order in which the name has them; None for text that is no
        name, and for the name of anything but a chain.
    """
    try:
        parsed = Name.parse(name) if isinstance(name, str) else name
    except BadName:
        return None
    options = dict(parsed.options)
    if parsed.stem != _STEM or set(options) != _OPTIONS:
        return None
    try:
        tasks = tuple(split_list(str(options["on"]), "+"))
    except BadName:
        return None
    return Chain(str(options["base"]), tasks) if tasks and options["base"] else None
