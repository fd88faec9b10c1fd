"""Probes: the places of a dense task's images whose features are scored, few enough, and the same for every source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from headwater.harness.data.pixels import MAX_PIXELS_PER_CLASS, cells_at, draw
from headwater.harness.data.prepared import Prepared
from headwater.harness.measure.pyramid import STRIDES
from headwater.registry import Probe, Task, TaskType
from headwater.registry.errors import BadPlugin, NotApplicable

MAX_PLACES = 4000
"""Places that are scored, where they have no classes to be balanced."""


def probe_of(task: Task, task_type: TaskType, prepared: Prepared, rows: np.ndarray) -> Probe:
    """What is scored of these rows of the train split, ``image`` counting from the first of them.

    Of places, one in each cell of the deepest map, of these at most ``MAX_PIXELS_PER_CLASS`` of each class, or ``MAX_PLACES`` where labels are no classes,
    drawn by a seed of their own, so that every source is asked the same. Raises NotApplicable where no place has a label, BadPlugin for
    what is no probe of these images.
    """
    targets = prepared.train.targets
    given = task_type.methods.probe(targets if len(rows) == len(targets) else targets[rows])
    probe = _checked(given, task_type, len(rows))
    if not len(probe.labels):
        raise NotApplicable(
            f"{task.name}: none of its {len(rows):,} images has anything to score",
            subject=task.name,
        )
    if probe.places is None:
        return probe
    return _few(
        _apart(probe, prepared.train.images.shape[1] // STRIDES[-1]),
        task_type.probed_as == "classification",
    )


def _checked(probe: Probe | None, task_type: TaskType, images: int) -> Probe:
    def broken(what: str) -> BadPlugin:
        return BadPlugin(
            f"{task_type.name}.probe {what}", subject=task_type.name, hint="See hw.Probe."
        )

    if not isinstance(probe, Probe):
        raise broken(
            f"returned a {type(probe).__name__}, though its card says probed_as={task_type.probed_as!r}"
        )
    count, image = len(probe.labels), np.asarray(probe.image)
    if image.shape != (count,) or (
        count and not (image[0] >= 0 and image[-1] < images and (np.diff(image) >= 0).all())
    ):
        raise broken(
            f"does not say in ascending order which of {images:,} images each of its {count:,} labels is of"
        )
    if probe.places is None:
        return probe
    if not task_type.dense:
        raise broken("names places, though the type is not dense and looks at vectors of features")
    places = np.asarray(probe.places)
    if places.shape != (count, 2) or not ((places >= 0) & (places <= 1)).all():
        raise broken(
            f"has places of shape {places.shape}, or outside of the image; wanted are {count:,} (x, y) from 0 to 1"
        )
    return probe


def _apart(probe: Probe, cells: int) -> Probe:
    """One of the places in each of an image's ``cells`` × ``cells``, any of them.

    Places in one cell have the same features: rows that are repeated count as evidence that is not there, and a cross-validation finds
    them again among those that it learned from. Nor is there one for each class: a row's nearest neighbour would be itself, of another
    class. That an image's classes are probed alike already gives each of them its share of the cells.
    """
    assert probe.places is not None, "only places share cells"
    order = np.random.default_rng(0).permutation(len(probe.labels))
    rows, columns = cells_at(probe.places, cells, cells)
    at = (probe.image * cells + rows) * cells + columns
    return _only(probe, np.sort(order[np.unique(at[order], return_index=True)[1]]))


def _few(probe: Probe, has_classes: bool) -> Probe:
    random, everything = np.random.default_rng(0), np.arange(len(probe.labels))
    if has_classes:
        labels = np.asarray(probe.labels).reshape(-1)
        kept = np.sort(
            np.concatenate(
                [
                    draw(np.flatnonzero(labels == label), MAX_PIXELS_PER_CLASS, random)
                    for label in np.unique(labels)
                ]
            )
        )
    else:
        kept = draw(everything, MAX_PLACES, random)
    return _only(probe, kept)


def _only(probe: Probe, kept: np.ndarray) -> Probe:
    places = None if probe.places is None else probe.places[kept]
    return replace(probe, labels=probe.labels[kept], image=probe.image[kept], places=places)


def features_at(probe: Probe, looks: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(M, D) features of a probe's places: of each the cell that it lies in.

    ``looks``: batches of (B,) images, ascending and with all that the probe names, and their maps (B, D, h, w).
    """
    assert probe.places is not None, "else features are pooled"
    found = []
    for images, maps in looks:
        first, last = np.searchsorted(probe.image, [images[0], images[-1] + 1])
        rows, columns = cells_at(probe.places[first:last], *maps.shape[2:])
        found.append(maps[np.searchsorted(images, probe.image[first:last]), :, rows, columns])
    return np.concatenate(found)
