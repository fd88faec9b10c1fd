"""List timm's models, cached as JSON under timm's version, so that listing sources needs neither
timm nor torch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headwater import cache_folder, write_atomically

Facts = dict[str, Any]

CACHE_FORMAT = 1
"""Number of the cache files' form, which rises when what is in them changes."""


@lru_cache
def listing() -> dict[str, dict[str, Facts]]:
    """Return ``architectures`` and ``tags``: each maps a name to its facts.

    Facts are input_size, mean, std, classes, licence, hub, fixed_size and interpolation. Both are
    empty where timm is not installed.
    """
    try:
        return kept("listing", _ask_timm)
    except ModuleNotFoundError:  # no metadata of timm, or no module
        print(
            'timm is not installed, so its models are not listed: pip install "headwater[run]"',
            file=sys.stderr,
        )
        return {"architectures": {}, "tags": {}}


@lru_cache
def parameter_counts() -> dict[str, int]:
    """Return the parameters without the classifier, of the architectures counted so far."""
    path = _path("parameters")
    return json.loads(path.read_text()) if path.is_file() else {}


def keep_parameters(key: str, count: int) -> None:
    """Remember an architecture's number of parameters."""
    if parameter_counts().get(key) != count:
        parameter_counts()[key] = count
        with suppress(OSError):
            write_atomically(
                _path("parameters"), lambda path: path.write_text(json.dumps(parameter_counts()))
            )


def kept(name: str, compute: Callable[[], Any]) -> Any:
    """Return the JSON value cached under a name and timm's version; compute and cache it if there
    is none.
    """
    path = _path(name)
    if path.is_file():
        return json.loads(path.read_text())
    text = json.dumps(compute(), separators=(",", ":"))
    with suppress(OSError):  # a cache that cannot be written only costs time
        write_atomically(path, lambda temporary: temporary.write_text(text))
    return json.loads(text)


def _path(name: str) -> Path:
    return cache_folder("timm") / f"{name}-{version('timm')}-{CACHE_FORMAT}.json"


def _ask_timm() -> dict[str, dict[str, Facts]]:
    print("Listing timm's models, once for this version of timm ...", file=sys.stderr)
    import timm

    architectures = {name: _facts(timm.get_pretrained_cfg(name)) for name in timm.list_models()}
    tags = {name: _facts(timm.get_pretrained_cfg(name)) for name in timm.list_pretrained()}
    return {"architectures": architectures, "tags": tags}


def _facts(config: Any) -> Facts:
    if config is None:
        return {}
    return {
        "tag": config.tag or "",
        "input_size": config.input_size[-1],
        "fixed_size": bool(config.fixed_input_size),
        "mean": config.mean,
        "std": config.std,
        "classes": config.num_classes,
        "licence": config.license,
        "hub": config.hf_hub_id,
        "interpolation": config.interpolation,
    }
