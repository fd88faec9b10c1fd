"""Adjust means for missing cells by the two-way additive model.

Rows r (sources) are measured in columns c (seeds, targets or families), y_rc = a_r + b_c + noise,
and some cells are missing. A row's plain mean then depends on which columns it has: one that was
measured in easy columns only would lead. Its adjusted mean is a_r + mean(b), what the row would
have reached over all columns.

Least squares: given b, a_r is the mean over the row's cells of y_rc - b_c. Put into the equations
of b, this leaves L b = d, with m_rc = 1 where a cell is present and n_r the cells of a row:

    L = diag(sum_r m_rc) - sum_r m_rc m_rc' / n_r,     d_c = sum_r m_rc (y_rc - mean_r).

L is the Laplacian of the graph that links columns sharing a row. Its null space has one vector per
linked part, so b is known up to a constant per part; the pseudo-inverse makes each part's b sum to
zero. Rows of different parts have no column in common, even through others, and cannot be compared.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array


def adjusted_means(values: Array, *, compare_parts: bool = False) -> Array:
    """Return (B, R), each row's mean over all columns of its table; plain means of whole tables.

    Args:
        values: (B, R, C) B tables of rows and columns, NaN where a cell is missing.
        compare_parts: Whether rows of parts that share no column are compared all the same, as if
            both had met columns that are equally easy. If not, only the largest part has means.
    """
    rows, columns = effects(values)
    means = rows + mean_of_present(columns)[:, None]
    if not compare_parts:
        for table in np.flatnonzero(~_are_whole(values)):
            means[table, ~linked_rows(~np.isnan(values[table]))] = np.nan
    return means


def residuals(values: Array) -> Array:
    """Return (B, R, C), what the additive model leaves of each cell; NaN where it is missing."""
    rows, columns = effects(values)
    return values - rows[:, :, None] - columns[:, None, :]


def effects(values: Array) -> tuple[Array, Array]:
    """Return the effects a (B, R) and b (B, C) of each table (B, R, C); NaN without a cell.

    b is zero on average over the columns of each part.
    """
    columns = mean_of_present(values.transpose(0, 2, 1))
    columns = columns - mean_of_present(columns)[:, None]
    for table in np.flatnonzero(~_are_whole(values)):
        laplacian, pulls = _equations_of_columns(values[table])
        solved = np.linalg.pinv(laplacian, hermitian=True) @ pulls
        columns[table] = np.where(np.isnan(columns[table]), np.nan, solved)
    return mean_of_present(values - columns[:, None, :]), columns


def linked_rows(present: Array) -> Array:
    """Return (R,) bool, the rows of the part with the most cells of one table (R, C) bool."""
    labels, _ = _parts(present)
    cells = present.sum(axis=1)
    if not cells.any():
        return cells > 0
    sizes = np.bincount(labels, weights=cells)
    return (labels == sizes.argmax()) & (cells > 0)


def residual_degrees(present: Array) -> int:
    """Return the degrees of freedom that the additive model leaves: cells - rows - columns +
    parts.
    """
    rows = present.any(axis=1)
    if not rows.any():
        return 0
    parts = len(np.unique(_parts(present)[0][rows]))
    return int(present.sum() - rows.sum() - present.any(axis=0).sum() + parts)


def parts_of_columns(present: Array) -> Array:
    """Return (C,), the label of the linked part that each column of one table (R, C) lies in."""
    return _parts(present)[1]


def mean_of_present(values: Array) -> Array:
    """Return the means along the last axis of the cells that are no NaN; NaN where there is none."""
    present = ~np.isnan(values)
    counts = present.sum(axis=-1)
    sums = np.where(present, values, 0).sum(axis=-1)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _are_whole(values: Array) -> Array:
    """Return (B,) bool, whether no measured row of a table lacks a column that another has."""
    present = ~np.isnan(values)
    without_row = ~present.any(axis=2)[:, :, None]
    without_column = ~present.any(axis=1)[:, None, :]
    return np.asarray((present | without_row | without_column).all(axis=(1, 2)))


def _equations_of_columns(values: Array) -> tuple[Array, Array]:
    """Return L (C, C) and d (C,) of the module's derivation."""
    present = (~np.isnan(values)).astype(float)
    counts = np.maximum(present.sum(axis=1, keepdims=True), 1)
    centred = np.nan_to_num(values - mean_of_present(values)[:, None])
    laplacian = np.diag(present.sum(axis=0)) - (present / counts).T @ present
    return laplacian, centred.sum(axis=0)


def _parts(present: Array) -> tuple[Array, Array]:
    """Return (R,) and (C,), the labels of the linked parts in which rows and columns lie."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = present.shape
    graph = np.zeros((rows + columns, rows + columns), dtype=np.int8)
    graph[:rows, rows:] = present
    _, labels = connected_components(csr_array(graph), directed=False)
    return labels[:rows], labels[rows:]
