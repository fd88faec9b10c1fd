"""Names: ``timm/resnet50.a1_in1k``, ``freeze[stages=2]``, lists with commas, globs, did-you-mean."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from headwater.registry.errors import BadName

Value: TypeAlias = bool | int | float | str | None

_OPTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS: dict[str, Value] = {"true": True, "false": False, "none": None}
_WILDCARDS = {"*": ".*", "?": "."}


@dataclass(frozen=True)
class Name:
    """A name in its canonical form: a stem and options in alphabetical order."""

    stem: str
    options: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Name:
        """Read ``stem[key=value,...]``.

        Raises:
            BadName: The text has another form, or sets an option twice.
        """
        text = text.strip()
        stem, bracket, rest = text.partition("[")
        if not stem or (bracket and not rest.endswith("]")):
            raise BadName(
                f"{text!r} is not a name",
                subject=text,
                hint="Write NAME or NAME[option=value,option=value].",
            )
        options: dict[str, Value] = {}
        repeated: set[str] = set()
        # Without a bracket ``rest`` is empty, and so is the list.
        for part in split_list(rest[:-1]):
            key, value = _pair(part, text)
            if key in options:
                repeated.add(key)
            options[key] = value
        if repeated:
            raise BadName(
                f"{text!r} gives {min(repeated)} twice",
                subject=text,
                hint="Give each option once.",
            )
        return cls.of(stem.strip(), options)

    @classmethod
    def of(cls, stem: str, options: Mapping[str, Value]) -> Name:
        """Return the name of a stem and options."""
        # Sorted, since names are compared and hashed as text: one order, one identity.
        return cls(stem, tuple(sorted(options.items())))

    def __str__(self) -> str:
        if not self.options:
            return self.stem
        options = ",".join(f"{key}={_show(value)}" for key, value in self.options)
        return f"{self.stem}[{options}]"


def _pair(part: str, text: str) -> tuple[str, Value]:
    """Read ``option=value``, a part of the name ``text``."""
    key, equals, value = part.partition("=")
    key = key.strip()
    if not equals or not _OPTION.fullmatch(key):
        raise BadName(
            f"{part!r} in {text!r} is not option=value",
            subject=text,
            hint="Write NAME[option=value].",
        )
    return key, read_value(value.strip())


def read_value(text: str) -> Value:
    """Return the value that a bare word spells: true, none, 3, 1e-3, or the text itself."""
    word = text.lower()
    if word in _WORDS:
        return _WORDS[word]
    # Whole numbers first: an option whose default is an int takes no float.
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _show(value: Value) -> str:
    """Return the word that ``read_value`` reads as this value."""
    text = str(value)
    if isinstance(value, bool) or value is None:
        return text.lower()
    return text


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split at separators outside square brackets: ``a,b[x=1,y=2]`` -> ``a``, ``b[x=1,y=2]``.

    Raises:
        BadName: A bracket has no partner.
    """
    parts = [part.strip() for part in _split(text, separator)]
    return [part for part in parts if part]


def _split(text: str, separator: str) -> Iterator[str]:
    # A regular expression does not do: brackets nest (chain[base=vit[size=32],on=a]).
    depth = 0
    start = 0
    for position, character in enumerate(text):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        if depth < 0:
            break
        if character == separator and depth == 0:
            yield text[start:position]
            start = position + 1
    if depth:
        raise BadName(
            f"{text!r} has an unmatched bracket",
            subject=text,
            hint="Close every [ with a ].",
        )
    yield text[start:]


def is_glob(text: str) -> bool:
    """Return whether the stem has a wildcard. Brackets are options here, never character sets."""
    stem, _, _ = text.partition("[")
    return "*" in stem or "?" in stem


def glob_matches(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names that a pattern with ``*`` and ``?`` matches, in their order."""
    # Not fnmatch, which takes square brackets for sets of characters; here they hold options.
    pieces = [_WILDCARDS.get(character, re.escape(character)) for character in pattern]
    regex = re.compile("".join(pieces))
    return [name for name in names if regex.fullmatch(name)]


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return `` Did you mean X or Y?`` with a leading space; "" if no name is near.

    Args:
        word: What was typed.
        names: What could have been meant.
    """
    import difflib  # only an error needs it, and it is slow to import

    names = list(names)
    close = difflib.get_close_matches(word, names, n=2, cutoff=0.7)
    if not close:
        # People forget the folder of a name: resnet50 for timm/resnet50.
        by_last_part = {_last_part(name): name for name in names}
        parts = difflib.get_close_matches(_last_part(word), by_last_part, n=2, cutoff=0.75)
        close = [by_last_part[part] for part in parts]
    if not close:
        return ""
    return f" Did you mean {' or '.join(close)}?"


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def command_line(*words: object) -> str:
    """Return a ``headwater`` command that can be pasted into a shell.

    Words with odd characters are quoted.
    """
    return shlex.join(["headwater", *map(str, words)])
