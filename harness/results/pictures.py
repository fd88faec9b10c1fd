"""Pictures: test images with what done cells predicted, on one sheet."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

MIN_SIDE = 192
"""The longer side of a panel in pixels, at least.

Smaller panels are enlarged by a whole factor, so that each pixel stays a square.
"""
MAX_WIDTH = 2400
"""The width of a sheet in pixels, about at most."""
ASPECT = 1.4
"""Width over height that a sheet comes as near to as its blocks allow."""
MARGIN, GAP = 16, 4
"""Pixels between blocks, and between the panels of a block."""
TEXT, HEADING = 14, 17
"""Sizes of letters in pixels: of panels' titles, and of the sheet's."""
PAPER, INK, PALE = "white", (25, 25, 25), (120, 120, 120)
MAX_TITLE_LINES = 2
MAX_HEADING_LINES = 3


class Panel(NamedTuple):
    """A titled picture; ``image``: (H, W, 3) uint8."""

    title: str
    image: np.ndarray


class ShownImage(NamedTuple):
    """The panels of one test image, with its row in the split."""

    row: int
    panels: list[Panel]


def sheet(cells: Sequence[CellPredictions], images: int) -> Image.Image:
    """Draw what cells predicted of the same test images, the cells' titles above.

    Panels that are the same for all cells are shown once.

    Args:
        cells: The cells, at least one.
        images: How many test images to show, at most.

    Raises:
        BadSpec: The cells' test images differ.
    """
    check_same_images(cells)
    first = cells[0]
    strata = first.task_type.methods.strata(first.prepared.test.targets)
    tags = [""] if len(cells) == 1 else [chr(ord("A") + place) for place in range(len(cells))]
    titles = [f"{tag}   {cell.job.title}".strip() for tag, cell in zip(tags, cells, strict=True)]
    shown = [
        ShownImage(int(row), panels_of(cells, tags, int(row))) for row in chosen(strata, images)
    ]
    return compose(titles, shown)


def chosen(strata: np.ndarray, images: int) -> np.ndarray:
    """Choose the test images to show, evenly spaced over the split when ordered by stratum.

    The choice depends on the task alone, never on predictions: every cell of a task is shown on
    the same images, and none on those that flatter it.

    Args:
        strata: (N,) int, the stratum of each test image.
        images: How many to choose, at most.

    Returns:
        (K,) int rows.
    """
    order = np.argsort(strata, kind="stable")
    count = min(images, len(order))
    return order[((np.arange(count) + 0.5) * len(order) / count).astype(int)]


def panels_of(cells: Sequence[CellPredictions], tags: Sequence[str], row: int) -> list[Panel]:
    """Return the panels of one test image: those that all cells share, then each cell's own.

    Args:
        cells: The cells.
        tags: A letter for each cell, which its own panels begin with.
        row: The row of the test image.
    """
    by_cell = [_drawn(cell, row) for cell in cells]
    if len(cells) == 1:
        return by_cell[0]
    shared = [panel for panel in by_cell[0] if all(_has(panels, panel) for panels in by_cell)]
    distinct = []
    for tag, panels in zip(tags, by_cell, strict=True):
        for title, image in panels:
            if not _has(shared, Panel(title, image)):
                distinct.append(Panel(f"{tag}  {title}", image))
    return shared + distinct


def _drawn(cell: CellPredictions, row: int) -> list[Panel]:
    """Draw one test image by the cell's task type, on copies that a plugin may paint over."""
    test = cell.prepared.test
    panels = cell.task_type.methods.picture(
        np.array(test.images[row]),
        np.array(test.targets[row]),
        cell.predictions[row].copy(),
        cell.prepared.classes,
    )
    return [Panel(title, image) for title, image in panels]


def _has(panels: Sequence[Panel], wanted: Panel) -> bool:
    return any(
        panel.title == wanted.title and np.array_equal(panel.image, wanted.image)
        for panel in panels
    )


# -- drawing ----------------------------------------------------------------------------------


def compose(titles: Sequence[str], shown: Sequence[ShownImage]) -> Image.Image:
    """Draw titles above a grid of images, each with its panels side by side."""
    blocks = [_block(image) for image in shown]
    width = max(block.width for block in blocks) + MARGIN
    height = max(block.height for block in blocks) + MARGIN
    across = _blocks_across(len(blocks), width, height)
    down = math.ceil(len(blocks) / across)
    # A page of few blocks is widened for its titles, which are broken beyond the widest page.
    longest_title = max(font_of(HEADING).getlength(legible(title)) for title in titles)
    for_titles = min(MAX_WIDTH, math.ceil(longest_title) + MARGIN)
    inside = max(across * width, for_titles)
    heading: list[str] = []
    for title in titles:
        heading += wrapped(title, HEADING, inside - MARGIN, lines=MAX_HEADING_LINES)
    top = MARGIN + len(heading) * _leading(HEADING) + MARGIN // 2
    page = Image.new("RGB", (MARGIN + inside, top + down * height), PAPER)
    _Text(HEADING, INK).write(page, heading, (MARGIN, MARGIN))
    for place, block in enumerate(blocks):
        row, column = divmod(place, across)
        page.paste(block, (MARGIN + column * width, top + row * height))
    return page


def _blocks_across(count: int, width: int, height: int) -> int:
    """Return how many blocks of a size stand in a line.

    No line is much shorter than the others, and the sheet is near its aspect.
    """

    def off_aspect(across: int) -> float:
        lines = math.ceil(count / across)
        return abs(math.log(across * width / (lines * height) / ASPECT))

    candidates = {math.ceil(count / lines) for lines in range(1, count + 1)}
    fitting = [across for across in candidates if across * width <= MAX_WIDTH]
    return min(fitting or [1], key=off_aspect)


def _block(shown: ShownImage) -> Image.Image:
    """Draw one test image's panels side by side, titles above."""
    images, titles = [], []
    for panel in shown.panels:
        image = _enlarged(panel.image)
        images.append(image)
        titles.append(wrapped(panel.title, TEXT, image.width))
    above = 1 + max(len(title) for title in titles)  # the row of the image, then titles
    top = _leading(TEXT) * above
    width = sum(image.width + GAP for image in images) - GAP
    height = max(image.height for image in images)
    block = Image.new("RGB", (width, top + height), PAPER)
    row = wrapped(f"test image {shown.row}", TEXT, width)
    _Text(TEXT, PALE).write(block, row, (0, 0))
    left = 0
    for image, title in zip(images, titles, strict=True):
        _Text(TEXT, INK).write(block, title, (left, top - len(title) * _leading(TEXT)))
        block.paste(image, (left, top))
        left += image.width + GAP
    return block


def _enlarged(panel: np.ndarray) -> Image.Image:
    height, width = panel.shape[:2]
    factor = math.ceil(MIN_SIDE / max(height, width))
    size = width * factor, height * factor
    return Image.fromarray(panel).resize(size, Image.Resampling.NEAREST)


@dataclass(frozen=True)
class _Text:
    """Letters of one size and colour."""

    size: int
    colour: tuple[int, int, int]

    def write(self, page: Image.Image, lines: Sequence[str], at: tuple[int, int]) -> None:
        """Write lines onto a page, the first at (left, top)."""
        draw = ImageDraw.Draw(page)
        left, top = at
        for number, line in enumerate(lines):
            place = left, top + number * _leading(self.size)
            draw.text(place, line, fill=self.colour, font=font_of(self.size))


def _leading(size: int) -> int:
    """Return the height of a line of letters of this size."""
    return round(size * 1.35)


def wrapped(text: str, size: int, width: int, lines: int = MAX_TITLE_LINES) -> list[str]:
    """Break a text at spaces to fit a width, or anywhere in a word that alone does not fit.

    Args:
        text: The text.
        size: The size of its letters in pixels.
        width: The width in pixels.
        lines: How many lines to return, at most; a longer text ends in dots.
    """
    broken = list(_broken(legible(text), size, width))
    if len(broken) <= lines:
        return broken
    last, dots = broken[lines - 1], legible("…")
    while last and font_of(size).getlength(last + dots) > width:
        last = last[:-1]
    return [*broken[: lines - 1], last.rstrip() + dots]


def _broken(text: str, size: int, width: int) -> Iterator[str]:
    """Yield the lines of a text."""
    length = font_of(size).getlength
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and length(longer) > width:
            yield line
            longer = word
        while length(longer) > width and len(longer) > 1:
            end = len(longer) - 1
            while end > 1 and length(longer[:end]) > width:
                end -= 1
            yield longer[:end]
            longer = longer[end:]
        line = longer
    yield line


# -- letters ----------------------------------------------------------------------------------

_PLAIN_LETTERS = {
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
"""What stands for signs that Pillow's own font lacks."""


@cache
def font_of(size: int) -> Font:
    """Return DejaVu Sans where the machine, or matplotlib, has it.

    Otherwise Pillow's own font, which has little more than the letters of English.
    """
    for path in _font_files():
        try:
            return ImageFont.truetype(path, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


@cache
def _font_files() -> tuple[str, ...]:
    from importlib.util import find_spec

    matplotlib = find_spec("matplotlib")
    if not matplotlib or not matplotlib.origin:
        return ("DejaVuSans.ttf",)
    folder = Path(matplotlib.origin).parent
    return "DejaVuSans.ttf", str(folder / "mpl-data/fonts/ttf/DejaVuSans.ttf")


def legible(text: str) -> str:
    """Return the text; where the font lacks its letters, the nearest that the font has."""
    font = font_of(TEXT)
    if isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] != "Aileron":
        return text
    plain = "".join(_PLAIN_LETTERS.get(letter, letter) for letter in text)
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()


def write(page: Image.Image, path: Path) -> None:
    """Write a page as a PNG file, whole or not at all.

    Raises:
        HeadwaterError: The file cannot be written.
    """
    try:
        write_atomically(path, lambda temporary: page.save(temporary, format="PNG", optimize=True))
    except OSError as error:
        raise HeadwaterError(
            f"{path} cannot be written: {error.strerror or error}",
            subject=str(path),
            hint="Name another: --picture FILE.png",
        ) from None
