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
    """A DatasetDict of the train and test splits. Raises DataError."""
    data = _fetched(repository, revision, config)
    train = train or "train"
    wanted = {
        "train": train,
        "test": test or _held_out([split for split in data if split != train]),
    }
    for role, split in wanted.items():
        if split and split not in data:
            hint = f"Say which: hf/{repository}[{role}=SPLIT]."
            raise DataError(
                f"{repository} has no split {split!r}. It has: {', '.join(data)}",
                subject=repository,
                hint=hint,
            )
    return type(data)({role: data[split] for role, split in wanted.items() if split})


def _held_out(splits: list[str]) -> str:
    """The split to test on; nothing where there is none, and the harness carves one."""
    return next((split for split in HELD_OUT_SPLITS if split in splits), "")


def _fetched(repository: str, revision: str, config: str) -> Any:
    import datasets

    if Path(repository).exists():  # load_dataset would take it for the data set
        hint = "Run from another folder, or rename it."
        raise DataError(
            f"a folder {Path(repository).absolute()} here hides hf/{repository}",
            subject=repository,
            hint=hint,
        )
    datasets.disable_progress_bars()
    try:
        with hub_or_cache():
            return datasets.load_dataset(repository, config or None, revision=revision or None)
    except Exception as error:  # the network, the Hub, the files: each library has its own errors
        raise DataError(
            f"{repository} could not be loaded from the Hub: {(str(error) or type(error).__name__).strip().splitlines()[0]}",
            subject=repository,
            hint="Check its name and config at https://huggingface.co/datasets. With no network, name a mirror "
            "(HF_ENDPOINT=https://...), or use a local copy: parquet/FOLDER.",
        ) from error


def _resolve(name: Name, registry: Registry) -> Task:
    facts, options = facts_of(name, registry, FORM)
    repository, _, revision = name.stem.removeprefix("hf/").partition("@")
    if not 1 <= len(repository.split("/")) <= 2 or not all(repository.split("/")):
        raise BadName(
            f"{name} is not a data set of the Hub", subject=str(name), hint=f"Write {hf.form}."
        )
    how = {key: str(options.get(key, "")) for key in ("config", "train", "test")}
    return Task(
        name=str(name),
        summary=f"{repository}, from the Hugging Face Hub.",
        load=partial(load, repository, revision, **how),
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
