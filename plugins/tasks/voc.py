"""Folders in the form of Pascal VOC: ``voc/PATH[type=detection|segmentation]``.

Everingham et al. 2010, The Pascal Visual Object Classes challenge; the form is described in its
development kit.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from headwater import (
    SPLITS,
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
from headwater.plugins.tasks._image_files import (
    images_in,
    missing,
    none_there,
    of_another_size,
    size_of,
)
from headwater.plugins.tasks._task_options import Form, facts_of

OPTIONS: dict[str, Value] = {"difficult": False}
FORM = Form(
    OPTIONS, types={"detection": ("difficult",), "segmentation": ()}, fixed=("boxes", "void")
)

SETS = {**SPLITS, "trainval": "train", "default": "train"}
"""Image sets by name, and the split that each is; ``trainval`` only where there is no ``train``,
``default`` is CVAT's.
"""

FOLDERS = {"detection": "Annotations", "segmentation": "SegmentationClass"}
FORM_HINT = (
    "VOC has PATH/JPEGImages/*.jpg and PATH/Annotations/*.xml or PATH/SegmentationClass/*.png."
)

MASK_CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
)
"""Classes of the numbers in VOC's own masks, from 0."""


def load(root: Path, task_type: str, difficult: bool) -> dict[str, Split]:
    """Return every split's images as paths, with their boxes, or with their masks as paths.

    Args:
        root: The data set's folder.
        task_type: ``detection`` or ``segmentation``.
        difficult: Whether objects that are marked as difficult count.

    Raises:
        DataError: A file cannot be read.
    """
    files = images_in(root / "JPEGImages")
    image_sets = _image_sets(root, task_type, files)
    return {
        split: _split(root, images, files, task_type, difficult=difficult)
        for split, images in image_sets.items()
    }


def _split(
    root: Path,
    listed: list[str],
    files: Mapping[str, Path],
    task_type: str,
    *,
    difficult: bool,
) -> Split:
    """Return the split of the images that are listed, without those that are missing."""
    present = [image for image in listed if image in files]
    none_there(len(listed), present, "ImageSets", str(root))
    flaws = missing([image for image in listed if image not in files])
    folder = root / FOLDERS[task_type]
    if task_type == "segmentation":
        masks = images_in(folder)
        images = [files[image] for image in present]
        return Split(images, [masks.get(image) for image in present], present, flaws)

    images = []
    targets: list[dict[str, Any]] = []
    names: list[str] = []
    for image in present:
        annotation = folder / f"{image}.xml"
        target, object_flaws = _objects(annotation, image, files[image], difficult)
        flaws += object_flaws
        if target is not None:
            images.append(files[image])
            targets.append(target)
            names.append(image)
    return Split(images, targets, names, flaws)


# -- boxes ------------------------------------------------------------------------------------------------


def _objects(
    file: Path, image: str, picture: Path, difficult: bool
) -> tuple[dict[str, Any] | None, list[Flaw]]:
    """Return an image's boxes, x, y, w, h, and classes, and what is wrong with it.

    Args:
        file: The annotation file.
        image: Name of the image.
        picture: The image file.
        difficult: Whether objects that are marked as difficult count.

    Returns:
        The target, None where what is in the image, or where, is not known; and the flaws.
    """
    if not file.is_file():
        return None, [Flaw(image, "has no annotation file", "left out")]
    annotation = read_xml(file)
    width = annotation.findtext("size/width")
    height = annotation.findtext("size/height")
    size_flaws = of_another_size(image, picture, size_of(picture), width=width, height=height)
    if size_flaws:
        return None, size_flaws

    objects = list(annotation.iter("object"))
    easy = [item for item in objects if not _is_difficult(item)]
    counted = objects if difficult else easy
    flaws = []
    if len(counted) < len(objects):
        count = len(objects) - len(easy)
        noun = "objects" if count > 1 else "object"
        flaw = Flaw.counting(
            image,
            f"has {{}} difficult {noun}",
            "left out" if counted else "left out, and with it the image",
            code="difficult-object",
            numbers=[count],
        )
        flaws.append(flaw)
    # Without boxes the image would say that nothing is in it.
    if objects and not counted:
        return None, flaws
    boxes = [_box(item, file) for item in counted]
    names = [_text(item, "name") or None for item in counted]
    return {"bbox": boxes, "category": names}, flaws


def _is_difficult(item: ET.Element) -> bool:
    return _text(item, "difficult") == "1"


def _text(item: ET.Element, path: str) -> str:
    """Return the text of an element below another, "" where there is none."""
    return (item.findtext(path) or "").strip()


def _box(item: ET.Element, file: Path) -> list[float]:
    """Return x, y, w, h of an object; raise DataError where its box is not four numbers."""
    texts = {side: _text(item, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")}
    try:
        left, top, right, bottom = (float(text) for text in texts.values())
    except ValueError:
        name = item.findtext("name") or "object"
        sides = ", ".join(f"{side}={text or 'nothing'}" for side, text in texts.items())
        raise DataError(
            f"{file}: the box of a {name} is not four numbers ({sides})",
            subject=str(file),
            hint="Mend the box.",
        ) from None
    # VOC counts pixels from 1, and the last one is in the box.
    return [left - 1, top - 1, right - left + 1, bottom - top + 1]


class _WithoutDocumentType(ET.TreeBuilder):
    """Refuses a document type before what it declares can be used: entities of entities that fill
    the memory, files of others.
    """

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise DataError("it declares a document type")


def read_xml(file: Path) -> ET.Element:
    """Return the root of an annotation file.

    Raises:
        DataError: The file cannot be read, or declares entities.
    """
    parser = ET.XMLParser(target=_WithoutDocumentType())
    try:
        return ET.parse(file, parser).getroot()
    except (ET.ParseError, OSError, ValueError, LookupError, DataError) as error:
        raise DataError(
            f"{file} cannot be read: {error}",
            subject=str(file),
            hint="Mend it, or remove it and its image; a <!DOCTYPE ...> is never needed.",
        ) from None


# -- sets and folders -------------------------------------------------------------------------------------


def _image_sets(root: Path, task_type: str, files: Mapping[str, Path]) -> dict[str, list[str]]:
    """Return the images of each split; all are in train where there are no ImageSets."""
    lists = _image_lists(root, task_type)
    if not lists:
        return {"train": list(files)}
    # trainval is train and val again.
    if "train" in lists:
        lists.pop("trainval", None)
    if "trainval" in lists:
        lists = {name: file for name, file in lists.items() if SETS[name] != "validation"}
    return {SETS[name]: _listed_images(file) for name, file in lists.items()}


def _image_lists(root: Path, task_type: str) -> dict[str, Path]:
    """Return the files of the image sets by name: those of the task type, or those of the other
    where it has none.
    """
    folders = ["Main", "Segmentation"]
    if task_type == "segmentation":
        folders.reverse()
    for folder in folders:
        files = {name: root / f"ImageSets/{folder}/{name}.txt" for name in SETS}
        lists = {name: file for name, file in files.items() if file.is_file()}
        if lists:
            return lists
    return {}


def _listed_images(file: Path) -> list[str]:
    """Return the images that a list names, each once."""
    text = file.read_text(encoding="utf-8", errors="replace")
    # Lists of one class have a second column, whether it is in the image.
    rows = [line.split() for line in text.splitlines()]
    return list(dict.fromkeys(row[0] for row in rows if row))


def _root(folder: Path, name: str) -> Path:
    """Return the folder that has JPEGImages: the named one, or that of the only year in VOCdevkit.

    Raises:
        UnknownName: There is no such folder.
        DataError: There is no year in it, or there are several.
    """
    if not folder.is_dir():
        raise UnknownName(
            f"{name}: there is no folder {folder}", subject=name, hint=f"Write {voc.form}."
        )
    if (folder / "JPEGImages").is_dir():
        return folder
    # VOCdevkit/VOC2012/JPEGImages, or the same in the folder that the archive was unpacked to.
    images = list(folder.glob("*/JPEGImages")) or list(folder.glob("*/*/JPEGImages"))
    years = sorted(child.parent for child in images)
    if len(years) == 1:
        return years[0]
    if years:
        names = ", ".join(year.name for year in years)
        problem = f"holds {len(years)} years ({names})"
        hint = f"Name one: voc/{years[0]}"
    else:
        problem = "has no folder JPEGImages"
        hint = FORM_HINT
    raise DataError(f"{name}: {folder} {problem}", subject=name, hint=hint)


def _resolve(name: Name, registry: Registry) -> Task:
    facts, options = facts_of(name, registry, FORM)
    task_type = facts["type"]
    root = _root(Path(name.stem.removeprefix("voc/")).expanduser().absolute(), str(name))
    annotations = root / FOLDERS[task_type]
    if not annotations.is_dir():
        other_types = [kind for kind, folder in FOLDERS.items() if (root / folder).is_dir()]
        hint = FORM_HINT
        if other_types:
            hint = f"It has {FOLDERS[other_types[0]]}, which is of type={other_types[0]}."
        raise DataError(
            f"{name}: {root} has no folder {annotations.name}", subject=str(name), hint=hint
        )
    # Only the challenge's own masks are sure to have its classes.
    if task_type == "segmentation" and re.fullmatch(r"VOC20\d\d", root.name):
        facts.setdefault("classes", tuple(MASK_CLASSES.split()))
    files = images_in(root / "JPEGImages")
    lists = _image_lists(root, task_type)
    training_images = _image_sets(root, task_type, files).get("train", ())
    return Task(
        name=str(name),
        summary=f"{root.name}, a folder in the form of Pascal VOC.",
        load=partial(load, root, task_type, bool(options.get("difficult", False))),
        images=sum(image in files for image in training_images),
        files=(*files.values(), *lists.values(), *_annotation_files(annotations)),
        code=code_of(load),
        **facts,
    )


def _annotation_files(folder: Path) -> list[Path]:
    """Return the XML files, or masks of whatever format, sorted."""
    return sorted([*folder.rglob("*.xml"), *images_in(folder).values()])


voc = Provider(
    prefix="voc",
    kind=Kind.TASK,
    form="voc/PATH",
    summary="A folder in the form of Pascal VOC: boxes, or masks.",
    resolve=_resolve,
)
