"""What the methods of a task type return: each is checked when it is called, so that a mistake is
named where it was made and not by the first line that stumbles over it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from headwater.registry import Encoded, Probe, TaskTypeMethods
from headwater.registry.cards.card import wrong_return


def _is_text_list(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and all(isinstance(each, str) for each in value)


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_module(value: Any) -> bool:
    from torch import nn

    return isinstance(value, nn.Module)


def _is_tensor(value: Any) -> bool:
    from torch import Tensor

    return isinstance(value, Tensor)


def _are_metrics(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_number, value.values()))


def _are_panels(value: Any) -> bool:
    is_list = isinstance(value, list | tuple)
    return is_list and all(isinstance(panel, tuple) and len(panel) == 2 for panel in value)


_EXPECTED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "encode": (lambda value: isinstance(value, Encoded), "a headwater.Encoded"),
    "classes": (_is_text_list, "a tuple of class names"),
    "outputs": (_is_whole_number, "a whole number, the width of the head"),
    "strata": (lambda value: isinstance(value, np.ndarray), "an array of whole numbers"),
    "head": (_is_module, "a torch module"),
    "loss": (_is_tensor, "a torch tensor"),
    "chance": (_is_number, "a number"),
    "constant": (lambda value: value is None or _is_tensor(value), "a torch tensor or None"),
    "measure": (_are_metrics, "a mapping of each metric to its value"),
    "tally": (lambda value: value is None or _is_tensor(value), "a torch tensor or None"),
    "tallied": (_are_metrics, "a mapping of each metric to its value"),
    "by_class": (
        lambda value: isinstance(value, Mapping) and all(map(_are_metrics, value.values())),
        "a mapping of each metric to the value of each class",
    ),
    "probe": (
        lambda value: value is None or isinstance(value, Probe),
        "a headwater.Probe or None",
    ),
    "picture": (_are_panels, "a list of (title, image)"),
}
"""Method -> what it may return, as a test and in words."""


class CheckedMethods:
    """The methods of a task type, whose return values are looked at.

    Args:
        card: The name of the task type.
        methods: Its methods.
    """

    def __init__(self, card: str, methods: TaskTypeMethods) -> None:
        self._card = card
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._methods, name)
        if name not in _EXPECTED:
            return value
        is_expected, words = _EXPECTED[name]

        @functools.wraps(value)
        def method(*arguments: Any, **keywords: Any) -> Any:
            result = value(*arguments, **keywords)
            if not is_expected(result):
                raise wrong_return(self._card, result, words, method=name)
            return result

        return method
