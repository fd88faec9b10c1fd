"""Adapting one source to one task: a cell like any other, and its network as a file to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.harness.planning.files import Files
from headwater.harness.planning.job import Job
from headwater.harness.planning.plan import Plan
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.results.predictions import predictions_of
from headwater.harness.running.run import Control, NullWatcher, Watcher, compare_with_store, execute
from headwater.leaderboard import Store
from headwater.leaderboard.store.records import State
from headwater.registry import Registry
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import BadSpec, HeadwaterError, TrainingError, WeightsError

if TYPE_CHECKING:
    from headwater.harness.results.adapted_network import AdaptedFacts

CHECKED = 32
"""Test images that the file is read back on before it is called saved."""

TOLERANCE = 0.02
"""By how much of the largest output a device's precision may move one; another network is further off."""

NEARLY = 0.99
"""The share of outputs that have to be so near, where they are of places in images."""


@dataclass(frozen=True)
class MeasuredValue:
    """A metric on ``images`` images of a split, with bounds; None where they cannot be told. ``sign``: -1 where it should be low."""

    split: str
    metric: str
    value: float
    low: float | None
    high: float | None
    images: int | None
    sign: int


@dataclass(frozen=True)
class SavedNetwork:
    """What became of it: the file, what its header says, and the measured values. ``new``: whether the file was written now;
    ``flaws``: how many annotations of its task are flawed, if it was trained now and some are; ``width``: how many classes, points or
    the like it predicts, in words."""

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
    adaptation: str = "fine_tune",
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

    ``keys`` are a spec's others: ``store``, ``image_size``, ``training={"epochs": 30}``. What the store holds is not trained again.
    Raises BadSpec for what cannot be asked, HeadwaterError where the file is there already (unless ``force``), and the reason of
    a training that failed.
    """
    path, asked = (
        Path(save),
        {
            "tasks": [task],
            "sources": [source],
            "adaptations": [adaptation],
            "sizes": [size],
            "seeds": [seed],
        },
    )
    spec = Spec.of({"name": "adapt", "references": [], **keys, **asked}, where="adapt")
    made = plan(spec, Registry.discover((*spec.plugins, *plugins)))
    job = _the_cell(made)
    new = _is_free(path, job, force)
    made.jobs[job.id] = job
    control = replace(control or Control(rerun="failed"), kind="adapt", networks=True)
    report = execute(compare_with_store(made, control), control, watcher or NullWatcher())
    _check(job, made, report.store)
    facts, values, epoch, seconds = _known(job, made, report.store, command)
    if new:
        facts = _write(path, facts, job, made, report.store)
    width = made.registry.task_type(facts.task_type).counted(facts.classes)
    return SavedNetwork(path, facts, values, epoch, seconds, new, tuple(report.flaws), width)


def _the_cell(made: Plan) -> Job:
    """The one cell asked for, told to keep its network."""
    cells = made.cells
    if len(cells) != 1:
        names = (
            ", ".join(job.record.source for job in cells[:4]) or f"none: {'; '.join(made.notes)}"
        )
        raise BadSpec(
            f"adapt takes one source and one task; these are {len(cells)} cells ({names})",
            hint="Name one: --source NAME.",
        )
    (job,) = cells
    if reason := made.skipped.get(job.id):
        hint = "Another adaptation may do: headwater list adaptations, and --adaptation NAME."
        raise BadSpec(reason, subject=job.record.source, hint=hint)
    if job.training is None:
        name = job.record.adaptation
        message = f"{name} solves on frozen features and leaves no network to save"
        raise BadSpec(
            message,
            subject=name,
            hint="Take one that trains on images: fine_tune, freeze. See headwater list adaptations.",
        )
    return replace(job, keep=True)


def _is_free(path: Path, job: Job, force: bool) -> bool:
    """Whether to write: False where the very network is there already. Raises HeadwaterError where something else is."""
    if path.is_dir():
        raise HeadwaterError(
            f"{path} is a folder", subject=str(path), hint="Name a file: --save model.safetensors"
        )
    if force or not path.exists():
        return True
    from headwater.harness.results.adapted_network import AdaptedFacts

    try:
        there = AdaptedFacts.of(path).job
    except WeightsError:
        there = ""
    if there != job.id:
        raise HeadwaterError(
            f"{path} is there already",
            subject=str(path),
            hint="Name another file, or replace it with --force.",
        )
    return False


def _check(job: Job, made: Plan, store: Store) -> None:
    """Raise the reason where the cell, or a chain it needs, was not trained."""
    states = store.states()
    for one in (*(made.jobs[need] for need in job.needs), job):
        found = states[one.id]
        if found.state is not State.DONE:
            reason = found.reason or "the run was ended"
            again = (
                "once mended, give the same command again"
                if found.state is State.FAILED
                else "the same command continues it"
            )
            log = f" (log: {store.files / found.log})" if found.log else ""
            raise TrainingError(
                f"{one.label}: {reason}",
                subject=job.record.source,
                hint=f"Not saved; {again}{log}.",
            )


def _known(
    job: Job, made: Plan, store: Store, command: str
) -> tuple[AdaptedFacts, tuple[MeasuredValue, ...], int | None, float | None]:
    """What the store knows of the cell, as the header will say it, and with intervals."""
    from importlib.metadata import version

    from headwater.harness.data.prepared import prepare
    from headwater.harness.results.adapted_network import AdaptedFacts

    record, training = job.record, job.training
    source, task = made.sources[record.source], made.tasks[record.task]
    prepared = prepare(task, made.registry.task_type(task.type), job.image_size)
    metrics = _metrics(job, store)
    epoch, seconds, images = _row(job, store)
    options, recipe = _as_trained(job, store)
    assert training is not None, "a cell that leaves a network was trained"
    facts = AdaptedFacts(
        source=source.name,
        task=task.name,
        task_type=task.type,
        adaptation=record.adaptation,
        options=options,
        classes=prepared.classes,
        outputs=prepared.outputs,
        image_size=job.image_size,
        mean=source.mean,
        std=source.std,
        metric=record.metric,
        metrics=metrics,
        size=record.size,
        seed=record.seed or 0,
        train_images=images,
        training=recipe,
        job=job.id,
        store=str(store.path.absolute()),
        command=command,
        version=version("headwater"),
        plugins=tuple(
            str(Path(plugin).absolute())
            for plugin in made.registry.plugins
            if isinstance(plugin, str | Path)
        ),
        domain=task.domain,
        dense=made.registry.task_type(task.type).dense,
    )
    return facts, _values(job, made, store, metrics), epoch, seconds


def _metrics(job: Job, store: Store) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for split, metric, value in store.sql(
        f"SELECT split, metric, value FROM metrics WHERE job = '{job.id}'", rows=None
    ).rows:
        found.setdefault(split, {})[metric] = value
    return found


def _row(job: Job, store: Store) -> tuple[int | None, float | None, int]:
    """The chosen epoch, the seconds it took, the images it was allowed."""
    query = f"SELECT TRY_CAST(choice ->> 'epoch' AS INTEGER), seconds, train_images FROM jobs WHERE job = '{job.id}'"
    epoch, seconds, images = store.sql(query).rows[0]
    return epoch, seconds, images or 0


def _as_trained(job: Job, store: Store) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options and recipe from the kept network: where they were tuned, those that were chosen."""
    import json

    from safetensors import safe_open

    with safe_open(Files(store.files).checkpoint(job.id), framework="numpy") as file:
        known = file.metadata() or {}
    return json.loads(known["options"]), json.loads(known["training"])


def _values(
    job: Job, made: Plan, store: Store, metrics: Mapping[str, Mapping[str, float]]
) -> tuple[MeasuredValue, ...]:
    values = []
    for split in ("validation", "test"):
        answers = predictions_of(job, Files(store.files), made.registry, split)
        low, high = (answers and answers.interval) or (None, None)
        metric = job.record.metric
        images = len(answers) if answers else None
        values.append(
            MeasuredValue(split, metric, metrics[split][metric], low, high, images, job.record.sign)
        )
    return tuple(values)


def _write(path: Path, facts: AdaptedFacts, job: Job, made: Plan, store: Store) -> AdaptedFacts:
    """Save the kept network under the first way to build it that answers as it did; raises WeightsError where none does."""
    from safetensors.torch import load_file

    from headwater.harness.results.adapted_network import rebuilt, save_adapted

    state = load_file(Files(store.files).checkpoint(job.id))
    source = made.sources[job.record.source]
    reasons: list[str] = []
    for name in dict.fromkeys(name for name in (source.scratch, source.name) if name):
        for plain in (True, False):
            built = replace(facts, build=name, plain=plain)
            try:
                network = rebuilt(built, state, made.registry)
            except HeadwaterError as error:
                reasons.append(error.message)
                continue
            if _answers_alike(network, job, made, store):
                save_adapted(path, network)
                return built
            reasons.append(f"{name} answers otherwise than the trained network did")
    hint = f"The trained weights are in {Files(store.files).checkpoint(job.id)}."
    raise WeightsError(
        f"the network cannot be built again from its weights: {reasons[0]}",
        subject=source.name,
        hint=hint,
    )


def _answers_alike(network: Any, job: Job, made: Plan, store: Store) -> bool:
    """Whether the first test images get the outputs that were recorded.

    Of dense types nearly all: what a network says of places is often a choice, the likeliest class or the best boxes, and another
    device's rounding makes another where two are about even. Where boxes so change places in their list, the metrics must be the same.
    """
    import numpy as np
    import torch

    from headwater.harness.data.prepared import prepare
    from headwater.harness.measure.adapting import compress_outputs

    answers = predictions_of(job, Files(store.files), made.registry, "test")
    if answers is None:
        return True
    task = made.tasks[job.record.task]
    task_type = made.registry.task_type(task.type)
    test = prepare(task, task_type, job.image_size).test
    then, now = answers.outputs[:CHECKED], network.outputs(list(test.images[:CHECKED]))
    now = compress_outputs(torch.from_numpy(now)).astype(np.float32)
    largest = np.abs(then[np.isfinite(then)]).max(initial=1.0)
    alike = np.isclose(then, now, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True)
    if alike.all() or not task_type.dense:
        return bool(alike.all())
    targets = torch.from_numpy(test.targets[:CHECKED])
    one, other = (
        task_type.methods.measure(torch.from_numpy(outputs), targets) for outputs in (then, now)
    )
    same = np.allclose(
        list(one.values()), list(other.values()), rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
    )
    return float(alike.mean()) >= NEARLY or same
