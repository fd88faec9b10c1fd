"""``headwater info``."""

from __future__ import annotations

import json

import pytest
import timm

import headwater as hw
from headwater.harness.running.run import Control
from tests import rendered
from tests.cli.headwater_command import run_headwater
from tests.facts import missing_facts
from tests.harness.toy import keys


def facts(capsys, name, *options):
    answer = run_headwater(capsys, "info", name, "--format", "json", *options)
    assert answer.status == 0, answer.err
    return {row["fact"]: row["value"] for row in json.loads(answer.out)}


def test_a_source_shows_every_fact_and_counts_its_parameters(capsys):
    shown = facts(capsys, "timm/test_vit.r160_in1k")
    assert (shown["architecture"], shown["images"], shown["input size"]) == (
        "test_vit",
        1_281_167,
        160,
    )
    assert shown["parameters"] == sum(
        p.numel() for p in timm.create_model("test_vit", num_classes=0).parameters()
    )
    assert shown["use"] == 'sources = ["timm/test_vit.r160_in1k"]'
    assert shown["check"] == "headwater check timm/test_vit.r160_in1k"


def test_counted_parameters_are_kept_for_listings(capsys):
    counted = facts(capsys, "timm/test_nfnet.r160_in1k")["parameters"]
    (row,) = json.loads(
        run_headwater(capsys, "list", "sources", "timm/test_nfnet.*", "--format", "json").out
    )
    assert row["parameters"] == counted


@pytest.mark.parametrize(
    ("name", "fact", "value"),
    [
        ("sklearn/digits", "domain", "characters"),
        ("fine_tune", "setting", "inductive"),
        ("classification", "use", '@hw.task(..., type="classification")'),
        ("classification", "metrics", "accuracy, balanced_accuracy, f1, auroc, log_loss"),
        ("segmentation", "conventions", "void=255"),
        ("indoor", "within", "consumer"),
        ("scratch/test_vit[depth=3]", "check", "headwater check 'scratch/test_vit[depth=3]'"),
    ],
)
def test_any_kind_is_found_by_its_name(capsys, name, fact, value):
    shown = facts(capsys, name)
    assert shown[fact] == value
    assert not any("object at 0x" in str(text) for text in shown.values())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("rendered/multilabel", "labels disc, square, triangle"),
        ("rendered/regression", "metric mae ↓"),
        ("regression", "metrics mae ↓, rmse ↓, r2 ↑, spearman ↑"),
    ],
)
def test_people_see_the_direction_of_metrics_and_classes_under_what_their_type_calls_them(
    capsys, name, line
):
    out = run_headwater(capsys, "info", name, "--plugin", rendered.PLUGIN).out
    assert line in [" ".join(row.split()) for row in out.splitlines()]
    assert " classes " not in out


def test_a_plugins_card_says_where_it_is_from(capsys, tmp_path):
    (tmp_path / "lab.py").write_text("import headwater as hw\nlunar = hw.Domain(name='lunar')\n")
    assert facts(capsys, "lunar", "--plugin", tmp_path / "lab.py")["origin"] == str(
        tmp_path / "lab.py"
    )


def test_an_unknown_name_is_an_error_with_the_nearest_of_any_kind(capsys):
    answer = run_headwater(capsys, "info", "linear_prob")
    assert (answer.status, answer.out) == (2, "")
    assert missing_facts(answer.err, "'linear_prob'", "linear_probe?") == []
    assert "by 8 digits or more" in run_headwater(capsys, "info", "42ef15b").err


def test_a_providers_own_words_say_what_is_wrong(capsys):
    answer = run_headwater(capsys, "info", "folder/not/there")
    assert answer.status == 2 and "there is no folder" in answer.err


# -- recorded jobs --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("info") / "s.duckdb"
    return hw.run(
        keys(adaptations=["fine_tune", "toy/explodes"]),
        store=path,
        control=Control(executor="inline"),
    ).store


def cells(store):
    return [job for (job,) in store.sql("SELECT job FROM cells ORDER BY source").rows]


def test_a_job_shows_its_metrics_on_both_splits_and_by_class(capsys, store):
    job = cells(store)[0]
    shown = facts(capsys, job[:8], "--store", store.path)
    rows = store.sql(f"SELECT split, metric, value FROM metrics WHERE job = '{job}'").rows
    assert (shown["job"], shown["source"], shown["state"]) == (job, "toy/fixed", "done")
    assert {
        (split, name): value
        for split, found in shown["metrics"].items()
        for name, value in found.items()
    } == {(split, name): pytest.approx(value) for split, name, value in rows}
    assert set(shown["by_class"]["recall"]) == {"dark", "grey", "light"}
    answer = run_headwater(capsys, "info", job, "--store", store.path)
    lines = [line.split() for line in answer.out.splitlines()]
    assert ["metric", "validation", "test", "floor"] in lines and ["class", "recall"] in lines
    assert [
        line[:2] for line in lines[lines.index(["metric", "validation", "test", "floor"]) + 2 :]
    ][:5] == [
        *(
            ["accuracy", "↑"],
            ["auroc", "↑"],
            ["balanced_accuracy", "↑"],
            ["f1", "↑"],
            ["log_loss", "↓"],
        )
    ]


def test_a_job_without_values_by_class_says_why_and_shows_the_rest(capsys, store):
    job = cells(store)[0]
    predictions = (
        store.files / store.sql(f"SELECT path FROM predictions WHERE job = '{job}'").rows[0][0]
    )
    moved = predictions.rename(predictions.with_suffix(".away"))
    try:
        answer = run_headwater(capsys, "info", job, "--store", store.path)
    finally:
        moved.rename(predictions)
    assert answer.status == 0 and "accuracy" in answer.out
    assert "no values by class: " in answer.err and "no longer at" in answer.err


def test_a_picture_is_called_after_its_jobs(capsys, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = cells(store)
    answer = run_headwater(capsys, "info", one, "--picture", "--store", store.path)
    assert (answer.status, answer.out) == (0, f"wrote {one[:8]}.png: 8 of 30 test images\n")
    answer = run_headwater(
        capsys, "info", one[:9], other, "--images", 3, "--store", store.path, "--picture"
    )
    assert answer.out == f"wrote {one[:8]}-{other[:8]}.png: 3 of 30 test images\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{one[:8]}.png",
        f"{one[:8]}-{other[:8]}.png",
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("sklearn/digits", "--picture"),
            "'sklearn/digits' is not a job's identity",
        ),
        (("00000000", "--picture"), "no job starts with 00000000"),
        (("00000000", "--picture", "a.jpg"), "--picture writes a PNG file: a.jpg.png"),
        (
            ("00000000", "--picture", "11111111"),
            "headwater info 11111111 --picture",
        ),
    ],
)
def test_a_picture_of_nothing_is_a_clear_error(capsys, store, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    answer = run_headwater(capsys, "info", *words, "--store", store.path)
    assert answer.status == 2 and says in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_a_job_that_failed_says_so(capsys, store):
    job = store.sql("SELECT job FROM jobs WHERE state = 'failed'").rows[0][0]
    answer = run_headwater(capsys, "info", job, "--picture", "--store", store.path)
    assert answer.status == 1 and missing_facts(answer.err, job, "failed", "nan") == []


@pytest.mark.parametrize("picture", [(), ("--picture",)])
def test_a_job_without_a_store_says_what_to_run(capsys, tmp_path, picture):
    answer = run_headwater(
        capsys, "info", "00000000", *picture, "--store", tmp_path / "none.duckdb"
    )
    assert (
        answer.status == 2
        and "No store here yet" in answer.err
        and "headwater run" in answer.err
        and "--store" in answer.err
    )


def test_several_names_are_shown_one_after_the_other(capsys):
    answer = run_headwater(capsys, "info", "indoor", "fine_tune")
    assert answer.out.index("indoor (domain)") < answer.out.index("fine_tune (adaptation)")


def test_the_command_that_checks_can_be_pasted(capsys, tmp_path):
    import shlex

    folder = tmp_path / "my plugins"
    folder.mkdir()
    (folder / "mine.py").write_text(
        "import headwater as hw\nlunar = hw.Domain(name='lunar', within=('aerial',))\n"
    )
    words = ("info", "lunar", "--plugin", folder / "mine.py", "--format", "json")
    facts = {row["fact"]: row["value"] for row in json.loads(run_headwater(capsys, *words).out)}
    typed = shlex.split(facts["check"])
    assert typed == ["headwater", "check", "lunar", "--plugin", str(folder / "mine.py")]
    assert run_headwater(capsys, *typed[1:]).status == 0
    name = "scratch/test_resnet[stem_width=8]"
    answer = run_headwater(capsys, "info", name, "--format", "csv")
    assert f"headwater check '{name}'" in answer.out
