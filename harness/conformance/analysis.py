"""What an analysis promises: readings of trained toy networks, and a view that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

from headwater.harness.conformance.check import Check, broken
from headwater.harness.conformance.toys import CLASSES, network, stripes
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry import Analysis, AnalysisView, Reading, Registry


def checks(card: Analysis, registry: Registry) -> list[Check]:
    trial = _Trial(card, registry)
    return [
        Check(card.name, "card", trial.card_is_sound, essential=True),
        Check(card.name, "measures", trial.measures, essential=True),
        Check(card.name, "shows", trial.shows),
    ]


class _Trial:
    """The analysis applied to networks of the toy source on the toy task, with two seeds."""

    def __init__(self, card: Analysis, registry: Registry) -> None:
        self.card = card
        self.registry = registry

    def card_is_sound(self) -> str:
        if not isinstance(self.card.view, AnalysisView):
            raise broken(
                f"its view is a {type(self.card.view).__name__}",
                "Inherit from hw.AnalysisView.",
            )
        return f"looks at {self.card.looks_at}"

    @cached_property
    def readings(self) -> Sequence[Reading]:
        """The readings of the first seed's cell."""
        with TemporaryDirectory() as folder:
            outcome = self._run(Path(folder))
        if outcome.state is not State.DONE:
            raise broken(outcome.reason, f"It was given networks of {CLASSES} classes, two seeds.")
        return outcome.readings

    def _run(self, folder: Path) -> Outcome:
        from headwater.harness.planning.planner import plan
        from headwater.harness.planning.spec import Spec
        from headwater.harness.running.worker import Worker

        source, target = f"{network.name}/trained", stripes.name
        keys = {
            "sources": [source],
            "tasks": [target],
            "adaptations": ["fine_tune"],
            "seeds": 2,
            "image_size": network.input_size,
            "training": {"epochs": 1, "batch_size": 8},
            "anatomy": {"analyses": [self.card.name], "points": 3, "images": 8, "blocks": [4]},
        }
        trained = replace(network, name=source, random=False, scratch=network.name)
        plugins = [self.card, trained, network, stripes]
        made = plan(Spec.of(keys, where="conformance"), Registry.discover(plugins))
        worker = Worker(folder, plugins, 1)
        outcomes = {job.id: worker.run(job) for job in made.jobs.values()}
        return next(outcomes[job.id] for job in made.jobs.values() if job.record.analysis)

    def measures(self) -> str:
        if not all(isinstance(reading, Reading) for reading in self.readings):
            raise broken("it returned something else than readings", "Return a list of hw.Reading.")
        if not self.readings:
            raise broken("it read nothing", "Return a list of hw.Reading.")
        odd = [reading for reading in self.readings if not isfinite(reading.value)]
        if odd:
            raise broken(
                f"{odd[0].quantity} of {odd[0].subject} is {odd[0].value}",
                "Leave out what has no value.",
            )
        return f"{len(self.readings)} readings"

    def shows(self) -> str:
        import pandas as pd

        from headwater.leaderboard.anatomy.readings import AnalysisReadings

        cell = {"task": stripes.name, "protocol": "", "seed": 0}
        rows = pd.DataFrame([cell | vars(reading) for reading in self.readings])
        readings = AnalysisReadings(self.card.name, "accuracy", 1, rows.astype({"x": float}))
        missing = {table.quantity for table in self.card.view.tables} - set(readings.quantities)
        if missing:
            raise broken(
                f"its view has a table of {min(missing)!r}, which it never reads",
                f"It reads {', '.join(readings.quantities)}.",
            )
        return "drawn" if self.card.view.draw(readings) else "tables only"
