"""Semantic segmentation: the class of every pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Flaw,
    Metric,
    Probe,
    Pyramid,
    TargetColumn,
    Task,
    TaskTypeMethods,
    columns,
    task_type,
)
from headwater.plugins.task_types._checks import check_finite

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

METRICS = tuple(
    Metric(name, low=0, high=1)
    for name in ("miou", "pixel_accuracy", "mean_accuracy", "weighted_iou")
)

VOID = 255
"""The value of pixels of no class, in encoded masks; always void in masks as they are stored, too.
"""
WIDTH = 64
"""Channels of the head: what two CPU cores bear."""
DROPOUT = 0.2
"""Share of channels dropped before the last layer."""
FIRST_WEIGHTS_GAIN = 1.0
"""Gain of the last layer's first weights. Near zero the head begins at the loss of guessing, and
short trainings end far worse.
"""
IMAGES_AT_ONCE = 16
"""Images brought to full size at once in evaluation: there are as many maps as classes."""
PROBED_PIXELS = 24
"""Pixels of each class that are probed in an image."""


@task_type(
    "segmentation",
    metrics=METRICS,
    dense=True,
    probed_as="classes",
    conventions={"void": VOID},
    target_column=TargetColumn(
        "a mask for each image",
        fits=columns.is_map,
        surely=lambda feature: columns.is_a(feature, "Image"),
        names=r"^annotations?$|^masks?$|^labels?$|segment|semantic|mask|annotat|label|^gt$|^target$",
        guess_order=2,
    ),
)
class segmentation(TaskTypeMethods):
    """The class of every pixel.

    Targets as data sets write them: masks of class numbers, ``void`` where there is no class.
    Encoded: (N, S, S) uint8, 255 for void. Predictions: (N, S, S) class numbers.

    Subsets are not balanced by class (``strata`` are all one): an image holds several, and strata
    by the rarest would be so many and so small that few of them gave an image to validate on.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Return masks, (n, S, S) uint8, void 255.

        Raises:
            DataError: a mask cannot be read, or has other than whole numbers.
        """
        import numpy as np

        from headwater.plugins.task_types._maps import MapKind, encode_maps

        void, count = _void(given.task), len(given.classes)
        if count > VOID:
            raise DataError(
                f"{given.task.name} has {count} classes; segmentation takes up to {VOID}",
                subject=given.task.name,
            )

        def read(stored: np.ndarray, name: str) -> tuple[np.ndarray, Flaw | None]:
            mask = _whole_numbers(stored, name)
            voided = (mask == void) | (mask == VOID)
            unknown = ~voided & ((mask < 0) | (mask >= count))
            encoded = np.where(voided | unknown, VOID, mask).astype(np.uint8)
            return encoded, _unknown_classes(name, mask[unknown], count)

        kind = MapKind("mask", np.uint8, VOID, empty="a mask of nothing but void")
        return encode_maps(given, kind, read)

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """Return "0" up to the largest number that is not void. Opens every mask.

        Raises:
            DataError: the numbers are not those of classes: too large, or most of them never used.
        """
        import numpy as np

        from headwater.plugins.task_types._maps import open_map

        void = _void(task)
        used = np.zeros(VOID, dtype=bool)
        largest = -1
        for row, target in enumerate(targets):
            name = f"{task.name}: image {row}"
            stored = open_map(target, "mask", name)
            if stored is None:
                continue
            mask = _whole_numbers(stored, name)
            numbers = mask[(mask >= 0) & (mask != void) & (mask != VOID)]
            largest = max(largest, int(numbers.max(initial=-1)))
            used[numbers[numbers < VOID]] = True
        if largest >= VOID:
            raise DataError(
                f"{task.name} has masks with the class {largest}, the largest can be {VOID - 1}",
                subject=task.name,
                hint="Are they numbers of instances, or is a value void (void=65535)? Masks of classes are wanted.",
            )
        # Fewer than half of 0 to the largest are used, as where a mask has two shades of grey.
        if 2 * used.sum() <= largest:
            few = ", ".join(_first_numbers(np.flatnonzero(used)))
            raise DataError(
                f"{task.name} has masks with only {few} of the numbers 0 to {largest}",
                subject=task.name,
                hint=f"void={largest} where that marks pixels of no class; else write 0, 1, 2, …, "
                "or name all classes (classes=road+sky+car).",
            )
        return tuple(str(number) for number in range(largest + 1))

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """Return the number of classes. A class that no training mask has is only never learned.

        Raises:
            DataError: the training masks have fewer than two classes.
        """
        import numpy as np

        masks_with = sum(
            np.bincount(mask.ravel(), minlength=VOID + 1)[:VOID] > 0 for mask in targets
        )
        present = np.flatnonzero(masks_with)
        if len(present) < 2:
            only = classes[int(present[0])]
            raise DataError(
                f"its training masks have only the class {only}; two or more are needed",
                hint=f"{VOID} is always void: write a foreground of {VOID} as 1.",
            )
        return len(classes)

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Return a head of logits (B, C, S, S) in training, of likeliest classes (B, S, S) float in
        evaluation.
        """
        from headwater.plugins.task_types._maps import MapHead, at_full_size

        assert isinstance(features, Pyramid), "the type is dense"
        return MapHead(
            features,
            outputs,
            width=WIDTH,
            dropout=DROPOUT,
            gain=FIRST_WEIGHTS_GAIN,
            in_training=at_full_size,
            in_evaluation=_likeliest,
        )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return cross entropy plus Dice loss of logits (B, C, S, S) against masks (B, S, S); 0
        where all is void.

        With p_c(i) the probability of class c at pixel i, y_i its class, and sums over the batch's
        n pixels that are not void,
            − Σ_i log p_(y_i)(i) / n  +  1 − mean over c of  2 Σ_i p_c(i) [y_i = c] / (Σ_i p_c(i) +
            Σ_i [y_i = c])
        where the mean is over the classes that occur in the batch. Dice: Milletari et al., "V-Net",
        3DV 2016 (arXiv 1606.04797), section 3, with the probabilities themselves in the
        denominator, not their squares: it keeps small classes from being given up.
        """
        valid = targets != VOID
        classes = targets.masked_fill(~valid, 0).long()
        logarithms = outputs.log_softmax(1)
        of_truth = logarithms.gather(1, classes[:, None])[:, 0]
        entropy = -(of_truth * valid).sum() / valid.sum().clamp(min=1)
        probabilities = logarithms.exp() * valid[:, None]
        return entropy + _dice_loss(probabilities, of_truth.exp()[valid], classes[valid])

    def chance(self, outputs: int) -> float:
        """Return the loss of the probability 1 / C everywhere, for classes that are as frequent as
        each other.
        """
        return math.log(outputs) + 1 - 1 / outputs

    def constant(self, targets: np.ndarray, outputs: int) -> Tensor:
        """Return each pixel's most frequent class, (S, S); where all masks are void, the most
        frequent of all.
        """
        import numpy as np
        import torch

        side = targets.shape[1:]
        pixel = np.arange(side[0] * side[1])
        counts = np.zeros((VOID + 1, len(pixel)), dtype=np.int32)
        for mask in targets:  # one by one: masks are mapped, and there may be many
            counts[mask.ravel(), pixel] += 1
        counts = counts[:outputs]
        overall = counts.sum(1).argmax()
        classes = np.where(counts.any(0), counts.argmax(0), overall)
        return torch.from_numpy(classes.reshape(side)).float()

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Return mean IoU, pixel accuracy, mean accuracy and frequency-weighted IoU of class
        numbers (N, S, S).

        Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015 (arXiv
        1411.4038), section 5. Over the pixels of the whole split that are not void, with t_c of
        class c, of which h_c are predicted as c, and m_c predicted as c: IoU_c = h_c / (t_c + m_c −
        h_c), accuracy_c = h_c / t_c. The mean IoU is over the classes that occur in targets or
        predictions, the mean accuracy over those in targets; the weighted IoU weighs a class by
        t_c.

        Raises:
            TrainingError: predictions are not numbers.
        """
        return self.tallied(self.tally(predictions, targets).sum(0))

    def tally(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return each image's pixels of each class: recognised, present, and predicted, (N, 3 C).

        C is as large as classes occur in targets or predictions.
        """
        import torch
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        check_finite(predictions)
        count = 1 + int(max(predictions.max(), targets.masked_fill(targets == VOID, 0).max()))
        tallies = torch.zeros(len(targets), 3, count, dtype=torch.float64)
        for image, (predicted, truth) in enumerate(zip(predictions, targets, strict=True)):
            table = multiclass_confusion_matrix(
                predicted.long(), truth.long(), count, ignore_index=VOID, validate_args=False
            )
            tallies[image] = torch.stack([table.diagonal(), table.sum(1), table.sum(0)])
        return tallies.flatten(1)

    def tallied(self, sums: Tensor) -> Mapping[str, float]:
        """Return the metrics, from the (3 C,) sums of ``tally``."""
        hits, truth, predicted = sums.view(3, -1)
        union = truth + predicted - hits
        iou = hits / union.clamp(min=1)
        pixels = truth.sum().clamp(min=1)
        return {
            "miou": float(iou[union > 0].mean()),
            "pixel_accuracy": float(hits.sum() / pixels),
            "mean_accuracy": float((hits / truth.clamp(min=1))[truth > 0].mean()),
            "weighted_iou": float((truth * iou).sum() / pixels),
        }

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """Return the IoU of each class that occurs in targets or predictions."""
        hits, truth, predicted = self.tally(predictions, targets).sum(0).view(3, -1)
        union = truth + predicted - hits
        occurring = union.nonzero()[:, 0].tolist()
        return {"iou": {classes[index]: float(hits[index] / union[index]) for index in occurring}}

    def augmentation(self, mirror: bool) -> Transform | None:
        """Return shift, zoom and, if ``mirror``, mirroring; what comes in from outside the image is
        void.
        """
        from headwater.plugins.task_types._augmentation import move_maps

        return move_maps(mirror, VOID)

    def annotate(self, target: Tensor) -> dict[str, Any]:
        """Return a mask (S, S) as a tv_tensor."""
        from torchvision.tv_tensors import Mask

        return {"mask": Mask(target)}

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        """Return the moved mask, encoded."""
        from torch import Tensor

        return annotations["mask"].as_subclass(Tensor).to(target.dtype)

    def probe(self, targets: np.ndarray) -> Probe | None:
        """Return up to 24 random pixels of every class in an image; labels (M,) are their classes."""
        import numpy as np

        labels, images, places = [], [], []
        for image, mask in enumerate(targets):
            # An image's pixels do not depend on which others are probed.
            random = np.random.default_rng(0)
            for number in np.unique(mask[mask != VOID]):
                pixels = np.argwhere(mask == number)
                chosen = pixels[np.sort(random.permutation(len(pixels))[:PROBED_PIXELS])]
                labels.append(np.full(len(chosen), number, dtype=np.int64))
                images.append(np.full(len(chosen), image, dtype=np.int64))
                places.append((chosen[:, ::-1] + 0.5) / mask.shape[::-1])
        return Probe(np.concatenate(labels), np.concatenate(images), np.concatenate(places))

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> np.ndarray:
        """Return the number of each pixel's class, (height, width) uint8."""
        from headwater.plugins.task_types._maps import resize_map

        return resize_map(prediction, *shape).astype("uint8")

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """Return the image, its classes and the predicted ones drawn over it, and what the colours
        mean.
        """
        import numpy as np

        from headwater.plugins.task_types._drawing import draw_colour_key, draw_mask

        predicted = np.asarray(prediction).astype(np.int64)
        numbers = [number for number in np.union1d(target, predicted).tolist() if number != VOID]
        return [
            ("image", image),
            ("truth", draw_mask(image, target, VOID)),
            ("prediction", draw_mask(image, predicted, VOID)),
            ("classes", draw_colour_key(numbers, classes)),
        ]


def _void(task: Task) -> int:
    value = task.conventions.get("void", VOID)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(
            f"{task.name}: void is {value!r}, a whole number was expected",
            subject=task.name,
            hint="void=11: the number that pixels of no class have.",
        )
    return value


def _whole_numbers(stored: np.ndarray, name: str) -> np.ndarray:
    """Return a mask in a type that holds -1 and 255; raise DataError for other than whole numbers."""
    if stored.dtype.kind not in "uib":
        raise DataError(
            f"the mask of {name} has values of type {stored.dtype}",
            subject=name,
            hint="A mask has whole numbers, one for each class.",
        )
    small = stored.dtype.kind == "b" or stored.dtype.itemsize < 4
    return stored.astype("int32") if small else stored


def _unknown_classes(name: str, values: np.ndarray, count: int) -> Flaw | None:
    import numpy as np

    if not len(values):
        return None
    noun = "pixel" if len(values) == 1 else "pixels"
    return Flaw.counting(
        name,
        f"has {{}} {noun} of no known class{{items}}: known are 0 to {count - 1}",
        "taken as void",
        code="pixel-of-no-class",
        numbers=[len(values)],
        items=_first_numbers(np.unique(values)),
    )


def _first_numbers(numbers: np.ndarray) -> list[str]:
    """Return the first numbers as text; "…" stands for more."""
    first = [str(number) for number in numbers[:5].tolist()]
    return [*first, "…"] if len(numbers) > 5 else first


def _dice_loss(probabilities: Tensor, of_truth: Tensor, classes: Tensor) -> Tensor:
    """Return 1 − Dice, a mean over the classes that occur.

    Args:
        probabilities: (B, C, S, S), 0 at void pixels.
        of_truth: (n,) probability of the true class at the n pixels that are not void.
        classes: (n,) their true classes.
    """
    zeros = probabilities.new_zeros(probabilities.shape[1])
    present = zeros.index_add(0, classes, of_truth.new_ones(len(classes)))
    hit = zeros.index_add(0, classes, of_truth)
    dice = 2 * hit / (probabilities.sum((0, 2, 3)) + present).clamp(min=1e-6)
    occurs = present > 0
    return ((1 - dice) * occurs).sum() / occurs.sum().clamp(min=1)


def _likeliest(logits: Tensor) -> Tensor:
    """Return the class numbers (B, S, S) float of logits (B, C, S / 4, S / 4); NaN where a logit
    is.
    """
    import torch

    from headwater.plugins.task_types._maps import at_full_size

    numbers = []
    for some_images in logits.split(IMAGES_AT_ONCE):
        largest, number = at_full_size(some_images).max(1)
        numbers.append(number.float().masked_fill(largest.isnan(), math.nan))
    return torch.cat(numbers)
