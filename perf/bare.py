"""The bare loop: fine-tuning in plain PyTorch, as one would write it for one model and one data set."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Data:
    """Decoded images (N, S, S, 3) uint8 and class indices (N,), already in memory."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    classes: int


@dataclass(frozen=True)
class Recipe:
    """What both sides of the comparison do."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warm_up: float
    mirror: bool
    device: str


def fine_tune(
    backbone: nn.Module, width: int, data: Data, recipe: Recipe, *, channels_last: bool
) -> float:
    """Train a copy of ``backbone`` under a new head; validate each epoch, test once. Returns test accuracy."""
    device = recipe.device
    torch.manual_seed(0)
    model = nn.Sequential(copy.deepcopy(backbone), nn.Linear(width, data.classes)).to(device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    steps = math.ceil(len(data.train[1]) / recipe.batch_size) * recipe.epochs
    warm = max(1, round(recipe.warm_up * steps))
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimiser,
        [
            torch.optim.lr_scheduler.LinearLR(optimiser, 1 / warm, total_iters=warm),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps - warm),
        ],
        [warm],
    )
    for _ in range(recipe.epochs):
        model.train()
        for images, targets in _batches(data.train, recipe, layout, shuffle=True):
            images = _augment(images, recipe.mirror)
            with _precision(device):
                loss = functional.cross_entropy(model(images), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            scheduler.step()
        accuracy(model, data.validation, recipe, layout)
    return accuracy(model, data.test, recipe, layout)


@torch.inference_mode()
def accuracy(
    model: nn.Module,
    split: tuple[np.ndarray, np.ndarray],
    recipe: Recipe,
    layout: torch.memory_format,
) -> float:
    model.eval()
    correct = torch.zeros((), device=recipe.device)
    for images, targets in _batches(split, recipe, layout, shuffle=False):
        with _precision(recipe.device):
            correct += (model(images).argmax(1) == targets).sum()
    return correct.item() / len(split[1])


@torch.inference_mode()
def extract(
    backbone: nn.Module, splits: list[tuple[np.ndarray, np.ndarray]], recipe: Recipe
) -> list[Tensor]:
    """(N, D) float32 features of each split."""
    model = copy.deepcopy(backbone).to(recipe.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    found = []
    for split in splits:
        features = []
        for images, _ in _batches(split, recipe, torch.channels_last, shuffle=False):
            with _precision(recipe.device):
                features.append(model(images).float())
        found.append(torch.cat(features).cpu())
    return found


def _batches(
    split: tuple[np.ndarray, np.ndarray],
    recipe: Recipe,
    layout: torch.memory_format,
    *,
    shuffle: bool,
) -> Iterator[tuple[Tensor, Tensor]]:
    images, targets = split
    order = np.random.permutation(len(targets)) if shuffle else np.arange(len(targets))
    mean, std = (
        torch.tensor(values, device=recipe.device).view(3, 1, 1) * 255 for values in (MEAN, STD)
    )
    for start in range(0, len(order), recipe.batch_size):
        rows = order[start : start + recipe.batch_size]
        pixels = (
            torch.from_numpy(images[rows])
            .to(recipe.device)
            .permute(0, 3, 1, 2)
            .contiguous(memory_format=layout)
        )
        yield (pixels.float() - mean) / std, torch.from_numpy(targets[rows]).to(recipe.device)


def _augment(images: Tensor, mirror: bool) -> Tensor:
    """Shifts of up to a tenth of the side, zooms of 0.8 to 1.2, mirroring."""
    count = len(images)
    zoom = torch.exp(torch.empty(count).uniform_(math.log(0.8), math.log(1.2)))
    flip = torch.where(torch.rand(count) < 0.5, -1.0, 1.0) if mirror else torch.ones(count)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = flip / zoom, 1 / zoom
    theta[:, :, 2] = torch.empty(count, 2).uniform_(-0.2, 0.2)
    grid = functional.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _precision(device: str) -> torch.autocast:
    return torch.autocast(
        device, dtype=torch.bfloat16, enabled=device == "cuda" and torch.cuda.is_bf16_supported()
    )
