"""A folder of images: ``folder/PATH`` with PATH/CLASS/*.jpg, or PATH/{train,val,test}/CLASS/*.jpg."""

from __future__ import annotations

from functools import partial
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

OPTIONS: dict[str, Value] = {key: FACTS[key] for key in ("domain", "licence", "metric", "mirror")}

Tree = dict[str, dict[str, list[Path]]]
"""Split -> class -> images."""


def load(root: Path) -> dict[str, Split]:
    """Paths and class names, nothing decoded. Raises DataError for a class without images."""
    tree = _tree(root)
    return {split: _split(root, classes) for split, classes in tree.items()}


def _split(root: Path, classes: dict[str, list[Path]]) -> Split:
    pairs = [(file, label) for label, files in classes.items() for file in files]
    files, labels = [file for file, _ in pairs], [label for _, label in pairs]
    return Split(files, labels, [str(file.relative_to(root)) for file in files])


def _tree(root: Path) -> Tree:
    folders = _folders(root)
    if "train" in (names := {folder.name.lower() for folder in folders}) and names <= set(SPLITS):
        return {SPLITS[folder.name.lower()]: _classes(folder, root) for folder in folders}
    return {"train": _classes(root, root)}


def _classes(folder: Path, root: Path) -> dict[str, list[Path]]:
    classes = {child.name: image_files(child) for child in _folders(folder)}
    if not any(classes.values()):
        problem = "images, but not in a folder per class" if image_files(folder) else "no images"
        raise DataError(
            f"{folder} holds {problem}",
            subject=str(root),
            hint="Put each class's images in a folder of its name: CLASS/*.jpg.",
        )
    if empty := [name for name, images in classes.items() if not images]:
        hint = f"Add images to {folder / empty[0]}, or remove the folder."
        raise DataError(
            f"class {empty[0]!r} in {folder} has no images", subject=str(root), hint=hint
        )
    return classes


def _folders(folder: Path) -> list[Path]:
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


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
    return Task(
        name=str(name),
        summary=f"{root.name}, a folder of images.",
        load=partial(load, root),
        classes=tuple(sorted({label for classes in tree.values() for label in classes})),
        images=sum(len(files) for files in tree.get("train", {}).values()),
        files=tuple(
            file for classes in tree.values() for files in classes.values() for file in files
        ),
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
