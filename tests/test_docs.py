"""The documentation keeps up with the code: what can be typed or asked for has its place in it."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import BaseModel

import headwater as hw
from headwater import Registry, Store
from headwater.harness.cli import VERBS
from headwater.harness.cli.run_verb import command as run_command
from headwater.harness.planning.spec import SECTIONS, Spec
from headwater.registry import Kind

HOME = Path(__file__).resolve().parent.parent
DOCS = HOME / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def spec_keys() -> list[tuple[str, object]]:
    keys = [
        (key, field.get_default())
        for key, field in Spec.model_fields.items()
        if key not in SECTIONS
    ]
    return keys + [
        (f"{name}.{key}", field.get_default())
        for name, model in SECTIONS.items()
        for key, field in model.model_fields.items()
    ]


def row_of(key: str) -> str:
    rows = [line for line in page("running.md").splitlines() if line.startswith(f"| `{key}` |")]
    assert len(rows) == 1, f"docs/running.md needs one row for the key {key}"
    return rows[0]


def as_toml(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, tuple):
        return f"[{', '.join(as_toml(item) for item in default)}]"
    if isinstance(default, dict):
        return f"{{{', '.join(f'{key} = {as_toml(value)}' for key, value in default.items())}}}"
    if isinstance(default, BaseModel):
        return as_toml({key: value for key, value in default if value})
    if isinstance(default, bool):
        return str(default).lower()
    return f'"{default}"' if isinstance(default, str | Path) else str(default)


@pytest.mark.parametrize(("key", "default"), spec_keys())
def test_every_spec_key_is_documented_with_its_default(key: str, default: object) -> None:
    shown = row_of(key).split(" | ")[1].strip("`")
    if default == ():
        assert shown in ("none: needed", "[]")
    elif key == "seeds":
        assert default == tuple(range(int(shown)))
    elif key == "name":
        assert f"`{default}" in row_of(key)
    else:
        assert shown == as_toml(default)


@pytest.mark.parametrize(
    "option",
    [
        option
        for parameter in run_command.params
        for option in parameter.opts
        if option.startswith("--")
    ],
)
def test_every_option_of_run_is_documented(option: str) -> None:
    assert re.search(rf"`{option}[ `]", page("running.md"))


@pytest.mark.parametrize(
    "verb",
    [verb for verb in VERBS if importlib.util.find_spec(f"headwater.harness.cli.{verb}_verb")],
)
def test_every_verb_is_documented(verb: str) -> None:
    assert f"`headwater {verb}`" in page("commands.md")


def test_every_table_and_view_is_documented_with_its_columns(tmp_path: Path) -> None:
    store = Store(tmp_path / "new.duckdb")
    store.commit_pending()
    rows = {
        match[1]: line
        for line in page("sql.md").splitlines()
        if (match := re.match(r"\| `(\w+)` \|", line))
    }
    for (name,) in store.sql("SELECT table_name FROM information_schema.tables").rows:
        assert name in rows, f"docs/sql.md says nothing of {name}"
        columns = {column for column, *_ in store.sql(f"DESCRIBE {name}").rows}
        assert columns <= set(re.findall(r"`(\w+)`", rows[name])), (
            f"docs/sql.md leaves out columns of {name}"
        )


def test_every_recipe_of_the_cookbook_runs(tmp_path: Path) -> None:
    store = Store(tmp_path / "new.duckdb")
    store.commit_pending()
    recipes = re.findall(r"```sql\n(.*?)```", page("sql.md"), re.DOTALL)
    assert len(recipes) >= 8
    for recipe in recipes:
        assert store.sql(recipe).columns


def test_every_bundled_plugin_is_documented() -> None:
    registry = Registry.discover()
    text = page("plugins.md")
    for kind in Kind:
        for card in registry.cards[kind].values():
            if card.origin.startswith("headwater.plugins."):
                assert f"`{card.name}`" in text, (
                    f"docs/plugins.md says nothing of the {kind} {card.name}"
                )
    for provider in registry.providers:
        if provider.origin.startswith("headwater.plugins."):
            assert re.search(rf"`{provider.prefix}[/\[]", text), (
                f"docs/plugins.md says nothing of {provider.form}"
            )


def test_every_adaptation_has_a_page_with_its_options() -> None:
    for card in Registry.discover().cards[Kind.ADAPTATION].values():
        if card.origin.startswith("headwater.plugins."):
            text = page(f"adaptations/{card.name}.md")
            for option, default in card.options().items():
                assert f"| `{option}` | {default} |" in text


def test_every_estimator_has_a_page_with_its_options_and_stands_in_the_overview() -> None:
    for card in Registry.discover().cards[Kind.ESTIMATOR].values():
        if card.origin.startswith("headwater.plugins."):
            text = page(f"estimators/{card.name}.md")
            assert f"[{card.name}]({card.name}.md)" in page("estimators/index.md")
            for option, default in card.options().items():
                assert f"| `{option}` | {default} |" in text, (
                    f"docs/estimators/{card.name}.md says nothing of {option}"
                )


def readme_model() -> str:
    blocks = re.findall(
        r"```python\n(.*?)```", (HOME / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    return next(block for block in blocks if "@hw.source_model" in block)


def test_the_model_of_the_readme_has_ten_lines_or_fewer_and_registers(tmp_path: Path) -> None:
    example = readme_model()
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 10
    file = tmp_path / "my_models.py"
    file.write_text(example, encoding="utf-8")
    registry = Registry.discover(plugins=[file])
    assert registry.problems == []
    card = registry.source("lab/resnet18-xray")
    assert (card.architecture, card.domain, card.scratch) == (
        "resnet18",
        "medical",
        "scratch/resnet18",
    )
    assert card.weights == str(tmp_path / "xray18.safetensors")


EXAMPLES = re.findall(r"```python\n(.*?)```", page("plugins.md"), re.DOTALL)


@pytest.mark.parametrize("block", [block for block in EXAMPLES if "def test_" not in block])
def test_examples_of_the_plugin_guide_register(block: str, tmp_path: Path) -> None:
    if ": ..." in block and "hw.task_type" in block:
        block = f"import headwater as hw\n\n{block}"  # a sketch of the contract
    file = tmp_path / "example.py"
    file.write_text(block, encoding="utf-8")
    before = Registry.discover()
    registry = Registry.discover(plugins=[file])
    assert registry.problems == before.problems
    own = [
        card for kind in Kind for card in registry.cards[kind].values() if card.origin == str(file)
    ]
    assert own or any(provider.origin == str(file) for provider in registry.providers)


def test_the_selector_of_the_page_on_selectors_keeps_the_contract(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", page("selectors.md"), re.DOTALL)
    file = tmp_path / "my_selector.py"
    file.write_text(example, encoding="utf-8")
    registry = Registry.discover([file])
    card, options = registry.selector("lab/prior_then_try[tries=1]")
    results = list(hw.conformance.examine(hw.conformance.checks(card, registry)))
    assert [result.message for result in results if not result.passed] == []
    sources = [hw.SourceModel(name=name, build=dict) for name in "abc"]
    asked: list[list[str]] = []

    def measure(names: list[str], **_: object) -> dict[str, float]:
        asked.append(names)
        return {}

    qualities = zip("abc", (1, 3, 2), strict=True)
    records = [hw.Record(name, hw.RecordSetting("t"), quality) for name, quality in qualities]
    task = hw.Task(name="x", load=dict)
    question = hw.Question(task, sources, records=records, measure=measure)
    assert card.scores(question, **options) == {"a": 0.0, "b": 1.0, "c": 0.5}
    assert asked == [["b"]]
    with pytest.raises(hw.NotApplicable):
        card.scores(hw.Question(task, sources), **options)


@pytest.mark.parametrize("contract", [hw.Question, hw.Record])
def test_the_page_on_selectors_has_every_field_of_what_they_are_given(contract: type) -> None:
    rows = "\n".join(line for line in page("selectors.md").splitlines() if line.startswith("| `"))
    assert [field.name for field in fields(contract) if f"`{field.name}`" not in rows] == []


def test_links_between_pages_lead_somewhere() -> None:
    for source in [*DOCS.rglob("*.md"), HOME / "README.md"]:
        for target in re.findall(
            r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", source.read_text(encoding="utf-8")
        ):
            assert (source.parent / target).exists(), f"{source.name} links to {target}"


REFERENCE = [
    name
    for file in sorted((DOCS / "reference").glob("*.md"))
    for name in re.findall(r"^::: (\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("name", REFERENCE)
def test_the_reference_names_what_there_is(name: str) -> None:
    assert pkgutil.resolve_name(name) is not None


def test_the_reference_has_every_public_name() -> None:
    import headwater
    from headwater.registry import errors

    shown = {name.rpartition(".")[2] for name in REFERENCE} | set(vars(errors))
    assert [name for name in headwater.__all__ if name not in shown] == []
