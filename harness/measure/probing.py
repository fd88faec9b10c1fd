"""Choose the places of a dense task's images whose features are scored, the same for every source.

Places are thinned twice, by fixed draws, so that every source is asked the same:

1. At most one place in each cell of the deepest map. Places in one cell have the same features:
  repeated rows count as evidence that is not there, and a cross-validation would find its test rows
  among its training rows. It is one a cell and not one a class and cell, or a row's nearest
  neighbour would be itself, of another class. That an image's classes are probed alike already
  gives each of them its share of the cells.
2. At most so many of each class, or in all where labels are no classes, so that estimators take
  seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from headwater.harness.data.pixels import MAX_PIXELS_PER_CLASS, cells_at, draw
from headwater.harness.data.prepared import Prepared
from headwater.harness.measure.pyramid import STRIDES
from headwater.registry import LabelKind, Probe, Task, TaskType
from headwater.registry.errors import BadPlugin, NotApplicable

MAX_PLACES = 4000
"""Places that are scored, where they have no classes to be balanced."""


def probe_of(task: Task, task_type: TaskType, prepared: Prepared, rows: np.ndarray) -> Probe:
    """Return what is scored of some images: labels and, where the task type names any, places.

    Args:
        task: The task.
        task_type: Its type; ``probed_as`` says what its labels are.
        prepared: Its data.
        rows: Rows of the train split; ``image`` of the probe counts from the first of them.

    Raises:
        NotApplicable: None of the images has a label.
        BadPlugin: The task type returned no probe of these images.
    """
    targets = prepared.train.targets
    is_all = len(rows) == len(targets)
    probe = task_type.methods.probe(targets if is_all else targets[rows])
    probe = _checked(probe, task_type, len(rows))
    if not len(probe.labels):
        raise NotApplicable(
            f"{task.name}: none of its {len(rows):,} images has anything to score",
            subject=task.name,
        )
    if probe.places is None:
        return probe
    cells = prepared.train.images.shape[1] // STRIDES[-1]
    has_classes = task_type.probed_as is LabelKind.CLASSES
    return _limited(_one_per_cell(probe, cells), has_classes)


def _checked(probe: Probe | None, task_type: TaskType, images: int) -> Probe:
    """Return a plugin's probe of so many images; raises BadPlugin where it breaks the contract."""

    def broken(problem: str) -> BadPlugin:
        message = f"{task_type.name}.probe {problem}"
        return BadPlugin(message, subject=task_type.name, hint="See hw.Probe.")

    if not isinstance(probe, Probe):
        raise broken(
            f"returned a {type(probe).__name__}, "
            f"though its card says probed_as={str(task_type.probed_as)!r}"
        )
    count = len(probe.labels)
    if not _is_ascending(np.asarray(probe.image), count, images):
        raise broken(
            f"does not say in ascending order which of {images:,} images "
            f"each of its {count:,} labels is of"
        )
    if probe.places is None:
        return probe
    if not task_type.dense:
        raise broken("names places, though the type is not dense and looks at vectors of features")
    places = np.asarray(probe.places)
    if places.shape != (count, 2) or not ((places >= 0) & (places <= 1)).all():
        raise broken(
            f"has places of shape {places.shape}, or outside of the image; "
            f"wanted are {count:,} (x, y) from 0 to 1"
        )
    return probe


def _is_ascending(image: np.ndarray, count: int, images: int) -> bool:
    """Return whether there is an image for each label, in ascending order and none out of range."""
    if image.shape != (count,):
        return False
    if not count:
        return True
    return bool(image[0] >= 0 and image[-1] < images and (np.diff(image) >= 0).all())


def _one_per_cell(probe: Probe, cells: int) -> Probe:
    """Keep one random place in each of an image's ``cells`` × ``cells``."""
    assert probe.places is not None, "only places share cells"
    order = np.random.default_rng(0).permutation(len(probe.labels))
    rows, columns = cells_at(probe.places, cells, cells)
    cell = (probe.image * cells + rows) * cells + columns
    # Of each cell, unique returns the first place in the random order.
    _, first = np.unique(cell[order], return_index=True)
    return _rows_of_probe(probe, np.sort(order[first]))


def _limited(probe: Probe, has_classes: bool) -> Probe:
    """Keep at most ``MAX_PIXELS_PER_CLASS`` places of each class.

    Where labels are no classes, keep at most ``MAX_PLACES`` in all.
    """
    random = np.random.default_rng(0)
    if not has_classes:
        all_rows = np.arange(len(probe.labels))
        return _rows_of_probe(probe, draw(all_rows, MAX_PLACES, random))
    labels = np.asarray(probe.labels).reshape(-1)
    drawn: list[np.ndarray] = []
    # One generator for all classes, in their order: the draws of one decide those of the next.
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        drawn.append(draw(rows, MAX_PIXELS_PER_CLASS, random))
    return _rows_of_probe(probe, np.sort(np.concatenate(drawn)))


def _rows_of_probe(probe: Probe, rows: np.ndarray) -> Probe:
    """Return some rows of a probe."""
    places = None if probe.places is None else probe.places[rows]
    return replace(probe, labels=probe.labels[rows], image=probe.image[rows], places=places)


def features_at(probe: Probe, looks: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the features of a probe's places: of each place those of the cell that it lies in.

    Args:
        probe: With M places.
        looks: Batches of images (B,), ascending and with all that the probe names, and their maps
            (B, D, h, w).

    Returns:
        (M, D).
    """
    assert probe.places is not None, "else features are pooled"
    features = []
    for images, maps in looks:
        # Both are ascending, so the labels of a batch are one stretch of the probe.
        first, last = np.searchsorted(probe.image, [images[0], images[-1] + 1])
        rows, columns = cells_at(probe.places[first:last], *maps.shape[2:])
        # Images without a place are not in the batch: its rows are not those of the split.
        position = np.searchsorted(images, probe.image[first:last])
        features.append(maps[position, :, rows, columns])
    return np.concatenate(features)
