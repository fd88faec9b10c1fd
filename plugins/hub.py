"""The Hugging Face Hub: asked once and briefly whether it answers; where it does not, its local cache serves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 5.0
"""Seconds to wait for the Hub's first answer; its own client would retry for half a minute a file."""


@contextmanager
def hub_or_cache() -> Iterator[None]:
    """Within this, Hub clients work offline if the Hub does not answer: what was fetched before still loads."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or hub_answers():
        yield
        return
    settings = [
        constants,
        *(module for name in ("datasets.config",) if (module := sys.modules.get(name))),
    ]
    for module in settings:
        module.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in settings:
            module.HF_HUB_OFFLINE = False  # type: ignore[attr-defined]


def hub_answers() -> bool:
    """Whether the Hub, or the mirror that HF_ENDPOINT names, answers at all (proxies respected)."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except (
        Exception
    ):  # the client's own error tree has changed between its versions; any of it means no answer
        return False
    return True
