"""Local Parquet or Arrow: ``parquet/FOLDER`` with one file, or several, per split."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from headwater import SPLITS, DataError, Kind, Name, Provider, Registry, Task, UnknownName, code_of
from headwater.plugins.tasks._task_options import COLUMNS, Form, facts_of

FORM = Form(COLUMNS)
SUFFIXES = (".parquet", ".arrow")


def load(files: dict[str, list[str]], name: str) -> Any:
    """A DatasetDict of the files, one split each."""
    import datasets
    from datasets.table import CastError

    datasets.disable_progress_bars()  # ours is the bar that counts
    datasets.logging.set_verbosity(logging.CRITICAL)  # what is wrong is said below
    kind = "arrow" if next(iter(files.values()))[0].endswith(".arrow") else "parquet"
    try:
        return datasets.load_dataset(kind, data_files=files)
    except Exception as error:  # pyarrow and datasets each raise their own for a damaged file
        if isinstance(error.__cause__, CastError):
            first = Path(next(iter(files.values()))[0]).parent
            hint = f"Are they several data sets? Name the folder of one, such as parquet/{first}."
            raise DataError(
                f"{name}: its files have different columns", subject=name, hint=hint
            ) from error
        raise DataError(
            f"{name} cannot be read: {error}",
            subject=name,
            hint="Is each file whole? Fetch the folder again.",
        ) from error


def _resolve(name: Name, registry: Registry) -> Task:
    facts, _ = facts_of(name, registry, FORM)
    folder = Path(name.stem.removeprefix("parquet/")).expanduser().absolute()
    files = _files(folder, str(name))
    return Task(
        name=str(name),
        summary=f"{folder.name}, from Parquet or Arrow files.",
        load=partial(
            load,
            {split: [str(file) for file in found] for split, found in files.items()},
            str(name),
        ),
        images=_rows(files.get("train", [])),
        files=tuple(file for found in files.values() for file in found),
        code=code_of(load),
        **facts,
    )


def _files(folder: Path, name: str) -> dict[str, list[Path]]:
    """Split -> files. ``train.parquet``, ``train-00000-of-00002.parquet``, ``train/*.parquet``;
    others are train.
    """
    found = (
        sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES)
        if folder.is_dir()
        else []
    )
    if not found:
        problem = "holds no .parquet or .arrow file" if folder.is_dir() else "does not exist"
        raise UnknownName(
            f"{name}: {folder} {problem}",
            subject=name,
            hint="Write parquet/FOLDER with FOLDER/train.parquet in it.",
        )
    splits: dict[str, list[Path]] = {}
    for file in found:
        splits.setdefault(_split_of(file.relative_to(folder)), []).append(file)
    return splits


def _split_of(file: Path) -> str:
    words = [part.partition("-")[0].partition(".")[0] for part in file.parts]
    return next((SPLITS[word] for word in words if word in SPLITS), "train")


def _rows(files: list[Path]) -> int | None:
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
