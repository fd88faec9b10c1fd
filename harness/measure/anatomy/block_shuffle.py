"""Block shuffle: how much of transfer's advantage is left where images keep only what is within a block.

Both networks are trained and tested on images whose blocks lie in another order, as Neyshabur et al. 2020, do it;
the order is one for a seed and a block size, the same for every image, for training and test, and for both networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from headwater.harness.data.prepared import Prepared, PreparedSplit
from headwater.harness.measure.adapting import fit
from headwater.harness.measure.anatomy.networks import Networks
from headwater.harness.measure.loaded_cell import LoadedCell
from headwater.leaderboard.store.records import Reading
from headwater.registry.errors import NotApplicable


def block_shuffle(networks: Networks, settings: Mapping[str, Any]) -> list[Reading]:
    """``metric`` of P-T and RI-T by block size, and ``relative_drop`` = 100·s·(A_PT − A_RIT)/|A_PT|.

    The largest block size is the image's side: the networks as they are. Sizes above half of the side leave one block
    and are left out; s is −1 for a metric that should be low. Raises NotApplicable for tasks whose targets have places: what is
    within a block would no longer be where its target says.
    """
    cell = networks.cell("P-T")
    if cell.task_type.dense:
        raise NotApplicable(
            f"block_shuffle is for targets of whole images: those of {cell.task.type} have places, which it moves",
            subject=cell.task.name,
        )
    side, sign = networks.job.image_size, networks.job.record.sign
    readings = []
    for block in sorted({size for size in settings["blocks"] if size <= side // 2} | {side}):
        values = {role: _metric(networks, role, block) for role in ("P-T", "RI-T")}
        readings += [Reading(role, "metric", value, x=block) for role, value in values.items()]
        if values["P-T"]:
            drop = 100 * sign * (values["P-T"] - values["RI-T"]) / abs(values["P-T"])
            readings.append(Reading("P-T/RI-T", "relative_drop", drop, x=block))
    return readings


def _metric(networks: Networks, role: str, block: int) -> float:
    cell = networks.cell(role)
    if block == networks.job.image_size:
        subject = networks.trained(role)
        return subject.metric(subject.test_rows(None))
    seed = networks.job.record.seed or 0
    fitted = fit(
        replace(cell, prepared=shuffled_task(cell, block, seed)), networks.bench, networks.report
    )
    networks.images += fitted.trained.images
    return fitted.tested[cell.job.record.metric]


def shuffled_task(cell: LoadedCell, block: int, seed: int) -> Prepared:
    """The cell's task, its images' blocks shuffled as they are read."""

    def shuffled(split: PreparedSplit) -> PreparedSplit:
        return PreparedSplit(
            cast(np.ndarray, ShuffledImages(split.images, block, seed)), split.targets
        )

    return replace(
        cell.prepared, train=shuffled(cell.prepared.train), test=shuffled(cell.prepared.test)
    )


@dataclass(frozen=True)
class ShuffledImages:
    """(N, S, S, 3) uint8 images, each shuffled when it is looked at."""

    images: np.ndarray
    block: int
    seed: int

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return shuffle_blocks(self.images[rows], self.block, self.seed)

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (shuffle_blocks(image[None], self.block, self.seed)[0] for image in self.images)


def shuffle_blocks(images: np.ndarray, block: int, seed: int) -> np.ndarray:
    """(N, S, S, C) -> the same pixels, its ``block`` x ``block`` squares in an order drawn from ``seed`` and the block size.

    Squares start at the top left. What is left over on the right and at the bottom, where the block does not divide the
    side, stays in place.
    """
    count, side, _, channels = images.shape
    grid = side // block
    order = np.random.default_rng([seed, block]).permutation(grid * grid)
    whole = images[:, : grid * block, : grid * block]
    squares = (
        whole.reshape(count, grid, block, grid, block, channels)
        .swapaxes(2, 3)
        .reshape(count, grid * grid, block, block, channels)
    )
    mixed = squares[:, order].reshape(count, grid, grid, block, block, channels).swapaxes(2, 3)
    result = np.array(images)
    result[:, : grid * block, : grid * block] = mixed.reshape(whole.shape)
    return result
