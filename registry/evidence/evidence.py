"""Evidence: what an estimator may look at, checked once and shared by all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headwater.registry.errors import DataError
from headwater.registry.evidence.shape import Shape

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.discriminant import Discriminant
    from headwater.registry.evidence.moments import Moments
    from headwater.registry.evidence.principal import Principal

TOLERANCE = 1e-3
"""By how much a row of probabilities may miss 1: heads are often evaluated in half precision."""

EXACT = 1e-6
"""By how much it may after it was rescaled: the rounding of float32."""

BLOCK = 1 << 22
"""Values that are looked at together: features on disk are never read into memory as a whole."""

TASK_TYPES = ("classification", "regression", "multilabel")


@dataclass(frozen=True)
class Evidence:
    """Frozen features of one source on one task's images, and what else is known of these images.

    ``features``: (N, D) float32 or float64, finite. ``labels``: for classification (N,) int64, 0 to
        C − 1 over the classes that occur, in the order of the labels given; for regression (N, K)
        float64; for multilabel (N, K) int64, 0 or 1.
    ``source_probabilities``: (N, Cs) of the same float, rows adding up to 1 within 1e-6, or None
        where the source has no classifier. Make one with ``Evidence.of``, which checks and
        compacts. Estimators share the arrays: none may change them.
    """

    features: np.ndarray
    labels: np.ndarray
    source_probabilities: np.ndarray | None = None
    task_type: str = "classification"

    @classmethod
    def of(
        cls,
        features: Any,
        labels: Any,
        source_probabilities: Any = None,
        task_type: str = "classification",
    ) -> Evidence:
        """Check arrays and compact their labels; raises DataError saying what is wrong with which."""
        features = _floats(features, "features", "images × features")
        count = len(features)
        if count < 2:
            raise DataError(
                f"features are of {count} image{'' if count == 1 else 's'}: a score needs two or more",
                subject="features",
            )
        encoded = _labels(labels, task_type)
        _same_length(len(encoded), count, "labels")
        if source_probabilities is not None:
            source_probabilities = _probabilities(source_probabilities)
            _same_length(len(source_probabilities), count, "source_probabilities")
        return cls(features, encoded, source_probabilities, task_type)

    @cached_property
    def moments(self) -> Moments:
        """The sufficient statistics, one pass over the features."""
        from headwater.registry.evidence.moments import Moments

        return Moments.of(self.features, self.labels, task_type=self.task_type)

    @cached_property
    def principal(self) -> Principal:
        """The features' principal axes; from the moments where there are more images than features."""
        from headwater.registry.evidence.principal import Principal

        count, width = self.features.shape
        return Principal.of(self.features, self.moments if count > width else None)

    @cached_property
    def discriminant(self) -> Discriminant:
        """The shrunk linear discriminant of the classes, from the moments."""
        from headwater.registry.evidence.discriminant import Discriminant

        return Discriminant.of(self.moments)

    @property
    def shape(self) -> Shape:
        count, width = self.features.shape
        source_classes = (
            None if self.source_probabilities is None else self.source_probabilities.shape[1]
        )
        return Shape(count, width, self._classes, source_classes)

    @property
    def _classes(self) -> int | None:
        if self.task_type == "classification":
            return int(self.labels.max()) + 1
        return None if self.task_type == "regression" else self.labels.shape[1]


def _same_length(count: int, images: int, what: str) -> None:
    if count != images:
        raise DataError(
            f"{what} are of {count:,} images, features of {images:,}",
            subject=what,
            hint="Give one row for each image.",
        )


def _floats(values: Any, what: str, axes: str) -> np.ndarray:
    """(rows, columns) finite floats; float64 and float32 stay what they are, float16 becomes
    float32.
    """
    import numpy as np

    try:
        array = np.asanyarray(values) if isinstance(values, np.memmap) else np.asarray(values)
        if array.dtype.kind not in "iubf":
            raise TypeError(f"they are of type {array.dtype}")
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} are not an array of numbers: {error}", subject=what, hint=f"Give {axes}."
        ) from None
    if array.ndim != 2 or not array.shape[1]:
        hint = (
            "Pool or flatten feature maps first; for dense tasks: hw.sample_pixels."
            if array.ndim > 2
            else f"Give {axes}."
        )
        raise DataError(
            f"{what} have shape {array.shape}; wanted are two axes, {axes}", subject=what, hint=hint
        )
    _all_finite(array, what)
    return array


def _all_finite(array: np.ndarray, what: str) -> None:
    import numpy as np

    rows = max(1, BLOCK // max(1, array.shape[1]))
    for start in range(0, len(array), rows):
        finite = np.isfinite(array[start : start + rows])
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            value = array[start + row, column]
            hint = "Half precision overflows beyond 65,504: extract the features in float32."
            raise DataError(
                f"{what} of image {start + row} have the value {value} in column {column}",
                subject=what,
                hint=hint,
            )


def _labels(labels: Any, task_type: str) -> np.ndarray:
    if task_type == "classification":
        return _classes_of(labels)
    if task_type == "regression":
        return _targets(labels)
    if task_type == "multilabel":
        return _flags(labels)
    hint = f"There are {', '.join(TASK_TYPES)}. Pixels of dense tasks are sampled as classification: hw.sample_pixels."
    raise DataError(
        f"features are not scored for {task_type} tasks", subject="task_type", hint=hint
    )


def _classes_of(labels: Any) -> np.ndarray:
    """(N,) int64: 0 to C − 1 in the sorted order of the labels that occur."""
    import numpy as np

    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise DataError(f"labels are not one for each image: {error}", subject="labels") from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = "Give class numbers or names: labels.argmax(1) of one-hot rows; or task_type='multilabel'."
        raise DataError(
            f"labels have shape {array.shape}; wanted is one class for each image",
            subject="labels",
            hint=hint,
        )
    if array.dtype.kind == "f" and not (
        np.isfinite(array).all() and (array == np.round(array)).all()
    ):
        raise DataError(
            "labels are no whole numbers",
            subject="labels",
            hint="Give task_type='regression' for real-valued targets.",
        )
    if array.dtype == object and any(label is None or label != label for label in array):
        raise DataError(
            "an image has no label", subject="labels", hint="Leave images without a label out."
        )
    try:
        classes, encoded = np.unique(array, return_inverse=True)
    except TypeError:  # numbers among names
        classes, encoded = np.unique(array.astype(str), return_inverse=True)
    if len(classes) < 2:
        found = f"all labels are {classes[0]!s}" if len(classes) else "there are no labels"
        raise DataError(f"{found}: a score needs two classes or more", subject="labels")
    return encoded.reshape(-1).astype(np.int64)


def _targets(labels: Any) -> np.ndarray:
    import numpy as np

    array = _columns(labels, "targets")
    if (array == array[0]).all():
        raise DataError(
            "all images have the same targets: there is nothing to tell apart", subject="labels"
        )
    return array.astype(np.float64)


def _flags(labels: Any) -> np.ndarray:
    import numpy as np

    array = _columns(labels, "flags")
    if not np.isin(array, (0, 1)).all():
        raise DataError(
            "labels of a multilabel task are 0 or 1",
            subject="labels",
            hint="Give (images, classes) flags.",
        )
    if (array == array[0]).all():
        raise DataError(
            "all images have the same labels: there is nothing to tell apart", subject="labels"
        )
    return array.astype(np.int64)


def _columns(labels: Any, what: str) -> np.ndarray:
    """(N, K) float64; a single column may be given flat."""
    import numpy as np

    try:
        array = np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"labels are not numbers: {error}", subject="labels", hint=f"Give images × {what}."
        ) from None
    return _floats(array[:, None] if array.ndim == 1 else array, "labels", f"images × {what}")


def _probabilities(values: Any) -> np.ndarray:
    """(N, Cs), rows adding up to 1: rescaled where they miss it by more than rounding."""
    import numpy as np

    array = _floats(values, "source_probabilities", "images × source classes")
    sums = array.sum(1, dtype=np.float64)
    worst = int(np.abs(sums - 1).argmax())
    low = float(array.min())
    if low < -TOLERANCE or abs(sums[worst] - 1) > TOLERANCE:
        wrong = (
            f"has the value {low:g}"
            if low < -TOLERANCE
            else f"adds up to {sums[worst]:g} for image {worst}"
        )
        hint = "Give the softmax of the source head's outputs, not the outputs themselves."
        raise DataError(
            f"source_probabilities are no probabilities: one {wrong}",
            subject="source_probabilities",
            hint=hint,
        )
    if low < 0 or abs(sums[worst] - 1) > EXACT:
        array = np.maximum(array, 0)
        array = array / array.sum(1, dtype=np.float64, keepdims=True).astype(array.dtype)
    return array
