"""Identities change with what decides a result, and with nothing else."""

from __future__ import annotations

import os

import pytest

import headwater as hw
from headwater.registry.identity import code_of, digest, digest_files

CODE = '''"""{doc}"""
import headwater as hw

STEP = {step}

# {comment}
@hw.task("lab/task")
def load():
    """{doc}"""
    return {{"train": STEP}}
'''


@pytest.fixture
def code(tmp_path):
    def fingerprint(**changes) -> str:
        path = tmp_path / f"{digest(changes)}.py"
        path.write_text(CODE.format(**({"doc": "A task.", "step": 1, "comment": "why"} | changes)))
        return hw.Registry.discover([path]).task("lab/task").code

    return fingerprint


def test_comments_and_docstrings_do_not_change_a_plugins_code(code):
    assert code() == code(comment="another reason", doc="Described in other words.")


def test_the_code_around_the_function_counts(code):
    assert code() != code(step=2)


def test_a_helper_beside_a_plugin_counts_and_so_does_what_it_imports(tmp_path):
    def code(name: str, helper: str, further: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "further.py").write_text(further)
        (folder / "helper.py").write_text(helper)
        (folder / "plugin.py").write_text(
            "def load():\n    from helper import start\n    return start\n"
        )
        space: dict = {}
        exec(compile((folder / "plugin.py").read_text(), str(folder / "plugin.py"), "exec"), space)
        return code_of(space["load"])

    first = code("one", "from further import start", "start = 1")
    assert first == code(
        "same", '"""Says what."""\nfrom further import start  # the same', "start = 1"
    )
    assert first != code("other", "from further import start", "start = 2")
    assert first != code("direct", "start = 1", "start = 1")


def test_what_a_task_type_draws_is_no_other_measurement(tmp_path):
    def code(name: str, draws: str, colour: str, loss: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "colours.py").write_text(colour)
        (folder / "losses.py").write_text(loss)
        methods = "class methods:\n    def loss(self):\n        from losses import loss\n"
        (folder / "plugin.py").write_text(
            f"{methods}    def picture(self):\n        from colours import red\n        {draws}\n"
        )
        space: dict = {"__name__": f"plugin_{name}"}
        exec(compile((folder / "plugin.py").read_text(), str(folder / "plugin.py"), "exec"), space)
        return code_of(space["methods"].picture, without=("picture",))

    first = code("one", "return red", "red = 1", "loss = 1")
    assert first == code("other_picture", "return [red]", "red = 1", "loss = 1")
    assert first == code("other_colour", "return red", "red = 2", "loss = 1")
    assert first != code("other_loss", "return red", "red = 1", "loss = 2")


def write_package(root, files):
    """Write files by path, and an ``__init__.py`` in every folder between them and the root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in path.parents:
            if folder == root:
                break
            if not (folder / "__init__.py").exists():
                (folder / "__init__.py").write_text("")


def code_in(path, function="f"):
    space: dict = {}
    exec(compile(path.read_text().replace("from . ", "pass #"), str(path), "exec"), space)
    return code_of(space[function])


F = "def f():\n    return 1\n"


def test_modules_that_import_each_other_both_count(tmp_path):
    def code(name, other):
        two = f"from . import one\nimport json\nX = {other}\n"
        write_package(
            tmp_path / name,
            {
                "lab/one.py": "def f():\n    from lab import two\n    return two\n",
                "lab/two.py": two,
            },
        )
        return code_in(tmp_path / name / "lab/one.py")

    assert code("a", 1) == code("b", 1) != code("c", 2)


def test_imports_do_not_count_but_for_the_real_names_of_what_is_used(tmp_path):
    def code(text):
        path = tmp_path / f"{digest(text)}.py"
        path.write_text(text)
        return code_in(path)

    assert code(F) == code(f"import json\nfrom math import pi as p\n{F}")
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import json\n"
    assert code(F) == code(for_types + F)
    uses = "def f():\n    return g(1)\n"
    first = code("from math import sin as g\n" + uses)
    assert first == code("import json\nfrom cmath import sin as g\n" + uses)
    assert first != code("from math import cos as g\n" + uses)


def test_modules_go_by_their_names_wherever_their_files_lie(tmp_path):
    plugins = {
        "plugins/own/helper.py": "X = 1\n",
        "plugins/a.py": "def f():\n    from headwater.plugins.own import helper\n    return helper\n",
    }
    site, checkout = tmp_path / "site", tmp_path / "checkout"
    write_package(site, {f"headwater/{name}": text for name, text in plugins.items()})
    write_package(checkout, plugins | {"headwater/registry.py": "Y = 1\n"})
    (checkout / "headwater/plugins").symlink_to("../plugins")
    installed = code_in(site / "headwater/plugins/a.py")
    assert installed == code_in(checkout / "headwater/plugins/a.py")
    helper = checkout / "plugins/own/helper.py"
    (checkout / "plugins/own/helper").mkdir()
    helper.rename(checkout / "plugins/own/helper/__init__.py")  # the same module, another file
    path = checkout / "headwater/plugins/a.py"
    os.utime(path, ns=(1, 1))
    assert installed == code_in(path)
    (checkout / "plugins/own/helper/__init__.py").write_text("X = 2\n")
    os.utime(path, ns=(2, 2))
    assert installed != code_in(path)


def test_a_plugin_does_not_change_with_the_rest_of_the_house(tmp_path):
    def code(name, room):
        own = "def f():\n    from headwater.registry import names\n    return names\n"
        files = {"headwater/plugins/a.py": own, "headwater/registry/names.py": room}
        write_package(tmp_path / name, files)
        return code_in(tmp_path / name / "headwater/plugins/a.py")

    assert code("one", "X = 1\n") == code("two", "X = 2\n")


def test_a_function_without_a_file_has_a_fingerprint_too():
    space: dict = {}
    exec("def f():\n    return 1\ndef g():\n    return 2", space)
    assert code_of(space["f"]) == code_of(space["f"]) != code_of(space["g"])


def test_the_order_of_keys_does_not_matter_and_values_do():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_files_are_told_apart_by_content(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"one")
    before = digest_files([file])
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert digest_files([file]) != before
    file.write_bytes(b"one")
    assert digest_files([file]) == before


def test_a_file_moved_to_another_folder_is_other_data(tmp_path):
    for folder in ("cats", "dogs"):
        (tmp_path / folder).mkdir()
    for name in ("cats/a.jpg", "cats/b.jpg", "dogs/c.jpg"):
        (tmp_path / name).write_text(name)
    before = digest_files(tmp_path.rglob("*.jpg"))
    (tmp_path / "cats/b.jpg").rename(tmp_path / "dogs/b.jpg")
    assert digest_files(tmp_path.rglob("*.jpg")) != before
