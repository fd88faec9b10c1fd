"""Predictions that can be measured: numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import TrainingError

if TYPE_CHECKING:
    from torch import Tensor


def numbers(predictions: Tensor) -> Tensor:
    """The predictions as float32; raises TrainingError where one is none."""
    predictions = predictions.float()
    if bool(predictions.isnan().any()):
        raise TrainingError(
            "the network's outputs are not numbers",
            hint="Lower the learning rate, or turn mixed precision off.",
        )
    return predictions
