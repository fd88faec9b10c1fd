"""Mistakes: which images two networks get right and wrong, and how ambiguous those images are.

After Neyshabur et al. 2020 (arXiv 2008.11687). Two measures are read off stored predictions:

    kappa = (p_o − p_e) / (1 − p_e)

is Cohen's kappa of being right (error consistency, Geirhos et al. 2020, arXiv 2006.16736): p_o is
the share of images on which both networks are right or both wrong, p_e = a·b + (1 − a)·(1 − b)
what networks of accuracies a and b share by chance.

    ambiguity of an image = −Σ_c p̄_c · log p̄_c    (nats)

is the entropy of the mean class probabilities p̄ of an ensemble. The ensemble is the cell's
networks of every seed, pre-trained and not, without the two compared, where that leaves two at
least. For P-T/RI-T those are as many of one kind as of the other: an ensemble of mostly one kind
would find what that kind gets right clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import headwater as hw

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


class MistakesView(hw.AnalysisView):
    title = "Mistakes"
    position = 70
    formula = (
        "kappa = (p_o − p_e) / (1 − p_e) of being right; "
        "ambiguity = entropy (nats) of an ensemble without the two networks"
    )
    how_to_read = (
        "Each table sorts the test images by which of two networks is right. Kappa 1: they fail on "
        "the same images; 0: as often together as by chance. Two fine-tunings usually agree more "
        "than two trainings from scratch. Ambiguity says how much other networks disagree about "
        "those images, and so how hard they are: the darker the cell, the more ambiguous. Where "
        "the mistakes of P-T alone are more ambiguous than those of RI-T alone, what transfer gets "
        "wrong is what cannot well be told."
    )
    tables = (
        hw.SummaryTable("share", "mistakes: share of test images", rows="images"),
        hw.SummaryTable("ambiguity", "mistakes: ambiguity (nats)", rows="images"),
        hw.SummaryTable("kappa", "mistakes: kappa", rows=""),
    )
    outcomes = (("both-right", "only-second-wrong"), ("only-first-wrong", "both-wrong"))
    """Rows: the first network right, wrong; columns: the second right, wrong."""

    def draw(self, readings: hw.AnalysisReadings) -> Figure:
        shares, ambiguity = readings.of("share"), readings.of("ambiguity")
        kappas = readings.of("kappa").set_index("subject")
        pairs = [pair for pair in COMPARED if pair in set(shares["subject"])]
        darkest = ambiguity["mean"].max() if len(ambiguity) else 1.0
        figure, axes = hw.plotting.panels(len(pairs), 3, size=(4.6, 3.8))
        for panel, pair in zip(axes, pairs, strict=True):
            share, doubt = (
                lines[lines["subject"] == pair].set_index("module") for lines in (shares, ambiguity)
            )
            image = self._table(panel, share, doubt, darkest)
            first, second = (role.replace("'", ", other seed") for role in COMPARED[pair])
            panel.set_xticks([0, 1], [f"{second}\nright", f"{second}\nwrong"])
            panel.set_yticks([0, 1], [f"{first}\nright", f"{first}\nwrong"])
            title = pair
            if pair in kappas.index:
                title += f"\nkappa {self._mean(kappas.loc[pair])}"
            panel.set_title(title)
            panel.grid(visible=False)
        if len(ambiguity):
            figure.colorbar(image, ax=axes, label="ambiguity (nats)", shrink=0.85)
        return figure

    def _table(
        self, panel: Axes, share: pd.DataFrame, doubt: pd.DataFrame, darkest: float
    ) -> AxesImage:
        """Draw the 2×2 table of a pair, shaded by ambiguity, and return the shaded image."""
        import numpy as np

        shade = np.array(
            [[doubt["mean"].get(name, np.nan) for name in row] for row in self.outcomes], float
        )
        image = panel.imshow(shade, cmap="cividis_r", vmin=0, vmax=darkest, aspect="auto")
        for row, names in enumerate(self.outcomes):
            for column, name in enumerate(names):
                panel.text(
                    column,
                    row,
                    self._words(share, doubt, name),
                    ha="center",
                    va="center",
                    color="white" if shade[row, column] > 0.55 * darkest else "black",
                    fontsize=9,
                )
        return image

    def _words(self, share: pd.DataFrame, doubt: pd.DataFrame, outcome: str) -> str:
        lines = [f"{100 * share['mean'][outcome]:.1f} %"]
        half = 50 * (share["high"][outcome] - share["low"][outcome])
        if half == half:  # not NaN
            lines[0] += f" ± {half:.1f}"
        if outcome in doubt.index:
            lines += ["of images", f"ambiguity {self._mean(doubt.loc[outcome])}"]
        return "\n".join(lines)

    def _mean(self, line: pd.Series) -> str:
        half = (line["high"] - line["low"]) / 2
        return f"{line['mean']:.2f}" + (f" ± {half:.2f}" if half == half else "")


COMPARED = {
    "P-T/RI-T": ("P-T", "RI-T"),
    "P-T/P-T": ("P-T", "P-T'"),
    "RI-T/RI-T": ("RI-T", "RI-T'"),
}
"""The roles of the two networks of each pair."""


@hw.analysis("mistakes", looks_at="predictions", view=MistakesView)
def mistakes(networks: hw.Networks) -> list[hw.Reading]:
    """Count which test images two networks get right and wrong, and how ambiguous these are.

    Reads ``share`` and ``images`` of test images that both, one or neither got right, their mean
    ``ambiguity``, and ``kappa``.

    Raises:
        NotApplicable: The task has no classes, so that no prediction is simply right or wrong.
    """
    if networks.task.type != "classification":
        raise hw.NotApplicable(
            f"mistakes needs a classification task: {networks.task.name} is a "
            f"{networks.task.type} task, whose predictions are not simply right or wrong",
            subject=networks.task.name,
        )
    logits = {role: networks.predictions(role) for role in networks.roles}
    targets = networks.test_targets
    correct = {role: values.argmax(1) == targets for role, values in logits.items()}
    readings = []
    for pair, (first, second) in COMPARED.items():
        if first not in correct or second not in correct:
            continue
        # The two compared would find clear whatever they agree on.
        ensemble = [values for role, values in logits.items() if role not in (first, second)]
        ambiguity = entropy(ensemble) if len(ensemble) > 1 else None
        readings += table(pair, correct[first], correct[second], ambiguity)
    return readings


def table(
    pair: str, first: np.ndarray, second: np.ndarray, ambiguity: np.ndarray | None
) -> list[hw.Reading]:
    """Return the 2×2 table of two networks being right.

    Args:
        pair: The name of the pair.
        first: (N,) bool, which images the first network gets right.
        second: (N,) bool, which the second gets right.
        ambiguity: (N,) of the images; None where it is not known.
    """
    outcomes = {
        "both-right": first & second,
        "only-first-wrong": ~first & second,
        "only-second-wrong": first & ~second,
        "both-wrong": ~first & ~second,
    }
    readings = []
    for outcome, images in outcomes.items():
        readings.append(hw.Reading(pair, "share", float(images.mean()), module=outcome))
        readings.append(hw.Reading(pair, "images", float(images.sum()), module=outcome))
        if ambiguity is not None and images.any():
            mean = float(ambiguity[images].mean())
            readings.append(hw.Reading(pair, "ambiguity", mean, module=outcome))
    agreement = kappa(first, second)
    return readings if agreement is None else [*readings, hw.Reading(pair, "kappa", agreement)]


def kappa(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return the agreement of two networks beyond chance, (p_o − p_e) / (1 − p_e).

    Args:
        first: (N,) bool, which images the first network gets right.
        second: (N,) bool, which the second gets right.

    Returns:
        Kappa; None where agreement by chance is certain (both right, or both wrong, everywhere).
    """
    accuracy, other_accuracy = first.mean(), second.mean()
    observed = float((first == second).mean())
    expected = float(accuracy * other_accuracy + (1 - accuracy) * (1 - other_accuracy))
    if expected >= 1:
        return None
    return (observed - expected) / (1 - expected)


def entropy(logits: Sequence[np.ndarray]) -> np.ndarray:
    """Return (N,) −Σ_c p̄_c log p̄_c of the mean softmax of several (N, C) logits."""
    import numpy as np
    from scipy.special import entr, softmax

    probabilities = [softmax(values, axis=1) for values in logits]
    mean = np.mean(probabilities, axis=0)
    return entr(mean).sum(1)
