"""Block shuffle: how much of transfer's advantage is left where images keep only small blocks.

Both networks are trained and tested on images whose blocks lie in another order, as in Neyshabur
et al. 2020 (arXiv 2008.11687). The order is one for a seed and a block size, the same for every
image, for training and test, and for both networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import headwater as hw

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class BlockShuffleView(hw.AnalysisView):
    title = "Block shuffle"
    position = 10
    formula = "relative drop = 100 · s · (A(P-T) − A(RI-T)) / |A(P-T)|"
    how_to_read = (
        "Images are cut into square blocks, the blocks shuffled by one fixed order, and both "
        "networks trained and tested on the result. From right to left, images lose what is larger "
        "than a block: shapes first, then parts; at 1 pixel only colours are left. Where the drop "
        "stays above 0 with small blocks, transfer helps although hardly a visual feature of the "
        "source fits any more: something else is reused, such as low-level statistics or the scale "
        "of weights. Where it falls to 0, it was features that helped."
    )
    tables = (
        hw.SummaryTable("metric", "block shuffle: test {directed}", rows="block (px)"),
        hw.SummaryTable("relative_drop", "block shuffle: relative drop (%)", rows="block (px)"),
    )

    def draw(self, readings: hw.AnalysisReadings) -> Figure:
        figure, (metric, drop) = hw.plotting.panels(2, 2)
        lines = readings.of("metric")
        for role in ("P-T", "RI-T"):
            line = lines[lines["subject"] == role]
            hw.plotting.curve(metric, line, role, line["x"])
        hw.plotting.frame(metric, readings.values("metric"))
        metric.set(title="Trained and tested on shuffled images", ylabel=f"test {readings.metric}")
        metric.legend(loc="best")
        self._draw_drop(drop, readings)
        sizes = sorted(lines["x"].unique())
        labels = [f"{size:g}" for size in sizes[:-1]] + [f"{sizes[-1]:g}\n(intact)"]
        for axes in (metric, drop):
            axes.set_xscale("log", base=2)
            axes.set_xticks(sizes, labels)
            axes.minorticks_off()
            axes.set_xlabel("block size (pixels)")
        return figure

    def _draw_drop(self, axes: Axes, readings: hw.AnalysisReadings) -> None:
        import numpy as np

        line = readings.of("relative_drop")
        axes.errorbar(
            line["x"],
            line["mean"],
            np.array([line["mean"] - line["low"], line["high"] - line["mean"]]),
            color=hw.plotting.COLOURS["P-T/RI-T"],
            marker="D",
            markersize=5,
            capsize=3,
        )
        axes.axhline(0, color="black", linewidth=0.8)
        hw.plotting.frame(axes, [*line["mean"], 0, *readings.values("relative_drop")])
        axes.set(title="What RI-T lacks", ylabel="relative drop (%)")


def shuffling_blocks(blocks: Iterable[int], image_size: int) -> set[int]:
    """Return the block sizes that shuffle anything: one above half of the side leaves one block."""
    return {block for block in blocks if block <= image_size // 2}


def trainings(options: Mapping[str, Any], image_size: int) -> int:
    """Return how many networks are trained: two for each block size."""
    return 2 * len(shuffling_blocks(options["blocks"], image_size))


@hw.analysis("block_shuffle", looks_at="one seed", trainings=trainings, view=BlockShuffleView)
def block_shuffle(
    networks: hw.Networks, *, blocks: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
) -> list[hw.Reading]:
    """Measure the advantage of transfer on images with shuffled blocks, by block size.

    Reads ``metric`` of P-T and RI-T, and ``relative_drop`` = 100 · s · (A_PT − A_RIT) / |A_PT|.
    The largest block size is the image's side: the networks as they are.

    Raises:
        NotApplicable: The task's targets have places in the image. What is within a block would
            no longer be where its target says.
    """
    if networks.task_type.dense:
        raise hw.NotApplicable(
            f"block_shuffle needs targets of whole images: those of {networks.task.type} tasks "
            "have places in the image, which it moves",
            subject=networks.task.name,
        )
    readings = []
    for block in sorted(shuffling_blocks(blocks, networks.image_size) | {networks.image_size}):
        values = {role: _metric(networks, role, block) for role in ("P-T", "RI-T")}
        for role, value in values.items():
            readings.append(hw.Reading(role, "metric", value, x=block))
        transferred, scratch = values["P-T"], values["RI-T"]
        if transferred:
            drop = 100 * networks.sign * (transferred - scratch) / abs(transferred)
            readings.append(hw.Reading("P-T/RI-T", "relative_drop", drop, x=block))
    return readings


def _metric(networks: hw.Networks, role: str, block: int) -> float:
    if block == networks.image_size:
        network = networks.trained(role)
        return network.metric(network.test_rows())
    return networks.retrain(role, partial(shuffle_blocks, block=block, seed=networks.seed))


def shuffle_blocks(images: np.ndarray, block: int, seed: int) -> np.ndarray:
    """Shuffle the ``block`` x ``block`` squares of images, in an order drawn from seed and size.

    Squares start at the top left. What is left over on the right and at the bottom, where the
    block does not divide the side, stays in place.

    Args:
        images: (N, S, S, C).
        block: The side of a square in pixels.
        seed: The seed of the order.

    Returns:
        (N, S, S, C), the same pixels.
    """
    import numpy as np

    count, side, _, channels = images.shape
    grid = side // block
    covered = slice(grid * block)
    order = np.random.default_rng([seed, block]).permutation(grid * grid)
    # (row, y in block, column, x in block) -> (row, column, y, x): a block is then one entry.
    in_rows = (count, grid, block, grid, block, channels)
    in_blocks = (count, grid, grid, block, block, channels)
    blocks = images[:, covered, covered].reshape(in_rows).swapaxes(2, 3)
    in_line = blocks.reshape(count, grid * grid, -1)
    shuffled = in_line[:, order].reshape(in_blocks).swapaxes(2, 3)
    result = np.array(images)
    result[:, covered, covered] = shuffled.reshape(images[:, covered, covered].shape)
    return result
