"""Flawed annotations: told once for each image, handled as said, and never lost on the way to a person."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

import headwater as hw
from headwater.harness.data.flaws import Flawed, grouped, recall
from headwater.harness.data.prepared import prepare
from headwater.harness.running.run import Control, NullWatcher, Session
from headwater.harness.selecting.select import Request
from headwater.harness.selecting.select import prepared as select_prepared
from headwater.registry import Flaw, Split, Task
from headwater.registry.errors import DataError
from tests.cli.headwater_command import run_headwater
from tests.facts import missing_facts
from tests.rendered import HEIGHT, KINDS, TEST, TRAIN, VOID, WIDTH, encoded, scene, write_parquet

CLASSES = f"ground+{'+'.join(KINDS)}"


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover()


def spoilt_boxes(row, values):
    boxes = values["objects"]["bbox"]
    if row == 1:
        boxes[0] = [-8, 5, 20, 20]
    if row == 2:
        boxes[-1] = [5, 5, 0, 4]
    if row == 3:
        values["objects"] = {"bbox": [[200, 5, 10, 10]], "category": [0]}
    if row == 4:
        values["objects"] = {"bbox": [], "category": []}
    return values


def spoilt_masks(row, values):
    masks = {
        1: np.zeros((HEIGHT, WIDTH // 2), np.uint8),
        2: np.full((HEIGHT, WIDTH), VOID, np.uint8),
        5: scene(5).mask(),
    }
    if row == 5:
        masks[5][10:12, 10:13] = 9
    if row in masks:
        values["annotation"] = {"bytes": encoded(masks[row])}
    if row == 3:
        values["annotation"] = None
    return values


SPOILT = {"detection": (spoilt_boxes, ""), "segmentation": (spoilt_masks, f",classes={CLASSES}")}

HANDLED = {
    "detection": [
        (1, "has 1 box partly outside the image", "clipped"),
        (2, "has 1 empty box", "left out"),
        (3, "has 1 box outside the image", "left out, and with it the image"),
    ],
    "segmentation": [
        (1, f"has a mask of {WIDTH // 2}×{HEIGHT}, the image is {WIDTH}×{HEIGHT}", "left out"),
        (2, "has a mask of nothing but void", "left out"),
        (3, "has no mask", "left out"),
        (5, "has 6 pixels of no known class (9): known are 0 to 3", "taken as void"),
    ],
}
LEFT_OUT = {"detection": [3], "segmentation": [1, 2, 3]}
GIVEN = {"train": TRAIN, "test": TEST}


def counted(type):
    return f"flawed annotations in {len(HANDLED[type])} of 36 images, {len(LEFT_OUT[type])} of 24 train images left out"


@pytest.fixture(params=["detection", "segmentation"])
def name(request, tmp_path):
    """A task whose annotations of training are flawed; those of test are as they should be."""
    spoil, options = SPOILT[request.param]
    whole = write_parquet(tmp_path, request.param)
    test = (whole / "test.parquet").read_bytes()
    write_parquet(tmp_path, request.param, spoil)
    (whole / "test.parquet").write_bytes(test)
    return f"parquet/{tmp_path}[type={request.param}{options}]"


def test_every_flaw_is_told_by_image_and_handled_as_said(registry, name):
    card = registry.task(name)
    prepared = prepare(card, registry.task_type(card.type), 32)
    about = [(flaw.name, flaw.what, flaw.handled) for flaw in prepared.flaws]
    assert about == [
        (f"{card.name}: train image {row} (scene_{row})", what, handled)
        for row, what, handled in HANDLED[card.type]
    ]
    left_out = LEFT_OUT[card.type]
    assert (len(prepared.train), len(prepared.test)) == (TRAIN - len(left_out), TEST)
    assert prepared.flawed == Flawed(len(about), GIVEN, {"train": len(left_out), "test": 0})
    kept = [row for row in range(TRAIN) if row not in left_out]
    for place, row in enumerate(kept):  # images stay beside their own targets
        assert (
            np.abs(prepared.train.images[place].astype(int).mean() - scene(row).image().mean()) < 2
        )
    if card.type == "detection":
        assert prepared.train.targets[kept.index(1), 0, :4] == pytest.approx(
            [0, 5 / HEIGHT, 12 / WIDTH, 25 / HEIGHT]
        )
        assert (prepared.train.targets[kept.index(4), :, 4] == -1).all()
    else:
        assert set(np.unique(prepared.train.targets)) == {0, 1, 2, 3, VOID}


def test_flaws_are_kept_with_the_decoded_data_and_counted_without_them(registry, name):
    card = registry.task(name)
    task_type = registry.task_type(card.type)
    assert recall(card, task_type) is None
    first, second = prepare(card, task_type, 32), prepare(card, task_type, 32)
    assert second.decoded == 0 and second.flaws == first.flaws and second.flawed == first.flawed
    assert recall(card, task_type) == first.flawed


def test_a_run_says_once_at_its_end_what_is_flawed_and_its_jobs_note_it(
    name, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "400")  # names of folders are long
    words = [
        "--sources",
        "scratch/test_resnet",
        "--tasks",
        name,
        "--adaptations",
        "fine_tune",
        "--sizes",
        "full",
        "--seeds",
        "2",
    ]
    sizes = [
        "--image-size",
        "32",
        "--epochs",
        "1",
        "--executor",
        "inline",
        "--store",
        tmp_path / "s.duckdb",
    ]
    answer = run_headwater(capsys, "run", *words, *sizes)
    card = hw.Registry.discover().task(name)
    said = f"{counted(card.type)}: headwater check {shlex.quote(card.name)}"
    assert (answer.status, answer.err.count(said)) == (0, 1)
    assert hw.Store(tmp_path / "s.duckdb").sql("SELECT DISTINCT note FROM jobs").rows == [(said,)]
    again = run_headwater(capsys, "run", *words, *sizes)
    assert "nothing to run" in again.err and "flawed" not in again.err
    shown = run_headwater(capsys, "info", name)
    assert counted(card.type) in shown.out


def test_adapt_and_select_say_it_too(registry, tmp_path, capsys):
    write_parquet(
        tmp_path,
        "regression",
        lambda row, values: values | {"target": None} if row == 3 else values,
    )
    name = f"parquet/{tmp_path}[type=regression]"
    said = f"flawed annotations in 2 of 36 images, 1 of 24 train and 1 of 12 test images left out: headwater check '{name}'"
    options = [
        "--image-size",
        "32",
        "--epochs",
        "1",
        "--executor",
        "inline",
        "--store",
        tmp_path / "s.duckdb",
    ]
    answer = run_headwater(
        capsys,
        "adapt",
        name,
        "--source",
        "scratch/test_resnet",
        "--save",
        tmp_path / "m.safetensors",
        *options,
    )
    assert (answer.status, answer.err.count(said)) == (0, 1)
    lines: list[str] = []
    asked = Request(
        task=name,
        sources=("scratch/test_resnet",),
        selector="random",
        keys={"image_size": 32, "store": tmp_path / "s.duckdb"},
    )
    with Session() as session:
        select_prepared(
            asked,
            plugins=(),
            control=Control(executor="inline"),
            watcher=NullWatcher(),
            session=session,
            say=lines.append,
        )
    assert said in lines


def test_check_lists_flaws_by_kind_and_every_one_as_json(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    import headwater.harness.conformance.task as conformance

    for digest in ("digest_elsewhere", "task_digest"):  # another process takes seconds
        monkeypatch.setattr(conformance, digest, lambda *_: "the same")
    answer = run_headwater(capsys, "check", name)
    card = hw.Registry.discover().task(name)
    assert answer.status == 0 and counted(card.type) in answer.out
    assert counted(card.type) in run_headwater(capsys, "info", name).out  # known from then on
    for row, what, handled in HANDLED[card.type]:
        assert f"    1 × {what}: {handled}\n      train image {row} (scene_{row})\n" in answer.out
    rows = json.loads(run_headwater(capsys, "check", name, "--format", "json").out)
    told = [(row["about"], row["message"], row["then"]) for row in rows if row["about"]]
    assert told == [
        (f"train image {row} (scene_{row})", what, handled)
        for row, what, handled in HANDLED[card.type]
    ]
    assert [row["check"] for row in rows if not row["about"]] == [
        "card",
        "loads",
        "labels",
        "decodes",
        "disjoint",
        "elsewhere",
    ]
    assert all(row["passed"] is True and row["card"] == card.name for row in rows)


def test_a_split_of_which_nothing_can_be_used_is_an_error_with_its_first_flaw(registry):
    empty = [np.full((8, 8), VOID, np.uint8)] * 3
    split = Split([np.zeros((8, 8, 3), np.uint8)] * 3, empty)
    card = Task(
        name="own/masks",
        load=lambda: {"train": split, "test": split},
        type="segmentation",
        classes=("a", "b"),
    )
    with pytest.raises(
        DataError,
        match=r"train split .*: own/masks: train image 0 .* void",
    ):
        prepare(card, registry.task_type("segmentation"), 32)


def test_what_a_tasks_own_loading_found_is_told_too(registry):
    images = [np.full((8, 8, 3), value, np.uint8) for value in range(6)]
    flaw = Flaw("scan 6", "has no report", "left out")
    splits = {
        "train": Split(images[:4], ["a", "b"] * 2, flaws=[flaw]),
        "test": Split(images[4:], ["a", "b"]),
    }
    prepared = prepare(
        Task(name="own/scans", load=lambda: splits), registry.task_type("classification"), 8
    )
    assert prepared.flaws == (Flaw("own/scans: scan 6", "has no report", "left out"),)
    counted = ("1 of 7 images", "1 of 5 train images left out")
    assert missing_facts(str(prepared.flawed), *counted) == []
    carved = prepare(
        Task(name="own/carved", load=lambda: splits["train"]),
        registry.task_type("classification"),
        8,
    )
    assert [flaw.name for flaw in carved.flaws] == ["own/carved: scan 6"]  # once, not for each part
    assert carved.flawed.given == {"train": 4, "test": 1}


def test_images_of_two_splits_with_the_same_name_are_two(registry):
    split = Split(
        [np.full((8, 8, 3), value, np.uint8) for value in range(3)],
        [1.0, 2.0, None],
        ["0.jpg", "1.jpg", "2.jpg"],
    )
    card = Task(name="own/twice", load=lambda: {"train": split, "test": split}, type="regression")
    flawed = prepare(card, registry.task_type("regression"), 8).flawed
    counted = ("2 of 6 images", "1 of 3 train", "1 of 3 test images left out")
    assert missing_facts(str(flawed), *counted) == []


def test_a_task_without_flaws_says_nothing(registry, tmp_path):
    card = registry.task(f"parquet/{write_parquet(tmp_path, 'detection')}[type=detection]")
    prepared = prepare(card, registry.task_type("detection"), 32)
    assert (prepared.flaws, prepared.flawed) == ((), None)
    assert recall(card, registry.task_type("detection")) == Flawed(
        0, GIVEN, {"train": 0, "test": 0}
    )


# -- together -----------------------------------------------------------------------------------------------------


def boxes(count, where="{items}", items=(), handled="left out", name="image"):
    noun = "box" if count == 1 else "boxes"
    pattern = f"has {{}} {noun}{where}"
    return Flaw.counting(name, pattern, handled, code=where, numbers=[count], items=items)


@pytest.mark.parametrize(
    ("flaws", "together"),
    [
        ([boxes(1), boxes(12), boxes(3)], "has 1–12 boxes"),
        ([boxes(2), boxes(2)], "has 2 boxes"),
        (
            [boxes(1, items=["'x'"]), boxes(2, items=["'y'", "'x'"])],
            "has 1–2 boxes ('x', 'y')",
        ),
        (
            [
                Flaw.counting("", "has a mask of {}×{}", "", code="size", numbers=[width, 48])
                for width in (32, 16)
            ],
            "has a mask of 16–32×48",
        ),
        (
            [
                boxes(2, "{items} off the image", ["0", "1"]),
                boxes(7, "{items} off the image", ["3", "0", "4", "5", "…"]),
            ],
            "has 2–7 boxes off the image (0, 1, 3, 4, …)",
        ),
        ([boxes(2, "{items} off the image", ["0", "1"])], "has 2 boxes (0, 1) off the image"),
        (
            [boxes(1, items=["'light (red)'"]), boxes(2, items=["'car'"])],
            "has 1–2 boxes ('light (red)', 'car')",
        ),
        ([boxes(900, " of 9"), boxes(1200, " of 9")], "has 900–1,200 boxes of 9"),
    ],
)
def test_flaws_that_differ_in_their_numbers_are_of_a_kind(flaws, together):
    (group,) = grouped(flaws)
    assert (group.what, len(group.names)) == (together, len(flaws))


def test_words_in_s_and_numbers_in_a_sentence_are_left_alone():
    """Kinds go by code and counts by field: nothing reads them out of English."""
    masses = [
        Flaw.counting("", "has {} masses", "left out", code="mass", numbers=[n]) for n in (3, 5)
    ]
    said = [Flaw("", f"is of 19{year}, with no class", "left out") for year in (84, 85)]
    assert [group.what for group in grouped([*masses, *said])] == [
        "has 3–5 masses",
        "is of 1984, with no class",
        "is of 1985, with no class",
    ]


def test_other_flaws_and_other_ends_are_apart_and_the_most_frequent_is_first():
    flaws = [
        Flaw("a", "has no mask", "left out"),
        boxes(1, name="b"),
        boxes(1, handled="clipped", name="c"),
        boxes(2, handled="clipped", name="d"),
    ]
    assert [(group.what, group.handled, group.names) for group in grouped(flaws)] == [
        ("has 1–2 boxes", "clipped", ("c", "d")),
        ("has no mask", "left out", ("a",)),
        ("has 1 box", "left out", ("b",)),
    ]


def test_many_images_and_kinds_are_cut_short_with_where_to_see_the_rest():
    from headwater.harness.cli.check_verb import MAX_FLAW_KINDS, MAX_IMAGES, flaw_lines

    card = Task(name="own/task", load=dict)
    many = [
        Flaw(f"own/task: image {row}", "has no mask", "left out") for row in range(MAX_IMAGES + 3)
    ]
    kinds = [
        Flaw("own/task: image 0", f"has no {chr(97 + row)}", "left out")
        for row in range(MAX_FLAW_KINDS + 1)
    ]
    group, images, rest = flaw_lines(card, many)
    assert missing_facts(group, "7 ×", "has no mask", "left out") == []
    assert images.split(", ") == ["      image 0", "image 1", "image 2", "image 3", "and 3 more"]
    assert rest.endswith("--format json")
    lines = list(flaw_lines(card, kinds))
    assert (
        lines[-2:] == ["    and 1 more kind", "    all of them: --format json"]
        and len(lines) == 2 * MAX_FLAW_KINDS + 2
    )
