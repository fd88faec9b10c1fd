"""``headwater info``."""

from __future__ import annotations

import json

import pytest
import timm

from tests.cli.headwater_command import run_headwater


def facts(capsys, name, *options):
    answer = run_headwater(capsys, "info", name, "--format", "json", *options)
    assert answer.status == 0, answer.err
    return {row["fact"]: row["value"] for row in json.loads(answer.out)}


def test_a_source_shows_every_fact_and_counts_its_parameters(capsys):
    shown = facts(capsys, "timm/test_vit.r160_in1k")
    assert (shown["architecture"], shown["images"], shown["input size"]) == ("test_vit", 1_281_167, 160)
    assert shown["parameters"] == sum(p.numel() for p in timm.create_model("test_vit", num_classes=0).parameters())
    assert shown["use"] == 'sources = ["timm/test_vit.r160_in1k"]'
    assert shown["check"] == "headwater check timm/test_vit.r160_in1k"


def test_counted_parameters_are_kept_for_listings(capsys):
    counted = facts(capsys, "timm/test_nfnet.r160_in1k")["parameters"]
    (row,) = json.loads(run_headwater(capsys, "list", "sources", "timm/test_nfnet.*", "--format", "json").out)
    assert row["parameters"] == counted


@pytest.mark.parametrize(
    ("name", "fact", "value"),
    [
        ("sklearn/digits", "domain", "characters"),
        ("fine_tune", "setting", "inductive"),
        ("classification", "use", '@hw.task(..., type="classification")'),
        ("indoor", "within", "consumer"),
        ("scratch/test_vit[depth=3]", "check", "headwater check 'scratch/test_vit[depth=3]'"),
    ],
)
def test_any_kind_is_found_by_its_name(capsys, name, fact, value):
    assert facts(capsys, name)[fact] == value


def test_a_plugins_card_says_where_it_is_from(capsys, tmp_path):
    (tmp_path / "lab.py").write_text("import headwater as hw\nlunar = hw.Domain(name='lunar')\n")
    assert facts(capsys, "lunar", "--plugin", tmp_path / "lab.py")["origin"] == str(tmp_path / "lab.py")


def test_an_unknown_name_is_an_error_with_the_nearest_of_any_kind(capsys):
    answer = run_headwater(capsys, "info", "linear_prob")
    assert (answer.status, answer.out) == (2, "")
    assert "nothing is called 'linear_prob'. Did you mean linear_probe?" in answer.err


def test_a_providers_own_words_say_what_is_wrong(capsys):
    answer = run_headwater(capsys, "info", "folder/not/there")
    assert answer.status == 2 and "there is no folder" in answer.err
