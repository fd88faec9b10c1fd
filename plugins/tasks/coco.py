"""Folders in the form of COCO: ``coco/PATH[type=detection|segmentation|keypoints]``.

Lin et al. 2014, Microsoft COCO: common objects in context (arXiv 1405.0312); the form is described
at cocodataset.org/#format-data.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from headwater import (
    BadName,
    DataError,
    Flaw,
    Kind,
    Name,
    Provider,
    Registry,
    Split,
    Task,
    UnknownName,
    Value,
    code_of,
)
from headwater.plugins.tasks._coco_crops import Crops, crop_box, points_in
from headwater.plugins.tasks._coco_file import (
    Listing,
    annotation_files,
    are_numbers,
    box_numbers,
    image_folders,
    plural,
    read_listing,
)
from headwater.plugins.tasks._coco_masks import VOID, Masks, Outlined, drawable
from headwater.plugins.tasks._image_files import (
    Size,
    image_files,
    missing,
    none_there,
    of_another_size,
    size_of,
    within,
)
from headwater.plugins.tasks._task_options import Form, facts_of

OPTIONS: dict[str, Value] = {
    "annotations": "instances",
    "background": True,
    "category": "person",
    "margin": 0.1,
}
FORM = Form(
    OPTIONS,
    types={
        "detection": ("classes",),
        "segmentation": ("background",),
        "keypoints": ("category", "margin"),
    },
    fixed=("points", "void"),
)

BACKGROUND = "background"
"""The class of pixels that no object covers."""


@dataclass(frozen=True)
class Image:
    """One that is listed and there, as it is stored."""

    file: Path
    size: Size


def load(
    root: Path, files: Mapping[str, Path], task_type: str, own: Mapping[str, Value]
) -> dict[str, Split]:
    """Every split's images as paths, with the targets of the task type. Raises DataError."""
    listings = {split: read_listing(file) for split, file in files.items()}
    classes = tuple(
        dict.fromkeys(name for listing in listings.values() for name in listing.names())
    )
    return {
        split: _split(root, listing, task_type, classes, own) for split, listing in listings.items()
    }


def _split(
    root: Path, listing: Listing, task_type: str, classes: tuple[str, ...], own: Mapping[str, Value]
) -> Split:
    images, flaws = _usable(root, listing)
    if task_type == "keypoints":
        found = _keypoints(
            listing,
            images,
            str(own.get("category", "")),
            float(own.get("margin", OPTIONS["margin"])),  # type: ignore[arg-type]
        )
    elif task_type == "segmentation":
        found = _segmentation(listing, images, classes, bool(own.get("background", True)))
    else:
        found = _detection(listing, images, classes)
    return replace(found, flaws=[*flaws, *found.flaws, *listing.flaws])


def _usable(root: Path, listing: Listing) -> tuple[dict[Any, Image], list[Flaw]]:
    """By id, the images that are there and as large as they are listed, and what is wrong with the
    others.
    """
    there = dict(_there(root, listing))
    none_there(len(listing.images), there, listing.file.name, str(root))
    flaws = missing([_name(listing, key) for key in listing.images if key not in there])
    images = {}
    for key, file in there.items():
        size, listed = size_of(file), listing.images[key]
        if wrong := of_another_size(
            _name(listing, key), file, size, listed.get("width"), listed.get("height")
        ):
            flaws += wrong
        else:
            images[key] = Image(file, size)
    return images, flaws


def _there(root: Path, listing: Listing) -> Iterator[tuple[Any, Path]]:
    folders = list(image_folders(root, listing.file))
    for key in listing.images:
        found = (within(folder, _name(listing, key)) for folder in folders)
        if file := next((file for file in found if file), None):
            yield key, file


def _name(listing: Listing, image: Any) -> str:
    return str(listing.images[image]["file_name"])


# -- the types --------------------------------------------------------------------------------------------


def _detection(listing: Listing, images: Mapping[Any, Image], classes: tuple[str, ...]) -> Split:
    """Boxes of single objects. An image of which only others are annotated is left out: what is in
    it is not known.
    """
    files: list[Path] = []
    names: list[str] = []
    targets: list[dict[str, Any]] = []
    flaws: list[Flaw] = []
    for key, image in images.items():
        objects = listing.objects(key)
        found = objects.left_out()
        flaws += found
        if objects.single or not found:
            files.append(image.file)
            names.append(objects.image)
            boxes = [
                box_numbers(each.get("bbox")) or [math.nan] * 4 for each in objects.single
            ]  # what is none is seen to be none
            targets.append(
                {
                    "bbox": boxes,
                    "category": [listing.category_name(each) for each in objects.single],
                }
            )
    return Split(files, targets, names, flaws, classes, len(listing.images))


def _segmentation(
    listing: Listing, images: Mapping[Any, Image], classes: tuple[str, ...], background: bool
) -> Split:
    """Masks of the category that is seen at each pixel, crowds too; where there is none it is
    background, class 0, or void.
    """
    values = {name: value for value, name in enumerate(classes, start=int(background))}
    sizes: list[tuple[int, int]] = []
    drawn: list[list[Outlined]] = []
    flaws: list[Flaw] = []
    for key, image in images.items():
        objects, (width, height) = listing.objects(key), image.size
        known = [
            _outlined(each, values[listing.category_name(each)], height, width)
            for each in (*objects.single, *objects.crowds)
        ]
        bare = [each.box for each in known if each.outline is None]
        for boxes, what, handled in (
            (
                [box for box in bare if box],
                "without an outline that can be drawn",
                "its box is void",
            ),
            (
                [box for box in bare if not box],
                "without outline and box",
                "void wherever no other object is",
            ),
        ):
            if boxes:
                flaws.append(
                    Flaw.counting(
                        objects.image,
                        f"has {{}} {plural(len(boxes), 'object')} {what}",
                        handled,
                        code=what.replace(" ", "-"),
                        numbers=[len(boxes)],
                    )
                )
        flaws += objects.strangers("void")
        sizes.append((height, width))
        drawn.append([*known, *(_outlined(each, VOID, height, width) for each in objects.strange)])
    masks = Masks(sizes, drawn, 0 if background else VOID)
    files, names = (
        [image.file for image in images.values()],
        [_name(listing, key) for key in images],
    )
    return Split(
        files,
        masks,
        names,
        flaws,
        (BACKGROUND, *classes) if background else classes,
        len(listing.images),
    )


def _outlined(each: Mapping[str, Any], value: int, height: int, width: int) -> Outlined:
    """An object to draw; without an outline what it covers is not known, and all of its box is
    void.
    """
    outline = drawable(each.get("segmentation"), height, width)
    return Outlined(
        VOID if outline is None else value,
        outline,
        box_numbers(each.get("bbox")),
        bool(each.get("iscrowd")),
    )


def _keypoints(
    listing: Listing, images: Mapping[Any, Image], category: str, margin: float
) -> Split:
    """One image for each object that has labelled points, cut out around it."""
    wanted, points = _with_points(listing, category)
    files, boxes, targets, names, flaws, given = [], [], [], [], [], 0
    for key in listing.images:
        objects = listing.objects(key)
        single = [each for each in objects.single if each["category_id"] == wanted]
        given += len(single)
        if key not in images:
            continue
        labelled = [each for each in single if _is_labelled(each.get("keypoints") or [])]
        if bare := len(single) - len(
            labelled
        ):  # most data sets have many: one flaw an image says it
            flaws.append(
                Flaw.counting(
                    objects.image,
                    f"has {{}} {plural(bare, 'object')} without labelled points",
                    "left out",
                    code="object-without-points",
                    numbers=[bare],
                )
            )
        for each in labelled:
            name, box = (
                f"{objects.image} (annotation {each.get('id')})",
                crop_box(each, images[key].size, margin),
            )
            problem = _wrong(name, each["keypoints"], len(points))
            if problem or box is None:
                flaws.append(problem or Flaw(name, "has no box in the image", "left out"))
                continue
            files.append(images[key].file)
            boxes.append(box)
            targets.append(points_in(each["keypoints"], box))
            names.append(name)
    return Split(Crops(files, boxes), targets, names, flaws, points, given)


def _is_labelled(flat: Any) -> bool:
    """Whether some of an object's keypoints are labelled, or what stands there is something else."""
    return not are_numbers(flat) or any(flat[2::3])


def _wrong(name: str, flat: Any, points: int) -> Flaw | None:
    """Return what is wrong with an object's keypoints, if anything is."""
    if not are_numbers(flat):
        return Flaw(name, "has keypoints that are no numbers", "left out")
    if len(flat) == 3 * points:
        return None
    return Flaw.counting(
        name,
        "has {} numbers for {} points",
        "left out",
        code="wrong-number-of-keypoints",
        numbers=[len(flat), points],
    )


def _with_points(listing: Listing, category: str) -> tuple[Any, list[str]]:
    """The id and the points of the category that has points; raises DataError where there is none,
    or the user must choose.
    """
    found = {
        key: each
        for key, each in listing.categories.items()
        if isinstance(each.get("keypoints"), list) and each["keypoints"]
    }
    chosen = {
        key: each for key, each in found.items() if not category or str(each["name"]) == category
    }
    if len(chosen) == 1:
        key, each = next(iter(chosen.items()))
        return key, [str(point) for point in each["keypoints"]]
    named = [str(each["name"]) for each in found.values()]
    problem = (
        f"{len(chosen)} categories with points"
        if chosen
        else f"no category {category} with points"
        if category
        else "no points"
    )
    hint = (
        f"Say which: category={named[0]}."
        if found
        else "COCO's are in person_keypoints_*.json; annotations=PREFIX names another file."
    )
    raise DataError(
        f"{listing.file} has {problem} (with points: {', '.join(named) or 'none'})",
        subject=str(listing.file),
        hint=hint,
    )


# -- the provider -----------------------------------------------------------------------------------------


def _resolve(name: Name, registry: Registry) -> Task:
    facts, own = facts_of(name, registry, FORM)
    if not 0 <= (margin := own.get("margin", 0.0)) < math.inf:  # type: ignore[operator]
        hint = "margin=0.1 adds a tenth of the box on each side, margin=0 nothing."
        raise BadName(
            f"{name}: margin={margin} is no share of a box, from 0 up", subject=str(name), hint=hint
        )
    root = Path(name.stem.removeprefix("coco/")).expanduser().absolute()
    if not root.is_dir():
        raise UnknownName(
            f"{name}: there is no folder {root}", subject=str(name), hint=f"Write {coco.form}."
        )
    files = annotation_files(root, facts["type"], str(own.get("annotations", "")), str(name))
    images = image_files(root)
    return Task(
        name=str(name),
        summary=f"{root.name}, a folder in the form of COCO.",
        load=partial(load, root, files, facts["type"], own),
        images=None
        if facts["type"] == "keypoints" or "train" not in files
        else _count(images, root, files["train"]),
        files=(*files.values(), *images),  # any of them may be listed
        code=code_of(load),
        **facts,
    )


def _count(images: Sequence[Path], root: Path, file: Path) -> int | None:
    """How many of the images below the root are in the likeliest folder that has any."""
    counts = (
        sum(str(image).startswith(f"{folder}{os.sep}") for image in images)
        for folder in image_folders(root, file)
    )
    return next((count for count in counts if count), None)


coco = Provider(
    prefix="coco",
    kind=Kind.TASK,
    form="coco/PATH",
    summary="A folder in the form of COCO: boxes, outlines or keypoints.",
    resolve=_resolve,
)
