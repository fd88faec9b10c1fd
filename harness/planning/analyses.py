"""Analyses that a spec asks for: which networks each looks at, by their roles (P-T, RI-T and those of another seed)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headwater.harness.planning.spec import Anatomy
from headwater.registry.errors import BadSpec
from headwater.registry.names import did_you_mean

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "block_shuffle": ("blocks",),
    "similarity": ("images",),
    "distance": (),
    "barrier": ("points", "images"),
    "criticality": ("points", "images"),
    "mistakes": (),
}
"""The analyses there are, and the keys of [anatomy] that each depends on."""

ALONE = frozenset({"block_shuffle", "criticality"})
"""Those that look at the networks of one seed: another seed in the spec is nothing to them."""

BY_PREDICTIONS = frozenset({"mistakes"})
"""Those that read what networks answered, and need no network kept."""


def check_analyses(anatomy: Anatomy) -> None:
    """Raise BadSpec for an analysis that does not exist."""
    for name in anatomy.analyses:
        if name not in SETTINGS:
            raise BadSpec(
                f"anatomy.analyses names {name!r}, which is no analysis.{did_you_mean(name, SETTINGS)}",
                subject=name,
                hint=f"There are {', '.join(SETTINGS)}.",
            )


def settings_of(anatomy: Anatomy, analysis: str) -> dict[str, Any]:
    return {key: getattr(anatomy, key) for key in SETTINGS[analysis]}


def trainings(anatomy: Anatomy, analysis: str, image_size: int) -> int:
    """How many networks an analysis trains: two for each block size that shuffles anything, for the block shuffle."""
    return (
        2 * sum(block <= image_size // 2 for block in set(anatomy.blocks))
        if analysis == "block_shuffle"
        else 0
    )


def other_seed(seeds: Sequence[int], index: int) -> int | None:
    """The seed whose networks are compared with those of ``seeds[index]``: each pair once, so that no pair counts double."""
    if len(seeds) < 2 or (len(seeds) == 2 and index == 1):
        return None
    return seeds[(index + 1) % len(seeds)]
