"""Check that values are an array of finite numbers, without reading a file into memory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.registry.errors import DataError

if TYPE_CHECKING:
    import numpy as np

BLOCK_VALUES = 1 << 22
"""Values that are looked at together: features on disk are never read into memory as a whole."""


def finite_floats(values: Any, name: str, axes: str) -> np.ndarray:
    """Return values as a (rows, columns) array of finite floats.

    Args:
        values: An array, or what numpy makes one of. It is copied only where its type is neither
            float32 nor float64: float16 becomes float32, everything else float64.
        name: What errors call the values.
        axes: What rows and columns are, for the hint: ``images × features``.

    Raises:
        DataError: The values are no numbers, have other axes, or are not all finite.
    """
    array = _as_floats(values, name, axes)
    if array.ndim != 2 or not array.shape[1]:
        hint = f"Give {axes}."
        if array.ndim > 2:
            hint = "Pool or flatten feature maps first; for dense tasks: hw.sample_pixels."
        raise DataError(
            f"{name} have shape {array.shape}; wanted are two axes, {axes}",
            subject=name,
            hint=hint,
        )
    _check_finite(array, name)
    return array


def _as_floats(values: Any, name: str, axes: str) -> np.ndarray:
    import numpy as np

    try:
        # asarray would turn a mapped file into a plain array; asanyarray keeps what it is.
        array = np.asanyarray(values) if isinstance(values, np.memmap) else np.asarray(values)
        if array.dtype.kind not in "iubf":
            raise TypeError(f"they are of type {array.dtype}")
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} are not an array of numbers: {error}",
            subject=name,
            hint=f"Give {axes}.",
        ) from None
    return array


def _check_finite(array: np.ndarray, name: str) -> None:
    """Raise DataError naming the first value that is NaN or infinite."""
    import numpy as np

    rows = max(1, BLOCK_VALUES // array.shape[1])
    for start in range(0, len(array), rows):
        is_finite = np.isfinite(array[start : start + rows])
        if is_finite.all():
            continue
        row, column = np.argwhere(~is_finite)[0]
        value = array[start + row, column]
        raise DataError(
            f"{name} of image {start + row} have the value {value} in column {column}",
            subject=name,
            hint="Half precision overflows beyond 65,504: extract the features in float32.",
        )
