"""Cards: the part of the contract that all kinds share (a name, a summary, a code fingerprint)."""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, ParamSpec, Self, TypeVar

from headwater.registry.errors import BadPlugin
from headwater.registry.names import Value, did_you_mean
from headwater.registry.options import check_options

P = ParamSpec("P")
R = TypeVar("R")


class Kind(StrEnum):
    """The kinds of card, by the words of the command line. All else is on the card's class."""

    SOURCE = "source"
    TASK = "task"
    ADAPTATION = "adaptation"
    ESTIMATOR = "estimator"
    SELECTOR = "selector"
    TASK_TYPE = "task-type"
    DOMAIN = "domain"
    ANALYSIS = "analysis"
    JOB_KIND = "job-kind"

    @property
    def plural(self) -> str:
        """The word for several: ``headwater list PLURAL``."""
        stem = self.value.removesuffix("is")
        return f"{self.value}s" if stem == self.value else f"{stem}es"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A named thing that a plugin offers.

    A class of cards says what is particular to its kind in class attributes, so that adding a kind
    is one file and a member of ``Kind``.

    Attributes:
        kind: The kind of the class's cards.
        list_columns: The facts that ``headwater list`` shows, in order.
        usage: How a spec or a plugin names such a card, with ``{name}`` in it; "" for no hint.
        name: The name of the card, unique in its kind.
        summary: One line on what it is.
        code: The fingerprint of the plugin's source (see ``headwater.registry.identity``), so that
            an edited plugin gives its jobs new identities.
        origin: The module or file that the card came from.
    """

    kind: ClassVar[Kind]
    list_columns: ClassVar[tuple[str, ...]] = ("name", "summary")
    usage: ClassVar[str] = ""

    name: str
    summary: str = ""
    code: str = field(default="", repr=False)
    origin: str = field(default="", repr=False)

    def facts(self) -> dict[str, Any]:
        """Return the plain fields: what the store keeps and ``headwater info`` shows."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "code"}
        return {name: value for name, value in values.items() if not callable(value)}

    def options(self) -> Mapping[str, Value]:
        """Return the options that a name can set in brackets, with their defaults."""
        return {}

    def with_options(self, options: Mapping[str, Value]) -> Self:
        """Return the card for a name with options; raises BadName for an option it does not have.

        Most cards stay as they are: what uses them passes the options on to their function.
        """
        check_options(self.name, options, self.options())
        return self


def card_class(kind: Kind) -> type[Card]:
    """Return the class of a kind's cards."""
    return next(cards for cards in Card.__subclasses__() if cards.kind is kind)


def names_bad_keywords(decorator: Callable[P, R]) -> Callable[P, R]:
    """Make a plugin decorator raise BadPlugin, not TypeError, for arguments that it does not have."""
    signature = inspect.signature(decorator)
    facts = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    called = f"@hw.{decorator.__name__}"

    @functools.wraps(decorator)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        card = str(args[0]) if args else str(kwargs.get("name", "a card"))
        for fact in kwargs:
            if fact not in signature.parameters:
                raise BadPlugin(
                    f"{card}: {called} has no argument {fact!r}.{did_you_mean(fact, facts)}",
                    subject=card,
                    hint=f"Its arguments: {', '.join(facts)}.",
                )
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise BadPlugin(f"{card}: {called}: {error}", subject=card) from None
        return decorator(*args, **kwargs)

    return checked


def wrong_return(card: str, value: object, expected: str, *, method: str = "") -> BadPlugin:
    """Return the error for a plugin's function that returned something of another type.

    Args:
        card: The name of the plugin's card.
        value: What it returned.
        expected: What it should return, in words.
        method: The function, where the card has several.
    """
    shown = " ".join(reprlib.repr(value).split())
    returned = "None" if value is None else f"{type(value).__name__} {shown}"
    who = f"{card}: {method}" if method else card
    return BadPlugin(
        f"{who} returned {returned}, expected was {expected}",
        subject=card,
        hint="headwater check FILE runs the plugin by itself.",
    )


def summary_of(function: Callable[..., Any]) -> str:
    """Return a docstring's first paragraph on one line: the summary of a plugin's card.

    "" where there is no docstring.
    """
    paragraph = (inspect.getdoc(function) or "").partition("\n\n")[0]
    return " ".join(paragraph.split())
