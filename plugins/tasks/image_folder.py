"""A folder of images: ``folder/PATH`` with PATH/CLASS/*.jpg, or PATH/{train,val,test}/CLASS/*.jpg."""

from __future__ import annotations

from functools import partial
from itertools import chain
from pathlib import Path

from headwater import (
    SPLITS,
    DataError,
    Kind,
    Name,
    Provider,
    Registry,
    Split,
    Task,
    UnknownName,
    Value,
    check_options,
    code_of,
)
from headwater.plugins.tasks._image_files import image_files
from headwater.plugins.tasks._task_options import FACTS

OPTIONS: dict[str, Value] = {
    key: FACTS[key] for key in ("domain", "family", "licence", "metric", "mirror")
}

Tree = dict[str, dict[str, list[Path]]]
"""Split -> class -> images."""


def load(root: Path) -> dict[str, Split]:
    """Return every split's images as paths, with class names.

    Raises:
        DataError: A class has no images, or no folder is a class.
    """
    tree = _tree(root)
    return {split: _split(root, classes) for split, classes in tree.items()}


def _split(root: Path, classes: dict[str, list[Path]]) -> Split:
    images: list[Path] = []
    labels: list[str] = []
    for label, files in classes.items():
        images += files
        labels += [label] * len(files)
    names = [str(file.relative_to(root)) for file in images]
    return Split(images, labels, names)


def _tree(root: Path) -> Tree:
    """Return the images by split and class; all are of ``train`` where the folders are no splits."""
    folders = _folders(root)
    names = {folder.name.lower() for folder in folders}
    # A class may be called "test": folders are splits if all of them are, and one of them is train.
    if "train" not in names or not names <= set(SPLITS):
        return {"train": _classes(root, root)}
    return {SPLITS[folder.name.lower()]: _classes(folder, root) for folder in folders}


def _classes(folder: Path, root: Path) -> dict[str, list[Path]]:
    """Return the images of each class; raise DataError where a class, or all of them, has none."""
    classes = {child.name: image_files(child) for child in _folders(folder)}
    if not any(classes.values()):
        problem = "images, but not in a folder per class" if image_files(folder) else "no images"
        raise DataError(
            f"{folder} holds {problem}",
            subject=str(root),
            hint="Put each class's images in a folder of its name: CLASS/*.jpg.",
        )
    empty = [name for name, images in classes.items() if not images]
    if empty:
        raise DataError(
            f"class {empty[0]!r} in {folder} has no images",
            subject=str(root),
            hint=f"Add images to {folder / empty[0]}, or remove the folder.",
        )
    return classes


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones, which tools leave behind."""
    children = [child for child in folder.iterdir() if not child.name.startswith(".")]
    return sorted(child for child in children if child.is_dir())


def _resolve(name: Name, registry: Registry) -> Task:
    options = dict(name.options)
    check_options(name.stem, options, OPTIONS)
    root = Path(name.stem.removeprefix("folder/")).expanduser().absolute()
    if not root.is_dir():
        raise UnknownName(
            f"{name}: there is no folder {root}",
            subject=str(name),
            hint="Write folder/PATH with PATH/CLASS/*.jpg in it.",
        )
    tree = _tree(root)
    labels = {label for classes in tree.values() for label in classes}
    files: list[Path] = []
    for classes in tree.values():
        files.extend(chain.from_iterable(classes.values()))
    return Task(
        name=str(name),
        summary=f"{root.name}, a folder of images.",
        load=partial(load, root),
        classes=tuple(sorted(labels)),
        images=sum(len(images) for images in tree.get("train", {}).values()),
        files=tuple(files),
        code=code_of(load),
        **options,  # type: ignore[arg-type]
    )


folder = Provider(
    prefix="folder",
    kind=Kind.TASK,
    form="folder/PATH",
    summary="A folder of images, one folder per class.",
    resolve=_resolve,
)
