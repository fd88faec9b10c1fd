"""One pass over features: sums in blocks, on as many threads as BLAS has, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BLOCK = 1 << 22
"""Values in a block of rows: 32 MB of float64 on each thread, whatever the number of images."""

MOST_THREADS = 8
"""Each has a block and a (D, D) matrix of its own; memory bandwidth is the limit before that."""


class Sums:
    """Sums under way about a point (D,): those of ``headwater.registry.evidence.moments.Moments``,
    by the same names.
    """

    def __init__(self, origin: np.ndarray, columns: int) -> None:
        import numpy as np

        width = len(origin)
        self.origin, self.count, self.fourths = origin, 0, 0.0
        self.sums, self.cubes, self.gram = (
            np.zeros(width),
            np.zeros(width),
            np.zeros((width, width)),
        )
        self.cross = np.zeros((columns, width))
        self.label_sums, self.label_squares = np.zeros(columns), np.zeros(columns)
        self._room = np.empty((0, width))

    def add(self, x: np.ndarray, y: Any) -> None:
        """A block of features (B, D) and its label columns (B, K), dense or sparse."""
        import numpy as np

        if len(self._room) < len(x):
            self._room = np.empty(x.shape)
        z = np.subtract(x, self.origin, out=self._room[: len(x)])
        squares = np.einsum("nd,nd->n", z, z)
        self.count += len(z)
        self.sums += np.ones(len(z)) @ z
        self.cubes += squares @ z
        self.fourths += float(squares @ squares)
        self.gram += (
            z.T @ z
        )  # half of a product's work: numpy sees that it is symmetric, and lets other threads run
        self.cross += y.T @ z
        self.label_sums += np.asarray(y.sum(0)).reshape(-1)
        self.label_squares += np.asarray((y * y).sum(0)).reshape(-1)

    def add_all(self, blocks: Iterable[tuple[np.ndarray, Any]]) -> Sums:
        for features, labels in blocks:
            self.add(features, labels)
        return self


def in_blocks(
    features: np.ndarray, columns: Callable[[slice], Any], start: Callable[[], Sums]
) -> list[Sums]:
    """The sums of each thread. ``columns``: the label columns of a slice of rows; ``start``: makes
    empty sums.

    Where there is more than one block, the threads share them out and each multiplies by itself, so
    that the passes over the rows around the product run side by side too.
    """
    from concurrent.futures import ThreadPoolExecutor

    count, rows = len(features), max(1, BLOCK // features.shape[1])
    if count <= rows:
        return [start().add_all([(features, columns(slice(0, count)))])]
    from threadpoolctl import threadpool_limits

    threads = min(_threads(), MOST_THREADS)
    blocks = threads * -(-count // (rows * threads))
    bounds = [count * block // blocks for block in range(blocks + 1)]
    slices = [slice(*pair) for pair in pairwise(bounds)]

    def work(thread: int) -> Sums:
        return start().add_all((features[part], columns(part)) for part in slices[thread::threads])

    if threads == 1:
        return [work(0)]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(threads)))


def _threads() -> int:
    """Of BLAS, as the environment has it."""
    from threadpoolctl import threadpool_info

    return max(
        (library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"),
        default=1,
    )


def label_columns(labels: np.ndarray, task_type: str, width: int) -> Any:
    """Label columns (B, K): one-hot rows are sparse."""
    import numpy as np
    from scipy.sparse import csr_array

    if task_type != "classification":
        return labels.astype(np.float64)
    count = len(labels)
    return csr_array((np.ones(count), labels, np.arange(count + 1)), shape=(count, width))
