"""What a task promises: it loads, the same every time, with sound labels and splits that share no image."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from headwater.harness.conformance.check import Check, Observation, broken
from headwater.harness.conformance.contents import content
from headwater.harness.conformance.elsewhere import answer_elsewhere, task_digest
from headwater.registry import Kind, Registry, Split, Task, TaskType

THUMBNAIL = 32
"""Side, in pixels, at which images are decoded to see that they can be."""

SHARED = 0.01
"""Share of test images that may also be in train: large collections hold a few doubles."""


def checks(card: Task, registry: Registry) -> list[Check]:
    subject = _Subject(card, registry)
    named = {
        "card": subject.card_is_sound,
        "loads": subject.loads,
        "labels": subject.labels_fit,
        "decodes": subject.decodes,
        "disjoint": subject.splits_are_disjoint,
        "elsewhere": subject.same_elsewhere,
    }
    return [
        Check(card.name, name, look, essential=name in ("card", "loads"))
        for name, look in named.items()
    ]


class _Subject:
    def __init__(self, card: Task, registry: Registry) -> None:
        self.card = card
        self.registry = registry

    @cached_property
    def type(self) -> TaskType:
        return self.registry.task_type(self.card.type)

    @cached_property
    def loaded(self) -> tuple[dict[str, Split], tuple[str, ...]]:
        from headwater.harness.data.splits import splits_of

        return splits_of(self.card)

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
        return f"{self.card.type} by {metrics[self.card.metric or next(iter(metrics))]} · {self.card.domain or 'card lacks domain'}"

    def loads(self) -> str:
        splits, _ = self.loaded
        return f"{len(splits['train'].images):,} + {len(splits['test'].images):,} images"

    def labels_fit(self) -> str:
        from headwater.harness.data.prepared import load_usable

        kept = load_usable(self.card, self.type, THUMBNAIL)
        self.type.methods.outputs(kept.found["train"].targets, kept.classes)
        fits = self.type.counted(kept.classes) or "targets fit"
        return Observation(f"{fits} · {kept.flawed}" if kept.flaws else fits, kept.flaws)

    def decodes(self) -> str:
        from headwater.harness.data.decoding import decode_all

        for split in self.loaded[0].values():
            out = np.empty((len(split.images), THUMBNAIL, THUMBNAIL, 3), np.uint8)
            decode_all(split.images, split.names, THUMBNAIL, out, threads=1)
        return "decodes"

    def splits_are_disjoint(self) -> str:
        splits, _ = self.loaded
        train = {content(splits["train"].images[row]) for row in range(len(splits["train"].images))}
        test = splits["test"]
        shared = [
            test.names[row] for row in range(len(test.images)) if content(test.images[row]) in train
        ]
        if len(shared) > SHARED * len(test.images):
            raise broken(
                f"{len(shared)} test images are in train too, {shared[0]} the first",
                "Take them out of one of the splits.",
            )
        return f"splits disjoint but for {len(shared)}" if shared else "splits disjoint"

    def same_elsewhere(self) -> str:
        if answer_elsewhere(self.card, self.registry) != task_digest(*self.loaded):
            hint = (
                "Seed whatever is random, sort what is listed, and depend on no time and no hash()."
            )
            raise broken("another process loads different data", hint)
        return "same in another process"
