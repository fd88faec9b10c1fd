"""Rows of worlds in which the truth is drawn: what findings say of them, how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from headwater.leaderboard.findings import Verdict
from headwater.leaderboard.findings._base import FindingRows
from headwater.leaderboard.findings.catalogue import FINDINGS

_SETTING = {
    "adaptation": "fine_tune",
    "size": "50",
    "protocol": "p",
    "metric": "accuracy",
    "unit": None,
    "architecture": "net",
    "base": "net",
}


@dataclass(frozen=True)
class Rule:
    """A finding, which of its deciding parts is asked (None: all of them), and its views."""

    finding: str
    part: int | None
    view: str

    def verdict(self, rows: pd.DataFrame) -> Verdict:
        finding = FINDINGS[self.finding]
        frames = dict.fromkeys(finding.views, rows)
        parts = finding.examine(FindingRows(frames))
        verdict = parts[self.part or 0].verdict
        assert verdict is not None
        return verdict


F2_RULE = Rule("F2", 0, "f02_base")


def rates(rule: Rule, world: Callable[[np.random.Generator], pd.DataFrame], worlds: int) -> Counter:
    """Return the share of worlds with each verdict."""
    draw = np.random.default_rng(5)
    counts = Counter(rule.verdict(world(draw)) for _ in range(worlds))
    return Counter({verdict: count / worlds for verdict, count in counts.items()})


def chain_rows(
    draw: np.random.Generator,
    *,
    families: int = 8,
    seeds: int = 2,
    sources: int = 6,
    effect: float = 0.0,
    shared: float = 1.0,
) -> pd.DataFrame:
    """Return gains of chains over their base, in units of the luck of one training.

    ``effect``: the true gain of the first chain; ``shared``: the luck of the base, which all gains
    of a target and seed share. Validation shares the luck of its own network.
    """
    shape = families, seeds, sources
    value = draw.normal(0, 1, shape)
    value[..., 0] += effect
    gain = value - draw.normal(0, shared, (families, seeds, 1))
    seen = value + draw.normal(0, 0.5, shape)
    family, seed, source = (place.ravel() for place in np.indices(shape))
    columns = {
        "task": [f"t{number}" for number in family],
        "seed": seed,
        "source": [f"c{number}" for number in source],
        "validation": seen.ravel(),
        **{name: gain.ravel() for name in ("gain", "gain_abs", "gain_norm")},
    }
    return pd.DataFrame(columns).assign(**_SETTING)
