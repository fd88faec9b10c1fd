"""Analyse jobs: which analyses of which cells a plan has, and which networks each looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headwater.harness.planning.cell import Cell
from headwater.harness.planning.jobs import MEASURE_VERSION, Jobs
from headwater.harness.planning.plan import Plan
from headwater.harness.planning.spec import Anatomy
from headwater.leaderboard.store.records import JobRecord
from headwater.registry import Name
from headwater.registry.cards.analysis import Analysis
from headwater.registry.identity import digest

Pairs = Mapping[Cell, tuple[str, str | None]]
"""Each cell that the spec asks for -> the jobs of itself and of its scratch reference."""


class AnalysisPlanner:
    """Adds the analyses of cells to a plan.

    Args:
        plan: The plan, with every cell in it.
        jobs: Adds jobs to the plan.
        pairs: Every cell that the spec asks for, with its reference.
    """

    def __init__(self, plan: Plan, jobs: Jobs, pairs: Pairs) -> None:
        self.plan = plan
        self.spec = plan.spec
        self.jobs = jobs
        self.pairs = pairs

    def add(self, analyses: Sequence[str]) -> None:
        """Add these analyses of every cell that trains a network and has a scratch reference.

        Args:
            analyses: Names of analyses with their options.
        """
        for cell, (trained, scratch) in self.pairs.items():
            if scratch is None or trained == scratch or self.plan.jobs[trained].training is None:
                continue
            if trained in self.plan.skipped or scratch in self.plan.skipped:
                continue
            for analysis in analyses:
                self._add(analysis, {"P-T": trained, "RI-T": scratch}, cell)

    def _add(self, analysis: str, roles: dict[str, str], cell: Cell) -> None:
        """Add one analysis of a cell. ``roles``: the jobs of its own seed by role."""
        card, _ = self.plan.registry.analysis(analysis)
        if card.looks_at != "one seed":
            roles = roles | self._of_other_seed(cell)
        if card.looks_at == "predictions":
            further = self._of_every_seed(cell)
            compared = set(roles.values())
            roles |= {
                role: identity for role, identity in further.items() if identity not in compared
            }
        else:
            for identity in roles.values():
                self._keep_network(identity)
        cells = {role: self.plan.jobs[identity] for role, identity in roles.items()}
        about = cells["P-T"]
        options = options_of(card, analysis, self.spec.anatomy)
        identity = digest("analyse", MEASURE_VERSION, card.code, analysis, options, roles)
        record = replace(
            about.record, job=identity, kind="analyse", analysis=analysis, options=options
        )
        images = self._images(record, cell, card.trainings(options, self.spec.image_size))
        job = replace(about, record=record, cells=cells, keep=False, tuning=None, images=images)
        self.plan.add(job)

    def _images(self, record: JobRecord, cell: Cell, trainings: int) -> int | None:
        """Return how many images an analysis will about process, for forecasts."""
        if not trainings:
            return self.plan.jobs[self.pairs[cell][0]].images
        per_training = self.jobs.images(record, [cell.task], self.spec.training)
        return per_training and per_training * trainings

    def _of_other_seed(self, cell: Cell) -> dict[str, str]:
        """Return the jobs P-T' and RI-T' of the seed that the cell is compared with, if any."""
        seeds = self.spec.seeds
        other = other_seed(seeds, seeds.index(cell.seed))
        return {} if other is None else self._networks(cell, other, "P-T'", "RI-T'")

    def _of_every_seed(self, cell: Cell) -> dict[str, str]:
        """Return the jobs of every other seed, for an ensemble of as many pre-trained as not."""
        jobs: dict[str, str] = {}
        for seed in sorted(set(self.spec.seeds) - {cell.seed}):
            jobs |= self._networks(cell, seed, f"P-T of seed {seed}", f"RI-T of seed {seed}")
        return jobs

    def _networks(self, cell: Cell, seed: int, trained: str, scratch: str) -> dict[str, str]:
        """Return the cell's two jobs at another seed under these roles, unless they are skipped."""
        jobs = self.pairs[replace(cell, seed=seed)]
        return {
            role: job
            for role, job in zip((trained, scratch), jobs, strict=True)
            if job and job not in self.plan.skipped
        }

    def _keep_network(self, job: str) -> None:
        """Tell a job to leave its network as a file."""
        self.plan.jobs[job] = replace(self.plan.jobs[job], keep=True)


def options_of(card: Analysis, name: str, anatomy: Anatomy) -> dict[str, Any]:
    """Return all options of an analysis: from its name, else from [anatomy], else its defaults."""
    shared = {key: getattr(anatomy, key) for key in card.options() if key in Anatomy.model_fields}
    return dict(card.options()) | shared | dict(Name.parse(name).options)


def other_seed(seeds: Sequence[int], index: int) -> int | None:
    """Return the seed whose networks are compared with those of ``seeds[index]``.

    Each pair of seeds is compared once, so that no pair counts double.
    """
    if len(seeds) < 2 or (len(seeds) == 2 and index == 1):
        return None
    return seeds[(index + 1) % len(seeds)]
