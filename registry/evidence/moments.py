"""Moments: the sufficient statistics of features and labels, gathered in one pass and exact when
shards are merged.

With z = x − o the features about an origin o, and y the label columns, the sums

    Σz,  Σzzᵀ,  Σyzᵀ,  Σy,  Σy²,  Σ‖z‖²z,  Σ‖z‖⁴        over N images

are all that ``logme``, ``hscore``, the discriminants and the principal axes need. They are gathered
about a point near the mean: XᵀX − N m mᵀ of features far from zero would be the small difference of
two large numbers, and lose the digits that count. To move them from o to another point p, put
d = o − p, so that x − p = z + d, and multiply out (``about``):

    Σ(z+d)          = Σz + N d
    Σ(z+d)(z+d)ᵀ    = Σzzᵀ + Σz dᵀ + d (Σz + N d)ᵀ
    Σ‖z+d‖²(z+d)    = Σ‖z‖²z + (Σ‖z‖²) d + 2 Σzzᵀd + 2 (dᵀΣz) d + ‖d‖² Σz + N ‖d‖² d
    Σ‖z+d‖⁴         = Σ‖z‖⁴ + 4 dᵀΣ‖z‖²z + 4 dᵀΣzzᵀd + 2 ‖d‖² Σ‖z‖² + 4 ‖d‖² dᵀΣz + N ‖d‖⁴

where Σ‖z‖² is the trace of Σzzᵀ. Sums about the same point add up (Chan, Golub and LeVeque 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import TYPE_CHECKING, Any

from headwater.registry.errors import DataError
from headwater.registry.evidence.labels import LabelKind, count_columns, label_columns
from headwater.registry.evidence.sums import Sums, sum_in_blocks

if TYPE_CHECKING:
    import numpy as np

SAMPLE_ROWS = 256
"""Rows, evenly spaced, whose mean the sums are taken about."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Sums over N images of z = x − ``origin``, in float64; y are the label columns: one-hot
    classes, flags, or numbers.

    Attributes:
        count: N.
        origin: (D,) the point that the sums are about.
        sums: (D,) Σz.
        gram: (D, D) Σzzᵀ.
        cross: (K, D) Σyzᵀ; for classes the sums by class.
        label_sums: (K,) Σy; for classes their counts.
        label_squares: (K,) Σy².
        cubes: (D,) Σ‖z‖²z.
        fourths: Σ‖z‖⁴.
    """

    count: int
    origin: np.ndarray
    sums: np.ndarray
    gram: np.ndarray
    cross: np.ndarray
    label_sums: np.ndarray
    label_squares: np.ndarray
    cubes: np.ndarray
    fourths: float

    @classmethod
    def of(
        cls,
        features: np.ndarray,
        labels: np.ndarray,
        *,
        label_kind: LabelKind = LabelKind.CLASSES,
        classes: int | None = None,
    ) -> Moments:
        """Gather the moments of features, in blocks.

        Args:
            features: (N, D).
            labels: Encoded, as an Evidence has them.
            label_kind: Their kind.
            classes: The number of classes, where a shard may lack the last of them.
        """
        import numpy as np

        sample = features[:: max(1, len(features) // SAMPLE_ROWS)]
        origin = np.zeros(features.shape[1])
        if len(sample):
            origin = sample.mean(0, dtype=np.float64)
        width = count_columns(labels, label_kind, classes)

        def columns(part: slice) -> Any:
            return label_columns(labels[part], label_kind, width)

        sums_of_threads = sum_in_blocks(features, columns, lambda: Sums(origin, width))
        return reduce(add, map(cls.of_sums, sums_of_threads))

    @classmethod
    def of_sums(cls, sums: Sums) -> Moments:
        """Return sums that were gathered block by block as moments."""
        return cls(
            count=sums.count,
            origin=sums.origin,
            sums=sums.sums,
            gram=sums.gram,
            cross=sums.cross,
            label_sums=sums.label_sums,
            label_squares=sums.label_squares,
            cubes=sums.cubes,
            fourths=sums.fourths,
        )

    def about(self, point: np.ndarray) -> Moments:
        """Return the same moments about another point (D,), as derived in the module's docstring."""
        import numpy as np

        count = self.count
        shift = self.origin - point
        square = shift @ shift
        trace = np.trace(self.gram)
        along = self.sums @ shift
        turned = self.gram @ shift
        moved_sums = self.sums + count * shift
        outer_products = np.outer(self.sums, shift)
        gram = self.gram + outer_products + np.outer(shift, moved_sums)
        cubes = (
            self.cubes
            + trace * shift
            + 2 * turned
            + 2 * along * shift
            + square * self.sums
            + count * square * shift
        )
        fourths = (
            self.fourths
            + 4 * shift @ turned
            + count * square**2
            + 4 * shift @ self.cubes
            + 2 * square * trace
            + 4 * square * along
        )
        return Moments(
            count=count,
            origin=np.asarray(point),
            sums=moved_sums,
            gram=gram,
            cross=self.cross + np.outer(self.label_sums, shift),
            label_sums=self.label_sums,
            label_squares=self.label_squares,
            cubes=cubes,
            fourths=float(fourths),
        )

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of two shards together, about the origin of the first.

        Raises:
            DataError: The shards differ in their features or label columns.
        """
        if self.cross.shape != other.cross.shape:
            classes, width = self.cross.shape
            other_classes, other_width = other.cross.shape
            raise DataError(
                f"shards of {width} features and {classes} classes do not add up with"
                f" {other_width} and {other_classes}",
                subject="moments",
                hint="Give classes= to Moments.of where a shard may lack a class.",
            )
        moved = other if other.origin is self.origin else other.about(self.origin)
        return Moments(
            count=self.count + moved.count,
            origin=self.origin,
            sums=self.sums + moved.sums,
            gram=self.gram + moved.gram,
            cross=self.cross + moved.cross,
            label_sums=self.label_sums + moved.label_sums,
            label_squares=self.label_squares + moved.label_squares,
            cubes=self.cubes + moved.cubes,
            fourths=self.fourths + moved.fourths,
        )

    @cached_property
    def mean(self) -> np.ndarray:
        """(D,) the mean of the features."""
        return self.origin + self.sums / self.count

    @cached_property
    def centred(self) -> Moments:
        """The moments about the mean: ``centred.gram / N`` is the covariance."""
        return self.about(self.mean)

    @cached_property
    def raw(self) -> Moments:
        """The moments about zero: ``raw.gram`` is XᵀX, ``raw.cross`` YᵀX."""
        import numpy as np

        return self.about(np.zeros_like(self.origin))

    @cached_property
    def class_means(self) -> np.ndarray:
        """(C, D) the mean of each class about the mean of all images; every class must occur."""
        return self.centred.cross / self.label_sums[:, None]

    @cached_property
    def within(self) -> np.ndarray:
        """(D, D) the covariance within classes: Σ_c Σ_{i∈c} (x − μ_c)(x − μ_c)ᵀ / N.

        It is what remains of the total scatter without the scatter of the class means.
        """
        weighted = self.class_means * self.label_sums[:, None]
        scatter: np.ndarray = self.centred.gram - weighted.T @ self.class_means
        scatter /= self.count
        return scatter
