"""COCO's average precision of detections on a split, by pycocotools.

Which detections are right is decided image by image, and is kept: a bootstrap over images, which measures a hundred draws of the same
images, then only has to add them up (torchmetrics, which wraps the same pycocotools, takes ten times as long).
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

MOST = 100
"""Detections of an image that count, the best first."""
_KEPT = 4096
"""Images whose matches are kept."""
_ALL = [0.0, 1e10]
"""COCO's range of areas that leaves none out."""


@dataclass(frozen=True)
class Curves:
    """``precision``: (T, R, C), -1 for classes without a box; ``recall``: (T, C), of all detections. T: thresholds of the overlap (IoU)
    from 0.5 to 0.95; R: recalls from 0 to 1; C: classes."""

    precision: np.ndarray
    recall: np.ndarray

    def average(self, threshold: int | None = None) -> float:
        """Mean average precision over the classes that have boxes, at one threshold's index or over all; NaN where no class has any."""
        precision = self.precision if threshold is None else self.precision[threshold]
        return _mean(precision[precision > -1])

    def average_recall(self) -> float:
        return _mean(self.recall[self.recall > -1])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def curves_of(predictions: np.ndarray, targets: np.ndarray) -> Curves:
    """Of detections (N, M, 6), x1, y1, x2, y2, score, class, against boxes (N, K, 5), x1, y1, x2, y2, class; class -1 for none."""
    images = [
        _matches(one.tobytes(), len(one), true.tobytes(), len(true))
        for one, true in _rows(predictions, targets)
    ]
    classes = sorted({label for image in images for label in image})
    total = _evaluation(classes, range(len(images)))
    total.evalImgs = [image.get(label) for label in classes for image in images]
    total._paramsEval = total.params
    if not classes:
        return Curves(
            np.zeros((len(total.params.iouThrs), 0, 0)), np.zeros((len(total.params.iouThrs), 0))
        )
    with contextlib.redirect_stdout(io.StringIO()):  # it reports on its progress
        total.accumulate()
    precision, recall = total.eval["precision"][..., 0, 0], total.eval["recall"][..., 0, 0]
    wide = max(classes) + 1
    return Curves(_spread(precision, classes, wide), _spread(recall, classes, wide))


def _rows(predictions: np.ndarray, targets: np.ndarray) -> Any:
    return zip(
        np.ascontiguousarray(predictions, np.float32),
        np.ascontiguousarray(targets, np.float32),
        strict=True,
    )


def _spread(values: np.ndarray, classes: Sequence[int], wide: int) -> np.ndarray:
    spread = np.full((*values.shape[:-1], wide), -1.0)
    spread[..., list(classes)] = values
    return spread


def _evaluation(classes: Sequence[int], images: Sequence[int]) -> COCOeval:
    evaluation = COCOeval(iouType="bbox")
    evaluation.params.catIds, evaluation.params.imgIds = list(classes), list(images)
    evaluation.params.areaRng, evaluation.params.maxDets = [_ALL], [MOST]
    return evaluation


@lru_cache(_KEPT)
def _matches(
    predicted: bytes, detections: int, true: bytes, boxes: int
) -> dict[int, dict[str, Any]]:
    """Class -> what COCOeval.evaluateImg says of one image, for the classes that it has or that were said of it."""
    found = np.frombuffer(predicted, np.float32).reshape(detections, 6)
    given = np.frombuffer(true, np.float32).reshape(boxes, 5)
    found, given = found[found[:, 5] >= 0], given[given[:, 4] >= 0]
    labels = sorted({*found[:, 5].astype(int).tolist(), *given[:, 4].astype(int).tolist()})
    evaluation = _evaluation(labels, [0])
    # Boxes are numbered from 1: to pycocotools a match with 0 is none.
    evaluation._dts = _by_class(
        [_entry(row, number, score=float(row[4])) for number, row in enumerate(found, 1)],
        found[:, 5],
    )
    evaluation._gts = _by_class(
        [_entry(row, number, iscrowd=0, ignore=0) for number, row in enumerate(given, 1)],
        given[:, 4],
    )
    evaluation.ious = {(0, label): evaluation.computeIoU(0, label) for label in labels}
    return {label: _slim(evaluation.evaluateImg(0, label, _ALL, MOST)) for label in labels}


def _entry(row: np.ndarray, number: int, **facts: float) -> dict[str, Any]:
    x1, y1, x2, y2 = row[:4].astype(float).tolist()
    return {
        "id": number,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        **facts,
    }


def _by_class(
    entries: list[dict[str, Any]], labels: np.ndarray
) -> defaultdict[tuple[int, int], list[dict[str, Any]]]:
    grouped = defaultdict(list)
    for entry, label in zip(entries, labels.astype(int).tolist(), strict=True):
        grouped[0, label].append(entry)
    return grouped


def _slim(result: dict[str, Any]) -> dict[str, Any]:
    """What ``accumulate`` reads."""
    return {name: result[name] for name in ("dtScores", "dtMatches", "dtIgnore", "gtIgnore")}
