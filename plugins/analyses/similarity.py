"""Feature similarity: linear CKA of two networks' features, stage by stage, from debiased HSIC.

Kornblith et al. 2019 (arXiv 1905.00414) measure by HSIC how alike the Gram matrices K = XXᵀ and
L = YYᵀ are of features X (N, D₁) and Y (N, D₂) of the same N images. Its usual estimator is biased:
where D is large beside N, independent features look alike (0.86 at 210 × 1280), since every image
resembles itself. The unbiased one (Song et al. 2012, JMLR 13:1393), which Nguyen et al.
2021 (arXiv 2010.15327, equation 3) take, leaves the diagonals out. With K̃ and L̃ for K and L without
theirs,

    HSIC₁(K, L) = [tr K̃L̃ + (1ᵀK̃1)(1ᵀL̃1) / ((N−1)(N−2)) − 2 · 1ᵀK̃L̃1 / (N−2)] / (N(N−3)),
    CKA(X, Y)   = HSIC₁(K, L) / √(HSIC₁(K, K) · HSIC₁(L, L)).

It is 0 on average where X and Y are independent, so that it may fall a little below 0.

N may be too large to hold an N × N matrix, so that sums are gathered batch by batch in float64. Each
image's features get two columns more, its square and a one: x'ᵢ = [xᵢ, kᵢᵢ, 1]. Then M = X'ᵀY' holds
every sum that is needed. With s = Σᵢ xᵢ, read off M, and u = [s, −1, 0], the i-th row of K̃ sums to
xᵢ·s − kᵢᵢ = x'ᵢ·u; with v the same of Y,

    tr K̃L̃ = ‖XᵀY‖²_F − Σᵢ kᵢᵢ lᵢᵢ,    1ᵀK̃1 = Σᵢ x'ᵢ·u,    1ᵀK̃L̃1 = uᵀMv.

Batches are shifted by the mean of the first one: that changes nothing but the rounding, since
features far from 0 would cancel. So the value is exact whatever the batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import headwater as hw

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor


class SimilarityView(hw.AnalysisView):
    title = "Feature similarity"
    position = 30
    formula = "CKA(X, Y) = HSIC₁(K, L) / √(HSIC₁(K, K) · HSIC₁(L, L)), K = XXᵀ, L = YYᵀ"
    how_to_read = (
        "1: the two networks see test images alike at that stage, up to rotation and scale; 0: "
        "no more than independent features have in common, whatever their width and the number of "
        "images; a little below 0 is chance. Where P-T/P-T lies above RI-T/RI-T, pre-training makes networks of "
        "different seeds agree. P/P-T says how much of the source's features is left after "
        "training; P-T/RI-T close to RI-T/RI-T says that transfer found other features than "
        "training from scratch does."
    )
    tables = (hw.SummaryTable("cka", "similarity: linear CKA", rows="stage"),)

    def draw(self, readings: hw.AnalysisReadings) -> Figure:
        figure, (axes,) = hw.plotting.panels(size=(7.6, 4.4))
        lines = readings.of("cka")
        stages = list(dict.fromkeys(lines["module"]))
        for pair in hw.plotting.PAIRS:
            line = lines[lines["subject"] == pair]
            if len(line):
                places = [stages.index(name) for name in line["module"]]
                hw.plotting.curve(axes, line, pair, places)
        hw.plotting.frame(axes, lines["mean"], within=(-1, 1))
        hw.plotting.stages_below(axes, stages)
        axes.set(
            title="Linear CKA (debiased) of features on test images",
            xlabel="stage, from the input to the head",
            ylabel="CKA",
        )
        axes.legend(loc="best", ncols=2)
        return figure


@hw.analysis("similarity", view=SimilarityView)
def similarity(networks: hw.Networks, *, images: int = 512) -> list[hw.Reading]:
    """Compare the features of two networks by linear CKA, stage by stage.

    Reads ``cka`` of each pair at each stage that both have, on test images; at the head only where
    both networks were trained, since the head of an untrained one is random.
    """
    pairs = list(networks.pairs(initial=True))
    stages = cka_by_stage(pairs, networks.trained("P-T").test_rows(images))
    depths = networks.trained("P-T").depths
    readings = []
    for pair, first, second in pairs:
        is_untrained = pair.startswith(("P/", "RI/"))
        for stage, cka in stages.items():
            if stage == "head" and is_untrained:
                continue
            value = cka.value(id(first), id(second))
            if value is not None:
                readings.append(hw.Reading(pair, "cka", value, module=stage, x=depths[stage]))
    return readings


def cka_by_stage(
    pairs: Sequence[tuple[str, hw.AnalysedNetwork, hw.AnalysedNetwork]], rows: np.ndarray
) -> dict[str, Cka]:
    """Gather the features of all networks on these test images, stage by stage.

    Args:
        pairs: The pairs to compare: name and networks.
        rows: Rows of test images.

    Returns:
        Stage -> the sums of its features, by the ``id`` of the network.
    """
    compared = {}
    keys = []
    for _, first, second in pairs:
        compared[id(first)] = first
        compared[id(second)] = second
        keys.append((id(first), id(second)))
    stages: dict[str, Cka] = {}
    # All networks go through the images side by side, so that one batch of each is in memory.
    feeds = [network.features(rows) for network in compared.values()]
    for batch in zip(*feeds, strict=True):
        by_network = dict(zip(compared, batch, strict=True))
        for stage in batch[0]:
            features = {key: seen[stage] for key, seen in by_network.items() if stage in seen}
            if stage not in stages:
                stages[stage] = Cka(keys)
            stages[stage].add(features)
    return stages


class Cka:
    """Debiased linear CKA of several feature matrices, gathered batch by batch (see the module).

    Args:
        pairs: The keys of the matrices to compare.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self.pairs = set(pairs)
        self.count = 0
        self.shift: dict[int, Tensor] = {}
        self.sums: dict[tuple[int, int], Tensor] = {}

    def add(self, features: Mapping[int, Tensor]) -> None:
        """Add a batch: (B, D) of each network by its key, on the same images."""
        import torch

        extended = {}
        for key, values in features.items():
            wide = values.double()
            if key not in self.shift:
                self.shift[key] = wide.mean(0)
            shifted = wide - self.shift[key]
            squares = (shifted**2).sum(1, keepdim=True)
            extended[key] = torch.cat([shifted, squares, torch.ones_like(squares)], 1)
        # A matrix with itself gives the two terms under the fraction.
        for pair in self.pairs | {(key, key) for key in extended}:
            first, second = pair
            if first in extended and second in extended:
                products = extended[first].T @ extended[second]
                self.sums[pair] = self.sums.get(pair, 0) + products
        self.count += len(next(iter(extended.values())))

    def value(self, first: int, second: int) -> float | None:
        """Return CKA: 1 for features that are alike, 0 on average for independent ones.

        Returns:
            None for a network that lacks this stage, for features that are all the same, or for
            fewer than four images.
        """
        if (first, second) not in self.sums or self.count < 4:
            return None
        of_first = self._hsic(first, first)
        of_second = self._hsic(second, second)
        scale = math.sqrt(max(of_first, 0) * max(of_second, 0))
        if not scale > 0:  # nor where it is no number
            return None
        return self._hsic(first, second) / scale

    def _hsic(self, first: int, second: int) -> float:
        """Return N(N − 3) · HSIC₁; the factor cancels in CKA."""
        sums = self.sums[first, second]
        count = self.count
        to_rows_of_first = self._to_row_sums(first)
        to_rows_of_second = self._to_row_sums(second)
        trace = (sums[:-2, :-2] ** 2).sum() - sums[-2, -2]
        total_of_first = to_rows_of_first @ sums[:, -1]
        total_of_second = sums[-1] @ to_rows_of_second
        between_rows = to_rows_of_first @ sums @ to_rows_of_second
        totals = total_of_first * total_of_second / ((count - 1) * (count - 2))
        return float(trace + totals - 2 * between_rows / (count - 2))

    def _to_row_sums(self, key: int) -> Tensor:
        """Return u (D + 2,), for which x'ᵢ·u is the sum of row i of the Gram matrix without its
        diagonal.
        """
        u = self.sums[key, key][-1].clone()
        u[-2] = -1
        u[-1] = 0
        return u
