"""A head that starts as a linear probe: linear probing, then fine-tuning (LP-FT).

Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, ICLR 2022 (arXiv 2202.10054).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.registry import Context
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    import numpy as np

    from headwater.plugins.linear import Classifier

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths tried."""
FOLDS = 5
UNLIKELY = -1e4
"""Score of a class that had no image: predicted scores are recorded down to here, and a trained bias has to be a number."""


def start_as_probe(context: Context) -> None:
    """Set the head to the logistic probe of the training images' frozen features; where there are none, leave it.

    The probe's strength is that of the least cross-validated log loss: validation images are not looked at. Raises NotApplicable
    where the head is no linear classifier.
    """
    import numpy as np
    import torch
    from torch import nn

    head = context.head
    if (
        not isinstance(head, nn.Linear)
        or head.bias is None
        or context.task.type != "classification"
    ):
        raise NotApplicable(
            f"probe_first is for classification by a linear head, {context.task.name} has another",
            subject=context.task.name,
        )
    features, targets = _frozen(context)
    if not len(features):
        return
    found = cross_validated(features, targets, head.out_features)
    bias = np.maximum(found.bias - found.weight @ found.mean, UNLIKELY)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(found.weight))
        head.bias.copy_(torch.from_numpy(bias))


def cross_validated(features: np.ndarray, targets: np.ndarray, classes: int) -> Classifier:
    """The logistic classifier of features (N, D) by classes (N,), of the strength whose held-out log loss is least in five folds."""
    import numpy as np
    import torch

    from headwater.plugins.linear import Problem, log_softmax, scores
    from headwater.plugins.logistic import logistic

    fold_of = np.empty(len(targets), dtype=np.int64)
    fold_of[np.argsort(targets, kind="stable")] = (
        np.arange(len(targets)) % FOLDS
    )  # dealt out class by class
    folds = [fold for fold in range(FOLDS) if 0 < (fold_of == fold).sum() < len(targets)]
    rows = [np.flatnonzero(fold_of != fold) for fold in folds] + [np.arange(len(targets))]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    *held_out, whole = logistic(
        [Problem(features, some, targets[some], classes) for some in rows], STRENGTHS, device=device
    )
    loss = np.zeros(len(STRENGTHS))
    for fold, path in zip(folds, held_out, strict=True):
        left = np.flatnonzero(fold_of == fold)
        likely = log_softmax(scores(path, features[left]))[:, np.arange(len(left)), targets[left]]
        loss -= np.maximum(likely, UNLIKELY).sum(1)
    return whole[int(loss.argmin())]


def _frozen(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) float32 features of the training images by the source as it is, and their classes."""
    import numpy as np
    import torch

    training = context.backbone.training
    context.backbone.eval()
    with torch.no_grad():
        looks = [
            (context.backbone(batch.images).float().cpu().numpy(), batch.targets.cpu().numpy())
            for batch in context.images()
        ]
    context.backbone.train(training)
    features, targets = (
        zip(*looks, strict=True)
        if looks
        else ((np.empty((0, 0), np.float32),), (np.empty(0, np.int64),))
    )
    return np.concatenate(features), np.concatenate(targets)
