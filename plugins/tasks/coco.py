"""Folders in the form of COCO: ``coco/PATH[type=detection|segmentation|keypoints]``.

Lin et al. 2014, Microsoft COCO: common objects in context (arXiv 1405.0312); the form is described at cocodataset.org/#format-data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from plugins.tasks._coco_file import Listing, annotation_files, counted, image_folders, read
from plugins.tasks._coco_masks import VOID, Masks, Outlined, drawable
from plugins.tasks._coco_people import Crops, crop_of, points_in
from plugins.tasks._facts import facts_of
from plugins.tasks._listed import images_in, missing, none_there, within
from registry import Flaw, Kind, Name, Provider, Registry, Split, Task
from registry.errors import DataError, UnknownName
from registry.identity import code_of, digest
from registry.names import Value

OPTIONS: dict[str, Value] = {"annotations": "instances", "background": True, "category": "person", "margin": 0.1}
TYPES = ("detection", "segmentation", "keypoints")
FIXED = ("boxes", "units", "void")
"""Conventions that the form decides."""

BACKGROUND = "background"
"""The class of pixels that no object covers."""

Sizes = tuple[int, int]


def load(root: Path, files: Mapping[str, Path], task_type: str, own: Mapping[str, Value]) -> dict[str, Split]:
    """Every split's images as paths, with the targets of the task type. Raises DataError."""
    listings = {split: read(file) for split, file in files.items()}
    classes = tuple(dict.fromkeys(name for listing in listings.values() for name in listing.names()))
    return {split: _split(root, listing, task_type, classes, own) for split, listing in listings.items()}


def _split(root: Path, listing: Listing, task_type: str, classes: tuple[str, ...], own: Mapping[str, Value]) -> Split:
    there = dict(_there(root, listing))
    none_there(len(listing.images), there, listing.file.name, str(root))
    flaws = [*listing.flaws, *missing([str(each["file_name"]) for key, each in listing.images.items() if key not in there])]
    if task_type == "keypoints":
        return _keypoints(listing, there, flaws, str(own.get("category", "")), float(own.get("margin", OPTIONS["margin"])))  # type: ignore[arg-type]
    if task_type == "segmentation":
        return _segmentation(listing, there, flaws, classes, bool(own.get("background", True)))
    return _detection(listing, there, flaws, classes)


def _there(root: Path, listing: Listing) -> Iterator[tuple[Any, Path]]:
    folders = list(image_folders(root, listing.file))
    for key, each in listing.images.items():
        found = (within(folder, each["file_name"]) for folder in folders)
        if file := next((file for file in found if file), None):
            yield key, file


# -- the types --------------------------------------------------------------------------------------------


def _detection(listing: Listing, there: Mapping[Any, Path], flaws: list[Flaw], classes: tuple[str, ...]) -> Split:
    """Boxes of single objects. An image of which only others are annotated is left out: what is in it is not known."""
    rows: list[Any] = []
    targets: list[dict[str, Any]] = []
    for key in there:
        objects = listing.objects(key)
        found = objects.left_out()
        flaws += found
        if objects.single or not found:
            rows.append(key)
            boxes = [_four(each.get("bbox")) for each in objects.single]
            targets.append({"bbox": boxes, "category": [listing.name(each) for each in objects.single]})
    return Split([there[key] for key in rows], targets, _names(listing, rows), flaws, classes)


def _four(box: Any) -> list[float]:
    """A box, or one that is seen to be none."""
    return [float(value) for value in box] if isinstance(box, list) and len(box) == 4 else [math.nan] * 4


def _segmentation(listing: Listing, there: Mapping[Any, Path], flaws: list[Flaw], classes: tuple[str, ...], background: bool) -> Split:
    """Masks of the category that is seen at each pixel, crowds too; where there is none it is background, class 0, or void."""
    values = {name: value for value, name in enumerate(classes, start=int(background))}
    sizes, drawn = [], []
    for key, file in there.items():
        height, width = _size(listing.images[key], file)
        objects = listing.objects(key)
        outlined = [_outlined(each, values[listing.name(each)], height, width) for each in (*objects.single, *objects.crowds)]
        if bare := sum(each.outline is None for each in outlined):
            flaws.append(Flaw(objects.image, f"has {counted(bare, 'object')} without an outline", "its box is void"))
        flaws += objects.strangers("void")
        sizes.append((height, width))
        drawn.append([*outlined, *(_outlined(each, VOID, height, width) for each in objects.strange)])
    masks = Masks(sizes, drawn, 0 if background else VOID)
    return Split(list(there.values()), masks, _names(listing, there), flaws, (BACKGROUND, *classes) if background else classes)


def _outlined(each: Mapping[str, Any], value: int, height: int, width: int) -> Outlined:
    """An object to draw; without an outline what it covers is not known, and all of its box is void."""
    outline = drawable(each.get("segmentation"), height, width)
    box = [side if math.isfinite(side) else 0.0 for side in _four(each.get("bbox"))]
    return Outlined(VOID if outline is None else value, outline, box, bool(each.get("iscrowd")))


def _keypoints(listing: Listing, there: Mapping[Any, Path], flaws: list[Flaw], category: str, margin: float) -> Split:
    """One image for each object that has labelled points, cut out around it."""
    wanted, points = _with_points(listing, category)
    files, boxes, targets, names = [], [], [], []
    for key, file in there.items():
        objects, size = listing.objects(key), _size(listing.images[key], file)
        single = [each for each in objects.single if each["category_id"] == wanted]
        labelled = [each for each in single if any((each.get("keypoints") or ())[2::3])]
        if len(labelled) < len(single):
            flaws.append(Flaw(objects.image, f"has {counted(len(single) - len(labelled), 'object')} without labelled points", "left out"))
        flaws += objects.strangers("left out")
        for each in labelled:
            name, box = f"{objects.image} (annotation {each.get('id')})", crop_of(each, size, margin)
            if box is None or len(each["keypoints"]) != 3 * len(points):
                problem = "no box in the image" if box is None else f"{len(each['keypoints'])} numbers for {len(points)} points"
                flaws.append(Flaw(name, f"has {problem}", "left out"))
                continue
            files.append(file)
            boxes.append(box)
            targets.append(points_in(each["keypoints"], box))
            names.append(name)
    return Split(Crops(files, boxes), targets, names, flaws, points)


def _with_points(listing: Listing, category: str) -> tuple[Any, list[str]]:
    """The id and the points of the category that has points; raises DataError where there is none, or the user must choose."""
    found = {key: each for key, each in listing.categories.items() if each.get("keypoints")}
    chosen = {key: each for key, each in found.items() if not category or each["name"] == category}
    if len(chosen) == 1:
        key, each = next(iter(chosen.items()))
        return key, list(each["keypoints"])
    names = ", ".join(str(each["name"]) for each in found.values()) or "none"
    problem = f"{len(chosen)} categories with points" if chosen else f"no category {category} with points" if category else "no points"
    hint = "Say which: category=NAME." if found else "Keypoints are in person_keypoints_*.json: annotations=PREFIX names a file."
    raise DataError(f"{listing.file} has {problem} (with points: {names})", subject=str(listing.file), hint=hint)


def _names(listing: Listing, keys: Mapping[Any, Path] | list[Any]) -> list[str]:
    return [str(listing.images[key]["file_name"]) for key in keys]


def _size(entry: Mapping[str, Any], file: Path) -> Sizes:
    """(height, width) as listed, or from the file."""
    if entry.get("height") and entry.get("width"):
        return int(entry["height"]), int(entry["width"])
    from PIL import Image

    with Image.open(file) as image:
        return image.height, image.width


# -- the provider -----------------------------------------------------------------------------------------


def _resolve(name: Name, registry: Registry) -> Task:
    facts, own = facts_of(name, registry, OPTIONS, TYPES, FIXED)
    root = Path(name.stem.removeprefix("coco/")).expanduser().absolute()
    if not root.is_dir():
        raise UnknownName(f"{name}: there is no folder {root}", subject=str(name), hint=f"Write {coco.form}.")
    files = annotation_files(root, facts["type"], str(own.get("annotations", "")), str(name))
    images = {split: _images(root, file) for split, file in files.items()}
    return Task(
        name=str(name),
        summary=f"{root.name}, a folder in the form of COCO.",
        load=partial(load, root, files, facts["type"], own),
        images=None if facts["type"] == "keypoints" else len(images.get("train", ())) or None,
        files=tuple(dict.fromkeys([*files.values(), *(file for found in images.values() for file in found)])),
        code=digest(*(code_of(part) for part in (load, read, drawable, crop_of, images_in))),
        **facts,
    )


def _images(root: Path, file: Path) -> list[Path]:
    """The images of the likeliest folder that has any."""
    return next((list(found.values()) for folder in image_folders(root, file) if (found := images_in(folder))), [])


coco = Provider(
    prefix="coco",
    kind=Kind.TASK,
    form="coco/PATH",
    summary="A folder in the form of COCO: boxes, outlines or keypoints.",
    resolve=_resolve,
)
