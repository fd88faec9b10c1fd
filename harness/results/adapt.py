"""Adapt one source to one task: a cell like any other, whose network is saved as a file to use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.harness.planning.files import Files
from headwater.harness.planning.job import Job
from headwater.harness.planning.plan import Plan
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.results.predictions import Predictions, predictions_of
from headwater.harness.running.run import Control, NullWatcher, Watcher, compare_with_store, execute
from headwater.leaderboard import Store
from headwater.leaderboard.store.records import State
from headwater.registry import Registry, TaskType
from headwater.registry.defaults import DEFAULT_ADAPTATION
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import BadSpec, HeadwaterError, TrainingError, WeightsError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from headwater.harness.results.adapted_network import AdaptedFacts

CHECKED_IMAGES = 32
"""The test images that the file is read back on before it counts as saved."""

TOLERANCE = 0.02
"""How far a device's precision may move an output, as a share of the largest one."""

MIN_SHARE_NEAR = 0.99
"""The share of a dense network's outputs that have to lie within the tolerance."""


@dataclass(frozen=True)
class MeasuredValue:
    """The cell's metric on one split.

    Attributes:
        split: ``validation`` or ``test``.
        metric: The metric.
        value: Its value.
        low: The lower bound of its 95 % interval; None where the images cannot tell.
        high: The upper bound, likewise.
        images: The number of images; None where no predictions were stored.
        sign: -1 for a metric that should be low.
    """

    split: str
    metric: str
    value: float
    low: float | None
    high: float | None
    images: int | None
    sign: int


@dataclass(frozen=True)
class SavedNetwork:
    """The file of an adapted network, and what was measured.

    Attributes:
        path: The file.
        facts: What its header says.
        values: The cell's metric on validation and test.
        epoch: The chosen epoch.
        seconds: How long the training took.
        new: True where the file was written now, False where it was there already.
        flaws: How many annotations of the task are flawed, if it was trained now and some are.
        width: How many classes, points or the like it predicts, in words.
    """

    path: Path
    facts: AdaptedFacts
    values: tuple[MeasuredValue, ...]
    epoch: int | None
    seconds: float | None
    new: bool
    flaws: tuple[str, ...] = ()
    width: str = ""


def adapt(
    task: str,
    source: str,
    save: str | Path,
    *,
    adaptation: str = DEFAULT_ADAPTATION,
    size: int | str = "full",
    seed: int = 0,
    plugins: Sequence[PluginLike] = (),
    force: bool = False,
    control: Control | None = None,
    watcher: Watcher | None = None,
    command: str = "",
    **keys: Any,
) -> SavedNetwork:
    """Adapt a source to a task, and save the network where ``hw.load_adapted`` finds all it needs.

    What the store holds is not trained again.

    Args:
        task: The target.
        source: The source model.
        save: The file to write.
        adaptation: How the source is adapted; it must train on images.
        size: The number of training images, or "full".
        seed: The seed of the training.
        plugins: Plugins that the task, source or adaptation come from.
        force: Replace another file of that name.
        control: How the run goes about its jobs.
        watcher: What is told of the progress.
        command: The command to write into the file, for whoever wants to make it again.
        **keys: Other keys of a spec: ``store``, ``image_size``, ``training={"epochs": 30}``.

    Raises:
        BadSpec: The spec is wrong, or asks for a cell that leaves no network.
        HeadwaterError: There is another file of that name already.
        TrainingError: The training failed.
        WeightsError: The network cannot be built again from its weights.
    """
    path = Path(save)
    cell = {
        "tasks": [task],
        "sources": [source],
        "adaptations": [adaptation],
        "sizes": [size],
        "seeds": [seed],
    }
    spec = Spec.of({"name": "adapt", "references": [], **keys, **cell}, where="adapt")
    planned = plan(spec, Registry.discover((*spec.plugins, *plugins)))
    job = _single_cell(planned)
    new = _is_to_write(path, job, force)
    planned.jobs[job.id] = job
    control = replace(control or Control(rerun="failed"), kind="adapt", networks=True)
    report = execute(compare_with_store(planned, control), control, watcher or NullWatcher())
    _check_done(job, planned, report.store)
    trained = _TrainedCell(job, planned, report.store)
    facts = trained.facts(command)
    if new:
        facts = trained.write(path, facts)
    return SavedNetwork(
        path=path,
        facts=facts,
        values=tuple(trained.value(split, facts.metrics) for split in ("validation", "test")),
        epoch=trained.epoch,
        seconds=trained.seconds,
        new=new,
        flaws=tuple(report.flaws),
        width=trained.task_type.counted(facts.classes),
    )


def _single_cell(planned: Plan) -> Job:
    """Return the one cell of the plan, told to keep its network; raises BadSpec."""
    cells = planned.cells
    if len(cells) != 1:
        names = ", ".join(job.record.source for job in cells[:4])
        which = names or f"none: {'; '.join(planned.notes)}"
        raise BadSpec(
            f"adapt takes one source and one task; these are {len(cells)} cells ({which})",
            hint="Name one: --source NAME.",
        )
    (job,) = cells
    if reason := planned.skipped.get(job.id):
        raise BadSpec(
            reason,
            subject=job.record.source,
            hint="Another adaptation may apply: headwater list adaptations, and --adaptation NAME.",
        )
    if job.training is None:
        raise BadSpec(
            f"{job.record.adaptation} solves on frozen features and leaves no network to save",
            subject=job.record.adaptation,
            hint=f"Take an adaptation that trains on images, such as {DEFAULT_ADAPTATION}. "
            "See headwater list adaptations.",
        )
    return replace(job, keep=True)


def _is_to_write(path: Path, job: Job, force: bool) -> bool:
    """Return whether to write the file: False where it holds this very network already.

    Raises:
        HeadwaterError: Something else is at the path.
    """
    if path.is_dir():
        raise HeadwaterError(
            f"{path} is a folder", subject=str(path), hint="Name a file: --save model.safetensors"
        )
    if force or not path.exists():
        return True
    from headwater.harness.results.adapted_network import AdaptedFacts

    try:
        same = AdaptedFacts.of(path).job == job.id
    except WeightsError:
        same = False
    if not same:
        raise HeadwaterError(
            f"{path} is there already",
            subject=str(path),
            hint="Name another file, or replace it with --force.",
        )
    return False


def _check_done(job: Job, planned: Plan, store: Store) -> None:
    """Check that the cell, and the chains that it needs, were trained.

    Raises:
        TrainingError: One was not, with its reason.
    """
    states = store.states()
    for needed in (*(planned.jobs[need] for need in job.needs), job):
        stored = states[needed.id]
        if stored.state is not State.DONE:
            reason = stored.reason or "the run was ended"
            again = (
                "mend it and give the same command again"
                if stored.state is State.FAILED
                else "the same command continues it"
            )
            log = f" (log: {store.files / stored.log})" if stored.log else ""
            raise TrainingError(
                f"{needed.label}: {reason}",
                subject=job.record.source,
                hint=f"Nothing was saved; {again}{log}.",
            )


class _TrainedCell:
    """A done cell in the store, and the network that it kept."""

    def __init__(self, job: Job, planned: Plan, store: Store) -> None:
        self.job = job
        self.registry = planned.registry
        self.store = store
        self.source = planned.sources[job.record.source]
        self.task = planned.tasks[job.record.task]
        self.task_type: TaskType = planned.registry.task_type(self.task.type)
        self.checkpoint = Files(store.files).checkpoint(job.id)
        stored = store.job(job.id)
        self.epoch = stored.epoch
        self.seconds = stored.row["seconds"]
        self.train_images: int = stored.row["train_images"] or 0

    def facts(self, command: str) -> AdaptedFacts:
        """Return what the file's header is to say."""
        from importlib.metadata import version

        from headwater.harness.data.prepared import prepare
        from headwater.harness.results.adapted_network import AdaptedFacts

        record = self.job.record
        prepared = prepare(self.task, self.task_type, self.job.image_size)
        options, recipe = self._as_trained()
        files = (plugin for plugin in self.registry.plugins if isinstance(plugin, str | Path))
        return AdaptedFacts(
            source=self.source.name,
            task=self.task.name,
            task_type=self.task.type,
            adaptation=record.adaptation,
            options=options,
            classes=prepared.classes,
            outputs=prepared.outputs,
            image_size=self.job.image_size,
            mean=self.source.mean,
            std=self.source.std,
            metric=record.metric,
            metrics=self.store.metrics([self.job.id]).get(self.job.id, {}),
            size=record.size,
            seed=record.seed or 0,
            train_images=self.train_images,
            training=recipe,
            job=self.job.id,
            store=str(self.store.path.absolute()),
            command=command,
            version=version("headwater"),
            plugins=tuple(str(Path(file).absolute()) for file in files),
            domain=self.task.domain,
            dense=self.task_type.dense,
        )

    def _as_trained(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the options and the recipe of the kept network: the chosen ones, if tuned."""
        from safetensors import safe_open

        with safe_open(self.checkpoint, framework="numpy") as file:
            header = file.metadata() or {}
        return json.loads(header["options"]), json.loads(header["training"])

    def _predictions(self, split: str) -> Predictions | None:
        return predictions_of(self.job, Files(self.store.files), self.registry, split)

    def value(self, split: str, metrics: Mapping[str, Mapping[str, float]]) -> MeasuredValue:
        """Return the cell's metric on a split, with its interval."""
        record, predictions = self.job.record, self._predictions(split)
        low, high = (predictions and predictions.interval) or (None, None)
        return MeasuredValue(
            split=split,
            metric=record.metric,
            value=metrics[split][record.metric],
            low=low,
            high=high,
            images=len(predictions) if predictions else None,
            sign=record.sign,
        )

    def write(self, path: Path, facts: AdaptedFacts) -> AdaptedFacts:
        """Save the network, and return the facts with the way to build it.

        The first way is taken whose network predicts what was recorded: as a source and a head, or
        through the adaptation; with the random source of the architecture, so that nothing else is
        fetched or read, or with the source itself.

        Raises:
            WeightsError: No way gives that network.
        """
        from safetensors.torch import load_file

        from headwater.harness.results.adapted_network import rebuilt, save_adapted

        state = load_file(self.checkpoint)
        names = dict.fromkeys(name for name in (self.source.scratch, self.source.name) if name)
        reasons: list[str] = []
        for name in names:
            for plain in (True, False):
                built = replace(facts, build=name, plain=plain)
                try:
                    network = rebuilt(built, state, self.registry)
                except HeadwaterError as error:
                    reasons.append(error.message)
                    continue
                if self._predicts_as_recorded(network):
                    save_adapted(path, network)
                    return built
                reasons.append(f"{name} predicts otherwise than the trained network did")
        raise WeightsError(
            f"the network cannot be built again from its weights: {reasons[0]}",
            subject=self.source.name,
            hint=f"The trained weights are in {self.checkpoint}.",
        )

    def _predicts_as_recorded(self, network: Any) -> bool:
        """Return whether the network gives the first test images the recorded outputs."""
        import torch

        from headwater.harness.data.prepared import prepare
        from headwater.harness.measure.adapting import compress_outputs

        predictions = self._predictions("test")
        if predictions is None:
            return True
        test = prepare(self.task, self.task_type, self.job.image_size).test
        outputs = torch.from_numpy(network.outputs(list(test.images[:CHECKED_IMAGES])))
        return outputs_agree(
            predictions.outputs[:CHECKED_IMAGES],
            compress_outputs(outputs).astype("float32"),
            torch.from_numpy(test.targets[:CHECKED_IMAGES]),
            self.task_type,
        )


def outputs_agree(
    recorded: np.ndarray, rebuilt: np.ndarray, targets: Tensor, task_type: TaskType
) -> bool:
    """Return whether outputs differ by no more than another device's rounding.

    For dense types it is enough that nearly all outputs are near, or that the metrics are: what a
    network predicts of places is often a choice, the likeliest class or the best boxes, and
    rounding makes another one where two are about even. Boxes may so change places in their list.

    Args:
        recorded: (N, ...) float32.
        rebuilt: (N, ...) float32, of the same images.
        targets: (N, ...) theirs.
        task_type: The type of the task.
    """
    import numpy as np
    import torch

    largest = np.abs(recorded[np.isfinite(recorded)]).max(initial=1.0)
    near = np.isclose(recorded, rebuilt, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True)
    if near.all() or not task_type.dense:
        return bool(near.all())
    metrics = [
        list(task_type.methods.measure(torch.from_numpy(outputs), targets).values())
        for outputs in (recorded, rebuilt)
    ]
    same = np.allclose(metrics[0], metrics[1], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return float(near.mean()) >= MIN_SHARE_NEAR or same
