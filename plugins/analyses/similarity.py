"""Feature similarity: linear CKA of two networks' features, stage by stage.

Kornblith et al. 2019 (arXiv 1905.00414), equation 3. Of the features X (N, D₁) and Y (N, D₂) of
the same N images, columns centred,

    CKA(X, Y) = ‖YᵀX‖²_F / (‖XᵀX‖_F · ‖YᵀY‖_F).

N may be too large to hold both, so that sums and products are gathered batch by batch in float64:

    Σx, Σy and XᵀY;  the centred product is XᵀY − (Σx)(Σy)ᵀ / N.

Batches are shifted by the mean of the first one: that changes nothing but the rounding, since
features far from 0 would cancel. So the value is exact whatever the batches.
"""

from __future__ import annotations

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
    formula = "CKA(X, Y) = ‖YᵀX‖²_F / (‖XᵀX‖_F · ‖YᵀY‖_F), columns centred"
    how_to_read = (
        "1: the two networks see test images alike at that stage, up to rotation and scale; 0: "
        "nothing in common. Where P-T/P-T lies above RI-T/RI-T, pre-training makes networks of "
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
        hw.plotting.frame(axes, lines["mean"], within=(0, 1))
        hw.plotting.stages_below(axes, stages)
        axes.set(
            title="Linear CKA of features on test images",
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
    """Linear CKA of several feature matrices, gathered batch by batch (see the module).

    Args:
        pairs: The keys of the matrices to compare.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self.pairs = set(pairs)
        self.count = 0
        self.shift: dict[int, Tensor] = {}
        self.sums: dict[int, Tensor] = {}
        self.products: dict[tuple[int, int], Tensor] = {}

    def add(self, features: Mapping[int, Tensor]) -> None:
        """Add a batch: (B, D) of each network by its key, on the same images."""
        shifted = {}
        for key, values in features.items():
            wide = values.double()
            if key not in self.shift:
                self.shift[key] = wide.mean(0)
            shifted[key] = wide - self.shift[key]
            self.sums[key] = self.sums.get(key, 0) + shifted[key].sum(0)
        # A matrix with itself gives the two norms under the fraction.
        for pair in self.pairs | {(key, key) for key in shifted}:
            first, second = pair
            if first in shifted and second in shifted:
                product = shifted[first].T @ shifted[second]
                self.products[pair] = self.products.get(pair, 0) + product
        self.count += len(next(iter(shifted.values())))

    def value(self, first: int, second: int) -> float | None:
        """Return CKA, between 0 and 1.

        Returns:
            None for a network that lacks this stage, or for features that are all the same.
        """
        if first not in self.sums or second not in self.sums:
            return None
        crossed = self._centred(first, second)
        own_first = self._centred(first, first)
        own_second = self._centred(second, second)
        scale = float(own_first.norm() * own_second.norm())
        if not scale > 0:  # nor where it is no number
            return None
        return float(crossed.norm() ** 2) / scale

    def _centred(self, first: int, second: int) -> Tensor:
        import torch

        means = torch.outer(self.sums[first], self.sums[second]) / self.count
        return self.products[first, second] - means
