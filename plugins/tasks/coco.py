"""Folders in the form of COCO: ``coco/PATH[type=detection|segmentation|keypoints]``.

Lin et al. 2014, Microsoft COCO: common objects in context (arXiv 1405.0312); the form is described
at cocodataset.org/#format-data.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
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
from headwater.plugins.tasks._coco_crops import CropBox, Crops, crop_box, points_in
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
class StoredImage:
    """An image that is listed and has a file.

    Attributes:
        file: its file.
        size: (width, height) as stored.
    """

    file: Path
    size: Size


def load(
    root: Path, files: Mapping[str, Path], task_type: str, options: Mapping[str, Value]
) -> dict[str, Split]:
    """Return every split's images as paths, with the targets of the task type.

    Args:
        root: The data set's folder.
        files: The annotation file of each split.
        task_type: ``detection``, ``segmentation`` or ``keypoints``.
        options: The provider's own options.

    Raises:
        DataError: A file cannot be read, or does not hold what the task type needs.
    """
    listings = {split: read_listing(file) for split, file in files.items()}
    # Classes are numbered in the order in which the splits list them first.
    names = [name for listing in listings.values() for name in listing.names()]
    classes = tuple(dict.fromkeys(names))
    return {
        split: _split(root, listing, task_type, classes, options)
        for split, listing in listings.items()
    }


def _split(
    root: Path,
    listing: Listing,
    task_type: str,
    classes: tuple[str, ...],
    options: Mapping[str, Value],
) -> Split:
    """Return a split, with the flaws of its file, its images and its objects."""
    images, image_flaws = _usable_images(root, listing)
    if task_type == "keypoints":
        category = str(options.get("category", ""))
        margin = float(options.get("margin", OPTIONS["margin"]))  # type: ignore[arg-type]
        split = _keypoints(listing, images, category, margin)
    elif task_type == "segmentation":
        has_background = bool(options.get("background", True))
        split = _segmentation(listing, images, classes, has_background)
    else:
        split = _detection(listing, images, classes)
    return replace(split, flaws=[*image_flaws, *split.flaws, *listing.flaws])


def _usable_images(root: Path, listing: Listing) -> tuple[dict[Any, StoredImage], list[Flaw]]:
    """Return the images that have a file of the listed size, by id, and the flaws of the others."""
    files = _image_files_of(root, listing)
    none_there(len(listing.images), files, listing.file.name, str(root))
    flaws = missing([_name(listing, key) for key in listing.images if key not in files])
    images = {}
    for key, file in files.items():
        size = size_of(file)
        listed = listing.images[key]
        width, height = listed.get("width"), listed.get("height")
        # Outlines and boxes are in pixels of the listed size.
        size_flaws = of_another_size(_name(listing, key), file, size, width=width, height=height)
        if size_flaws:
            flaws += size_flaws
        else:
            images[key] = StoredImage(file, size)
    return images, flaws


def _image_files_of(root: Path, listing: Listing) -> dict[Any, Path]:
    """Return the file of each listed image that has one, by id, from the likeliest folder."""
    folders = list(image_folders(root, listing.file))
    files = {}
    for key in listing.images:
        name = _name(listing, key)
        for folder in folders:
            file = within(folder, name)
            if file is not None:
                files[key] = file
                break
    return files


def _name(listing: Listing, image: Any) -> str:
    return str(listing.images[image]["file_name"])


# -- the types --------------------------------------------------------------------------------------------


def _detection(
    listing: Listing, images: Mapping[Any, StoredImage], classes: tuple[str, ...]
) -> Split:
    """Return the images with the boxes of their single objects.

    An image of which only crowds or unknown categories are annotated is left out: what is in it is
    not known.
    """
    files: list[Path] = []
    names: list[str] = []
    targets: list[dict[str, Any]] = []
    flaws: list[Flaw] = []
    for key, image in images.items():
        objects = listing.objects(key)
        object_flaws = objects.left_out()
        flaws += object_flaws
        if object_flaws and not objects.single:
            continue
        boxes, categories = [], []
        for annotation in objects.single:
            # A box that is none stays, as no numbers, for the harness to name with its image.
            boxes.append(box_numbers(annotation.get("bbox")) or [math.nan] * 4)
            categories.append(listing.category_name(annotation))
        files.append(image.file)
        names.append(objects.image)
        targets.append({"bbox": boxes, "category": categories})
    return Split(
        images=files,
        targets=targets,
        names=names,
        flaws=flaws,
        classes=classes,
        total=len(listing.images),
    )


def _segmentation(
    listing: Listing,
    images: Mapping[Any, StoredImage],
    classes: tuple[str, ...],
    has_background: bool,
) -> Split:
    """Return the images with masks of the category that is seen at each pixel, crowds too.

    Where there is no object a pixel is background, class 0, or without one void.
    """
    values = {name: value for value, name in enumerate(classes, start=int(has_background))}
    sizes: list[tuple[int, int]] = []
    objects_to_draw: list[list[Outlined]] = []
    flaws: list[Flaw] = []
    for key, image in images.items():
        objects = listing.objects(key)
        width, height = image.size
        outlined = []
        for annotation in (*objects.single, *objects.crowds):
            value = values[listing.category_name(annotation)]
            outlined.append(_outlined(annotation, value, height, width))
        flaws += _outline_flaws(objects.image, outlined)
        flaws += objects.strangers("void")
        # Something is where an object of an unknown category is: not background.
        unknown = [_outlined(annotation, VOID, height, width) for annotation in objects.strange]
        sizes.append((height, width))
        objects_to_draw.append([*outlined, *unknown])
    return Split(
        images=[image.file for image in images.values()],
        targets=Masks(sizes, objects_to_draw, 0 if has_background else VOID),
        names=[_name(listing, key) for key in images],
        flaws=flaws,
        classes=(BACKGROUND, *classes) if has_background else classes,
        total=len(listing.images),
    )


def _outlined(annotation: Mapping[str, Any], value: int, height: int, width: int) -> Outlined:
    """Return an object to draw as a value.

    Without an outline what it covers is not known, and all of its box is void.
    """
    outline = drawable(annotation.get("segmentation"), height, width)
    return Outlined(
        value=VOID if outline is None else value,
        outline=outline,
        box=box_numbers(annotation.get("bbox")),
        crowd=bool(annotation.get("iscrowd")),
    )


def _outline_flaws(image: str, objects: Sequence[Outlined]) -> list[Flaw]:
    """Return the flaws of an image whose objects have no outline: one for those with a box, one for
    those without.
    """
    without_outline = [item for item in objects if item.outline is None]
    with_box = sum(bool(item.box) for item in without_outline)
    without_box = len(without_outline) - with_box
    flaws = []
    if with_box:
        problem = "without an outline that can be drawn"
        flaws.append(_objects_flaw(image, with_box, problem, "its box is void"))
    if without_box:
        consequence = "void wherever no other object is"
        flaws.append(_objects_flaw(image, without_box, "without outline and box", consequence))
    return flaws


def _objects_flaw(image: str, count: int, problem: str, consequence: str) -> Flaw:
    return Flaw.counting(
        image,
        f"has {{}} {plural(count, 'object')} {problem}",
        consequence,
        code=problem.replace(" ", "-"),
        numbers=[count],
    )


def _keypoints(
    listing: Listing, images: Mapping[Any, StoredImage], category: str, margin: float
) -> Split:
    """Return one image for each object that has labelled points, cut out around it."""
    category_id, points = _category_with_points(listing, category)
    files: list[Path] = []
    boxes: list[CropBox] = []
    targets: list[Any] = []
    names: list[str] = []
    flaws: list[Flaw] = []
    total = 0
    for key in listing.images:
        objects = listing.objects(key)
        of_category = [item for item in objects.single if item["category_id"] == category_id]
        total += len(of_category)
        if key not in images:
            continue
        labelled = [item for item in of_category if _is_labelled(item.get("keypoints") or [])]
        # Most data sets have many objects without points: one flaw an image says it.
        unlabelled = len(of_category) - len(labelled)
        if unlabelled:
            flaws.append(_unlabelled_flaw(objects.image, unlabelled))
        for annotation in labelled:
            name = f"{objects.image} (annotation {annotation.get('id')})"
            box = crop_box(annotation, images[key].size, margin)
            flaw = _keypoints_flaw(name, annotation["keypoints"], len(points))
            if flaw is not None:
                flaws.append(flaw)
                continue
            if box is None:
                code = "no-box-in-the-image"
                flaws.append(Flaw(name, "has no box in the image", "left out", code=code))
                continue
            files.append(images[key].file)
            boxes.append(box)
            targets.append(points_in(annotation["keypoints"], box))
            names.append(name)
    return Split(
        images=Crops(files, boxes),
        targets=targets,
        names=names,
        flaws=flaws,
        classes=points,
        total=total,
    )


def _is_labelled(flat: Any) -> bool:
    """Return True if some of an object's keypoints are labelled, or what stands there is something
    else.
    """
    # x, y, v of each point in turn: v is 0 for a point that is not labelled.
    return not are_numbers(flat) or any(flat[2::3])


def _unlabelled_flaw(image: str, count: int) -> Flaw:
    return Flaw.counting(
        image,
        f"has {{}} {plural(count, 'object')} without labelled points",
        "left out",
        code="object-without-points",
        numbers=[count],
    )


def _keypoints_flaw(name: str, flat: Any, points: int) -> Flaw | None:
    """Return what is wrong with an object's keypoints, if anything is."""
    if not are_numbers(flat):
        code = "keypoints-not-numbers"
        return Flaw(name, "has keypoints that are no numbers", "left out", code=code)
    if len(flat) == 3 * points:
        return None
    return Flaw.counting(
        name,
        "has {} numbers for {} points",
        "left out",
        code="wrong-number-of-keypoints",
        numbers=[len(flat), points],
    )


def _category_with_points(listing: Listing, wanted: str) -> tuple[Any, list[str]]:
    """Return the id and the points of the category that has points.

    Args:
        listing: The annotation file.
        wanted: Name of the category; "" for the only one.

    Raises:
        DataError: No category has points, or the user must choose.
    """
    points_of: dict[Any, list[str]] = {}
    names: dict[Any, str] = {}
    for key, category in listing.categories.items():
        points = category.get("keypoints")
        if isinstance(points, list) and points:
            points_of[key] = [str(point) for point in points]
            names[key] = str(category["name"])
    chosen = [key for key, name in names.items() if not wanted or name == wanted]
    if len(chosen) == 1:
        return chosen[0], points_of[chosen[0]]

    if chosen:
        problem = f"{len(chosen)} categories with points"
    elif wanted:
        problem = f"no category {wanted} with points"
    else:
        problem = "no points"
    if names:
        hint = f"Say which: category={next(iter(names.values()))}."
    else:
        hint = "COCO's are in person_keypoints_*.json; annotations=PREFIX names another file."
    raise DataError(
        f"{listing.file} has {problem} (with points: {', '.join(names.values()) or 'none'})",
        subject=str(listing.file),
        hint=hint,
    )


# -- the provider -----------------------------------------------------------------------------------------


def _resolve(name: Name, registry: Registry) -> Task:
    facts, options = facts_of(name, registry, FORM)
    margin = options.get("margin", 0.0)
    if not 0 <= margin < math.inf:  # type: ignore[operator]
        raise BadName(
            f"{name}: margin={margin} is no share of a box, from 0 up",
            subject=str(name),
            hint="margin=0.1 adds a tenth of the box on each side, margin=0 nothing.",
        )
    root = Path(name.stem.removeprefix("coco/")).expanduser().absolute()
    if not root.is_dir():
        raise UnknownName(
            f"{name}: there is no folder {root}", subject=str(name), hint=f"Write {coco.form}."
        )
    task_type = facts["type"]
    prefix = str(options.get("annotations", ""))
    files = annotation_files(root, task_type, prefix, str(name))
    images = image_files(root)
    # An image has as many crops as it has objects: how many is known once the file is read.
    if task_type == "keypoints" or "train" not in files:
        count = None
    else:
        count = _count_images(images, root, files["train"])
    return Task(
        name=str(name),
        summary=f"{root.name}, a folder in the form of COCO.",
        load=partial(load, root, files, task_type, options),
        images=count,
        # Any of the images may be listed.
        files=(*files.values(), *images),
        code=code_of(load),
        **facts,
    )


def _count_images(images: Sequence[Path], root: Path, annotations: Path) -> int | None:
    """Return how many images are in the likeliest folder of an annotation file that has any."""
    for folder in image_folders(root, annotations):
        prefix = f"{folder}{os.sep}"
        count = sum(str(image).startswith(prefix) for image in images)
        if count:
            return count
    return None


coco = Provider(
    prefix="coco",
    kind=Kind.TASK,
    form="coco/PATH",
    summary="A folder in the form of COCO: boxes, outlines or keypoints.",
    resolve=_resolve,
)
