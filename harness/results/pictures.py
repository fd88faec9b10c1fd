"""Draw test images with what done cells predicted, on one sheet."""

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
MARGIN = 16
"""Pixels between blocks."""
GAP = 4
"""Pixels between the panels of a block."""
TEXT = 14
"""Size of the letters of panels' titles, in pixels."""
HEADING = 17
"""Size of the letters of the sheet's titles, in pixels."""
PAPER = "white"
INK = (25, 25, 25)
PALE = (120, 120, 120)
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
    # A title is too long to stand above each panel: letters refer to it. One cell needs none.
    tags = [""]
    if len(cells) > 1:
        tags = [chr(ord("A") + index) for index in range(len(cells))]
    titles: list[str] = []
    for tag, cell in zip(tags, cells, strict=True):
        titles.append(f"{tag}   {cell.job.title}".strip())
    shown: list[ShownImage] = []
    for row in map(int, chosen(strata, images)):
        shown.append(ShownImage(row, panels_of(cells, tags, row)))
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
    # The middles of ``count`` equal stretches: a large stratum is shown in proportion.
    positions = (np.arange(count) + 0.5) * len(order) / count
    return order[positions.astype(int)]


def panels_of(cells: Sequence[CellPredictions], tags: Sequence[str], row: int) -> list[Panel]:
    """Return the panels of one test image: first those that all cells share.

    Args:
        cells: The cells.
        tags: A letter for each cell, which the titles of its panels begin with unless shared.
        row: The row of the test image.
    """
    by_cell = [_drawn(cell, row) for cell in cells]
    if len(cells) == 1:
        return by_cell[0]
    shared: list[Panel] = []
    for panel in by_cell[0]:
        if all(_has(panels, panel) for panels in by_cell):
            shared.append(panel)
    distinct: list[Panel] = []
    for tag, panels in zip(tags, by_cell, strict=True):
        for panel in panels:
            if not _has(shared, panel):
                distinct.append(Panel(f"{tag}  {panel.title}", panel.image))
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
    """Return whether one of the panels has the same title and the same pixels."""
    for panel in panels:
        if panel.title == wanted.title and np.array_equal(panel.image, wanted.image):
            return True
    return False


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
    for index, block in enumerate(blocks):
        row, column = divmod(index, across)
        left = MARGIN + column * width
        page.paste(block, (left, top + row * height))
    return page


def _blocks_across(count: int, width: int, height: int) -> int:
    """Return how many blocks of a size stand in a line.

    No line is much shorter than the others, and the sheet is near its aspect.
    """

    def off_aspect(across: int) -> float:
        lines = math.ceil(count / across)
        aspect = across * width / (lines * height)
        return abs(math.log(aspect / ASPECT))

    # For each number of lines the fewest blocks a line that do: more would leave the last line
    # short.
    candidates = {math.ceil(count / lines) for lines in range(1, count + 1)}
    fitting = [across for across in candidates if across * width <= MAX_WIDTH]
    return min(fitting or [1], key=off_aspect)


def _block(shown: ShownImage) -> Image.Image:
    """Draw one test image's panels side by side, titles above."""
    images = [_enlarged(panel.image) for panel in shown.panels]
    titles: list[list[str]] = []
    for panel, image in zip(shown.panels, images, strict=True):
        titles.append(wrapped(panel.title, TEXT, image.width))
    title_lines = max(len(title) for title in titles)
    # The number of the test image takes one line more, above the titles.
    top = _leading(TEXT) * (1 + title_lines)
    width = sum(image.width + GAP for image in images) - GAP
    height = max(image.height for image in images)
    block = Image.new("RGB", (width, top + height), PAPER)
    row = wrapped(f"test image {shown.row}", TEXT, width)
    _Text(TEXT, PALE).write(block, row, (0, 0))
    x = 0
    for image, title in zip(images, titles, strict=True):
        # Short titles stand just above their panel, not at the top.
        title_top = top - len(title) * _leading(TEXT)
        _Text(TEXT, INK).write(block, title, (x, title_top))
        block.paste(image, (x, top))
        x += image.width + GAP
    return block


def _enlarged(panel: np.ndarray) -> Image.Image:
    """Return a panel by a whole factor, no smaller than ``MIN_SIDE``."""
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
        font = font_of(self.size)
        x, y = at
        for line in lines:
            draw.text((x, y), line, fill=self.colour, font=font)
            y += _leading(self.size)


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
    last = broken[lines - 1]
    dots = legible("…")
    length = font_of(size).getlength
    while last and length(last + dots) > width:
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
        # A word wider than the line, such as a path, is cut where the line ends.
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
