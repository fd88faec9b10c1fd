"""Identities change with what decides a result, and with nothing else."""

from __future__ import annotations

import os

import pytest

import headwater as hw
from registry.identity import code_of, digest, digest_files

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
