"""Use the Hugging Face Hub, or its local cache if the Hub does not answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER_TIMEOUT = 5.0
"""Seconds to wait for the Hub's first answer; its own client would retry for half a minute a file.
"""


@contextmanager
def hub_or_cache() -> Iterator[None]:
    """Let the Hub's clients work offline within this context if the Hub does not answer.

    What was fetched before still loads then, without half a minute of retries for each file.
    ``huggingface_hub`` and ``datasets`` read HF_HUB_OFFLINE from the environment once, when they
    are imported; there is no public call that changes it later, so their module constants are set.
    pyproject.toml therefore bounds both from above, and tests/plugins/test_hub.py fails where a new
    version ignores the constants.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or hub_answers():
        yield
        return
    modules = [constants]
    if "datasets.config" in sys.modules:
        modules.append(sys.modules["datasets.config"])
    for module in modules:
        module.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.HF_HUB_OFFLINE = False  # type: ignore[attr-defined]


def hub_answers() -> bool:
    """Return True if the Hub, or the mirror that HF_ENDPOINT names, answers at all; proxies are
    respected.
    """
    from huggingface_hub import HfApi, get_session

    try:
        get_session().head(HfApi().endpoint, timeout=ANSWER_TIMEOUT)
    except Exception:
        # The client's own error tree has changed between its versions; any error means no answer.
        return False
    return True
