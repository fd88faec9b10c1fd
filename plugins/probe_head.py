"""A head that starts as a linear probe: linear probing, then fine-tuning (LP-FT).

Source: Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution, ICLR 2022 (arXiv 2202.10054).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import Context, NotApplicable

if TYPE_CHECKING:
    import numpy as np

    from headwater.plugins.linear_models.problems import LinearModel

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths tried."""
FOLDS = 5
"""Folds of the cross-validation that selects the strength."""
MIN_SCORE = -1e4
"""Score of a class without images: predicted scores are recorded down to here, and a trained bias
has to be a number.
"""


def start_as_probe(context: Context) -> None:
    """Set the head to the logistic probe of the training images' frozen features; without images,
    leave it as it is.

    The probe's strength is that of the least cross-validated log loss: validation images are not
    used.

    Raises:
        NotApplicable: The head is no linear classifier.
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
    features, targets = _frozen_features(context)
    if not len(features):
        return
    probe = cross_validated(features, targets, head.out_features)
    # The probe is for centred features, the head for the features themselves.
    bias = np.maximum(probe.bias - probe.weight @ probe.mean, MIN_SCORE)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(probe.weight))
        head.bias.copy_(torch.from_numpy(bias))


def cross_validated(features: np.ndarray, targets: np.ndarray, classes: int) -> LinearModel:
    """Fit a logistic regression of the strength whose held-out log loss is least.

    Args:
        features: (N, D) float32.
        targets: (N,) classes.
        classes: Number of classes.

    Returns:
        The model of all rows.
    """
    import numpy as np
    import torch

    from headwater.plugins.linear_models.logistic import logistic
    from headwater.plugins.linear_models.problems import (
        LinearProblem,
        log_softmax,
        scores_of_path,
    )

    count = len(targets)
    # Rows are dealt out class by class, so that the folds are stratified.
    fold_of = np.empty(count, dtype=np.int64)
    fold_of[np.argsort(targets, kind="stable")] = np.arange(count) % FOLDS
    folds = [fold for fold in range(FOLDS) if 0 < (fold_of == fold).sum() < count]
    subsets = [np.flatnonzero(fold_of != fold) for fold in folds]
    subsets.append(np.arange(count))
    problems = [LinearProblem(features, rows, targets[rows], classes) for rows in subsets]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    *paths_of_folds, path_of_all = logistic(problems, STRENGTHS, device=device)
    loss = np.zeros(len(STRENGTHS))
    for fold, path in zip(folds, paths_of_folds, strict=True):
        rows = np.flatnonzero(fold_of == fold)
        log_p = log_softmax(scores_of_path(path, features[rows]))
        log_p_of_target = log_p[:, np.arange(len(rows)), targets[rows]]
        loss -= np.maximum(log_p_of_target, MIN_SCORE).sum(1)
    return path_of_all[int(loss.argmin())]


def _frozen_features(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 features (N, D) of the training images by the source as it is, and their
    classes (N,).
    """
    import numpy as np
    import torch

    features = [np.empty((0, 0), np.float32)]
    targets = [np.empty(0, np.int64)]
    was_training = context.backbone.training
    context.backbone.eval()
    with torch.no_grad():
        for batch in context.images():
            features.append(context.backbone(batch.images).float().cpu().numpy())
            targets.append(batch.targets.cpu().numpy())
    context.backbone.train(was_training)
    if len(features) == 1:
        return features[0], targets[0]
    return np.concatenate(features[1:]), np.concatenate(targets[1:])
