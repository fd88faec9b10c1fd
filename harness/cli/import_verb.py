"""``headwater import``: take a published table of results into the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.cards import report_problems
from headwater.harness.cli.options import format_option, plugin_option
from headwater.harness.cli.store_option import DEFAULT_STORE, STORE_VARIABLE
from headwater.harness.cli.verb import option, verb
from headwater.registry.defaults import DEFAULT_ADAPTATION

if TYPE_CHECKING:
    from headwater.leaderboard.imports import TableMapping

_COLUMN_OPTIONS = {
    "source": "source",
    "task": "task",
    "estimator": "estimator_name",
    "score": "estimator_score",
}
"""The options that name a column, by their keys in a mapping."""

_PROVENANCE = ("title", "url", "licence", "citation", "note")


@verb(
    "import",
    help="Take a published table (CSV, Parquet, JSON lines) into the store, with where it comes "
    "from, and flag what is doubtful in it.",
    examples=[
        "headwater import results.csv --source model --task dataset --metric accuracy=acc --dry-run"
    ],
)
@click.argument("file", type=click.Path(path_type=Path))
@option(
    "--mapping",
    type=click.Path(path_type=Path),
    section="Columns",
    help="A TOML file that says what the columns are; options win over it.",
)
@option("--source", metavar="COLUMN", help="Column of the source models' names.")
@option("--task", metavar="COLUMN", help="Column of the target tasks' names.")
@option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=COLUMN",
    help="A metric's column; may repeat.",
)
@option(
    "--lower-is-better",
    multiple=True,
    metavar="NAME",
    help="A metric that should be low; may repeat.",
)
@option(
    "--estimator",
    "estimators",
    multiple=True,
    metavar="NAME=COLUMN",
    help="An estimator's column; may repeat.",
)
@option("--estimator-name", metavar="COLUMN", help="Long tables: column of the estimators' names.")
@option("--estimator-score", metavar="COLUMN", help="Long tables: column of their scores.")
@option(
    "--adaptation",
    metavar="NAME",
    section="What was measured",
    help=f"How the sources were adapted.  [default: {DEFAULT_ADAPTATION}]",
)
@option(
    "--size",
    metavar="TEXT",
    help="Training images of the targets: a number, small, full.  [default: full]",
)
@option(
    "--name",
    section="Provenance",
    help="The import's name; the same name again updates it.  [default: the file's name]",
)
@option("--title", help="What was published.")
@option("--url", help="Where it was published.")
@option("--licence", help="Its licence.")
@option("--citation", help="How to cite it.")
@option("--note", help="Anything else.")
@option(
    "--dry-run",
    is_flag=True,
    section="Running",
    help="Say what would change, and change nothing.",
)
@plugin_option()
@option(
    "--store",
    type=click.Path(path_type=Path),
    envvar=STORE_VARIABLE,
    default=DEFAULT_STORE,
    help="The DuckDB file of outcomes; it is made where there is none.",
)
@format_option
def command(
    file: Path,
    mapping: Path | None,
    store: Path,
    plugins: tuple[Path, ...],
    dry_run: bool,
    format_: str,
    **values: Any,
) -> None:
    from headwater.leaderboard.imports import IncomingTable, import_table
    from headwater.leaderboard.show.import_report import tables
    from headwater.leaderboard.store.store import Store
    from headwater.registry import Kind, Registry

    table_mapping = _mapping(file, mapping, values)
    registry = Registry.discover(plugins)
    report_problems(registry)
    estimators: Any = registry.cards[Kind.ESTIMATOR]
    incoming = IncomingTable.read(file, table_mapping, estimators, registry.domain_parents())
    imported = import_table(Store(store), incoming, dry_run=dry_run)
    for table in tables(imported, store, people=format_ not in ("json", "csv")):
        table.print(format_)


def _mapping(file: Path, mapping: Path | None, values: dict[str, Any]) -> TableMapping:
    """Return what the columns are: as the mapping's file says, the options winning over it."""
    from headwater.leaderboard.imports import TableMapping

    columns = {key: values[name] for key, name in _COLUMN_OPTIONS.items() if values[name]}
    sections = {
        "columns": columns,
        "provenance": {key: values[key] for key in _PROVENANCE if values[key]},
        "metrics": _metrics(values["metrics"], values["lower_is_better"]),
        "estimators": _pairs("--estimator", values["estimators"]),
    }
    keys: dict[str, Any] = {key: section for key, section in sections.items() if section}
    keys |= {key: values[key] for key in ("name", "adaptation", "size") if values[key]}
    if mapping:
        return TableMapping.read(mapping, **keys)
    if not (values["source"] and values["task"]):
        raise click.UsageError(
            "say what the columns are: --mapping FILE.toml, or "
            "--source COLUMN --task COLUMN --metric NAME=COLUMN …"
        )
    return TableMapping.of({"name": file.stem} | keys, where="options")


def _metrics(texts: Sequence[str], lower_is_better: Sequence[str]) -> dict[str, Any]:
    columns = _pairs("--metric", texts)
    for name in lower_is_better:
        if name not in columns:
            raise click.UsageError(f"--lower-is-better {name}: no --metric {name}=COLUMN is given")
    return {
        name: {"column": column, "direction": "lower" if name in lower_is_better else "higher"}
        for name, column in columns.items()
    }


def _pairs(option_name: str, texts: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=COLUMN`` texts; raises a usage error for one that is not."""
    pairs = {}
    for text in texts:
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise click.BadParameter(f"{text!r} is not NAME=COLUMN", param_hint=option_name)
        pairs[name] = column
    return pairs
