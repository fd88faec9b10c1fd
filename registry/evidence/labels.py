"""The kinds of labels that estimators score features against, however the task type is called."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from headwater.registry.errors import BadPlugin, DataError
from headwater.registry.evidence.arrays import finite_floats

if TYPE_CHECKING:
    import numpy as np


class LabelKind(StrEnum):
    """What the labels of images are to an estimator. Cards declare it; nothing asks for a type's name.

    Attributes:
        CLASSES: One class for each image: (N,) int64, 0 to C − 1.
        NUMBERS: K real numbers for each image: (N, K) float64.
        FLAGS: For each image and each of K labels whether it applies: (N, K) int64, 0 or 1.
    """

    CLASSES = "classes"
    NUMBERS = "numbers"
    FLAGS = "flags"

    @property
    def has_classes(self) -> bool:
        """True if the labels name classes, so that there is a count of them."""
        return self is not LabelKind.NUMBERS


_ALLOWED = ", ".join(LabelKind)


def label_kinds(names: str | Iterable[str], owner: str) -> tuple[LabelKind, ...]:
    """Return the kinds of labels that a card declares, by their names.

    Args:
        names: A name, or several; "" for none.
        owner: The name of the card, for the error.

    Raises:
        BadPlugin: There is no such kind.
    """
    if isinstance(names, str):
        names = [names] if names else []
    kinds = []
    for name in names:
        try:
            kinds.append(LabelKind(name))
        except ValueError:
            raise BadPlugin(
                f"{owner} declares labels of kind {name!r}, which does not exist",
                subject=owner,
                hint=f"The kinds are {_ALLOWED}.",
            ) from None
    return tuple(kinds)


def encode_labels(labels: Any, kind: str) -> np.ndarray:
    """Return labels in the form that ``LabelKind`` gives for their kind.

    Args:
        labels: One for each image, or a row of K. Classes are any numbers or names: they become
            0 to C − 1 in the sorted order of those that occur. A single column may be flat.
        kind: The kind of the labels.

    Raises:
        DataError: The labels are not of that kind, or all the same.
    """
    if kind == LabelKind.CLASSES:
        return _encode_classes(labels)
    if kind == LabelKind.NUMBERS:
        return _encode_numbers(labels)
    if kind == LabelKind.FLAGS:
        return _encode_flags(labels)
    raise DataError(
        f"features are not scored for labels of kind {kind!r}",
        subject="label_kind",
        hint=f"The kinds are {_ALLOWED}.",
    )


def count_columns(labels: np.ndarray, kind: LabelKind, classes: int | None = None) -> int:
    """Return the number K of label columns of encoded labels: for classes that of the classes.

    Args:
        labels: Encoded labels.
        kind: Their kind.
        classes: The least number of classes, where these labels may lack the last of them.
    """
    if kind is not LabelKind.CLASSES:
        return int(labels.shape[1])
    return max(classes or 0, int(labels.max(initial=-1)) + 1)


def label_columns(labels: np.ndarray, kind: LabelKind, width: int) -> Any:
    """Return encoded labels as float64 columns (B, K): classes one-hot, and sparse.

    Args:
        labels: Encoded labels of a block of B images.
        kind: Their kind.
        width: The number K of columns.
    """
    import numpy as np
    from scipy.sparse import csr_array

    if kind is not LabelKind.CLASSES:
        return labels.astype(np.float64)
    # With a thousand classes the dense one-hot rows would be larger than the features.
    count = len(labels)
    return csr_array((np.ones(count), labels, np.arange(count + 1)), shape=(count, width))


# -- checks by kind --------------------------------------------------------------------------------


def _encode_classes(labels: Any) -> np.ndarray:
    """Return (N,) int64: 0 to C − 1 in the sorted order of the labels that occur."""
    import numpy as np

    array = _flat_labels(labels)
    _check_whole(array)
    try:
        classes, encoded = np.unique(array, return_inverse=True)
    except TypeError:
        # Numbers among names have no order; as text they do.
        classes, encoded = np.unique(array.astype(str), return_inverse=True)
    if len(classes) < 2:
        problem = f"all labels are {classes[0]!s}" if len(classes) else "there are no labels"
        raise DataError(f"{problem}: a score needs two classes or more", subject="labels")
    return encoded.reshape(-1).astype(np.int64)


def _flat_labels(labels: Any) -> np.ndarray:
    """Return one label for each image, (N,); a single column is flattened."""
    import numpy as np

    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise DataError(f"labels are not one for each image: {error}", subject="labels") from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"labels have shape {array.shape}; wanted is one class for each image",
            subject="labels",
            hint="Give class numbers or names: labels.argmax(1) of one-hot rows. "
            "Several labels for an image are flags: name a task type of that kind.",
        )
    return array


def _check_whole(array: np.ndarray) -> None:
    """Raise DataError where a label is missing, or a number that numbers no class."""
    import numpy as np

    if array.dtype.kind == "f":
        is_whole = np.isfinite(array) & (array == np.round(array))
        if not is_whole.all():
            raise DataError(
                "labels are no whole numbers",
                subject="labels",
                hint="Real-valued targets are numbers: name a task type of that kind.",
            )
    # NaN is the one value that differs from itself.
    if array.dtype == object and any(label is None or label != label for label in array):
        raise DataError(
            "an image has no label",
            subject="labels",
            hint="Leave images without a label out.",
        )


def _encode_numbers(labels: Any) -> np.ndarray:
    """Return (N, K) float64."""
    import numpy as np

    array = _rows_of_labels(labels, "targets")
    _check_differ(array, "targets")
    return array.astype(np.float64)


def _encode_flags(labels: Any) -> np.ndarray:
    """Return (N, K) int64."""
    import numpy as np

    array = _rows_of_labels(labels, "flags")
    if not np.isin(array, (0, 1)).all():
        raise DataError(
            "flags are 0 or 1, and these labels are not",
            subject="labels",
            hint="Give (images, classes) flags.",
        )
    _check_differ(array, "labels")
    return array.astype(np.int64)


def _rows_of_labels(labels: Any, columns: str) -> np.ndarray:
    """Return (N, K) float64; a single column may be flat."""
    import numpy as np

    try:
        array = np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"labels are not numbers: {error}",
            subject="labels",
            hint=f"Give images × {columns}.",
        ) from None
    if array.ndim == 1:
        array = array[:, None]
    return finite_floats(array, "labels", f"images × {columns}")


def _check_differ(array: np.ndarray, name: str) -> None:
    if (array == array[0]).all():
        raise DataError(
            f"all images have the same {name}: there is nothing to tell apart",
            subject="labels",
        )
