"""Asynchronous successive halving (ASHA): decide after each epoch whether a trial is stopped early.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (arXiv
    1810.05934), in the form of Ray Tune's ``AsyncHyperBandScheduler`` with one bracket.
"""

from __future__ import annotations

import math

import numpy as np

from headwater.harness.measure.training import EpochQuality, StoppingRule
from headwater.harness.planning.spec import Tuning


class SuccessiveHalving:
    """The rungs of one cell's search, and what each trial was worth when it reached them.

    Rungs lie at ``grace``, ``grace`` × ``reduction``, ``grace`` × ``reduction``², … epochs. A trial
    that reaches a rung is compared with the trials that reached it earlier: it is stopped where it
    lies below their (1 − 1 / reduction) quantile, that is, outside of the best 1 / reduction. Its
    own value counts for later trials only. So the first trial at a rung always passes, and the
    decisions depend on the order of the trials.

    Args:
        tuning: Its ``grace`` (epochs before a trial may be stopped) and ``reduction``.
        max_epochs: Length of the longest trial. A trial that has come so far is finished.
    """

    def __init__(self, tuning: Tuning, max_epochs: int) -> None:
        self.max_epochs = max_epochs
        self.quantile = (1 - 1 / tuning.reduction) * 100
        self.rungs: dict[int, dict[int, float]] = {}
        """Epoch of the rung -> number of the trial -> its quality there; the latest rung first."""
        epochs = tuning.grace
        while epochs < max_epochs:
            self.rungs = {epochs: {}, **self.rungs}
            epochs *= tuning.reduction

    def stopping_rule(self, trial: int) -> StoppingRule:
        """Return the rule for one trial, to be asked after each of its epochs in turn."""

        def should_stop(epoch: int, quality: EpochQuality) -> bool:
            return epoch >= self.max_epochs or self._fails_rung(trial, epoch, quality[0])

        return should_stop

    def _fails_rung(self, trial: int, epoch: int, quality: float) -> bool:
        """Enter a trial at the latest rung that it reached without being entered, and compare it
        with the others there.
        """
        for rung, qualities in self.rungs.items():
            if epoch >= rung and trial not in qualities:
                earlier = [value for value in qualities.values() if not math.isnan(value)]
                qualities[trial] = quality
                return bool(earlier) and bool(quality < np.percentile(earlier, self.quantile))
        return False
