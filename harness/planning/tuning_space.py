"""Checks what may be tuned: keys of [training] and options of adaptations trained on images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import ValidationError

from headwater.harness.planning.spec import Range, Training, Tuning
from headwater.registry import Adaptation
from headwater.registry.errors import BadName, BadSpec
from headwater.registry.names import Value, did_you_mean
from headwater.registry.options import check_options

Choices = Sequence[Value] | Range


def check_space(tuning: Tuning, adaptations: Iterable[Adaptation]) -> None:
    """Raise BadSpec for a key that nothing has, or for values that a key cannot take."""
    cards = [card for card in adaptations if card.on == "images"]
    if tuning.search == "grid":
        _check_grid(tuning)
    for key, choices in tuning.space.items():
        place = f"tuning.space.{key}"
        owners = [card for card in cards if key in card.options()]
        if key in Training.model_fields:
            _check_training(place, key, choices)
        elif not owners:
            raise _unknown(place, key, cards)
        for card in owners:
            _check_option(place, key, choices, card)


def _check_grid(tuning: Tuning) -> None:
    """Raise BadSpec for a range in a grid: every combination of lists is a trial."""
    for key, choices in tuning.space.items():
        if isinstance(choices, Range):
            raise BadSpec(
                f"tuning.space.{key}: a grid takes a list of values, not a range",
                subject=key,
                hint='Write space = { rate_factor = [0.3, 1.0, 3.0] }, or search = "random".',
            )


def keys_for(tuning: Tuning, options: Mapping[str, Value]) -> list[str]:
    """Return the keys of the space that an adaptation with these options has, sorted."""
    return sorted(key for key in tuning.space if key in Training.model_fields or key in options)


def is_whole(key: str, options: Mapping[str, Value]) -> bool:
    """Tell that the values of a key are whole numbers: a key of [training] by its type, an option
    by its default.
    """
    if key in Training.model_fields:
        return _types_of(key) <= {int, type(None)}
    return type(options.get(key)) is int


def _types_of(key: str) -> set[object]:
    """Return the plain types that a key of [training] may have."""
    pending: list[object] = [Training.model_fields[key].annotation]
    types: set[object] = set()
    while pending:
        annotation = pending.pop()
        inner = get_args(annotation)
        if get_origin(annotation) is Annotated:
            pending.append(inner[0])
        elif get_origin(annotation) in (Union, UnionType):
            pending += inner
        else:
            types.add(annotation)
    return types


def longest(tuning: Tuning, epochs: int) -> int:
    """Return the most epochs that a trial may have: the recipe's, or the most in the space."""
    choices: Choices = tuning.space.get("epochs", ())
    most = epochs
    for value in _extremes(choices):
        if isinstance(value, int | float):
            most = max(most, int(value))
    return most


def _extremes(choices: Choices) -> list[Value]:
    """Return the ends of a range, or all values of a list."""
    if isinstance(choices, Range):
        return [choices.low, choices.high]
    return list(choices)


def _check_training(place: str, key: str, choices: Choices) -> None:
    is_number = bool(_types_of(key) & {int, float})
    if isinstance(choices, Range) and not is_number:
        raise BadSpec(
            f"{place}: {key} is not a number: a list of values was expected, not a range",
            subject=key,
        )
    whole = is_whole(key, {})
    for value in _values_to_check(place, key, choices, whole=whole):
        try:
            Training.model_validate({key: value})
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            lower_case = message[0].lower() + message[1:]
            raise BadSpec(f"{place}: {value!r}: {lower_case}", subject=key) from None


def _check_option(place: str, key: str, choices: Choices, card: Adaptation) -> None:
    """Check the values of an option by the check that its names in a spec go through."""
    default = card.options()[key]
    is_number = default is not None and not isinstance(default, bool | str)
    if isinstance(choices, Range) and not is_number:
        raise BadSpec(
            f"{place}: {card.name}'s {key} is not a number: a list of values was expected, "
            "not a range",
            subject=key,
        )
    whole = is_whole(key, card.options())
    for value in _values_to_check(place, key, choices, whole=whole):
        try:
            check_options(card.name, {key: value}, card.options())
        except BadName as error:
            raise BadSpec(f"{place}: {error.message}", subject=key, hint=error.hint) from None


def _values_to_check(place: str, key: str, choices: Choices, *, whole: bool) -> list[Value]:
    """Return the values of a list, or the two ends of a range.

    Raises:
        BadSpec: There are none, or the ends of a range of whole numbers are not whole.
    """
    values = _extremes(choices)
    if not values:
        raise BadSpec(
            f"{place}: a list of values, or {{low, high, log}}, was expected", subject=key
        )
    if not isinstance(choices, Range) or not whole:
        return values
    if choices.low != round(choices.low) or choices.high != round(choices.high):
        raise BadSpec(
            f"{place}: {key} takes whole numbers, not {choices.low:g} to {choices.high:g}",
            subject=key,
        )
    return [round(choices.low), round(choices.high)]


def _unknown(place: str, key: str, cards: Sequence[Adaptation]) -> BadSpec:
    """Return the error for a key that neither the recipe nor any of the adaptations has."""
    options: set[str] = set()
    for card in cards:
        options |= set(card.options())
    keys = [*Training.model_fields, *sorted(options)]
    owners = ", ".join(card.name for card in cards) or "an adaptation trained on images"
    return BadSpec(
        f"{place} is neither a key of [training] nor an option of {owners}."
        f"{did_you_mean(key, keys)}",
        subject=key,
        hint=f"Keys: {', '.join(keys)}.",
    )
