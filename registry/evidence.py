"""Evidence: what an estimator may look at, checked once and shared by all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from registry.errors import DataError
from registry.estimator import Shape

if TYPE_CHECKING:
    import numpy as np

    from registry.moments import Moments

TOLERANCE = 1e-3
"""By how much a row of probabilities may miss 1: heads are often evaluated in half precision."""


@dataclass(frozen=True)
class Evidence:
    """Frozen features of one source on one task's images, and what else is known of these images.

    ``features``: (N, D) float. ``labels``: for classification (N,) int, 0 to C − 1 over the classes that occur, in the order of the
    labels given; for regression (N, K) float; for multilabel (N, K) 0 or 1. ``source_probabilities``: (N, Cs), rows adding up to
    1, or None where the source has no classifier. Make one with ``Evidence.of``, which checks and compacts.
    """

    features: np.ndarray
    labels: np.ndarray
    source_probabilities: np.ndarray | None = None
    task_type: str = "classification"

    @classmethod
    def of(
        cls, features: np.ndarray, labels: np.ndarray, source_probabilities: np.ndarray | None = None, task_type: str = "classification"
    ) -> Evidence:
        """Check arrays and compact their labels; raises DataError saying what is wrong with which."""
        raise NotImplementedError

    @cached_property
    def moments(self) -> Moments:
        """The sufficient statistics, one pass over the features."""
        raise NotImplementedError

    @property
    def shape(self) -> Shape:
        raise NotImplementedError
