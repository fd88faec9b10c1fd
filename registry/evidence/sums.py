"""One pass over features: sums in blocks, on as many threads as BLAS has, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BLOCK_VALUES = 1 << 22
"""Values in a block of rows: 32 MB of float64 on each thread, whatever the number of images."""

MAX_THREADS = 8
"""Each has a block and a (D, D) matrix of its own; memory bandwidth is the limit before that."""


class Sums:
    """Sums under way about a point: those of ``headwater.Moments``, by the same names.

    Args:
        origin: (D,) the point.
        columns: The number K of label columns.
    """

    def __init__(self, origin: np.ndarray, columns: int) -> None:
        import numpy as np

        width = len(origin)
        self.origin = origin
        self.count = 0
        self.sums = np.zeros(width)
        self.gram = np.zeros((width, width))
        self.cross = np.zeros((columns, width))
        self.label_sums = np.zeros(columns)
        self.label_squares = np.zeros(columns)
        self.cubes = np.zeros(width)
        self.fourths = 0.0
        self._buffer = np.empty((0, width))

    def add(self, features: np.ndarray, columns: Any) -> None:
        """Add a block.

        Args:
            features: (B, D).
            columns: (B, K) label columns, dense or sparse.
        """
        import numpy as np

        # One buffer serves all blocks: a fresh one each would be paged in anew.
        if len(self._buffer) < len(features):
            self._buffer = np.empty(features.shape)
        rows = self._buffer[: len(features)]
        z = np.subtract(features, self.origin, out=rows)
        squares = np.einsum("nd,nd->n", z, z)
        self.count += len(z)
        # As a product it is one pass in BLAS; z.sum(0) adds rows one by one.
        self.sums += np.ones(len(z)) @ z
        self.cubes += squares @ z
        self.fourths += float(squares @ squares)
        # numpy sees that the product is symmetric: half of the work, and other threads may run.
        self.gram += z.T @ z
        self.cross += columns.T @ z
        self.label_sums += _column_sums(columns)
        self.label_squares += _column_sums(columns * columns)

    def add_all(self, blocks: Iterable[tuple[np.ndarray, Any]]) -> Sums:
        """Add blocks of features (B, D) and label columns (B, K); return these sums."""
        for features, columns in blocks:
            self.add(features, columns)
        return self


def sum_in_blocks(
    features: np.ndarray, columns: Callable[[slice], Any], start: Callable[[], Sums]
) -> list[Sums]:
    """Sum features in blocks; where there are several, threads share them out.

    Each thread multiplies by itself, so that the passes over the rows around the product run side
    by side too: BLAS's own threads would wait during those.

    Args:
        features: (N, D).
        columns: Returns the label columns of a slice of rows.
        start: Makes empty sums.

    Returns:
        The sums of each thread. Their number, and with it the last digits of what is added up,
        depends on the threads of BLAS alone.
    """
    from concurrent.futures import ThreadPoolExecutor

    count = len(features)
    rows = max(1, BLOCK_VALUES // features.shape[1])
    if count <= rows:
        whole = slice(0, count)
        sums = start()
        sums.add(features, columns(whole))
        return [sums]
    from threadpoolctl import threadpool_limits

    threads = min(_count_blas_threads(), MAX_THREADS)
    # A multiple of the threads, so that all have as many blocks, of sizes that differ by a row.
    blocks = threads * -(-count // (rows * threads))
    bounds = [count * block // blocks for block in range(blocks + 1)]
    slices = [slice(first, last) for first, last in pairwise(bounds)]

    def work(thread: int) -> Sums:
        sums = start()
        for part in slices[thread::threads]:
            sums.add(features[part], columns(part))
        return sums

    if threads == 1:
        return [work(0)]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(threads)))


def _column_sums(columns: Any) -> np.ndarray:
    """Return (K,) the sums of columns, dense or sparse."""
    import numpy as np

    sums = np.asarray(columns.sum(0))
    return sums.reshape(-1)


def _count_blas_threads() -> int:
    """Return the number of threads that the environment gives BLAS."""
    from threadpoolctl import threadpool_info

    counts = [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]
    return max(counts, default=1)
