"""COCO's annotation files: which there are, and what one lists, checked."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry import Flaw
from registry.errors import DataError

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
OTHER_KINDS = ("captions", "panoptic", "stuff", "image_info")
"""Annotation files that hold no objects."""


@dataclass(frozen=True)
class Listing:
    """What an annotation file lists: images by id, each one's annotations, categories by id, and annotations of nothing."""

    file: Path
    images: Mapping[Any, Mapping[str, Any]]
    annotations: Mapping[Any, list[Mapping[str, Any]]]
    categories: Mapping[Any, Mapping[str, Any]]
    flaws: tuple[Flaw, ...]

    def names(self) -> tuple[str, ...]:
        """Category names in the order of their ids, without those that only stand above others (as Roboflow writes them)."""
        above = {each.get("supercategory") for each in self.categories.values()}
        used = {each.get("category_id") for found in self.annotations.values() for each in found}
        ordered = sorted(self.categories.items(), key=lambda item: (str(type(item[0])), item[0]))
        return tuple(dict.fromkeys(str(each["name"]) for key, each in ordered if key in used or each["name"] not in above))

    def objects(self, image: Any) -> Objects:
        every = self.annotations.get(image, [])
        known = [each for each in every if each.get("category_id") in self.categories]
        return Objects(
            str(self.images[image]["file_name"]),
            [each for each in known if not each.get("iscrowd")],
            [each for each in known if each.get("iscrowd")],
            [each for each in every if each not in known],
        )

    def name(self, annotation: Mapping[str, Any]) -> str:
        """The name of its category."""
        return str(self.categories[annotation["category_id"]]["name"])


@dataclass(frozen=True)
class Objects:
    """An image's annotations: of single objects, of regions with many (``iscrowd``), and of categories that are not listed."""

    image: str
    single: list[Mapping[str, Any]]
    crowds: list[Mapping[str, Any]]
    strange: list[Mapping[str, Any]]

    def strangers(self, handled: str) -> list[Flaw]:
        """The flaw of categories that are not listed, if there are any."""
        if not self.strange:
            return []
        ids = ", ".join(sorted({str(each.get("category_id")) for each in self.strange})[:3])
        return [Flaw(self.image, f"has {counted(len(self.strange), 'object')} of unknown category ({ids})", handled)]

    def left_out(self) -> list[Flaw]:
        """The flaws where only single objects count."""
        handled = "left out" if self.single else "left out, and with it the image"
        crowds = [Flaw(self.image, f"has {counted(len(self.crowds), 'crowd region')}", handled)] if self.crowds else []
        return [*self.strangers(handled), *crowds]


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def read(file: Path) -> Listing:
    """Raises DataError naming the file for what is no COCO file."""
    content = _content(file)
    images: dict[Any, Mapping[str, Any]] = {each.get("id"): each for each in content["images"]}
    if any(key is None or not isinstance(each.get("file_name"), str) for key, each in images.items()):
        raise _no_coco(file, "an image lacks id or file_name")
    if len(images) < len(content["images"]):
        twice = next(key for key, count in Counter(each["id"] for each in content["images"]).items() if count > 1)
        raise _no_coco(file, f"two images have the id {twice}")
    categories = {each.get("id"): each for each in content["categories"]}
    if any(key is None or not each.get("name") for key, each in categories.items()):
        raise _no_coco(file, "a category lacks id or name")
    annotations: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    flaws = []
    for place, each in enumerate(content["annotations"]):
        if each.get("image_id") in images:
            annotations[each["image_id"]].append(each)
        else:
            named = f"annotation {each.get('id', f'at {place}')} of {file.name}"
            flaws.append(Flaw(named, f"is of image {each.get('image_id')}, which is not listed", "left out"))
    return Listing(file, images, dict(annotations), categories, tuple(flaws))


def _content(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read: {error}", subject=str(file), hint="Is it whole? Fetch or export it again.") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise _no_coco(file, f"it has no list of {key}")
        if not all(isinstance(each, dict) for each in content[key]):
            raise _no_coco(file, f"its {key} are not all objects")
    return content


def _no_coco(file: Path, problem: str) -> DataError:
    hint = "COCO has images with id and file_name, annotations with image_id and category_id, categories with id and name."
    return DataError(f"{file} is no COCO file: {problem}", subject=str(file), hint=hint)


# -- which files ------------------------------------------------------------------------------------------


def annotation_files(root: Path, task_type: str, prefix: str, name: str) -> dict[str, Path]:
    """Split -> annotation file; raises DataError where there is none, or several for a split."""
    every = [file for file in sorted([*root.glob("*.json"), *root.glob("*/*.json")]) if not file.stem.startswith(OTHER_KINDS)]
    chosen = [file for file in every if file.stem.startswith(prefix)] if prefix else _of_kind(every, task_type)
    if not chosen:
        problem = f"has no annotation file that starts with {prefix}" if prefix and every else "has no annotation file"
        hint = "COCO has PATH/annotations/instances_train2017.json, or PATH/train/_annotations.coco.json beside the images."
        raise DataError(f"{name}: {root} {problem}", subject=name, hint=hint)
    splits: dict[str, Path] = {}
    for file in chosen:
        split = _split_of(file.relative_to(root))
        if split in splits:
            both = " and ".join(str(each.relative_to(root)) for each in (splits[split], file))
            raise DataError(f"{name} has two annotation files for {split}: {both}", subject=name, hint="Say which: annotations=PREFIX.")
        splits[split] = file
    return splits


def _of_kind(files: list[Path], task_type: str) -> list[Path]:
    points = [file for file in files if "keypoints" in file.stem]
    if task_type == "keypoints":
        return points or files
    return [file for file in files if file.stem.startswith("instances")] or [file for file in files if file not in points] or files


def _split_of(file: Path) -> str:
    words = re.split(r"[^a-z]+", file.with_suffix("").as_posix().lower())
    return next((SPLITS[word] for word in reversed(words) if word in SPLITS), "train")


def image_folders(root: Path, file: Path) -> Iterator[Path]:
    """Where an annotation file's images may lie, the likeliest first; only folders that there are."""
    tag = file.stem.rpartition("_")[2]
    beside = [file.parent] if file.parent.name != "annotations" else []
    for folder in dict.fromkeys([root / tag, root / "images" / tag, *beside, root / "images", root]):
        if folder.is_dir():
            yield folder
