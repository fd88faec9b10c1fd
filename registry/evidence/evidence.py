"""Evidence: what an estimator may look at, checked once and shared by all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headwater.registry.errors import DataError
from headwater.registry.evidence.arrays import finite_floats
from headwater.registry.evidence.labels import LabelKind, count_columns, encode_labels
from headwater.registry.evidence.shape import Shape

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.discriminant import Discriminant
    from headwater.registry.evidence.moments import Moments
    from headwater.registry.evidence.principal import Principal

SUM_TOLERANCE = 1e-3
"""By how much a row of probabilities may miss 1: heads are often evaluated in half precision."""

RESCALED_TOLERANCE = 1e-6
"""By how much it may after it was rescaled: the rounding of float32."""


@dataclass(frozen=True)
class Evidence:
    """Frozen features of one source on one task's images, and what else is known of these images.

    Make one with ``Evidence.of``, which checks and compacts. Estimators share the arrays: none may
    change them.

    Attributes:
        features: (N, D) float32 or float64, finite.
        labels: Encoded as their kind says: (N,) int64 classes, 0 to C − 1 over those that occur, in
            the sorted order of the labels; (N, K) float64 numbers; or (N, K) int64 flags, 0 or 1.
        source_probabilities: (N, Cs) of the same float, rows adding up to 1 within 1e-6; None where
            the source has no classifier.
        label_kind: What the labels are.
    """

    features: np.ndarray
    labels: np.ndarray
    source_probabilities: np.ndarray | None = None
    label_kind: LabelKind = LabelKind.CLASSES

    @classmethod
    def of(
        cls,
        features: Any,
        labels: Any,
        source_probabilities: Any = None,
        label_kind: str = LabelKind.CLASSES,
    ) -> Evidence:
        """Check arrays and compact their labels.

        Args:
            features: (N, D) numbers.
            labels: (N,) classes, or (N, K) numbers or flags.
            source_probabilities: (N, Cs), the source's own classes for each image.
            label_kind: What the labels are: a LabelKind, or its name.

        Raises:
            DataError: An array cannot be scored; says which, and what is wrong with it.
        """
        features = finite_floats(features, "features", "images × features")
        count = len(features)
        if count < 2:
            images = "1 image" if count == 1 else f"{count} images"
            raise DataError(
                f"features are of {images}: a score needs two or more",
                subject="features",
            )
        encoded = encode_labels(labels, label_kind)
        _check_length(len(encoded), count, "labels")
        if source_probabilities is not None:
            source_probabilities = _probabilities(source_probabilities)
            _check_length(len(source_probabilities), count, "source_probabilities")
        return cls(features, encoded, source_probabilities, LabelKind(label_kind))

    @cached_property
    def moments(self) -> Moments:
        """The sufficient statistics, one pass over the features."""
        from headwater.registry.evidence.moments import Moments

        return Moments.of(self.features, self.labels, label_kind=self.label_kind)

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
        """The sizes that the range of a score depends on."""
        images, width = self.features.shape
        classes = None
        if self.label_kind.has_classes:
            classes = count_columns(self.labels, self.label_kind)
        source_classes = None
        if self.source_probabilities is not None:
            source_classes = self.source_probabilities.shape[1]
        return Shape(images, width, classes, source_classes)


def _check_length(count: int, images: int, name: str) -> None:
    if count != images:
        raise DataError(
            f"{name} are of {count:,} images, features of {images:,}",
            subject=name,
            hint="Give one row for each image.",
        )


def _probabilities(values: Any) -> np.ndarray:
    """Return (N, Cs) whose rows add up to 1: rescaled where they miss it by more than rounding."""
    import numpy as np

    array = finite_floats(values, "source_probabilities", "images × source classes")
    sums = array.sum(1, dtype=np.float64)
    worst = int(np.abs(sums - 1).argmax())
    miss = abs(sums[worst] - 1)
    low = float(array.min())
    if low < -SUM_TOLERANCE or miss > SUM_TOLERANCE:
        problem = f"adds up to {sums[worst]:g} for image {worst}"
        if low < -SUM_TOLERANCE:
            problem = f"has the value {low:g}"
        raise DataError(
            f"source_probabilities are no probabilities: one {problem}",
            subject="source_probabilities",
            hint="Give the softmax of the source head's outputs, not the outputs themselves.",
        )
    if low >= 0 and miss <= RESCALED_TOLERANCE:
        return array
    positive = np.maximum(array, 0)
    sums = positive.sum(1, dtype=np.float64, keepdims=True)
    return np.asarray(positive / sums.astype(positive.dtype))
