"""COCO's annotation files: which there are, and what one lists, checked."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headwater import SPLITS, DataError, Flaw, split_list

OTHER_KINDS = ("captions", "panoptic", "stuff", "image_info")
"""Annotation files that hold no objects."""

MAX_COORDINATE = 1e9
"""No coordinate is that large; of larger ones, sums and whole numbers would overflow."""

MAX_IDS_NAMED = 3
"""Ids named in a flaw."""

MAX_FILES_NAMED = 6
"""Annotation files named in an error."""


@dataclass(frozen=True)
class Listing:
    """What an annotation file lists.

    Attributes:
        file: the annotation file.
        images: by id.
        annotations: of each image, by its id.
        categories: by id.
        flaws: of annotations that belong to no image, or come twice.
    """

    file: Path
    images: Mapping[Any, Mapping[str, Any]]
    annotations: Mapping[Any, list[Mapping[str, Any]]]
    categories: Mapping[Any, Mapping[str, Any]]
    flaws: tuple[Flaw, ...]

    def names(self) -> tuple[str, ...]:
        """Return category names in the order of their ids, without those that are only above others
        (as Roboflow writes them).
        """
        above = {str(each.get("supercategory")) for each in self.categories.values()}
        used = {id_of(each, "category_id") for found in self.annotations.values() for each in found}
        ordered = sorted(self.categories.items(), key=lambda item: (str(type(item[0])), item[0]))
        return tuple(
            dict.fromkeys(
                str(each["name"])
                for key, each in ordered
                if key in used or str(each["name"]) not in above
            )
        )

    def objects(self, image: Any) -> Objects:
        """Return the annotations of an image by what they are of."""
        objects = Objects(str(self.images[image]["file_name"]), [], [], [])
        for annotation in self.annotations.get(image, []):
            if id_of(annotation, "category_id") not in self.categories:
                objects.strange.append(annotation)
            elif annotation.get("iscrowd"):
                objects.crowds.append(annotation)
            else:
                objects.single.append(annotation)
        return objects

    def category_name(self, annotation: Mapping[str, Any]) -> str:
        """Return the name of an annotation's category."""
        return str(self.categories[annotation["category_id"]]["name"])


@dataclass(frozen=True)
class Objects:
    """An image's annotations: of single objects, of regions with many (``iscrowd``), and of
    categories not listed.
    """

    image: str
    single: list[Mapping[str, Any]]
    crowds: list[Mapping[str, Any]]
    strange: list[Mapping[str, Any]]

    def strangers(self, handled: str) -> list[Flaw]:
        """Return the flaw of categories that are not listed, if there are any."""
        if not self.strange:
            return []
        flaw = Flaw.counting(
            self.image,
            f"has {{}} {plural(len(self.strange), 'object')} of unknown category{{items}}",
            handled,
            code="unknown-category",
            numbers=[len(self.strange)],
            items=named(each.get("category_id") for each in self.strange),
        )
        return [flaw]

    def left_out(self) -> list[Flaw]:
        """Return the flaws of a type for which only single objects count."""
        handled = "left out" if self.single else "left out, and with it the image"
        flaws = self.strangers(handled)
        if self.crowds:
            flaws.append(
                Flaw.counting(
                    self.image,
                    f"has {{}} {plural(len(self.crowds), 'crowd region')}",
                    handled,
                    code="crowd-region",
                    numbers=[len(self.crowds)],
                )
            )
        return flaws


def plural(number: int, noun: str) -> str:
    """Return a noun as it goes with a number."""
    return noun if number == 1 else f"{noun}s"


def named(ids: Iterable[Any]) -> list[str]:
    """Return distinct identities as text, at most ``MAX_IDS_NAMED``; "…" stands for more."""
    distinct = list(dict.fromkeys("no id" if each is None else str(each) for each in ids))
    more = ["…"] if len(distinct) > MAX_IDS_NAMED else []
    return distinct[:MAX_IDS_NAMED] + more


def id_of(entry: Mapping[str, Any], key: str) -> Any:
    """Return the number or text that an entry refers to; None for anything else, which nothing is
    called.
    """
    return value if isinstance(value := entry.get(key), int | float | str) else None


def box_numbers(box: Any) -> list[float] | None:
    """Return x, y, width, height; None for what is no box."""
    return [float(value) for value in box] if are_numbers(box) and len(box) == 4 else None


def are_numbers(values: Any, low: float = -MAX_COORDINATE, high: float = MAX_COORDINATE) -> bool:
    """Return True for a list of numbers between the two; NaN is none."""
    return isinstance(values, list) and all(
        isinstance(value, int | float) and low <= value <= high for value in values
    )


def read_listing(file: Path) -> Listing:
    """Return what an annotation file lists; raise DataError, naming file and entry, if it is no
    COCO file.
    """
    content = _content(file)
    images = _by_id(file, content, "images", "file_name")
    categories = _by_id(file, content, "categories", "name")
    annotations: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    lost: list[Mapping[str, Any]] = []
    repeated: list[Mapping[str, Any]] = []
    for each in content["annotations"]:
        image = id_of(each, "image_id")
        if image not in images:
            lost.append(each)
        elif each in annotations[image]:
            repeated.append(each)
        else:
            annotations[image].append(each)
    flaws = []
    if lost:
        flaws.append(
            Flaw.counting(
                file.name,
                f"has {{}} {plural(len(lost), 'annotation')} of images that are not listed{{items}}",
                "left out",
                code="annotation-of-no-image",
                numbers=[len(lost)],
                items=named(each.get("image_id") for each in lost),
            )
        )
    if repeated:
        flaws.append(
            Flaw.counting(
                file.name,
                f"has {{}} {plural(len(repeated), 'annotation')} for the second time{{items}}",
                "taken once",
                code="repeated-annotation",
                numbers=[len(repeated)],
                items=named(each.get("id") for each in repeated),
            )
        )
    return Listing(file, images, dict(annotations), categories, tuple(flaws))


def _by_id(
    file: Path, content: Mapping[str, list[dict[str, Any]]], kind: str, name: str
) -> dict[Any, Mapping[str, Any]]:
    found: dict[Any, Mapping[str, Any]] = {}
    for place, each in enumerate(content[kind]):
        if (key := id_of(each, "id")) is None or id_of(each, name) in (None, ""):
            raise _no_coco(file, f"{kind}[{place}] lacks id or {name}")
        if key in found:
            raise _no_coco(file, f"two of its {kind} have the id {key}")
        found[key] = each
    return found


def _content(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{file} cannot be read: {error}",
            subject=str(file),
            hint="Is it whole? Fetch or export it again.",
        ) from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise _no_coco(file, f"it has no list of {key}")
        for place, each in enumerate(content[key]):
            if not isinstance(each, dict):
                raise _no_coco(file, f"{key}[{place}] is no object")
    return content


def _no_coco(file: Path, problem: str) -> DataError:
    hint = "COCO has images with id and file_name, annotations with image_id and category_id, categories with id and name."
    return DataError(f"{file} is no COCO file: {problem}", subject=str(file), hint=hint)


# -- which files ------------------------------------------------------------------------------------------


def annotation_files(root: Path, task_type: str, prefix: str, name: str) -> dict[str, Path]:
    """Return the annotation file of each split.

    Args:
        root: the data set's folder.
        task_type: decides between files of several kinds.
        prefix: what the files' names start with, or several with ``+`` between them; "" for those
            of the type's kind.
        name: of the task, in messages.

    Raises:
        DataError: there is none, or there are several for a split.
    """
    every = [
        file
        for file in sorted([*root.glob("*.json"), *root.glob("*/*.json")])
        if not file.stem.startswith(OTHER_KINDS)
    ]
    prefixes = tuple(split_list(prefix, "+"))
    chosen = (
        [file for file in every if file.stem.startswith(prefixes)]
        if prefixes
        else _of_kind(every, task_type)
    )
    if not chosen and every:
        hint = f"There are: {', '.join(str(file.relative_to(root)) for file in every[:MAX_FILES_NAMED])}{', …' * (len(every) > MAX_FILES_NAMED)}."
        raise DataError(
            f"{name}: {root} has no annotation file that starts with {' or '.join(prefixes)}",
            subject=name,
            hint=hint,
        )
    if not chosen:
        hint = "COCO has PATH/annotations/instances_train2017.json, or PATH/train/_annotations.coco.json beside the images."
        raise DataError(f"{name}: {root} has no annotation file", subject=name, hint=hint)
    splits: dict[str, Path] = {}
    for file in chosen:
        split = _split_of(file.relative_to(root))
        if split in splits:
            both = " and ".join(str(each.relative_to(root)) for each in (splits[split], file))
            others = [each.stem for each in chosen if _split_of(each.relative_to(root)) != split]
            wanted = "+".join(
                [max(splits[split].stem, file.stem, key=len), *others]
            )  # the longer name cannot start both
            hint = f"Say which, by what their names start with: annotations={wanted}."
            if splits[split].stem == file.stem:
                hint = f"They have the same name: move one of them out of {root}."
            raise DataError(
                f"{name} has two annotation files for {split}: {both}", subject=name, hint=hint
            )
        splits[split] = file
    return splits


def _of_kind(files: list[Path], task_type: str) -> list[Path]:
    points = [file for file in files if "keypoints" in file.stem]
    if task_type == "keypoints":
        return points or files
    return (
        [file for file in files if file.stem.startswith("instances")]
        or [file for file in files if file not in points]
        or files
    )


def _split_of(file: Path) -> str:
    words = re.split(r"[^a-z]+", file.with_suffix("").as_posix().lower())
    return next((SPLITS[word] for word in reversed(words) if word in SPLITS), "train")


def image_folders(root: Path, file: Path) -> Iterator[Path]:
    """Yield the folders in which an annotation file's images may lie, the likeliest first; only
    those that exist.
    """
    tag = file.stem.rpartition("_")[2]
    beside = [file.parent] if file.parent.name != "annotations" else []
    for folder in dict.fromkeys(
        [root / tag, root / "images" / tag, *beside, root / "images", root]
    ):
        if folder.is_dir():
            yield folder
