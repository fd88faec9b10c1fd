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
        """Add one analysis of a cell.

        Args:
            analysis: The analysis with its options.
            roles: The jobs of the cell's seed by role: P-T pre-trained, RI-T from scratch.
            cell: The cell that the analysis is about.
        """
        card, _ = self.plan.registry.analysis(analysis)
        if card.looks_at != "one seed":
            roles = roles | self._of_compared_seed(cell)
        if card.looks_at == "predictions":
            roles = self._with_every_seed(roles, cell)
        else:
            # Predictions are stored of every cell, networks only of those that are analysed.
            for identity in roles.values():
                self._keep_network(identity)
        options = options_of(card, analysis, self.spec.anatomy)
        parts = ["analyse", MEASURE_VERSION, card.code, analysis, options, roles]
        identity = digest(*parts)
        cells = {role: self.plan.jobs[job] for role, job in roles.items()}
        analysed = cells["P-T"]
        record = replace(
            analysed.record,
            job=identity,
            kind="analyse",
            analysis=analysis,
            options=options,
        )
        trainings = card.trainings(options, self.spec.image_size)
        job = replace(
            analysed,
            record=record,
            cells=cells,
            # An analysis leaves rows, no network, and searches nothing.
            keep=False,
            tuning=None,
            images=self._images(record, cell, trainings),
        )
        self.plan.add(job)

    def _images(self, record: JobRecord, cell: Cell, trainings: int) -> int | None:
        """Return how many images an analysis will about process, for forecasts."""
        if not trainings:
            trained, _ = self.pairs[cell]
            return self.plan.jobs[trained].images
        per_training = self.jobs.images(record, [cell.task], self.spec.training)
        if per_training is None:
            return None
        return per_training * trainings

    def _of_compared_seed(self, cell: Cell) -> dict[str, str]:
        """Return the jobs P-T' and RI-T' of the seed that the cell is compared with, if any."""
        seeds = self.spec.seeds
        seed = compared_seed(seeds, seeds.index(cell.seed))
        if seed is None:
            return {}
        return self._networks(cell, seed, ("P-T'", "RI-T'"))

    def _with_every_seed(self, roles: dict[str, str], cell: Cell) -> dict[str, str]:
        """Return the roles and the jobs of all further seeds.

        An ensemble takes as many pre-trained networks as not.
        """
        all_roles = dict(roles)
        for seed in sorted(set(self.spec.seeds) - {cell.seed}):
            names = (f"P-T of seed {seed}", f"RI-T of seed {seed}")
            for role, job in self._networks(cell, seed, names).items():
                # The compared seed has its roles P-T' and RI-T' already: no network counts twice.
                if job not in roles.values():
                    all_roles[role] = job
        return all_roles

    def _networks(self, cell: Cell, seed: int, roles: tuple[str, str]) -> dict[str, str]:
        """Return the cell's two jobs at another seed under these roles, unless they are skipped."""
        jobs = self.pairs[replace(cell, seed=seed)]
        networks: dict[str, str] = {}
        for role, job in zip(roles, jobs, strict=True):
            if job and job not in self.plan.skipped:
                networks[role] = job
        return networks

    def _keep_network(self, job: str) -> None:
        """Tell a job to leave its network as a file."""
        self.plan.jobs[job] = replace(self.plan.jobs[job], keep=True)


def options_of(card: Analysis, name: str, anatomy: Anatomy) -> dict[str, Any]:
    """Return all options of an analysis: from its name, else from [anatomy], else its defaults."""
    options: dict[str, Any] = {}
    for key, default in card.options().items():
        options[key] = getattr(anatomy, key) if key in Anatomy.model_fields else default
    return options | dict(Name.parse(name).options)


def compared_seed(seeds: Sequence[int], index: int) -> int | None:
    """Return the seed whose networks are compared with those of ``seeds[index]``.

    Seeds stand in a ring, and each is compared with the next. A ring of two would compare its one
    pair twice, so its second seed has no partner.
    """
    has_no_partner = len(seeds) == 2 and index == 1
    if len(seeds) < 2 or has_no_partner:
        return None
    return seeds[(index + 1) % len(seeds)]
