"""The findings of the literature that a store's outcomes can confirm or contradict: F1 to F12."""

from __future__ import annotations

from headwater.leaderboard.findings._base import Finding, FindingPart, FindingResult, Verdict
from headwater.leaderboard.findings.catalogue import FINDINGS, examine

__all__ = ["FINDINGS", "Finding", "FindingPart", "FindingResult", "Verdict", "examine"]
