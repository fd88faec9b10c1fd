"""The findings of the literature that a store's outcomes can confirm or contradict: F1 to F12."""

from __future__ import annotations

from headwater.leaderboard.findings._base import Answer, Finding, Part, Verdict
from headwater.leaderboard.findings.catalogue import FINDINGS, examine

__all__ = ["FINDINGS", "Answer", "Finding", "Part", "Verdict", "examine"]
