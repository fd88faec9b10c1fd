"""Hold the gains of sources on targets, averaged step by step: cells, targets, families, sources.

The model on one scale a board, for source s, target t of family f and seed k:

    y_stk = mu_s + beta_t + gamma_sf + eta_st + delta_tk + epsilon_stk.

mu_s is what a source is worth, beta_t how easy a target is, delta_tk what a seed (images, order)
does to all sources alike. gamma, eta and epsilon are the noise of comparisons: how well a source
suits a family, a target of it, and the luck of one training. Targets of one family share gamma,
so only families are independent; a mean is taken at each step, so that a target with many cells, or
a family with many targets, counts once. Each step adjusts for missing cells by the two-way model.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy import ndarray as Array

from headwater.leaderboard.statistics.two_way import (
    adjusted_means,
    residual_degrees,
    residuals,
)

CONFIDENCE = 0.95
"""Confidence level of every interval, and one minus the error rate of every test."""

MIN_FAMILIES = 3
"""Independent families from which anything is said of other targets: two have one degree of
freedom, and the interval of their mean is twelve times its standard error.
"""

ROUNDING = 1e-12
"""Share of the largest value below which a spread is rounding, not noise."""


class Scope(StrEnum):
    """Name what a statement is about."""

    THESE = "on these targets"
    """The targets measured; what would change are seeds (and test images)."""

    LIKE_THESE = "on targets like these"
    """All targets of which these are a sample; what would change are families."""


class Shortage(StrEnum):
    """Say why a statement cannot be made."""

    ONE_SOURCE = "there is one source only"
    FEW_FAMILIES = "fewer than three families of targets were measured"
    NO_REPEATS = "no target was measured with two seeds"
    NO_VARIATION = "the repeated values do not vary, so their noise is unknown"
    NOT_SHARED = "they share no target"


@dataclass(frozen=True)
class Board:
    """Hold gains, or any values of which higher is better, of sources on targets under seeds.

    Attributes:
        values: (S, T, K) float, NaN where a source lacks the target and seed.
        families: (T,) int, the family of each target, from 0 without gaps.
        image_variance: (S, T, K) float, the variance of each value over draws of test images; None
            where test images count as given.
    """

    values: Array
    families: Array
    image_variance: Array | None = None

    @classmethod
    def from_cells(
        cls, values: Array, targets: Array, seeds: Array, families: Array | None = None
    ) -> Board:
        """Build a board from cells, of which several (adaptations, sizes) may share target and
        seed: these are averaged, adjusted for those a source lacks.

        Args:
            values: (S, C) float, NaN where a source lacks the cell.
            targets: (C,) the target of each cell.
            seeds: (C,) the seed of each cell.
            families: (C,) the family of each cell's target; each target its own by default.
        """
        target_names, target = np.unique(targets, return_inverse=True)
        seed_names, seed = np.unique(seeds, return_inverse=True)
        averaged = np.full((len(values), len(target_names), len(seed_names)), np.nan)
        for place in np.unique(target * len(seed_names) + seed):
            t, k = divmod(int(place), len(seed_names))
            cells = values[:, (target == t) & (seed == k)]
            averaged[:, t, k] = adjusted_means(cells[None], compare_parts=True)[0]
        family = target if families is None else np.unique(families, return_inverse=True)[1]
        family_of_target = np.zeros(len(target_names), int)
        family_of_target[target] = family
        return cls(averaged, np.unique(family_of_target, return_inverse=True)[1])

    def without_empty(self) -> Board:
        """Return the board without sources and targets that have no value at all."""
        sources = self.present.any(axis=(1, 2))
        targets = self.present.any(axis=(0, 2))
        _, families = np.unique(self.families[targets], return_inverse=True)
        variance = self.image_variance
        if variance is not None:
            variance = variance[sources][:, targets]
        return Board(self.values[sources][:, targets], families, variance)

    @cached_property
    def present(self) -> Array:
        """Return (S, T, K) bool, the cells that were measured."""
        return ~np.isnan(self.values)

    @property
    def cells(self) -> Array:
        """Return (S, T * K) bool, the cells that were measured, target by target."""
        sources, targets, seeds = self.values.shape
        return self.present.reshape(sources, targets * seeds)

    @cached_property
    def repeats(self) -> Array:
        """Return (S, T), the number of seeds of each source on each target."""
        return self.present.sum(axis=2)

    @cached_property
    def target_means(self) -> Array:
        """Return (S, T), the means over seeds; NaN where a source lacks the target."""
        by_target = self.values.transpose(1, 0, 2)
        return adjusted_means(by_target, compare_parts=True).T

    @cached_property
    def family_means(self) -> Array:
        """Return (S, F), the means over each family's targets; NaN where a source has none."""
        return adjusted_means(padded(self.target_means, self.families)).T

    @cached_property
    def means(self) -> Array:
        """Return (S,), the means over families: the gain by which sources are ordered.

        NaN for a source that was not measured, or shares no family with the most of them.
        """
        return adjusted_means(self.family_means[None])[0]

    @cached_property
    def family_degrees(self) -> int:
        """Return the degrees of freedom of sources x families, (S - 1)(F - 1) where none lacks."""
        return residual_degrees(~np.isnan(self.family_means))

    @cached_property
    def family_count(self) -> int:
        """Return the number of families with a value."""
        return int((~np.isnan(self.family_means)).any(axis=0).sum())

    @cached_property
    def seed_residuals(self) -> Array:
        """Return (S, T, K), the values less their source's mean on the target and what the seed
        does to all sources alike: estimates of epsilon.
        """
        return residuals(self.values.transpose(1, 0, 2)).transpose(1, 0, 2)

    @cached_property
    def seed_degrees(self) -> int:
        """Return the degrees of freedom of the seeds' residuals, T(S - 1)(K - 1) where none
        lacks.
        """
        return sum(residual_degrees(self.present[:, t]) for t in range(self.present.shape[1]))

    @cached_property
    def seed_load(self) -> Array:
        """Return (S, F), the variance of a family mean in units of one training's.

        It is sum_t 1/n_st over the squared number of the family's targets that a source has.
        """
        unmeasured = np.full(self.repeats.shape, np.nan)
        inverse = np.divide(1, self.repeats, out=unmeasured, where=self.repeats > 0)
        by_family = padded(inverse, self.families)
        targets = (~np.isnan(by_family)).sum(axis=2)
        load = np.nansum(by_family, axis=2) / np.maximum(targets, 1) ** 2
        return np.where(targets > 0, load, np.nan).T

    @cached_property
    def noise_floor(self) -> float:
        """Return the spread below which differences of the values are rounding."""
        measured = self.values[self.present]
        return ROUNDING * float(np.abs(measured).max()) if measured.size else 0.0

    @cached_property
    def scope(self) -> Scope:
        """Return the widest scope of which the families allow a statement."""
        return Scope.LIKE_THESE if self.family_count >= MIN_FAMILIES else Scope.THESE


def padded(values: Array, families: Array) -> Array:
    """Return (F, S, M), the values (S, T) of each family's targets, NaN where it has fewer than M."""
    counts = np.bincount(families)
    padded = np.full((len(counts), len(values), counts.max(initial=0)), np.nan)
    for family, count in enumerate(counts):
        padded[family, :, :count] = values[:, families == family]
    return padded
