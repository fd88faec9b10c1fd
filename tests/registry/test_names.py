"""Names, options, lists, globs and did-you-mean."""

from __future__ import annotations

import pytest

from headwater.registry import Name
from headwater.registry.errors import BadName
from headwater.registry.names import did_you_mean, glob_matches, is_glob, split_list
from headwater.registry.options import check_options


def test_a_name_is_canonical_whatever_the_order_of_its_options():
    assert (
        str(Name.parse("freeze[stages=2,deep=true]"))
        == str(Name.parse(" freeze[deep=True, stages=2] "))
        == "freeze[deep=true,stages=2]"
    )


def test_option_values_are_read_as_what_they_spell():
    assert dict(Name.parse("x[a=3,b=1e-3,c=none,d=true,e=text]").options) == {
        "a": 3,
        "b": 0.001,
        "c": None,
        "d": True,
        "e": "text",
    }


@pytest.mark.parametrize("text", ["", "[a=1]", "x[a=1", "x[a]", "x[=1]", "x[a=1,a=2]", "x[a=1]y"])
def test_a_name_that_cannot_be_read_is_shown_with_the_form(text):
    with pytest.raises(BadName) as raised:
        Name.parse(text)
    assert repr(text) in raised.value.message or text in raised.value.message
    assert raised.value.hint


def test_lists_split_at_commas_outside_brackets():
    assert split_list("a, b[x=1,y=2],c") == ["a", "b[x=1,y=2]", "c"]


def test_brackets_are_options_and_never_character_sets():
    assert is_glob("timm/resnet*") and not is_glob("x[a=*]")
    assert glob_matches(
        ["timm/resnet18.a1", "timm/resnet50.a1", "lab/resnet"], "timm/resnet?0.*"
    ) == ["timm/resnet50.a1"]


def test_the_nearest_name_is_suggested_even_under_another_prefix():
    assert (
        did_you_mean("timm/resnet50.a1_in1", ["timm/resnet50.a1_in1k", "timm/vgg"])
        == " Did you mean timm/resnet50.a1_in1k?"
    )
    assert did_you_mean("lab/digits", ["sklearn/digits"]) == " Did you mean sklearn/digits?"
    assert did_you_mean("zebra", ["sklearn/digits"]) == ""


def test_an_option_must_exist_and_have_the_type_of_its_default():
    check_options("x", {"rate": 1, "deep": None}, {"rate": 0.5, "deep": True})
    with pytest.raises(BadName, match=r"option 'rat'.* rate\b"):
        check_options("x", {"rat": 1}, {"rate": 0.5})
    with pytest.raises(BadName, match="type int, such as 2"):
        check_options("x", {"stages": "two"}, {"stages": 2})
