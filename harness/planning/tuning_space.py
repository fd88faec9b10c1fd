"""What may be tuned: keys of [training] and options of adaptations trained on images, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

from headwater.harness.planning.spec import Range, Training, Tuning
from headwater.registry import Adaptation
from headwater.registry.errors import BadName, BadSpec
from headwater.registry.names import Value, did_you_mean
from headwater.registry.options import check_options

Choices = Sequence[Value] | Range


def check_space(tuning: Tuning, adaptations: Iterable[Adaptation]) -> None:
    """Raise BadSpec for a key that nothing has, and for values that a key cannot take."""
    cards = [card for card in adaptations if card.on == "images"]
    for key, choices in tuning.space.items():
        place = f"tuning.space.{key}"
        owners = [card for card in cards if key in card.options()]
        if key in Training.model_fields:
            _check_training(place, key, choices)
        elif not owners:
            raise _unknown(place, key, cards)
        for card in owners:
            _check_option(place, key, choices, card)


def keys_for(tuning: Tuning, options: Mapping[str, Value]) -> list[str]:
    """The keys of the space that an adaptation with these options has; the others are dropped for it."""
    return sorted(key for key in tuning.space if key in Training.model_fields or key in options)


def is_whole(key: str, options: Mapping[str, Value]) -> bool:
    """Whether a key's values are whole numbers."""
    field = Training.model_fields.get(key)
    return type(field.default if field else options.get(key)) is int


def longest(tuning: Tuning, epochs: int) -> int:
    """The most epochs that a trial may have: the recipe's own, or the most in the space."""
    choices: Choices = tuning.space.get("epochs", ())
    return max(
        [epochs, *(int(value) for value in _extremes(choices) if isinstance(value, int | float))]
    )


def _extremes(choices: Choices) -> list[Value]:
    return [choices.low, choices.high] if isinstance(choices, Range) else list(choices)


def _check_training(place: str, key: str, choices: Choices) -> None:
    if isinstance(choices, Range) and not isinstance(
        Training.model_fields[key].default, int | float
    ):
        raise BadSpec(
            f"{place}: {key} is not a number: a list of values was expected, not a range",
            subject=key,
        )
    for value in _checked(place, key, choices, is_whole(key, {})):
        try:
            Training.model_validate({key: value})
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise BadSpec(
                f"{place}: {value!r}: {message[0].lower()}{message[1:]}", subject=key
            ) from None


def _check_option(place: str, key: str, choices: Choices, card: Adaptation) -> None:
    default = card.options()[key]
    if isinstance(choices, Range) and (isinstance(default, bool | str) or default is None):
        raise BadSpec(
            f"{place}: {card.name}'s {key} is not a number: a list of values was expected, not a range",
            subject=key,
        )
    for value in _checked(place, key, choices, is_whole(key, card.options())):
        try:
            check_options(card.name, {key: value}, card.options())
        except BadName as error:
            raise BadSpec(f"{place}: {error.message}", subject=key, hint=error.hint) from None


def _checked(place: str, key: str, choices: Choices, whole: bool) -> list[Value]:
    """The values to check; a range stands for its two ends."""
    values = _extremes(choices)
    if not values:
        raise BadSpec(
            f"{place}: a list of values, or {{low, high, log}}, was expected", subject=key
        )
    if not isinstance(choices, Range) or not whole:
        return values
    if any(value != round(value) for value in (choices.low, choices.high)):
        raise BadSpec(
            f"{place}: {key} takes whole numbers, not {choices.low:g} to {choices.high:g}",
            subject=key,
        )
    return [round(choices.low), round(choices.high)]


def _unknown(place: str, key: str, cards: Sequence[Adaptation]) -> BadSpec:
    options = sorted({option for card in cards for option in card.options()})
    known = [*Training.model_fields, *options]
    of = (
        f"an option of {', '.join(card.name for card in cards)}"
        if cards
        else "an option of an adaptation trained on images"
    )
    return BadSpec(
        f"{place} is neither a key of [training] nor {of}.{did_you_mean(key, known)}",
        subject=key,
        hint=f"Keys: {', '.join(known)}.",
    )
