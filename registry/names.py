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


@dataclass(frozen=True)
class Name:
    """A name in its canonical form: a stem and options in alphabetical order."""

    stem: str
    options: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Name:
        """Read ``stem[key=value,...]``; raises BadName, showing the text and the form."""
        text = text.strip()
        stem, bracket, rest = text.partition("[")
        if not stem or (bracket and not rest.endswith("]")):
            raise BadName(
                f"{text!r} is not a name",
                subject=text,
                hint="Write NAME or NAME[option=value,option=value].",
            )
        pairs = [_pair(part, text) for part in split_list(rest[:-1])] if bracket else []
        repeated = {key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1}
        if repeated:
            raise BadName(
                f"{text!r} gives {min(repeated)} twice", subject=text, hint="Give each option once."
            )
        return cls(stem.strip(), tuple(sorted(pairs)))

    @classmethod
    def of(cls, stem: str, options: Mapping[str, Value]) -> Name:
        return cls(stem, tuple(sorted(options.items())))

    def __str__(self) -> str:
        if not self.options:
            return self.stem
        return f"{self.stem}[{','.join(f'{key}={_show(value)}' for key, value in self.options)}]"


def _pair(part: str, text: str) -> tuple[str, Value]:
    key, equals, value = part.partition("=")
    if not equals or not _OPTION.fullmatch(key.strip()):
        raise BadName(
            f"{part!r} in {text!r} is not option=value",
            subject=text,
            hint="Write NAME[option=value].",
        )
    return key.strip(), read_value(value.strip())


def read_value(text: str) -> Value:
    """A bare word as the value it spells: true, none, 3, 1e-3, or the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _show(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split at separators outside square brackets: ``a,b[x=1,y=2]`` -> ``a``, ``b[x=1,y=2]``."""
    return [part.strip() for part in _split(text, separator) if part.strip()]


def _split(text: str, separator: str) -> Iterator[str]:
    depth, start = 0, 0
    for position, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth < 0:
            break
        if character == separator and depth == 0:
            yield text[start:position]
            start = position + 1
    if depth:
        raise BadName(
            f"{text!r} has an unmatched bracket", subject=text, hint="Close every [ with a ]."
        )
    yield text[start:]


def is_glob(text: str) -> bool:
    """Return whether the stem has a wildcard. Brackets are options here, never character sets."""
    return any(mark in text.partition("[")[0] for mark in "*?")


def glob_matches(names: Iterable[str], pattern: str) -> list[str]:
    """The names a ``*``/``?`` pattern matches, in their order."""
    regex = re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern))
    return [name for name in names if regex.fullmatch(name)]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean X or Y?`` with a leading space, or nothing."""
    import difflib  # only an error needs it, and it is slow to import

    known = list(known)
    close = difflib.get_close_matches(word, known, n=2, cutoff=0.7)
    if not close:
        tails = {name.rpartition("/")[2]: name for name in known}
        close = [
            tails[tail]
            for tail in difflib.get_close_matches(word.rpartition("/")[2], tails, n=2, cutoff=0.75)
        ]
    return f" Did you mean {' or '.join(close)}?" if close else ""


def command_line(*words: object) -> str:
    """Return a ``headwater`` command that can be pasted into a shell: words with odd characters are
    quoted.
    """
    return shlex.join(["headwater", *map(str, words)])
