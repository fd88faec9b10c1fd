"""What the tests may lean on: public names, facts instead of sentences, and no clock.

The rules are read from the syntax of every file under tests/. A test that leans on a private name, on the
wording of a message or on how fast the machine is fails for reasons that no user would notice.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
FILES = [file for file in sorted(TESTS.rglob("*.py")) if file != Path(__file__).resolve()]
"""All but this one, whose examples break the rules."""

MIN_SENTENCE_WORDS = 6
"""Plain words from which on a string is a sentence; names, numbers and commands have fewer."""

CLOCKS = {"perf_counter", "perf_counter_ns", "process_time", "thread_time", "monotonic", "time"}
PUBLIC_IN_PYTHON = {"_exit", "_replace", "_asdict", "_fields"}
"""Documented names of os and of named tuples."""
LOOKUPS_BY_NAME = {"getattr", "setattr", "hasattr", "delattr", "patch", "object"}
PLAIN_WORD = re.compile(r"[A-Za-z][a-z']*[.,:;!?]?")
CODE_START = re.compile(r"\s*(headwater|[A-Z]{2,}|import|from|def|class|pip|make)\b")


# -- private names ---------------------------------------------------------------------------------


def _is_private(name: str) -> bool:
    is_hidden = name.startswith("_") and not name.startswith("__") and name != "_"
    return is_hidden and name not in PUBLIC_IN_PYTHON


def _is_private_module(package: str, name: str) -> bool:
    """Tell whether ``name`` is a file of the package: a plugin file may start with an underscore."""
    folder = TESTS.parent.joinpath(*package.split("."))
    return (folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and name of every private name that a test takes from elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                package = node.module or ""
                if _is_private(alias.name) and not _is_private_module(package, alias.name):
                    yield node.lineno, f"{package}.{alias.name}"
        elif isinstance(node, ast.Attribute) and _is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and _called(node) in LOOKUPS_BY_NAME:
            for argument in node.args[:2]:
                name = argument.value if isinstance(argument, ast.Constant) else ""
                if isinstance(name, str) and _is_private(name.rpartition(".")[2]):
                    yield node.lineno, ast.unparse(node)


def _called(call: ast.Call) -> str:
    """Return the last part of the name that is called, or nothing."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


# -- sentences -------------------------------------------------------------------------------------


def is_sentence(text: str) -> bool:
    """Tell whether a text reads as English: many plain words, and neither SQL, Python nor a command."""
    words = text.replace("\\", "").split()
    plain = [word for word in words if PLAIN_WORD.fullmatch(word)]
    return len(plain) >= MIN_SENTENCE_WORDS and CODE_START.match(text) is None


def pinned_sentences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every sentence that is compared, searched for or given to ``match``."""
    for node in ast.walk(tree):
        expected: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            expected = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and _called(node) == "parametrize":
            expected = node.args[1:]
        elif isinstance(node, ast.Call):
            expected = [keyword.value for keyword in node.keywords if keyword.arg == "match"]
            if _called(node) in ("search", "match", "fullmatch", "startswith", "endswith"):
                expected += node.args[:1]
        for expression in expected:
            for text in _texts(expression):
                if is_sentence(text):
                    yield node.lineno, text


def _texts(expression: ast.expr) -> Iterator[str]:
    """Yield the literals of an expression, an f-string as one; what a called function takes is its own."""
    if isinstance(expression, ast.Call):
        return
    if isinstance(expression, ast.JoinedStr):
        pieces = [piece.value for piece in expression.values if isinstance(piece, ast.Constant)]
        yield " ".join(pieces)
    elif isinstance(expression, ast.Constant):
        if isinstance(expression.value, str):
            yield expression.value
    else:
        for child in ast.iter_child_nodes(expression):
            if isinstance(child, ast.expr):
                yield from _texts(child)


# -- clocks ----------------------------------------------------------------------------------------


def timed_assertions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every assertion that compares what a clock said."""
    timed = _timed_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and _reads_a_clock(node.test, timed):
            yield node.lineno, ast.unparse(node.test)


def _timed_names(tree: ast.AST) -> set[str]:
    """Return the variables and functions whose value is a time, however often it was passed on."""
    timed: set[str] = set()
    while True:
        before = len(timed)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and _reads_a_clock(node.value, timed):
                for target in node.targets:
                    timed |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
            elif isinstance(node, ast.FunctionDef):
                returned = [item.value for item in ast.walk(node) if isinstance(item, ast.Return)]
                if any(value is not None and _reads_a_clock(value, timed) for value in returned):
                    timed.add(node.name)
        if len(timed) == before:
            return timed


def _reads_a_clock(expression: ast.expr, timed: set[str]) -> bool:
    """Tell whether an expression is, or computes with, a time; a call with a time as argument is not."""
    if isinstance(expression, ast.Call):
        name = _called(expression)
        if name in ("min", "max", "abs", "round", "sum", "float"):
            return any(_reads_a_clock(argument, timed) for argument in expression.args)
        if name == "time":
            return isinstance(expression.func, ast.Name) or (
                isinstance(expression.func, ast.Attribute)
                and ast.unparse(expression.func) == "time.time"
            )
        return name in CLOCKS or name in timed
    if isinstance(expression, ast.Name):
        return expression.id in timed
    return any(
        _reads_a_clock(child, timed)
        for child in ast.iter_child_nodes(expression)
        if isinstance(child, ast.expr)
    )


# -- the rules -------------------------------------------------------------------------------------


RULES = {
    "private name": private_names,
    "pinned sentence": pinned_sentences,
    "compared time": timed_assertions,
}


@pytest.mark.parametrize("rule", RULES)
def test_no_test_leans_on(rule: str) -> None:
    broken = []
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        broken += [
            f"{file.relative_to(TESTS.parent)}:{line}: {text}" for line, text in RULES[rule](tree)
        ]
    assert broken == []


EXAMPLES = [
    ("private name", "from headwater.registry.names import _split"),
    ("private name", "registry._cards"),
    ("private name", "monkeypatch.setattr(worker, '_report', note)"),
    ("private name", "mock.patch('headwater.registry.names._split')"),
    ("pinned sentence", "assert text == 'The time budget is used up before the search ended.'"),
    ("pinned sentence", "assert f'{name} has no images that can be read.' in text"),
    ("pinned sentence", "pytest.raises(UserError, match='no source has been measured on it')"),
    ("compared time", "start = time.monotonic()\nassert time.monotonic() - start < 5"),
    (
        "compared time",
        "def spent():\n    return perf_counter() - start\ntook = spent()\nassert took < 5",
    ),
]


@pytest.mark.parametrize(("rule", "code"), EXAMPLES)
def test_the_rules_see(rule: str, code: str) -> None:
    assert list(RULES[rule](ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "self._count",
        "from headwater.plugins.models import __all__",
        "assert text == 'headwater run quickstart and some more words than six'",
        "assert store.sql('SELECT name FROM sources').rows == [('resnet',)]",
        "run(deadline=time.monotonic() + 5)\nassert outcome.done",
    ],
)
def test_the_rules_let_pass(code: str) -> None:
    for find in RULES.values():
        assert list(find(ast.parse(code))) == []
