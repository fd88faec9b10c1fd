"""The three doors, and what a broken plugin does not take down."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

import headwater as hw
from headwater.registry import Domain, Kind
from headwater.registry.errors import BadPlugin, UnknownName
from tests.facts import missing_facts

TASK = """
import headwater as hw

@hw.task("{name}", domain="medical", metric="accuracy")
def load():
    return {{}}
"""


@pytest.fixture
def plugin(tmp_path):
    def write(name: str, text: str = TASK) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(text.format(name=f"lab/{name}") if text is TASK else text)
        return path

    return write


def test_the_bundled_door_brings_what_the_quickstart_needs():
    registry = hw.Registry.discover()
    assert registry.problems == []
    assert {"sklearn/digits", "quickstart/letters", "quickstart/photographs"} <= set(
        registry.cards[Kind.TASK]
    )
    assert {provider.prefix for provider in registry.providers} >= {
        "timm",
        "scratch",
        "parquet",
        "folder",
        "hf",
        "chain",
    }


def test_a_file_and_a_folder_of_files_are_doors(plugin, tmp_path):
    plugin("one")
    plugin("two")
    assert hw.Registry.discover([tmp_path]).task("lab/two").domain == "medical"
    assert hw.Registry.discover([tmp_path / "one.py"]).task("lab/one").origin == str(
        tmp_path / "one.py"
    )


def test_two_files_of_one_name_do_not_collide(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "models.py").write_text(TASK.format(name=f"lab/{folder}"))
    registry = hw.Registry.discover([tmp_path])
    assert {"lab/a", "lab/b"} <= set(registry.cards[Kind.TASK])


def test_an_installed_entry_point_is_a_door(plugin, tmp_path, monkeypatch):
    (tmp_path / "installed_lab.py").write_text(TASK.format(name="installed/task"))
    monkeypatch.syspath_prepend(tmp_path)
    entry = importlib.metadata.EntryPoint("lab", "installed_lab", "headwater.plugins")
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: [entry] if group == "headwater.plugins" else [],
    )
    assert hw.Registry.discover().task("installed/task").origin == "lab (installed_lab)"


@pytest.mark.parametrize("text", ["import not_there", "1 / 0", "def (", "raise SystemExit(3)"])
def test_a_broken_plugin_is_reported_and_skipped(plugin, tmp_path, text):
    plugin("good")
    bad = plugin("bad", text)
    registry = hw.Registry.discover([tmp_path])
    assert registry.task("lab/good").name == "lab/good"
    assert [problem.plugin for problem in registry.problems] == [str(bad)]
    assert registry.problems[0].reason


def test_a_second_card_of_the_same_name_is_a_problem_and_the_first_stays(plugin):
    first, second = (
        plugin("one"),
        plugin("two", TASK.format(name="lab/one").replace("medical", "art")),
    )
    registry = hw.Registry.discover([first, second])
    assert registry.task("lab/one").domain == "medical"
    (problem,) = registry.problems
    assert (problem.plugin, problem.card) == (str(second), "lab/one")
    assert str(first) in problem.reason


def test_two_cards_of_one_name_in_a_file_are_one_problem_and_the_rest_is_used(plugin):
    text = TASK.format(name="lab/one") + TASK.format(name="lab/one").replace("def ", "def again_")
    file = plugin("one", text + TASK.format(name="lab/two").replace("def ", "def last_"))
    registry = hw.Registry.discover([file])
    assert registry.task("lab/one").name == "lab/one"
    assert registry.task("lab/two").name == "lab/two"
    assert [(problem.plugin, problem.card) for problem in registry.problems] == [
        (str(file), "lab/one")
    ]
    assert str(file) not in registry.problems[0].reason  # it does not collide with another file


def test_a_plugin_that_is_not_there_is_an_error():
    with pytest.raises(BadPlugin, match=r"no plugin at nowhere.py"):
        hw.Registry.discover(["nowhere.py"])


def test_a_card_can_be_given_as_it_is():
    card = Domain(name="lunar", within=("aerial",))
    assert hw.Registry.discover([card]).domain_parents()["lunar"] == {"aerial"}


def test_inclusion_of_domains_is_transitive():
    parents = hw.Registry.discover().domain_parents()
    assert parents["indoor"] == {"consumer", "web"}
    assert parents["characters"] == {"documents", "web"}
    assert parents["aerial"] == frozenset()


def test_domains_within_each_other_do_not_loop():
    registry = hw.Registry.discover(
        [Domain(name="a", within=("b",)), Domain(name="b", within=("a",))]
    )
    assert registry.domain_parents()["a"] == {"b"}


def test_an_unknown_name_says_what_is_near_and_how_to_list():
    with pytest.raises(UnknownName) as raised:
        hw.Registry.discover().task("sklearn/digit")
    named = ("'sklearn/digit'", "task", "sklearn/digits?")
    assert missing_facts(raised.value.message, *named) == []
    assert "headwater list tasks" in raised.value.hint


def test_globs_find_each_card_once_and_in_order():
    registry = hw.Registry.discover()
    found = registry.find(Kind.TASK, "quickstart/letters,quickstart/*")
    assert [card.name for card in found] == ["quickstart/letters", "quickstart/photographs"]
    with pytest.raises(UnknownName, match="No task matches 'nothing/\\*'"):
        registry.find(Kind.TASK, "nothing/*")
