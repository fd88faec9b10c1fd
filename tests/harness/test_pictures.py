"""Pictures: which test images are shown, and how they lie on the sheet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageFont

import headwater as hw
from headwater.harness.results import pictures
from headwater.harness.results.pictures import (
    GAP,
    MARGIN,
    Panel,
    ShownImage,
    chosen,
    compose,
    sheet,
    write,
)
from headwater.harness.results.stored_job import stored_job, stored_predictions
from headwater.harness.running.run import Control
from headwater.plugins.task_types._drawing import (
    BOX_COLOURS,
    TRUE_POINT,
    draw_boxes,
    mask_colour,
)
from headwater.registry import Registry
from headwater.registry.errors import BadSpec, HeadwaterError
from tests.harness.toy import keys


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Two sources on the same task, and one of them on another."""
    path = tmp_path_factory.mktemp("pictures") / "s.duckdb"
    report = hw.run(
        keys(tasks=["toy/shades", "toy/tones"]), store=path, control=Control(executor="inline")
    )
    rows = report.store.sql("SELECT source, task, job FROM cells").rows
    return {
        (source, task): stored_predictions(stored_job(report.store, job))
        for source, task, job in rows
    }


def test_images_are_spread_evenly_over_the_strata_whatever_was_predicted():
    strata = np.repeat([2, 0, 1], [10, 10, 20])
    assert strata[chosen(strata, 4)].tolist() == [0, 1, 1, 2]
    assert chosen(strata, 4).tolist() == [15, 25, 35, 5]  # the middle of each quarter
    assert sorted(chosen(strata, 100)) == list(range(40))


def test_pixels_are_enlarged_by_a_whole_factor_and_stay_what_they_are():
    image = np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype(np.uint8)
    page = np.asarray(
        compose(["title"], [ShownImage(7, [Panel("truth", image), Panel("said", 255 - image)])])
    )
    height, side = (
        len(page) - MARGIN,
        240,
    )  # 80 pixels three times: the least whole factor that reaches 192
    for number, expected in enumerate((image, 255 - image)):
        left = MARGIN + number * (side + GAP)
        found = page[height - side : height, left : left + side]
        assert np.array_equal(found, expected.repeat(3, 0).repeat(3, 1))


def test_a_panel_that_is_large_already_is_not_enlarged_with_the_others():
    key = np.random.default_rng(0).integers(0, 255, (192, 210, 3)).astype(np.uint8)
    page = np.asarray(
        compose(
            ["title"],
            [ShownImage(7, [Panel("truth", np.zeros((64, 64, 3), np.uint8)), Panel("key", key)])],
        )
    )
    left, top = MARGIN + 192 + GAP, len(page) - MARGIN - 192
    assert np.array_equal(page[top : top + 192, left : left + 210], key)


@pytest.mark.parametrize("classes", [1, 12, 19])  # the twentieth is the grey of letters
@pytest.mark.parametrize("side", [32, 128])
def test_every_class_of_a_mask_is_in_its_key_at_a_legible_size(classes, side):
    methods = Registry.discover().task_type("segmentation").methods
    mask = np.arange(side * side).reshape(side, side) % classes
    title, key = methods.picture(
        np.zeros((side, side, 3), np.uint8),
        mask,
        mask,
        [f"a class {number}" for number in range(classes)],
    )[-1]
    assert (title, max(key.shape) >= pictures.MIN_SIDE) == ("classes", True)
    for number in range(classes):
        down, across = np.nonzero((key == mask_colour(number)).all(2))
        assert np.ptp(down) >= 11 and np.ptp(across) >= 11
        beside = key[down.min() : down.max(), across.max() + 1 : across.max() + 60]
        assert (beside.max(2) < 60).sum() > 60  # dark letters on white


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.2, 0.2), (0.4, 0.4, 0.6, 0.6), (0.9, 0.0, 1.0, 1.0)])
def test_a_boxes_class_stands_in_white_on_its_colour_within_the_image(box):
    ground, blank = ImageColor.getrgb(BOX_COLOURS[1]), np.zeros((96, 96, 3), np.uint8)
    plain, named = (
        draw_boxes(blank, np.array([box]), np.array([1]), classes=["", name])
        for name in ("", "a long name")
    )
    new = (plain != named).any(2)
    assert (named[new] == (255, 255, 255)).all(1).sum() > 50  # letters
    assert (named[new] == ground).all(1).sum() > 400  # and what they stand on
    assert np.ptp(np.nonzero(new)[1]) > 60


def test_boxes_in_one_place_all_have_their_names():
    grounds = [ImageColor.getrgb(BOX_COLOURS[label]) for label in (1, 2, 3)]
    page = draw_boxes(
        np.zeros((96, 96, 3), np.uint8),
        np.array([(0.3, 0.3, 0.6, 0.6)] * 3),
        np.array([1, 2, 3]),
        classes=["", "one", "two", "three"],
    )
    assert all((page == ground).all(2).sum() > 200 for ground in grounds)


def test_a_thousand_boxes_in_one_place_are_drawn_with_the_names_that_there_is_room_for():
    page = draw_boxes(
        np.zeros((96, 96, 3), np.uint8),
        np.array([(0.3, 0.3, 0.6, 0.6)] * 1100),
        np.arange(1100) % 2,
        classes=["one", "two"],
    )
    assert page.shape == (480, 480, 3) and all(
        (page[-40:] == ImageColor.getrgb(BOX_COLOURS[label])).all(2).sum() > 200 for label in (0, 1)
    )


def test_points_show_on_their_own_colour():
    methods, blank = (
        Registry.discover().task_type("keypoints").methods,
        np.full((96, 96, 3), TRUE_POINT, np.uint8),
    )
    (_, truth), _ = methods.picture(
        blank, np.array([[0.5, 0.5, 1, 1, -1]], np.float32), np.full((1, 3), 0.5, np.float32), ["a"]
    )
    assert 10 < (truth < 20).all(2).sum() < 60


@pytest.mark.parametrize(
    ("panels", "side", "images", "across"),
    [
        (1, 200, 8, 4),
        (3, 200, 8, 2),
        (2, 520, 6, 2),
        (4, 700, 3, 1),
        (1, 200, 1, 1),
        (1, 200, 7, 4),
        (1, 40, 100, 10),
    ],
)
def test_a_sheet_is_somewhat_wider_than_high_and_its_lines_about_equally_long(
    panels, side, images, across
):
    image = np.zeros((side, side, 3), np.uint8)
    page = compose(["t"], [ShownImage(row, [Panel("x", image)] * panels) for row in range(images)])
    block = panels * (side * -(-192 // side) + GAP) - GAP + MARGIN
    assert page.width == MARGIN + across * block


@pytest.mark.parametrize(
    "text",
    [
        "long title: " + " word" * 8,
        "one_word_that_is_as_long_as_it_is_wide",
        "x" * 300,
    ],
)
def test_titles_stay_within_their_panel(text):
    lines = pictures.wrapped(text, 14, 100)
    assert len(lines) == 2 and lines[-1].endswith("…")
    assert all(pictures.font_of(14).getlength(line) <= 100 for line in lines)
    assert text.startswith(lines[0])


def test_a_font_without_arrows_is_given_plain_letters(monkeypatch):
    monkeypatch.setattr(pictures, "font_of", lambda size: ImageFont.load_default(size))
    assert pictures.legible("naïve → café · 3…") == "naive -> cafe - 3..."


def test_two_cells_of_a_task_share_what_they_agree_on(cells):
    one, other = (cells[source, "toy/shades"] for source in ("toy/fixed", "toy/random"))
    drawn = pictures.panels_of([one, replace(one)], ["A", "B"], 0)
    assert len(drawn) == 1 and not drawn[0].title.startswith("A")
    wrong = replace(other, predictions=-one.predictions)
    titles = [panel.title for panel in pictures.panels_of([one, wrong], ["A", "B"], 0)]
    assert [title[:3] for title in titles] == ["A  ", "B  "] and titles[0][1:] != titles[1][1:]
    assert (
        sheet([one, wrong], 4).height > sheet([one], 4).height
    )  # two panels an image, and two lines above


def test_cells_of_other_images_are_not_shown_side_by_side(cells):
    with pytest.raises(BadSpec, match="toy/shades at 8 px, toy/tones at 8 px"):
        sheet([cells["toy/fixed", "toy/shades"], cells["toy/fixed", "toy/tones"]], 4)


def test_what_a_plugin_draws_on_stays_its_own(cells):
    """The cache's images are mapped: a picture that paints over its arguments changes none of them."""
    cell = cells["toy/fixed", "toy/shades"]

    class Paints(type(cell.task_type.methods)):
        def picture(self, image, target, prediction, classes):
            image[:] = prediction[:] = 0
            return [("painted", image)]

    before = cell.predictions.copy(), cell.prepared.test.images[0].copy()
    sheet([replace(cell, task_type=replace(cell.task_type, methods=Paints()))], 2)
    assert np.array_equal(before[0], cell.predictions) and np.array_equal(
        before[1], cell.prepared.test.images[0]
    )


def test_a_picture_is_a_png_file_or_a_clear_error(cells, tmp_path):
    page = sheet([cells["toy/fixed", "toy/shades"]], 3)
    write(page, tmp_path / "new" / "p.png")
    with Image.open(tmp_path / "new" / "p.png") as opened:
        assert (opened.format, opened.size) == ("PNG", page.size)
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadwaterError, match="cannot be written"):
        write(page, tmp_path / "file" / "p.png")
