"""Checks of a task: it loads, the same every time, with sound labels and splits that share no
image.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from headwater.harness.conformance.check import CardChecks, Check, Observation, broken, promise
from headwater.harness.conformance.contents import image_digest
from headwater.harness.conformance.elsewhere import digest_elsewhere, task_digest
from headwater.registry import Kind, Registry, Split, Task, TaskType

THUMBNAIL_SIDE = 32
"""Side, in pixels, at which images are decoded, to see that they can be."""

MAX_SHARED = 0.01
"""Largest share of test images that may also be in train: large collections hold a few doubles."""


def checks(card: Task, registry: Registry) -> list[Check]:
    """Return the checks of a task."""
    return TaskChecks(card, registry).all()


class TaskChecks(CardChecks[Task]):
    """Checks of a task's images and targets; its splits are loaded once."""

    @cached_property
    def type(self) -> TaskType:
        return self.registry.task_type(self.card.type)

    @cached_property
    def loaded(self) -> tuple[dict[str, Split], tuple[str, ...]]:
        from headwater.harness.data.splits import splits_of

        return splits_of(self.card)

    @promise("card", essential=True)
    def card_is_sound(self) -> str:
        metrics = {metric.name: metric.directed for metric in self.type.metrics}
        if self.card.metric and self.card.metric not in metrics:
            raise broken(
                f"{self.card.type} has no metric {self.card.metric!r}",
                f"Its metrics: {', '.join(metrics)}.",
            )
        domains = self.registry.cards[Kind.DOMAIN]
        if self.card.domain and self.card.domain not in domains:
            hint = f"Use one of: {', '.join(domains)}; or add a Domain to the plugin."
            raise broken(f"its domain {self.card.domain!r} is not known", hint)
        metric = metrics[self.card.metric or next(iter(metrics))]
        return f"{self.card.type} by {metric} · {self.card.domain or 'card lacks domain'}"

    @promise("loads", essential=True)
    def loads(self) -> str:
        splits, _ = self.loaded
        return f"{len(splits['train'].images):,} + {len(splits['test'].images):,} images"

    @promise("labels")
    def labels_fit(self) -> str:
        from headwater.harness.data.prepared import load_usable

        usable = load_usable(self.card, self.type, THUMBNAIL_SIDE)
        self.type.methods.outputs(usable.encoded["train"].targets, usable.classes)
        summary = self.type.counted(usable.classes) or "targets fit"
        if usable.flaws:
            summary = f"{summary} · {usable.flawed}"
        return Observation(summary, usable.flaws)

    @promise("decodes")
    def decodes(self) -> str:
        from headwater.harness.data.decoding import decode_all

        for split in self.loaded[0].values():
            out = np.empty((len(split.images), THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3), np.uint8)
            decode_all(split.images, split.names, THUMBNAIL_SIDE, out, threads=1)
        return "decodes"

    @promise("disjoint")
    def splits_are_disjoint(self) -> str:
        splits, _ = self.loaded
        test = splits["test"]
        in_train = {image_digest(image) for image in _images(splits["train"])}
        digests = map(image_digest, _images(test))
        shared = [
            name for name, digest in zip(test.names, digests, strict=True) if digest in in_train
        ]
        if len(shared) > MAX_SHARED * len(test.images):
            raise broken(
                f"{len(shared)} test images are in train too, {shared[0]} the first",
                "Take them out of one of the splits.",
            )
        return f"splits disjoint but for {len(shared)}" if shared else "splits disjoint"

    @promise("elsewhere")
    def same_elsewhere(self) -> str:
        if digest_elsewhere(self.card, self.registry) != task_digest(*self.loaded):
            hint = (
                "Seed whatever is random, sort what is listed, and depend on no time and no hash()."
            )
            raise broken("another process loads different data", hint)
        return "same in another process"


def _images(split: Split) -> Iterator[Any]:
    """Yield the images of a split, which may be any sequence by rows."""
    for row in range(len(split.images)):
        yield split.images[row]
