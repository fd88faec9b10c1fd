"""Tasks: a data set with a type, an appearance domain, splits and a metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from headwater.registry.cards.card import Card, Kind, names_bad_keywords, summary_of
from headwater.registry.cards.flaw import Flaw
from headwater.registry.defaults import DEFAULT_TASK_TYPE
from headwater.registry.identity import code_of, digest, digest_files
from headwater.registry.names import Name, Value

HELD_OUT_SPLITS = ("test", "validation", "val", "valid")
"""What data sets call the split to test on, the likeliest first."""

SPLITS: Mapping[str, str] = {"train": "train", "test": "test"} | dict.fromkeys(
    HELD_OUT_SPLITS[1:], "validation"
)
"""What data sets call their splits, and which each is."""


@dataclass(frozen=True)
class Split:
    """A split as a plugin hands it over.

    ``images``: paths, encoded bytes, PIL images, or uint8 arrays (H, W) or (H, W, 3); any sequence,
        so a lazy one too. ``targets``: one per image, as the task's type wants them: a class index
        or class name (classification); a list of them (multilabel); a number or several
        (regression); a mask (H, W), as any image or whole numbers (segmentation); ``{"bbox": [[x,
        y, w, h], ...], "category": [class, ...]}`` in pixels (detection); (K, 2) or (K, 3) x, y and
        whether visible, in pixels (keypoints); a depth map (H, W), as any image or floats (depth).
        ``names`` say which image an error is about (file names, or rows where there are none).
    ``flaws``: what loading already found wrong and handled, such as an image that is listed and
        missing. ``classes``: class names, where the data say them. ``total``: how many images the
        data set has of the split, those that loading left out among them; None: those there are,
        and those that only ``flaws`` name.
    """

    images: Sequence[Any]
    targets: Sequence[Any]
    names: Sequence[str] = ()
    flaws: Sequence[Flaw] = ()
    classes: Sequence[str] = ()
    total: int | None = None


@dataclass(frozen=True, kw_only=True)
class Task(Card):
    """A target of transfer: a data set, a task type, and how success is measured.

    ``load()`` returns a ``datasets.DatasetDict`` or ``Dataset`` (an image column, a label column),
    or a mapping of split name ("train", "test"; "validation" joins train where there is a test
    split) to Split. Without a test split one is carved, the same every time. ``metric`` is one of
    its type's. ``mirror`` says whether a flipped image still shows the same thing (a letter does
    not). ``conventions``: how its targets are written, where its type knows several ways
    (``{"void": 11}``). ``image`` and ``label`` name the columns of a data set that are its images
    and targets, where these cannot be told. ``unit``: what its numbers count ("years"), where its
    metrics are in their unit. ``family``: tasks of one family are variants of one another, and
    count as one where other targets are spoken of; "" for the default of ``family_name``.
    ``files`` decide the data's revision; ``unpinned`` says, where it is so, why neither they nor
    ``revision`` tie results to one version of the data.
    """

    kind: ClassVar[Kind] = Kind.TASK
    list_columns: ClassVar[tuple[str, ...]] = (
        "name",
        "type",
        "domain",
        "metric",
        "classes",
        "images",
        "licence",
        "summary",
    )
    usage: ClassVar[str] = 'tasks = ["{name}"]'

    load: Callable[[], Any] = field(repr=False)
    type: str = DEFAULT_TASK_TYPE
    domain: str | None = None
    metric: str = ""
    classes: tuple[str, ...] = ()
    licence: str | None = None
    images: int | None = None
    mirror: bool = True
    conventions: Mapping[str, Value] = field(default_factory=dict, hash=False)
    image: str = ""
    label: str = ""
    unit: str = ""
    family: str = ""
    revision: str = ""
    files: tuple[Path, ...] = field(default=(), repr=False)
    unpinned: str = ""

    @property
    def family_name(self) -> str:
        """The family: the card's own, else that of its classes, else its data set."""
        return self.family or family_of_classes(self.classes) or data_set_of(self.name)

    def facts(self) -> dict[str, Any]:
        """Return the plain fields, with the family that it has by default."""
        return super().facts() | {"family": self.family_name}

    def identity(self) -> tuple[Any, ...]:
        """All that decides which images and targets ``load`` returns."""
        parts = (
            self.name,
            self.code,
            self.revision,
            self.type,
            self.classes,
            digest_files(self.files) if self.files else "",
        )
        optional_parts = {
            "conventions": tuple(sorted(self.conventions.items())),
            "image": self.image,
            "label": self.label,
        }
        # Only where they are set: a new field leaves the identity of every older task as it was.
        set_parts = [(key, value) for key, value in optional_parts.items() if value]
        return (*parts, *set_parts)


MIN_FAMILY_CLASSES = 3
"""Classes from which a class list tells a family: many unlike data sets have just yes and no."""

MAX_LISTED_CLASSES = 60
"""Characters of a class list that a family's name holds whole."""


def family_of_classes(classes: Sequence[str]) -> str:
    """Return the family of tasks that tell the same classes apart; "" for a list that tells none.

    The same classes drawn, painted and photographed are one question asked three times. Classes
    that are just numbered tell nothing.
    """
    if len(classes) < MIN_FAMILY_CLASSES or all(name.isdecimal() for name in classes):
        return ""
    listed = "+".join(sorted(classes))
    if len(listed) > MAX_LISTED_CLASSES:
        listed = f"{len(classes)} classes {digest(sorted(classes))[:8]}"
    return listed


def data_set_of(name: str) -> str:
    """Return a task's name without its options and revision: what its data set is called."""
    folder, slash, last = Name.parse(name).stem.rpartition("/")
    return folder + slash + last.partition("@")[0]


Splits = Mapping[str, Split]


@names_bad_keywords
def task(
    name: str,
    *,
    summary: str = "",
    type: str = DEFAULT_TASK_TYPE,
    domain: str | None = None,
    metric: str = "",
    classes: Sequence[str] = (),
    licence: str | None = None,
    images: int | None = None,
    mirror: bool = True,
    conventions: Mapping[str, Value] | None = None,
    image: str = "",
    label: str = "",
    unit: str = "",
    family: str = "",
    revision: str = "",
    files: Sequence[str | Path] = (),
    unpinned: str = "",
) -> Callable[[Callable[[], Any]], Task]:
    """Register a task: decorates the function that loads its data.

    Args:
        name: The name of the task, as in ``lab/scans``.
        summary: One line on what it is; by default the first line of the function's docstring.
        type: The name of its task type.
        domain: The appearance domain of its images.
        metric: One of its type's metrics; by default the type's first.
        classes: The names of the classes, in the order of their numbers.
        licence: The licence of the data.
        images: How many images it has.
        mirror: True if a flipped image still shows the same thing (a letter does not).
        conventions: How its targets are written, where its type knows several ways.
        image: The column of the data set that holds the images, if that cannot be told.
        label: The column that holds the targets, if that cannot be told.
        unit: What its numbers count, such as "years": errors of unlike units are never averaged.
        family: What its variants have in common, such as "pacs": intervals, ties and findings
            count a family once. By default tasks with the same classes are one, and names of one
            data set.
        revision: The version of the data, where files do not pin it.
        files: The files that decide the data: their contents are part of the task's identity.
        unpinned: Why neither files nor a revision tie results to one version of the data.

    Raises:
        BadPlugin: An argument does not exist.
    """

    def make(load: Callable[[], Any]) -> Task:
        return Task(
            name=name,
            summary=summary or summary_of(load),
            code=code_of(load),
            load=load,
            type=type,
            domain=domain,
            metric=metric,
            classes=tuple(classes),
            licence=licence,
            images=images,
            mirror=mirror,
            conventions=dict(conventions or {}),
            image=image,
            label=label,
            unit=unit,
            family=family,
            revision=revision,
            files=tuple(Path(file) for file in files),
            unpinned=unpinned,
        )

    return make
