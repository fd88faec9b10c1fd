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
    Task,
    TaskTypeMethods,
    TrainingError,
    task_type,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

METRICS = tuple(
    Metric(name, low=0, high=1)
    for name in ("miou", "pixel_accuracy", "mean_accuracy", "weighted_iou")
)

VOID = 255
"""The value of pixels of no class, in encoded masks; always void in masks as they are stored, too."""
WIDTH = 64
"""Channels of the head: what two CPU cores bear."""
DROPOUT = 0.2
GAIN = 1.0
"""Of the last layer's first weights. With weights near zero it begins at the loss of guessing, and short trainings end far worse."""
CHUNK = 16
"""Images brought to full size at once in evaluation: there are as many maps as classes."""
PROBED = 24
"""Pixels of each class that are probed in an image."""


@task_type(
    "segmentation",
    metrics=METRICS,
    dense=True,
    probed_as="classification",
    conventions={"void": VOID},
)
class segmentation(TaskTypeMethods):
    """The class of every pixel. Targets are masks of class numbers, ``void`` where there is none; predictions (N, S, S) class numbers.

    Subsets are not balanced by class (``strata`` are all one): an image holds several, and strata by the rarest would be
    so many and so small that few of them gave an image to validate on.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Masks (n, S, S) uint8, void 255. Raises DataError for masks that cannot be read, or are no whole numbers."""
        import numpy as np

        from headwater.plugins.task_types._maps import encode_maps

        void, count = _void(given.task), len(given.classes)
        if count > VOID:
            raise DataError(
                f"{given.task.name} has {count} classes; segmentation takes up to {VOID}",
                subject=given.task.name,
            )

        def read(found: np.ndarray, name: str) -> tuple[np.ndarray, Flaw | None]:
            mask = _whole(found, name)
            voided = (mask == void) | (mask == VOID)
            unknown = ~voided & ((mask < 0) | (mask >= count))
            return np.where(voided | unknown, VOID, mask).astype(np.uint8), _unknown(
                name, mask[unknown], count
            )

        return encode_maps(given, "mask", np.uint8, VOID, "a mask of nothing but void", read)

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """ "0" up to the largest number that is not void: every mask is opened for it.

        Raises DataError where the numbers are not those of classes: too large, or most of them never used.
        """
        import numpy as np

        from headwater.plugins.task_types._maps import opened

        void, seen, largest = _void(task), np.zeros(VOID, dtype=bool), -1
        for row, target in enumerate(targets):
            name = f"{task.name}: image {row}"
            if (found := opened(target, "mask", name)) is not None:
                mask = _whole(found, name)
                numbers = mask[(mask >= 0) & (mask != void) & (mask != VOID)]
                largest = max(largest, int(numbers.max(initial=-1)))
                seen[numbers[numbers < VOID]] = True
        if largest >= VOID:
            hint = "Are they numbers of instances, or is a value void (void=65535)? Masks of classes are wanted."
            raise DataError(
                f"{task.name} has masks with the class {largest}, the largest can be {VOID - 1}",
                subject=task.name,
                hint=hint,
            )
        if (
            2 * seen.sum() <= largest
        ):  # fewer than half of 0 to the largest, such as two shades of grey
            only = f"only {_named(np.flatnonzero(seen))} of the numbers 0 to {largest}"
            hint = f"void={largest} where that marks pixels of no class; else write 0, 1, 2, …, or name all classes (classes=road+sky+car)."
            raise DataError(f"{task.name} has masks with {only}", subject=task.name, hint=hint)
        return tuple(str(number) for number in range(largest + 1))

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """One per class; raises DataError where there is nothing to tell apart. A class that no training mask has is only never learned."""
        import numpy as np

        present = sum(np.bincount(mask.ravel(), minlength=VOID + 1)[:VOID] > 0 for mask in targets)
        found = np.flatnonzero(present)
        if len(found) < 2:
            hint = f"{VOID} is always void: write a foreground of {VOID} as 1."
            raise DataError(
                f"its training masks have only the class {classes[int(found[0])]}; two or more are needed",
                hint=hint,
            )
        return len(classes)

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Logits (B, outputs, S, S) in training, the likeliest class (B, S, S) float in evaluation."""
        from headwater.plugins.task_types._maps import MapHead, at_full_size

        assert isinstance(features, Pyramid), "the type is dense"
        return MapHead(
            features,
            outputs,
            width=WIDTH,
            dropout=DROPOUT,
            gain=GAIN,
            in_training=at_full_size,
            in_evaluation=_likeliest,
        )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy and Dice loss of logits (B, C, S, S) against masks (B, S, S), void left out; 0 where all is void.

        Cross entropy is a mean over pixels; Dice, over the batch, a mean over the classes that occur in it (Milletari et al. 2016,
        arXiv 1606.04797, section 3, with cardinalities as they are): it keeps small classes from being given up.
        """
        valid = targets != VOID
        classes = targets.masked_fill(~valid, 0).long()
        logarithms = outputs.log_softmax(1)
        of_truth = logarithms.gather(1, classes[:, None])[:, 0]
        entropy = -(of_truth * valid).sum() / valid.sum().clamp(min=1)
        return entropy + _dice_loss(
            logarithms.exp() * valid[:, None], of_truth.exp()[valid], classes[valid]
        )

    def chance(self, outputs: int) -> float:
        """Of saying 1 / C of everything, of classes that are as frequent as each other."""
        return math.log(outputs) + 1 - 1 / outputs

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Long et al. 2015 (arXiv 1411.4038, section 5), over the pixels of the whole split that are not void.

        The mean IoU is over the classes that occur in targets or predictions, the mean accuracy over those in targets; the weighted
        IoU weighs a class by its pixels. Raises TrainingError for predictions that are not numbers.
        """
        return self.tallied(self.tally(predictions, targets).sum(0))

    def tally(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Pixels of each class that were recognised, that there are, and that were said to be: (N, 3 C), C as far as classes occur."""
        import torch
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        if not bool(predictions.isfinite().all()):
            raise TrainingError(
                "the network's outputs are not numbers",
                hint="Lower the learning rate, or turn mixed precision off.",
            )
        count = 1 + int(max(predictions.max(), targets.masked_fill(targets == VOID, 0).max()))
        tallies = torch.zeros(len(targets), 3, count, dtype=torch.float64)
        for image, (said, true) in enumerate(zip(predictions, targets, strict=True)):
            table = multiclass_confusion_matrix(
                said.long(), true.long(), count, ignore_index=VOID, validate_args=False
            )
            tallies[image] = torch.stack([table.diagonal(), table.sum(1), table.sum(0)])
        return tallies.flatten(1)

    def tallied(self, sums: Tensor) -> Mapping[str, float]:
        hits, truth, said = sums.view(3, -1)
        union = truth + said - hits
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
        """The IoU of each class that occurs in targets or predictions."""
        hits, truth, said = self.tally(predictions, targets).sum(0).view(3, -1)
        union = truth + said - hits
        return {
            "iou": {
                classes[index]: float(hits[index] / union[index])
                for index in union.nonzero()[:, 0].tolist()
            }
        }

    def augmentation(self, mirror: bool) -> Transform | None:
        from headwater.plugins.task_types._maps import moving

        return moving(mirror, VOID)

    def annotate(self, target: Tensor) -> dict[str, Any]:
        from torchvision.tv_tensors import Mask

        return {"mask": Mask(target)}

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        from torch import Tensor

        return annotations["mask"].as_subclass(Tensor).to(target.dtype)

    def probe(self, targets: np.ndarray) -> Probe | None:
        """Of every class in an image as many pixels, up to 24, drawn alike whatever else is probed; labels are their classes."""
        import numpy as np

        labels, images, places = [], [], []
        for image, mask in enumerate(targets):
            random = np.random.default_rng(
                0
            )  # an image's pixels do not depend on which others are there
            for number in np.unique(mask[mask != VOID]):
                found = np.argwhere(mask == number)
                chosen = found[np.sort(random.permutation(len(found))[:PROBED])]
                labels.append(np.full(len(chosen), number, dtype=np.int64))
                images.append(np.full(len(chosen), image, dtype=np.int64))
                places.append((chosen[:, ::-1] + 0.5) / mask.shape[::-1])
        return Probe(np.concatenate(labels), np.concatenate(images), np.concatenate(places))

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> np.ndarray:
        """The number of each pixel's class, (height, width) uint8."""
        from headwater.plugins.task_types._maps import resized

        return resized(prediction, *shape).astype("uint8")

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """The image, its classes and those predicted drawn over it, and what the colours mean. Void is drawn as it is."""
        import numpy as np

        from headwater.plugins.task_types._maps_drawn import drawn, key

        said = np.asarray(prediction).astype(np.int64)
        occur = [number for number in np.union1d(target, said).tolist() if number != VOID]
        both = [("truth", drawn(image, target, VOID)), ("prediction", drawn(image, said, VOID))]
        return [("image", image), *both, ("classes", key(occur, classes))]


def _void(task: Task) -> int:
    value = task.conventions.get("void", VOID)
    if isinstance(value, bool) or not isinstance(value, int):
        hint = "void=11: the number that pixels of no class have."
        raise DataError(
            f"{task.name}: void is {value!r}, a whole number was expected",
            subject=task.name,
            hint=hint,
        )
    return value


def _whole(found: np.ndarray, name: str) -> np.ndarray:
    if found.dtype.kind not in "uib":
        hint = "A mask has whole numbers, one for each class."
        raise DataError(
            f"the mask of {name} has values of type {found.dtype}", subject=name, hint=hint
        )
    return found.astype("int32") if found.dtype.kind == "b" or found.dtype.itemsize < 4 else found


def _unknown(name: str, values: np.ndarray, count: int) -> Flaw | None:
    import numpy as np

    if not len(values):
        return None
    what = f"has {len(values)} pixel{'s' * (len(values) != 1)} of no known class ({_named(np.unique(values))}): known are 0 to {count - 1}"
    return Flaw(name, what, "taken as void")


def _named(numbers: np.ndarray) -> str:
    """The first few of them."""
    return ", ".join(map(str, numbers[:5].tolist())) + ", …" * (len(numbers) > 5)


def _dice_loss(said: Tensor, of_truth: Tensor, classes: Tensor) -> Tensor:
    """From what is said of every class, (B, C, S, S); and of the n pixels that count, what is said of their class (n,), and the class."""
    count = said.new_zeros(said.shape[1])
    there = count.index_add(0, classes, of_truth.new_ones(len(classes)))
    hit = count.index_add(0, classes, of_truth)
    dice = 2 * hit / (said.sum((0, 2, 3)) + there).clamp(min=1e-6)
    return ((1 - dice) * (there > 0)).sum() / (there > 0).sum().clamp(min=1)


def _likeliest(found: Tensor) -> Tensor:
    """(B, C, S / 4, S / 4) logits -> (B, S, S) class numbers; NaN where a logit is."""
    import torch

    from headwater.plugins.task_types._maps import at_full_size

    best = (at_full_size(chunk).max(1) for chunk in found.split(CHUNK))
    return torch.cat(
        [number.float().masked_fill(logit.isnan(), math.nan) for logit, number in best]
    )
