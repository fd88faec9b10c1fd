"""Rendered data sets of every task type, all of the same scenes: coloured shapes on a noisy ground, 64×48 pixels.

A plugin file, and functions that write the same scenes as Parquet, as a VOC folder and as a COCO folder.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import headwater as hw

PLUGIN = Path(__file__)
WIDTH, HEIGHT = 64, 48
TRAIN, TEST = 24, 12

KINDS = ("disc", "square", "triangle")
COLOURS = np.array([(220, 60, 50), (60, 200, 70), (70, 90, 230)])
"""Of the kinds: the colour tells the kind, the brightness how near it is."""

VOID = 255
POINTS = ("centre", "left", "right", "bottom")


@dataclass(frozen=True)
class Shape:
    """A shape around ``x``, ``y`` within ``radius`` pixels, ``depth`` metres away."""

    kind: int
    x: int
    y: int
    radius: int
    depth: float

    def mask(self) -> np.ndarray:
        """(48, 64) bool."""
        across, down = np.meshgrid(np.arange(WIDTH) - self.x, np.arange(HEIGHT) - self.y)
        if KINDS[self.kind] == "disc":
            return across**2 + down**2 <= self.radius**2
        inside = (np.abs(across) <= self.radius) & (np.abs(down) <= self.radius)
        return (
            inside
            if KINDS[self.kind] == "square"
            else inside & (2 * np.abs(across) <= down + self.radius)
        )

    def box(self) -> list[float]:
        """x, y, width, height: all of its pixels."""
        return [
            float(self.x - self.radius),
            float(self.y - self.radius),
            2.0 * self.radius + 1,
            2.0 * self.radius + 1,
        ]

    def outline(self) -> list[float]:
        """The corners of a polygon, x and y in turn, in the coordinates of pixel corners."""
        left, top, width, height = self.box()
        if KINDS[self.kind] == "square":
            return [left, top, left + width, top, left + width, top + height, left, top + height]
        if KINDS[self.kind] == "triangle":
            return [self.x + 0.5, top, left + width, top + height, left, top + height]
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        circle = np.stack([np.cos(angles), np.sin(angles)], 1) * (self.radius + 0.5) + (
            self.x + 0.5,
            self.y + 0.5,
        )
        return [float(value) for value in circle.ravel()]

    def points(self) -> list[list[float]]:
        """(4, 3): the centre, and the middles of three sides of its box, each visible."""
        at = [
            (self.x, self.y),
            (self.x - self.radius, self.y),
            (self.x + self.radius, self.y),
            (self.x, self.y + self.radius),
        ]
        return [[float(x), float(y), 2.0] for x, y in at]


@dataclass(frozen=True)
class Scene:
    """One to three shapes that do not touch, the first of them the largest, on a floor that comes nearer towards the bottom."""

    number: int
    shapes: tuple[Shape, ...]

    def image(self) -> np.ndarray:
        """(48, 64, 3) uint8."""
        random = np.random.default_rng(self.number)
        image = np.full((HEIGHT, WIDTH, 3), 90.0) + np.linspace(-30, 30, HEIGHT)[:, None, None]
        for shape in self.shapes:
            image[shape.mask()] = COLOURS[shape.kind] * (1.3 - 0.3 * shape.depth)
        return (image + random.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)

    def mask(self) -> np.ndarray:
        """(48, 64) uint8: 0 the ground, then the kinds; the frame of one pixel is void."""
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for shape in self.shapes:
            mask[shape.mask()] = 1 + shape.kind
        mask[[0, -1]] = mask[:, [0, -1]] = VOID
        return mask

    def depth(self) -> np.ndarray:
        """(48, 64) float32 metres, 0 where nothing was read: a strip at the left."""
        depth = np.repeat(np.linspace(4, 2, HEIGHT, dtype=np.float32)[:, None], WIDTH, 1)
        for shape in self.shapes:
            depth[shape.mask()] = shape.depth
        depth[:, :2] = 0
        return depth

    def objects(self) -> dict[str, list[Any]]:
        return {
            "bbox": [shape.box() for shape in self.shapes],
            "category": [KINDS[shape.kind] for shape in self.shapes],
        }

    def points(self) -> list[list[float]]:
        """(4, 3), of the largest shape."""
        return self.shapes[0].points()

    def kinds(self) -> list[str]:
        return sorted({KINDS[shape.kind] for shape in self.shapes})

    def kind(self) -> str:
        """Of the largest shape."""
        return KINDS[self.shapes[0].kind]

    def covered(self) -> float:
        """Percentage of the image that is covered by shapes."""
        return 100 * float(np.mean([shape.mask() for shape in self.shapes], axis=(1, 2)).sum())


@cache
def scene(number: int) -> Scene:
    random = np.random.default_rng(1000 + number)
    shapes: list[Shape] = []
    for place in range(1 + number % 3):
        shape = _placed(
            random,
            (number + place) % len(KINDS) if place == 0 else int(random.integers(len(KINDS))),
            place,
            shapes,
        )
        shapes += [shape] if shape else []
    return Scene(number, tuple(shapes))


def _placed(
    random: np.random.Generator, kind: int, place: int, others: Sequence[Shape]
) -> Shape | None:
    """A shape that lies within the frame and clear of the others; None where there is no room for it."""
    for _ in range(50):
        radius = int(random.integers(9, 13) if place == 0 else random.integers(4, 8))
        x, y = (
            int(random.integers(radius + 1, WIDTH - radius - 1)),
            int(random.integers(radius + 1, HEIGHT - radius - 1)),
        )
        if all(
            max(abs(x - other.x), abs(y - other.y)) > radius + other.radius + 1 for other in others
        ):
            return Shape(kind, x, y, radius, round(float(random.uniform(1, 2)), 3))
    return None


SPLITS = {"train": range(TRAIN), "test": range(100, 100 + TEST)}


def scenes(split: str) -> list[Scene]:
    return [scene(number) for number in SPLITS[split]]


def _splits(target: Callable[[Scene], Any]) -> dict[str, hw.Split]:
    return {
        split: hw.Split(
            [each.image() for each in scenes(split)],
            [target(each) for each in scenes(split)],
            [f"scene {each.number}" for each in scenes(split)],
        )
        for split in SPLITS
    }


# -- tasks ------------------------------------------------------------------------------------------------


@hw.task("rendered/classification", domain="synthetic", classes=KINDS, images=TRAIN)
def classification():
    """What the largest shape is."""
    return _splits(Scene.kind)


@hw.task("rendered/multilabel", domain="synthetic", type="multilabel", classes=KINDS, images=TRAIN)
def multilabel():
    """Which shapes there are."""
    return _splits(Scene.kinds)


@hw.task("rendered/regression", domain="synthetic", type="regression", images=TRAIN)
def regression():
    """How much of the image is covered by shapes."""
    return _splits(Scene.covered)


@hw.task(
    "rendered/segmentation",
    domain="synthetic",
    type="segmentation",
    classes=("ground", *KINDS),
    images=TRAIN,
)
def segmentation():
    """What each pixel shows."""
    return _splits(Scene.mask)


@hw.task("rendered/detection", domain="synthetic", type="detection", classes=KINDS, images=TRAIN)
def detection():
    """Where the shapes are, and what."""
    return _splits(Scene.objects)


@hw.task("rendered/keypoints", domain="synthetic", type="keypoints", images=TRAIN, mirror=False)
def keypoints():
    """Four points of the largest shape."""
    return _splits(Scene.points)


@hw.task("rendered/depth", domain="synthetic", type="depth", images=TRAIN)
def depth():
    """How far away each pixel is, in metres."""
    return _splits(Scene.depth)


# -- files ------------------------------------------------------------------------------------------------


def encoded(array: np.ndarray, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form)
    return buffer.getvalue()


def millimetres(depth: np.ndarray) -> np.ndarray:
    return np.round(depth * 1000).astype(np.uint16)


def write_parquet(
    folder: Path,
    task_type: str,
    change: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda row, values: values,
) -> Path:
    """FOLDER/{train,test}.parquet as the Hub's data sets of that type are; ``change(row, values)`` may spoil a row."""
    import datasets

    datasets.disable_progress_bars()
    column, feature, target = _columns()[task_type]
    features = datasets.Features(
        {"image_id": datasets.Value("string"), "image": datasets.Image(), column: feature}
    )
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = [
            change(
                row,
                {
                    "image_id": f"scene_{each.number}",
                    "image": {"bytes": encoded(each.image())},
                    column: target(each),
                },
            )
            for row, each in enumerate(scenes(split))
        ]
        data = datasets.Dataset.from_dict(
            {key: [row[key] for row in rows] for key in features}, features=features
        )
        data.to_parquet(folder / f"{split}.parquet")
    return folder


def _columns() -> dict[str, tuple[str, Any, Callable[[Scene], Any]]]:
    """Task type -> what the Hub calls the column, its feature, a scene's value."""
    import datasets

    kind, number = datasets.ClassLabel(names=list(KINDS)), datasets.Value("float32")
    objects = {
        "bbox": datasets.List(datasets.List(number, length=4)),
        "category": datasets.List(kind),
    }
    return {
        "classification": ("label", kind, Scene.kind),
        "multilabel": ("labels", datasets.List(kind), Scene.kinds),
        "regression": ("target", number, Scene.covered),
        "segmentation": (
            "annotation",
            datasets.Image(),
            lambda each: {"bytes": encoded(each.mask())},
        ),
        "detection": ("objects", objects, Scene.objects),
        "keypoints": ("keypoints", datasets.List(datasets.List(number)), Scene.points),
        "depth": (
            "depth_map",
            datasets.Image(),
            lambda each: {"bytes": encoded(millimetres(each.depth()))},
        ),
    }


def write_voc(root: Path, *, sets: bool = True) -> Path:
    """A VOCdevkit folder: objects of every scene, masks with the void frame. Without ``sets`` it has no ImageSets."""
    for folder in (
        "JPEGImages",
        "Annotations",
        "SegmentationClass",
        "ImageSets/Main",
        "ImageSets/Segmentation",
    ):
        if sets or not folder.startswith("ImageSets"):
            (root / folder).mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        for each in scenes(split):
            (root / f"JPEGImages/{each.number:06d}.jpg").write_bytes(encoded(each.image(), "JPEG"))
            (root / f"Annotations/{each.number:06d}.xml").write_text(_xml(each))
            _palette(each.mask()).save(root / f"SegmentationClass/{each.number:06d}.png")
        for folder in ("Main", "Segmentation") if sets else ():
            (root / f"ImageSets/{folder}/{split}.txt").write_text(
                "".join(f"{each.number:06d}\n" for each in scenes(split))
            )
    return root


def _palette(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask)
    image.putpalette([value for index in range(256) for value in (index, 128, 255 - index)])
    return image


def _xml(each: Scene) -> str:
    """VOC's boxes count pixels from 1, the last one included."""
    objects = ""
    for shape in each.shapes:
        left, top, width, height = (int(value) for value in shape.box())
        objects += (
            f"<object><name>{KINDS[shape.kind]}</name><difficult>0</difficult><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{left + width}</xmax><ymax>{top + height}</ymax></bndbox></object>"
        )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><filename>{each.number:06d}.jpg</filename>{size}{objects}</annotation>"


def coco(split: str) -> dict[str, Any]:
    """A COCO file's content: boxes, polygons and the four points of every shape; category ids do not start at 0 and have a gap."""
    images, annotations = [], []
    for each in scenes(split):
        images.append(
            {
                "id": each.number + 1,
                "file_name": f"{each.number:012d}.jpg",
                "width": WIDTH,
                "height": HEIGHT,
            }
        )
        for shape in each.shapes:
            area = float(shape.mask().sum())
            points = [int(value) for point in shape.points() for value in point]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": each.number + 1,
                    "category_id": 3 + 2 * shape.kind,
                    "bbox": shape.box(),
                    "area": area,
                    "iscrowd": 0,
                    "segmentation": [shape.outline()],
                    "keypoints": points,
                    "num_keypoints": len(POINTS),
                }
            )
    skeleton = {"keypoints": list(POINTS), "skeleton": []}
    categories = [
        {"id": 3 + 2 * index, "name": kind, "supercategory": "shape", **skeleton}
        for index, kind in enumerate(KINDS)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(root: Path, *, flat: bool = False, kind: str = "instances") -> Path:
    """annotations/KIND_train2017.json and train2017/, or train/_annotations.coco.json beside its images (``flat``)."""
    for split, year in {"train": "train2017", "test": "val2017"}.items():
        folder = root / (split if flat else year)
        folder.mkdir(parents=True, exist_ok=True)
        for each in scenes(split):
            (folder / f"{each.number:012d}.jpg").write_bytes(encoded(each.image(), "JPEG"))
        file = (
            folder / "_annotations.coco.json" if flat else root / f"annotations/{kind}_{year}.json"
        )
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(coco(split)))
    return root
