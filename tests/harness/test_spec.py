"""A bad spec is answered with the file, the key, the value and what is allowed."""

import pytest

from headwater.harness.planning.spec import Spec
from headwater.registry.errors import BadSpec

GOOD = {"sources": ["a"], "tasks": ["b"]}


def test_a_count_of_seeds_and_a_list_of_them():
    assert Spec.of(GOOD | {"seeds": 3}).seeds == (0, 1, 2)
    assert Spec.of(GOOD | {"seeds": [4, 7]}).seeds == (4, 7)


def test_a_string_with_commas_is_a_list_and_brackets_hold_together():
    assert Spec.of(GOOD | {"sources": "x,chain[base=y,on=z]"}).sources == (
        "x",
        "chain[base=y,on=z]",
    )


def test_overrides_win_and_sections_merge():
    spec = Spec.of(
        GOOD | {"training": {"epochs": 3, "batch_size": 8}}, training={"epochs": 5}, name="mine"
    )
    assert (spec.training.epochs, spec.training.batch_size, spec.name) == (5, 8, "mine")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sorces": ["a"]}, ["sorces is not a key", "Did you mean sources?"]),
        ({"training": {"epoch": 3}}, ["training.epoch is not a key", "Did you mean epochs?"]),
        ({"training": {"epochs": 0}}, ["training.epochs = 0", "greater than 0"]),
        ({"training": {"optimiser": "adam"}}, ["training.optimiser = 'adam'", "adamw"]),
        ({"sizes": ["half"]}, ["sizes[0] = 'half'", "'full'"]),
        ({"sizes": [-5]}, ["sizes[0] = -5", "greater than 0"]),
        ({"sizes": []}, ["sizes = []", "at least one"]),
        ({"sources": ["a", "a"]}, ["names 'a' twice"]),
        ({"seeds": "many"}, ["seeds"]),
        ({"image_size": 4}, ["image_size = 4", "greater than or equal to 8"]),
        ({"validation": 1.5}, ["validation = 1.5", "less than 1"]),
        ({"references": ["nothing"]}, ["references[0] = 'nothing'", "scratch"]),
        ({"sources": 3}, ["sources = 3", "should be a list"]),
        ({"training": "fast"}, ["training = 'fast'", "should be a section"]),
        ({"training": {"learning_rate": float("inf")}}, ["training.learning_rate = inf", "finite"]),
        ({"seeds": [2**40]}, ["seeds[0] = 1099511627776", "2147483631"]),
    ],
)
def test_each_kind_of_mistake_is_named(change, words):
    with pytest.raises(BadSpec) as caught:
        Spec.of(GOOD | change, where="b.toml")
    assert "b.toml" in caught.value.message
    for word in words:
        assert word in caught.value.message


def test_a_spec_without_sources_or_tasks_says_so():
    with pytest.raises(BadSpec, match=r"tasks = \(\): .*at least one"):
        Spec.of({})
    with pytest.raises(BadSpec, match=r"sources needs .*, or chains\.bases"):
        Spec.of({"tasks": ["a"]})


def test_files_that_are_missing_folders_or_not_toml(tmp_path):
    with pytest.raises(BadSpec, match="there is no spec at"):
        Spec.read(tmp_path / "nothing.toml")
    with pytest.raises(BadSpec, match="is a folder"):
        Spec.read(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_text("sources = [")
    with pytest.raises(BadSpec, match="is not TOML"):
        Spec.read(bad)


def test_plugins_named_in_a_file_are_found_beside_it(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('sources = ["a"]\ntasks = ["b"]\nplugins = ["own.py"]\n')
    spec = Spec.read(file)
    assert spec.plugins == (tmp_path / "own.py",)
    assert spec.name == "mine"
