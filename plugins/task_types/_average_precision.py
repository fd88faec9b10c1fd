"""COCO's average precision of detections on a split.

For a class and a threshold t of the overlap (intersection over union, IoU): the detections of an
image, the best first, each take the box of their class that they overlap most among those that no
better detection has taken, if the overlap is t or more; a detection that takes a box is a hit. With
the detections of all images in the order of their scores, h(k) hits among the first k, and n boxes
in the split,

    recall(k) = h(k) / n        precision(k) = max over j ≥ k of h(j) / j

and the average precision is the mean, over the recalls r = 0, 0.01, …, 1, of the precision at the
first k with recall(k) ≥ r, 0 where there is none. COCO's AP is the mean over the classes and over t
= 0.50, 0.55, …, 0.95.

Source: T.-Y. Lin et al., "Microsoft COCO", ECCV 2014 (arXiv 1405.0312), and its reference program
pycocotools, with which every number agrees bit for bit: ties between boxes go to the later one,
ties between scores to the earlier image.

Which detections are hits is decided image by image and cached: a bootstrap over images, which
measures a hundred draws of the same images, only has to merge them (torchmetrics, which wraps
pycocotools, takes ten times as long).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pycocotools import mask as coco_boxes

MAX_DETECTIONS = 100
"""Detections of an image and a class that count, the best first."""
CACHED_IMAGES = 4096
"""Images whose hits are cached."""
THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Overlaps t from which a detection can be a hit."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls r at which the precision is read."""
ABSENT = -1.0
"""Precision and recall of a class that has no box, as in pycocotools."""


@dataclass(frozen=True)
class Curves:
    """Precision and recall of every class, T thresholds of the overlap and R recalls.

    Attributes:
        precision: (T, R, C), -1 for classes without a box.
        recall: (T, C), of all detections; -1 for classes without a box.
    """

    precision: np.ndarray
    recall: np.ndarray

    def average(self, threshold: int | None = None) -> float:
        """Return the mean average precision over the classes that have boxes; NaN where no class
        has any.

        Args:
            threshold: index of the threshold; None for the mean over all.
        """
        if threshold is None:
            return _mean_of_present(self.precision)
        return _mean_of_present(self.precision[threshold])

    def average_recall(self) -> float:
        """Return the mean recall over thresholds and the classes that have boxes; NaN where no
        class has any.
        """
        return _mean_of_present(self.recall)


@dataclass(frozen=True)
class ClassHits:
    """The detections of one class in one image, best first.

    Attributes:
        scores: (D,).
        hits: (T, D) bool, which of them take a box at each threshold.
        boxes: number of boxes of the class in the image.
    """

    scores: np.ndarray
    hits: np.ndarray
    boxes: int


def curves_of(predictions: np.ndarray, targets: np.ndarray) -> Curves:
    """Return the curves of a split's detections.

    Args:
        predictions: (N, M, 6) float32: x1, y1, x2, y2, score, class; class -1 for no detection.
        targets: (N, K, 5) float32: x1, y1, x2, y2, class; class -1 for no box.
    """
    hits_by_image = _hits_by_image(predictions, targets)
    labels = {label for by_class in hits_by_image for label in by_class}
    classes = 1 + max(labels, default=-1)
    precision = np.full((len(THRESHOLDS), len(RECALLS), classes), ABSENT)
    recall = np.full((len(THRESHOLDS), classes), ABSENT)
    for label in labels:
        images = [by_class[label] for by_class in hits_by_image if label in by_class]
        boxes = sum(image.boxes for image in images)
        # A class that is only detected has no recall, and COCO's mean leaves it out.
        if not boxes:
            continue
        hits = _merged(images)
        precision[..., label] = [_precision_at_recalls(row, boxes) for row in hits]
        recall[:, label] = hits.sum(axis=1) / boxes
    return Curves(precision, recall)


def _hits_by_image(predictions: np.ndarray, targets: np.ndarray) -> list[dict[int, ClassHits]]:
    """Return the hits of each class, image by image, from the cache where they are in it."""
    detections = np.ascontiguousarray(predictions, np.float32)
    truth = np.ascontiguousarray(targets, np.float32)
    hits_by_image = []
    for detected, boxes in zip(detections, truth, strict=True):
        # Bytes are hashable, which arrays are not: they are the key of the cache.
        hits = _image_hits(detected.tobytes(), boxes.tobytes())
        hits_by_image.append(hits)
    return hits_by_image


def _merged(images: Sequence[ClassHits]) -> np.ndarray:
    """Return the hits (T, D) of the detections of all images, best first."""
    scores = np.concatenate([image.scores for image in images])
    hits = np.concatenate([image.hits for image in images], axis=1)
    # A stable sort: of equal scores that of the earlier image comes first, as in pycocotools.
    order = np.argsort(-scores, kind="stable")
    return hits[:, order]


def _precision_at_recalls(hits: np.ndarray, boxes: int) -> np.ndarray:
    """Return the precision (R,) at each recall.

    Args:
        hits: (D,) bool, whether each detection is a hit, in the order of their scores.
        boxes: n, the number of boxes of the class.
    """
    true = np.cumsum(hits).astype(float)
    false = np.cumsum(~hits).astype(float)
    # pycocotools adds this spacing, and the last bit of every number depends on it.
    precision = true / (false + true + np.spacing(1))
    # The maximum over j ≥ k is a running maximum from the end.
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(true / boxes, RECALLS, side="left")
    # Beyond the last detection the precision is 0.
    return np.append(best_from_here, 0.0)[first]


@lru_cache(CACHED_IMAGES)
def _image_hits(predicted: bytes, true: bytes) -> dict[int, ClassHits]:
    """Return the hits of each class that an image has, or that was detected in it.

    Args:
        predicted: detections (M, 6) float32.
        true: boxes (K, 5) float32.
    """
    detections = np.frombuffer(predicted, np.float32).reshape(-1, 6)
    detections = detections[detections[:, 5] >= 0]
    detected_classes = detections[:, 5].astype(int)
    truth = np.frombuffer(true, np.float32).reshape(-1, 5)
    truth = truth[truth[:, 4] >= 0]
    true_classes = truth[:, 4].astype(int)

    hits = {}
    for label in np.union1d(detected_classes, true_classes).tolist():
        detections_of_class = detections[detected_classes == label]
        truth_of_class = truth[true_classes == label]
        hits[label] = _class_hits(detections_of_class, truth_of_class)
    return hits


def _class_hits(detections: np.ndarray, truth: np.ndarray) -> ClassHits:
    """Return the hits of detections (D, 6) of one class and image against its boxes (G, 5).

    All thresholds are matched at once: ``free`` (T, G) are the boxes that no better detection has
    taken, and one row of overlaps decides at each threshold which box the detection takes.
    """
    order = np.argsort(-detections[:, 4], kind="stable")[:MAX_DETECTIONS]
    best = detections[order].astype(float)
    scores = best[:, 4]
    hits = np.zeros((len(THRESHOLDS), len(best)), dtype=bool)
    if not len(best) or not len(truth):
        return ClassHits(scores, hits, len(truth))

    is_crowd = [0] * len(truth)
    overlaps = coco_boxes.iou(_sized(best), _sized(truth.astype(float)), is_crowd)
    free = np.ones((len(THRESHOLDS), len(truth)), dtype=bool)
    every_threshold = np.arange(len(THRESHOLDS))
    for detection, row in enumerate(overlaps):
        candidates = np.where(free, row, -1.0)
        # The last of equal maxima, as in pycocotools.
        from_last = candidates[:, ::-1].argmax(axis=1)
        box = len(truth) - 1 - from_last
        is_hit = candidates[every_threshold, box] >= THRESHOLDS
        hits[:, detection] = is_hit
        free[every_threshold, box] &= ~is_hit
    return ClassHits(scores, hits, len(truth))


def _sized(boxes: np.ndarray) -> np.ndarray:
    """Return x, y, width, height (n, 4) of boxes that begin with x1, y1, x2, y2."""
    corner = boxes[:, :2]
    size = boxes[:, 2:4] - corner
    return np.concatenate([corner, size], axis=1)


def _mean_of_present(values: np.ndarray) -> float:
    """Return the mean of the values of classes that have boxes, NaN where there are none."""
    present = values[values > ABSENT]
    if not present.size:
        return float("nan")
    return float(present.mean())
