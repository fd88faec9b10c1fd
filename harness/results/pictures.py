"""Pictures: test images beside what done cells predicted, on one sheet."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from headwater.harness.results.stored_job import CellPredictions, check_same_images
from headwater.registry.cache import write_atomically
from headwater.registry.errors import HeadwaterError

if TYPE_CHECKING:
    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SIDE = 192
"""Pixels that a panel's longer side has at least: smaller ones are enlarged by a whole factor, so that each pixel stays a square."""
WIDTH, ASPECT = 2400, 1.4
"""Pixels across that a sheet has about at most, and how many times as wide as high it would like to be."""
MARGIN, GAP, TEXT, HEADING = 16, 4, 14, 17
PAPER, INK, PALE = "white", (25, 25, 25), (120, 120, 120)
LINES = 2
"""Lines that a panel's title may take."""


class Panel(NamedTuple):
    """``image``: (H, W, 3) uint8."""

    title: str
    image: np.ndarray


class ShownImage(NamedTuple):
    """One test image's panels."""

    row: int
    panels: list[Panel]


def sheet(cells: Sequence[CellPredictions], images: int) -> Image.Image:
    """What cells predicted of the same test images, the cells' titles above; of several cells, panels that agree are shown once.

    Raises BadSpec for cells of other test images than the first's.
    """
    check_same_images(cells)
    first = cells[0]
    rows = chosen(first.task_type.methods.strata(first.prepared.test.targets), images)
    tags = ["" if len(cells) == 1 else chr(ord("A") + place) for place in range(len(cells))]
    titles = [f"{tag}   {cell.job.title}".strip() for tag, cell in zip(tags, cells, strict=True)]
    return compose(titles, [ShownImage(int(row), _panels(cells, tags, int(row))) for row in rows])


def chosen(strata: np.ndarray, images: int) -> np.ndarray:
    """Which test images are shown: (K,) int rows, evenly spaced over the split when it is ordered by ``strata`` (N,).

    What is chosen depends on the task alone, never on what was predicted: every cell of a task is shown on the same images, and none
    on those that flatter it.
    """
    order = np.argsort(strata, kind="stable")
    count = min(images, len(order))
    return order[((np.arange(count) + 0.5) * len(order) / count).astype(int)]


def _panels(cells: Sequence[CellPredictions], tags: Sequence[str], row: int) -> list[Panel]:
    drawn = [_drawn(cell, row) for cell in cells]
    if len(cells) == 1:
        return drawn[0]
    shared = [
        panel
        for panel in drawn[0]
        if all(any(_same(panel, other) for other in panels) for panels in drawn[1:])
    ]
    own = [
        Panel(f"{tag}  {panel.title}", panel.image)
        for tag, panels in zip(tags, drawn, strict=True)
        for panel in panels
        if not any(_same(panel, other) for other in shared)
    ]
    return [*shared, *own]


def _drawn(cell: CellPredictions, row: int) -> list[Panel]:
    test = cell.prepared.test
    image = np.array(test.images[row])  # a copy: a plugin may draw on it
    panels = cell.task_type.methods.picture(
        image, np.array(test.targets[row]), cell.predictions[row].copy(), cell.prepared.classes
    )
    return [Panel(title, drawn) for title, drawn in panels]


def _same(one: Panel, other: Panel) -> bool:
    return one.title == other.title and np.array_equal(one.image, other.image)


# -- drawing --------------------------------------------------------------------------------------------------


def compose(titles: Sequence[str], shown: Sequence[ShownImage]) -> Image.Image:
    """Titles above a grid of images, each with its panels side by side."""
    blocks = [_block(one) for one in shown]
    width, height = (max(block.size[axis] for block in blocks) + MARGIN for axis in (0, 1))
    across = _across(len(blocks), width, height)
    inside = max(
        across * width,
        min(
            WIDTH,
            max(math.ceil(_font(HEADING).getlength(_legible(title))) for title in titles) + MARGIN,
        ),
    )
    heading = [
        line for title in titles for line in _wrapped(title, HEADING, inside - MARGIN, lines=3)
    ]
    top = MARGIN + len(heading) * _leading(HEADING) + MARGIN // 2
    page = Image.new(
        "RGB", (MARGIN + inside, top + math.ceil(len(blocks) / across) * height), PAPER
    )
    _write(page, heading, MARGIN, MARGIN, HEADING, INK)
    for place, block in enumerate(blocks):
        page.paste(block, (MARGIN + place % across * width, top + place // across * height))
    return page


def _across(count: int, width: int, height: int) -> int:
    """How many blocks of that size stand in a line: none much shorter than the others, the sheet near its aspect."""
    candidates = {math.ceil(count / lines) for lines in range(1, count + 1)}
    fitting = [across for across in candidates if across * width <= WIDTH] or [1]
    return min(
        fitting,
        key=lambda across: abs(
            math.log(across * width / (math.ceil(count / across) * height) / ASPECT)
        ),
    )


def _block(shown: ShownImage) -> Image.Image:
    panels = [_enlarged(panel.image) for panel in shown.panels]
    titles = [
        _wrapped(panel.title, TEXT, image.width)
        for panel, image in zip(shown.panels, panels, strict=True)
    ]
    top = _leading(TEXT) * (1 + max(map(len, titles)))
    width = sum(image.width + GAP for image in panels) - GAP
    block = Image.new("RGB", (width, top + max(image.height for image in panels)), PAPER)
    _write(block, _wrapped(f"test image {shown.row}", TEXT, width), 0, 0, TEXT, PALE)
    left = 0
    for image, title in zip(panels, titles, strict=True):
        _write(block, title, left, top - len(title) * _leading(TEXT), TEXT, INK)
        block.paste(image, (left, top))
        left += image.width + GAP
    return block


def _enlarged(panel: np.ndarray) -> Image.Image:
    height, width = panel.shape[:2]
    factor = math.ceil(SIDE / max(height, width))
    return Image.fromarray(panel).resize(
        (width * factor, height * factor), Image.Resampling.NEAREST
    )


def _write(
    page: Image.Image,
    lines: Sequence[str],
    left: int,
    top: int,
    size: int,
    colour: tuple[int, int, int],
) -> None:
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((left, top + number * _leading(size)), line, fill=colour, font=_font(size))


def _leading(size: int) -> int:
    return round(size * 1.35)


def _wrapped(text: str, size: int, width: int, lines: int = LINES) -> list[str]:
    """Broken at spaces to fit the width, or anywhere where a word alone does not; what does not fit the lines ends in dots."""
    found = list(_broken(_legible(text), size, width))
    if len(found) <= lines:
        return found
    last, dots = found[lines - 1], _legible("…")
    while last and _font(size).getlength(last + dots) > width:
        last = last[:-1]
    return [*found[: lines - 1], last.rstrip() + dots]


def _broken(text: str, size: int, width: int) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and _font(size).getlength(longer) > width:
            yield line
            longer = word
        while _font(size).getlength(longer) > width and len(longer) > 1:
            fits = next(
                end
                for end in range(len(longer) - 1, 0, -1)
                if end == 1 or _font(size).getlength(longer[:end]) <= width
            )
            yield longer[:fits]
            longer = longer[fits:]
        line = longer
    yield line


# -- letters --------------------------------------------------------------------------------------------------

_PLAIN = {
    "→": "->",
    "·": "-",
    "…": "...",
    "–": "-",
    "−": "-",
    "×": "x",
    "±": "+/-",
    "↑": "^",
    "↓": "v",
}


@cache
def _font(size: int) -> Font:
    """DejaVu Sans where the machine, or matplotlib, has it; else Pillow's own, which knows little more than English."""
    for path in _fonts():
        try:
            return ImageFont.truetype(path, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


@cache
def _fonts() -> tuple[str, ...]:
    from importlib.util import find_spec

    found = find_spec("matplotlib")
    folder = Path(found.origin).parent if found and found.origin else None
    return (
        "DejaVuSans.ttf",
        *([str(folder / "mpl-data/fonts/ttf/DejaVuSans.ttf")] if folder else []),
    )


def _legible(text: str) -> str:
    """The text, or where the font lacks its letters the nearest that it has."""
    font = _font(TEXT)
    if isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] != "Aileron":
        return text
    plain = "".join(_PLAIN.get(letter, letter) for letter in text)
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()


def write(page: Image.Image, path: Path) -> None:
    """As a PNG file, whole or not at all; raises HeadwaterError where it cannot be written."""
    try:
        write_atomically(path, lambda temporary: page.save(temporary, format="PNG", optimize=True))
    except OSError as error:
        raise HeadwaterError(
            f"{path} cannot be written: {error.strerror or error}",
            subject=str(path),
            hint="Name another: --picture FILE.png",
        ) from None
