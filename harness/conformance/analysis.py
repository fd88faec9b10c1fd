"""Checks of an analysis: readings of trained toy networks, and a view that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory

from headwater.harness.conformance.check import CardChecks, Check, broken, promise
from headwater.harness.conformance.toys import CLASSES, network, stripes
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry import Analysis, AnalysisView, Reading, Registry
from headwater.registry.defaults import DEFAULT_ADAPTATION


def checks(card: Analysis, registry: Registry) -> list[Check]:
    """Return the checks of an analysis."""
    return AnalysisChecks(card, registry).all()


class AnalysisChecks(CardChecks[Analysis]):
    """Checks of an analysis on networks of the toy source on the toy task, with two seeds."""

    @promise("card", essential=True)
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
            "adaptations": [DEFAULT_ADAPTATION],
            "seeds": 2,
            "image_size": network.input_size,
            "training": {"epochs": 1, "batch_size": 8},
            "anatomy": {"analyses": [self.card.name], "points": 3, "images": 8, "blocks": [4]},
        }
        trained = replace(network, name=source, random=False, scratch=network.name)
        plugins = [self.card, trained, network, stripes]
        spec = Spec.of(keys, where="conformance")
        jobs = plan(spec, Registry.discover(plugins)).jobs.values()
        worker = Worker(folder, plugins, 1)
        # In the order of the plan, so that the networks lie there when the analysis reads them.
        outcomes = {job.id: worker.run(job) for job in jobs}
        return next(outcomes[job.id] for job in jobs if job.record.analysis)

    @promise("measures", essential=True)
    def measures(self) -> str:
        if not self.readings:
            raise broken("it read nothing", "Return a list of hw.Reading.")
        odd = [reading for reading in self.readings if not isfinite(reading.value)]
        if odd:
            raise broken(
                f"{odd[0].quantity} of {odd[0].subject} is {odd[0].value}",
                "Leave out what has no value.",
            )
        return f"{len(self.readings)} readings"

    @promise("shows")
    def shows(self) -> str:
        import pandas as pd

        from headwater.leaderboard.anatomy.readings import AnalysisReadings

        cell = {"task": stripes.name, "family": stripes.name, "protocol": "", "seed": 0}
        rows = pd.DataFrame([cell | vars(reading) for reading in self.readings])
        readings = AnalysisReadings(self.card.name, "accuracy", 1, rows.astype({"x": float}))
        missing = {table.quantity for table in self.card.view.tables} - set(readings.quantities)
        if missing:
            raise broken(
                f"its view has a table of {min(missing)!r}, which it never reads",
                f"It reads {', '.join(readings.quantities)}.",
            )
        return "drawn" if self.card.view.draw(readings) else "tables only"
