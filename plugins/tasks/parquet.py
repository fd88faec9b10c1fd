"""Local Parquet or Arrow: ``parquet/FOLDER`` with one file, or several, per split."""

from __future__ import annotations

import json
import logging
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from headwater import (
    SPLITS,
    DataError,
    Kind,
    Name,
    Provider,
    Registry,
    Task,
    UnknownName,
    code_of,
    family_of_classes,
)
from headwater.plugins.tasks._task_options import COLUMNS, Form, facts_of

FORM = Form(COLUMNS)
SUFFIXES = (".parquet", ".arrow")


def load(files: dict[str, list[str]], name: str) -> Any:
    """Return a DatasetDict of the files of each split.

    Raises:
        DataError: A file is damaged, or the files have different columns.
    """
    import datasets
    from datasets.table import CastError

    # The harness shows its own bar, and what is wrong is said below.
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)
    first_file = Path(next(iter(files.values()))[0])
    kind = "arrow" if first_file.suffix == ".arrow" else "parquet"
    try:
        return datasets.load_dataset(kind, data_files=files)
    except Exception as error:  # pyarrow and datasets each raise their own for a damaged file
        if isinstance(error.__cause__, CastError):
            problem = f"{name}: its files have different columns"
            folder = f"parquet/{first_file.parent}"
            hint = f"Are they several data sets? Name the folder of one, such as {folder}."
        else:
            problem = f"{name} cannot be read: {error}"
            hint = "Is each file whole? Fetch the folder again."
        raise DataError(problem, subject=name, hint=hint) from error


def _resolve(name: Name, registry: Registry) -> Task:
    facts, _ = facts_of(name, registry, FORM)
    folder = Path(name.stem.removeprefix("parquet/")).expanduser().absolute()
    files = _files(folder, str(name))
    paths = {split: [str(file) for file in of_split] for split, of_split in files.items()}
    facts.setdefault("family", family_of_classes(_class_names(files, facts.get("label", ""))))
    return Task(
        name=str(name),
        summary=f"{folder.name}, from Parquet or Arrow files.",
        load=partial(load, paths, str(name)),
        images=_count_rows(files.get("train", [])),
        files=tuple(chain.from_iterable(files.values())),
        code=code_of(load),
        **facts,
    )


def _files(folder: Path, name: str) -> dict[str, list[Path]]:
    """Return the files of each split, sorted; raise UnknownName where there are none."""
    # rglob of a folder that does not exist yields nothing.
    files = sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES)
    if not files:
        problem = "holds no .parquet or .arrow file" if folder.is_dir() else "does not exist"
        raise UnknownName(
            f"{name}: {folder} {problem}",
            subject=name,
            hint="Write parquet/FOLDER with FOLDER/train.parquet in it.",
        )
    splits: dict[str, list[Path]] = {}
    for file in files:
        split = _split_of(file.relative_to(folder))
        splits.setdefault(split, []).append(file)
    return splits


def _split_of(file: Path) -> str:
    """Return the split that a file's path within the data set names, else ``train``.

    Read are ``train.parquet``, ``train-00000-of-00002.parquet`` and ``train/*.parquet``.
    """
    for part in file.parts:
        word = part.partition("-")[0].partition(".")[0]
        if word in SPLITS:
            return SPLITS[word]
    return "train"


def _class_names(files: dict[str, list[Path]], label: str) -> list[str]:
    """Return the classes that the files' Hugging Face features name; none where they name none.

    Args:
        files: The files of each split.
        label: The column of the classes; "" for the first column that has any.
    """
    first = next(iter(files.values()))[0]
    if first.suffix != ".parquet":
        return []
    import pyarrow.parquet as pq

    try:
        features = json.loads(pq.read_schema(first).metadata[b"huggingface"])["info"]["features"]
    except Exception:  # a file of another writer, or a damaged one: loading says so, in full
        return []
    described = [features.get(label)] if label else list(features.values())
    for feature in described:
        if isinstance(feature, dict) and feature.get("names"):  # others are lists, or say nothing
            return list(feature["names"])
    return []


def _count_rows(files: list[Path]) -> int | None:
    """Return the number of rows of Parquet files; None where it is not known without reading."""
    if not files or files[0].suffix != ".parquet":
        return None
    import pyarrow.parquet as pq

    try:
        return sum(pq.read_metadata(file).num_rows for file in files)
    except Exception:  # damaged: loading says so, in full
        return None


parquet = Provider(
    prefix="parquet",
    kind=Kind.TASK,
    form="parquet/FOLDER",
    summary="A folder of Parquet or Arrow files, one split a file.",
    resolve=_resolve,
)
