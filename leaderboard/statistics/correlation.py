"""Compare two orders by Kendall's tau_b, many pairs of orders at once."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

COLLINEAR = 1 - 1e-9
"""Correlation from which two factors count as ordering all groups alike."""


def ratio(numerator: Array, denominator: Array, undefined: float = np.nan) -> Array:
    """Return numerator / denominator, and ``undefined`` where the denominator is not above 0.

    Args:
        numerator: Any shape.
        denominator: A shape that broadcasts with the numerator's; nowhere negative.
        undefined: The value where there is nothing to divide by.
    """
    shape = np.broadcast(numerator, denominator).shape
    quotient = np.full(shape, undefined, dtype=float)
    return np.divide(numerator, denominator, out=quotient, where=denominator > 0)


def kendall(first: Array, second: Array) -> Array:
    """Return Kendall's tau_b of (..., S) with (..., S), along the last axis; NaN where either is
    constant.
    """
    first_signs = _pair_signs(first)
    second_signs = _pair_signs(second)
    agreement = (first_signs * second_signs).sum(axis=-1)
    first_untied = (first_signs**2).sum(axis=-1)
    second_untied = (second_signs**2).sum(axis=-1)
    return ratio(agreement, np.sqrt(first_untied * second_untied))


def _pair_signs(values: Array) -> Array:
    """Return (..., P), the sign of the difference of each pair along the last axis."""
    left, right = np.triu_indices(values.shape[-1], 1)
    differences = values[..., left] - values[..., right]
    return np.sign(differences)
