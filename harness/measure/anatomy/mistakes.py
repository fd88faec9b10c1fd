"""Mistakes: which images two networks get right and wrong, and how ambiguous those images are (Neyshabur et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headwater.harness.measure.anatomy.networks import Networks
from headwater.harness.measure.loaded_cell import load_cell
from headwater.leaderboard.store.records import Reading
from headwater.registry.errors import NotApplicable

PAIRS = {"P-T/RI-T": ("P-T", "RI-T"), "P-T/P-T": ("P-T", "P-T'"), "RI-T/RI-T": ("RI-T", "RI-T'")}


def mistakes(networks: Networks, settings: Mapping[str, Any]) -> list[Reading]:
    """``share`` and ``images`` of test images that both, one or neither got right, their mean ``ambiguity``, and ``kappa``.

    Ambiguity is the entropy (nats) of the mean class probabilities of an ensemble: the cell's networks of every seed, pre-trained
    and not, but the two compared, where that leaves two at least. For P-T/RI-T those are as many of one kind as of the
    other: an ensemble of mostly one kind would find what that kind gets right clear. Kappa is Cohen's, of being right (error
    consistency, Geirhos et al. 2020, arXiv 2006.16736). Raises NotApplicable for tasks without classes.
    """
    cell = load_cell(networks.job.cells["P-T"], networks.bench)
    if cell.task.type != "classification":
        raise NotApplicable(
            f"{cell.task.name} is a {cell.task.type} task: no answer is simply right or wrong",
            subject=cell.task.name,
        )
    logits = {
        role: np.load(networks.bench.files.predictions(job.id)).astype(np.float64)
        for role, job in networks.job.cells.items()
    }
    right = {
        role: values.argmax(1) == cell.prepared.test.targets for role, values in logits.items()
    }
    readings = []
    for name, (one, other) in PAIRS.items():
        if one in right and other in right:
            ensemble = [values for role, values in logits.items() if role not in (one, other)]
            readings += table(
                name, right[one], right[other], entropy(ensemble) if len(ensemble) > 1 else None
            )
    return readings


def table(
    subject: str, one: np.ndarray, other: np.ndarray, ambiguity: np.ndarray | None
) -> list[Reading]:
    """The 2×2 table of right (N,) bool and right (N,) bool, with the ambiguity (N,) of its images."""
    groups = {
        "both-right": one & other,
        "only-first-wrong": ~one & other,
        "only-second-wrong": one & ~other,
        "both-wrong": ~one & ~other,
    }
    readings = []
    for module, images in groups.items():
        readings.append(Reading(subject, "share", float(images.mean()), module=module))
        readings.append(Reading(subject, "images", float(images.sum()), module=module))
        if ambiguity is not None and images.any():
            readings.append(
                Reading(subject, "ambiguity", float(ambiguity[images].mean()), module=module)
            )
    agreement = kappa(one, other)
    return readings if agreement is None else [*readings, Reading(subject, "kappa", agreement)]


def kappa(one: np.ndarray, other: np.ndarray) -> float | None:
    """(p_o − p_e)/(1 − p_e): agreement beyond that of two networks that are right as often by chance; None where that is certain."""
    observed = float((one == other).mean())
    expected = float(one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean()))
    return (observed - expected) / (1 - expected) if expected < 1 else None


def entropy(logits: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) −Σ_c p̄_c log p̄_c of the mean softmax of (N, C) logits."""
    from scipy.special import entr, softmax

    return entr(np.mean([softmax(values, axis=1) for values in logits], axis=0)).sum(1)
