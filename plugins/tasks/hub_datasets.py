"""Any image data set of the Hugging Face Hub: ``hf/ORG/NAME@REVISION``. Data only; no code of a
data set is run.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from headwater import (
    HELD_OUT_SPLITS,
    BadName,
    DataError,
    Kind,
    Name,
    Provider,
    Registry,
    Task,
    Value,
    code_of,
)
from headwater.plugins.hub import hub_or_cache
from headwater.plugins.tasks._task_options import COLUMNS, Form, facts_of

OPTIONS: dict[str, Value] = {"config": "default", "test": "test", "train": "train", **COLUMNS}
FORM = Form(OPTIONS)


def load(repository: str, revision: str, config: str, train: str, test: str) -> Any:
    """Return a DatasetDict of the train and test splits.

    Args:
        repository: ORG/NAME, or NAME.
        revision: A commit, branch or tag; "" for the newest.
        config: The configuration; "" for the only one.
        train: Name of the split to train on; "" for ``train``.
        test: Name of the split to test on; "" for one of the usual names.

    Raises:
        DataError: The data set cannot be loaded, or has no such split.
    """
    data = _fetched(repository, revision, config)
    train = train or "train"
    test = test or _held_out([split for split in data if split != train])
    wanted = {"train": train, "test": test}
    for role, split in wanted.items():
        if split and split not in data:
            raise DataError(
                f"{repository} has no split {split!r}. It has: {', '.join(data)}",
                subject=repository,
                hint=f"Say which: hf/{repository}[{role}=SPLIT].",
            )
    splits = {role: data[split] for role, split in wanted.items() if split}
    return type(data)(splits)


def _held_out(splits: list[str]) -> str:
    """Return the split to test on; "" where there is none, and the harness carves one."""
    return next((split for split in HELD_OUT_SPLITS if split in splits), "")


def _fetched(repository: str, revision: str, config: str) -> Any:
    """Return the data set from the Hub, or from the cache where there is no network."""
    import datasets

    # load_dataset would take a folder of that name for the data set, and run on other data.
    if Path(repository).exists():
        raise DataError(
            f"a folder {Path(repository).absolute()} here hides hf/{repository}",
            subject=repository,
            hint="Run from another folder, or rename it.",
        )
    datasets.disable_progress_bars()
    try:
        with hub_or_cache():
            return datasets.load_dataset(repository, config or None, revision=revision or None)
    except Exception as error:  # the network, the Hub, the files: each library has its own errors
        message = str(error) or type(error).__name__
        first_line = message.strip().splitlines()[0]
        raise DataError(
            f"{repository} could not be loaded from the Hub: {first_line}",
            subject=repository,
            hint="Check its name and config at https://huggingface.co/datasets. With no network, "
            "name a mirror (HF_ENDPOINT=https://...), or use a local copy: parquet/FOLDER.",
        ) from error


def _resolve(name: Name, registry: Registry) -> Task:
    facts, options = facts_of(name, registry, FORM)
    repository, _, revision = name.stem.removeprefix("hf/").partition("@")
    parts = repository.split("/")
    if len(parts) > 2 or not all(parts):
        raise BadName(
            f"{name} is not a data set of the Hub", subject=str(name), hint=f"Write {hf.form}."
        )
    names = {key: str(options.get(key, "")) for key in ("config", "train", "test")}
    return Task(
        name=str(name),
        summary=f"{repository}, from the Hugging Face Hub.",
        load=partial(load, repository, revision, **names),
        revision=revision,
        unpinned="" if revision else f"to tie them, write hf/{repository}@REVISION",
        code=code_of(load),
        **facts,
    )


hf = Provider(
    prefix="hf",
    kind=Kind.TASK,
    form="hf/ORG/NAME[@REVISION]",
    summary="Any image data set of the Hugging Face Hub.",
    resolve=_resolve,
)
