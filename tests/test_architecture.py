"""The import graph and the names of the tree: one-way imports, no circle, one class for one name.

The graph is read from the syntax of the files, so imports inside functions and under TYPE_CHECKING count too.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.registry import Kind, Registry

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("registry", "plugins", "harness", "leaderboard")

MAY_IMPORT = {
    "registry": {"registry"},
    "leaderboard": {"registry", "leaderboard"},
    "harness": {"registry", "leaderboard", "harness"},
    "plugins": {"plugins"},
}
"""The rooms whose modules each room may import; ``import headwater``, the public face, is open to all."""

NEEDS_THE_MEASURING_LAYER = ("torch", "ray", "timm", "torchvision")


def _module_files() -> dict[str, Path]:
    modules = {}
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            modules[".".join(("headwater", *parts))] = file
    return modules


FILES = _module_files()
TREES = {module: ast.parse(file.read_text(encoding="utf-8")) for module, file in FILES.items()}


def _imports(module: str) -> Iterator[str]:
    """Yield the dotted names that a module imports; of ``from a import b``, ``a.b``."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_of(name: str) -> str | None:
    """Return the module of this tree that an imported name lies in, or None."""
    while name:
        if name in FILES:
            return name
        name = name.rpartition(".")[0]
    return None


def _graph() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for module in FILES:
        imported = {_module_of(name) for name in _imports(module)}
        graph[module] = {other for other in imported if other is not None} - {module}
    return graph


GRAPH = _graph()


def _circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one module (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for imported in graph[module]:
            if imported not in order:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], order[imported])
        if lowest[module] == order[module]:
            circle = []
            while module not in circle:
                circle.append(stack.pop())
            if len(circle) > 1:
                circles.append(sorted(circle))

    for module in graph:
        if module not in order:
            visit(module)
    return circles


def _room(module: str) -> str:
    return module.split(".")[1]


def test_no_module_imports_itself_through_others() -> None:
    assert _circles(GRAPH) == []


def _imports_against_the_direction(room: str) -> set[str]:
    return {
        f"{module} imports {imported}"
        for module in FILES
        if _room(module) == room
        for imported in GRAPH[module]
        if _room(imported) not in MAY_IMPORT[room]
    }


@pytest.mark.parametrize("room", ["registry", "leaderboard", "harness"])
def test_imports_run_one_way(room: str) -> None:
    assert _imports_against_the_direction(room) == set()


def test_plugins_import_the_public_face_only() -> None:
    assert _imports_against_the_direction("plugins") == set()


def test_nothing_of_the_harness_imports_the_command_line() -> None:
    cli = "headwater.harness.cli"
    importing = [
        f"{module} imports {name}"
        for module in FILES
        for name in GRAPH[module]
        if name.startswith(cli) and not module.startswith(cli)
    ]
    assert importing == []


@pytest.mark.parametrize("room", ["registry", "leaderboard"])
def test_registry_and_leaderboard_need_no_measuring_layer(room: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module in FILES
        if _room(module) == room
        for node in TREES[module].body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _names_of(node)
        if name.split(".")[0] in NEEDS_THE_MEASURING_LAYER
    ]
    assert wrong == []


def _names_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""]


def test_rooms_are_imported_from_the_package() -> None:
    """``from registry import …`` would take another project's registry."""
    files = [*FILES.values(), *sorted((ROOT / "tests").rglob("*.py"))]
    bare = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                bare += [
                    f"{file.relative_to(ROOT)} imports {name}"
                    for name in _names_of(node)
                    if name.split(".")[0] in ROOMS
                ]
    assert bare == []


def test_a_public_class_name_stands_for_one_class() -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for module, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].append(module)
    doubled = {name: modules for name, modules in owners.items() if len(modules) > 1}
    assert doubled == {}


# -- names of cards --------------------------------------------------------------------------------

NAMING_KINDS = (
    *(Kind.TASK_TYPE, Kind.ADAPTATION, Kind.ANALYSIS),
    *(Kind.ESTIMATOR, Kind.SELECTOR, Kind.TASK),
)

ORDINARY_WORDS = {"parameters", "random"}
"""Names of selectors that are facts of a source too: any room may read these."""

METHOD_NAMES = {"search"}
"""Names of cards that are methods of the standard library too: re.search."""

MAY_NAME_CARDS = {
    # Documented defaults, in one place.
    "registry/defaults.py": {"classification", "fine_tune", "search"},
    # Text that a plugin's author starts from: it shows what a user writes.
    "harness/conformance/templates.py": {"classification", "multilabel", "from_scratch"},
    # F10 to F12 are published findings, each about what one analysis reads.
    "leaderboard/findings/anatomy.py": {"block_shuffle", "mistakes", "criticality", "depth"},
    "leaderboard/store/views/f10_shuffle.sql": {"block_shuffle"},
    "leaderboard/store/views/f11_mistakes.sql": {"mistakes"},
    "leaderboard/store/views/f12_modules.sql": {"criticality"},
    # A column of seconds, called by the act.
    "harness/selecting/selection_table.py": {"fine_tune"},
}


def _bundled_names() -> set[str]:
    registry = Registry.discover()
    return {card.name for kind in NAMING_KINDS for card in registry.all(kind)} - ORDINARY_WORDS


def _docstrings(tree: ast.AST) -> set[int]:
    """Return the identities of the strings that stand alone: they say, and decide nothing."""
    alone = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    return {id(value) for value in alone if isinstance(value, ast.Constant)}


def _words_that_decide(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield the strings and attributes of a module, and whether each is an attribute."""
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, True
        elif not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        elif isinstance(node.value, str):
            yield node.value, False


def _cards_named(text: str, names: set[str]) -> set[str]:
    """Return the cards that a string names: as a whole, with its options, or quoted within it."""
    quoted = re.findall(r"""['"`]([\w/]+)(?:\[[^\]]*\])?['"`]""", text)
    return names & {text.partition("[")[0], *quoted}


def _cards_named_by(module: str, names: set[str]) -> set[str]:
    named: set[str] = set()
    for word, is_attribute in _words_that_decide(TREES[module]):
        if is_attribute:
            named |= {word} & (names - METHOD_NAMES)
        else:
            named |= _cards_named(word, names)
    return named


def test_no_room_names_a_bundled_card() -> None:
    """A new task type, analysis or adaptation is one file that no list elsewhere names."""
    names = _bundled_names()
    assert {"classification", "fine_tune", "block_shuffle", "logme"} <= names
    named = {
        str(FILES[module].relative_to(ROOT)): _cards_named_by(module, names)
        for module in FILES
        if _room(module) != "plugins"
    }
    for file in sorted((ROOT / "leaderboard").rglob("*.sql")):
        lines = file.read_text(encoding="utf-8").splitlines()
        code = "\n".join(line.partition("--")[0] for line in lines)
        named[str(file.relative_to(ROOT))] = _cards_named(code, names)
    assert {file: cards for file, cards in named.items() if cards} == MAY_NAME_CARDS
