"""Local Parquet or Arrow: ``parquet/FOLDER`` with one file, or several, per split."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from plugins.tasks.columns import chosen_columns
from registry import Kind, Name, Provider, Registry, Task
from registry.errors import DataError, UnknownName
from registry.identity import code_of, digest
from registry.names import Value
from registry.options import check_options

OPTIONS: dict[str, Value] = {
    "domain": "aerial",
    "image": "image",
    "label": "label",
    "licence": "mit",
    "metric": "accuracy",
    "mirror": True,
    "type": "classification",
}
SPLITS = ("train", "validation", "test")
SUFFIXES = (".parquet", ".arrow")


def load(files: dict[str, list[str]], image: str, label: str, name: str) -> Any:
    """A DatasetDict of the files, one split each, with the image and label columns only."""
    import datasets

    kind = "arrow" if next(iter(files.values()))[0].endswith(".arrow") else "parquet"
    try:
        loaded = datasets.load_dataset(kind, data_files=files)
    except Exception as error:  # pyarrow and datasets each raise their own for a damaged file
        raise DataError(f"{name} cannot be read: {error}", subject=name, hint="Is each file whole? Fetch the folder again.") from error
    return chosen_columns(loaded, image, label, name)


def _resolve(name: Name, registry: Registry) -> Task:
    options = dict(name.options)
    check_options(name.stem, options, OPTIONS)
    folder = Path(name.stem.removeprefix("parquet/")).expanduser().absolute()
    files = _files(folder, str(name))
    image, label = str(options.pop("image", "")), str(options.pop("label", ""))
    return Task(
        name=str(name),
        summary=f"{folder.name}, from Parquet or Arrow files.",
        load=partial(load, {split: [str(file) for file in found] for split, found in files.items()}, image, label, str(name)),
        images=_rows(files.get("train", [])),
        files=tuple(file for found in files.values() for file in found),
        code=digest(code_of(load), code_of(chosen_columns)),
        **options,  # type: ignore[arg-type]
    )


def _files(folder: Path, name: str) -> dict[str, list[Path]]:
    """Split -> files. ``train.parquet``, ``train-00000-of-00002.parquet``, ``train/*.parquet``; others are train."""
    found = sorted(file for file in folder.rglob("*") if file.suffix in SUFFIXES) if folder.is_dir() else []
    if not found:
        problem = "holds no .parquet or .arrow file" if folder.is_dir() else "does not exist"
        raise UnknownName(f"{name}: {folder} {problem}", subject=name, hint="Write parquet/FOLDER with FOLDER/train.parquet in it.")
    splits: dict[str, list[Path]] = {}
    for file in found:
        splits.setdefault(_split_of(file.relative_to(folder)), []).append(file)
    return splits


def _split_of(file: Path) -> str:
    words = [part.partition("-")[0].partition(".")[0] for part in file.parts]
    known = {"val": "validation", "valid": "validation"} | {split: split for split in SPLITS}
    return next((known[word] for word in words if word in known), "train")


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
