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
HINT = "VOC has PATH/JPEGImages/*.jpg and PATH/Annotations/*.xml or PATH/SegmentationClass/*.png."

MASKS = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa "
    "train tvmonitor"
)
"""What the numbers in VOC's own masks mean, from 0."""


def load(root: Path, task_type: str, difficult: bool) -> dict[str, Split]:
    """Images as paths, and their boxes, read now, or their masks as paths. Raises DataError for a
    file that cannot be read.
    """
    files = images_in(root / "JPEGImages")
    return {
        split: _split(root, ids, files, task_type, difficult)
        for split, ids in _sets(root, task_type, files).items()
    }


def _split(
    root: Path, ids: list[str], files: Mapping[str, Path], task_type: str, difficult: bool
) -> Split:
    there = [image for image in ids if image in files]
    none_there(len(ids), there, "ImageSets", str(root))
    flaws = missing([image for image in ids if image not in files])
    if task_type == "segmentation":
        masks = images_in(root / FOLDERS[task_type])
        return Split(
            [files[image] for image in there], [masks.get(image) for image in there], there, flaws
        )
    kept: list[str] = []
    targets: list[dict[str, Any]] = []
    for image in there:
        target, found = _objects(
            root / FOLDERS[task_type] / f"{image}.xml", image, files[image], difficult
        )
        flaws += found
        if target is not None:
            kept.append(image)
            targets.append(target)
    return Split([files[image] for image in kept], targets, kept, flaws)


# -- boxes ------------------------------------------------------------------------------------------------


def _objects(
    file: Path, image: str, picture: Path, difficult: bool
) -> tuple[dict[str, Any] | None, list[Flaw]]:
    """An image's boxes, x, y, w, h, and classes; None where what is in it, or where, is not known."""
    if not file.is_file():
        return None, [Flaw(image, "has no annotation file", "left out")]
    annotation = read_xml(file)
    if wrong := of_another_size(
        image,
        picture,
        size_of(picture),
        annotation.findtext("size/width"),
        annotation.findtext("size/height"),
    ):
        return None, wrong
    found = list(annotation.iter("object"))
    hard = [each for each in found if (each.findtext("difficult") or "0").strip() == "1"]
    kept = found if difficult else [each for each in found if each not in hard]
    flaws = []
    if len(kept) < len(found):
        noun = "objects" if len(hard) > 1 else "object"
        flaws.append(
            Flaw.counting(
                image,
                f"has {{}} difficult {noun}",
                "left out" if kept else "left out, and with it the image",
                code="difficult-object",
                numbers=[len(hard)],
            )
        )
    if found and not kept:
        return None, flaws
    names = [(each.findtext("name") or "").strip() or None for each in kept]
    return {"bbox": [_box(each, file) for each in kept], "category": names}, flaws


def _box(found: ET.Element, file: Path) -> list[float]:
    """x, y, w, h; VOC counts pixels from 1, and the last one is in the box."""
    texts = {
        side: (found.findtext(f"bndbox/{side}") or "").strip()
        for side in ("xmin", "ymin", "xmax", "ymax")
    }
    try:
        left, top, right, bottom = (float(text) for text in texts.values())
    except ValueError:
        name = found.findtext("name") or "object"
        given = ", ".join(f"{side}={text or 'nothing'}" for side, text in texts.items())
        raise DataError(
            f"{file}: the box of a {name} is not four numbers ({given})",
            subject=str(file),
            hint="Mend the box.",
        ) from None
    return [left - 1, top - 1, right - left + 1, bottom - top + 1]


class _Plain(ET.TreeBuilder):
    """Refuses a document type before what it declares can be used: entities of entities that fill
    the memory, files of others.
    """

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise DataError("it declares a document type")


def read_xml(file: Path) -> ET.Element:
    """The root of an annotation file; raises DataError naming it where it cannot be read, or
    declares entities.
    """
    try:
        return ET.parse(file, ET.XMLParser(target=_Plain())).getroot()
    except (ET.ParseError, OSError, ValueError, LookupError, DataError) as error:
        hint = "Mend it, or remove it and its image; a <!DOCTYPE ...> is never needed."
        raise DataError(f"{file} cannot be read: {error}", subject=str(file), hint=hint) from None


# -- sets and folders -------------------------------------------------------------------------------------


def _sets(root: Path, task_type: str, files: Mapping[str, Path]) -> dict[str, list[str]]:
    """Split -> images; all in train without ImageSets."""
    lists = _lists(root, task_type)
    if not lists:
        return {"train": list(files)}
    if "train" in lists:  # trainval is train and val again
        lists.pop("trainval", None)
    if "trainval" in lists:
        lists = {name: file for name, file in lists.items() if SETS[name] != "validation"}
    return {SETS[name]: _ids(file) for name, file in lists.items()}


def _lists(root: Path, task_type: str) -> dict[str, Path]:
    """Image sets by name: those of the task type, or those of the other where it has none."""
    folders = ("Segmentation", "Main") if task_type == "segmentation" else ("Main", "Segmentation")
    for folder in folders:
        found = {
            name: file
            for name in SETS
            if (file := root / f"ImageSets/{folder}/{name}.txt").is_file()
        }
        if found:
            return found
    return {}


def _ids(file: Path) -> list[str]:
    lines = (
        line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return list(dict.fromkeys(words[0] for words in lines if words))


def _root(folder: Path, name: str) -> Path:
    """The folder that has JPEGImages, given it, or VOCdevkit around one year's."""
    if not folder.is_dir():
        raise UnknownName(
            f"{name}: there is no folder {folder}", subject=name, hint=f"Write {voc.form}."
        )
    if (folder / "JPEGImages").is_dir():
        return folder
    years = sorted(child.parent for child in folder.glob("*/JPEGImages")) or sorted(
        child.parent for child in folder.glob("*/*/JPEGImages")
    )
    if len(years) == 1:
        return years[0]
    problem = (
        f"holds {len(years)} years ({', '.join(year.name for year in years)})"
        if years
        else "has no folder JPEGImages"
    )
    hint = f"Name one: voc/{years[0]}" if years else HINT
    raise DataError(f"{name}: {folder} {problem}", subject=name, hint=hint)


def _resolve(name: Name, registry: Registry) -> Task:
    facts, own = facts_of(name, registry, FORM)
    root = _root(Path(name.stem.removeprefix("voc/")).expanduser().absolute(), str(name))
    annotations = root / FOLDERS[facts["type"]]
    if not annotations.is_dir():
        others = [kind for kind, folder in FOLDERS.items() if (root / folder).is_dir()]
        hint = f"It has {FOLDERS[others[0]]}, which is of type={others[0]}." if others else HINT
        raise DataError(
            f"{name}: {root} has no folder {annotations.name}", subject=str(name), hint=hint
        )
    if facts["type"] == "segmentation" and re.fullmatch(r"VOC20\d\d", root.name):
        facts.setdefault("classes", tuple(MASKS.split()))
    files = images_in(root / "JPEGImages")
    lists = _lists(root, facts["type"])
    return Task(
        name=str(name),
        summary=f"{root.name}, a folder in the form of Pascal VOC.",
        load=partial(load, root, facts["type"], bool(own.get("difficult", False))),
        images=sum(image in files for image in _sets(root, facts["type"], files).get("train", ())),
        files=(*files.values(), *lists.values(), *_annotations(annotations)),
        code=code_of(load),
        **facts,
    )


def _annotations(folder: Path) -> list[Path]:
    """XML, or masks of whatever format."""
    return sorted([*folder.rglob("*.xml"), *images_in(folder).values()])


voc = Provider(
    prefix="voc",
    kind=Kind.TASK,
    form="voc/PATH",
    summary="A folder in the form of Pascal VOC: boxes, or masks.",
    resolve=_resolve,
)
