"""``headwater import``: take a published table of results into the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.options import format_option, plugin_option, store_option

if TYPE_CHECKING:
    from headwater.leaderboard.imports import TableMapping


@click.command(
    "import",
    help="Take a published table (CSV, Parquet, JSON lines) into the store, with where it comes from, and flag what is doubtful in it.",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--mapping",
    type=click.Path(path_type=Path),
    help="A TOML file that says what the columns are; options win over it.",
)
@click.option(
    "--name",
    help="What the import is called; the same name again updates it. By default the file's name.",
)
@click.option("--source", metavar="COLUMN", help="Column of the source models' names.")
@click.option("--task", metavar="COLUMN", help="Column of the target tasks' names.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=COLUMN",
    help="A metric's column; may repeat.",
)
@click.option(
    "--lower-is-better", multiple=True, metavar="NAME", help="Of these metrics; may repeat."
)
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    metavar="NAME=COLUMN",
    help="An estimator's column; may repeat.",
)
@click.option(
    "--estimator-name", metavar="COLUMN", help="Long tables: column of the estimators' names."
)
@click.option("--estimator-score", metavar="COLUMN", help="Long tables: column of their scores.")
@click.option(
    "--adaptation", metavar="NAME", help="How the sources were adapted.  [default: fine_tune]"
)
@click.option(
    "--size",
    metavar="TEXT",
    help="Training images of the targets: a number, small, full.  [default: full]",
)
@click.option("--title", help="Provenance: what was published.")
@click.option("--url", help="Provenance: where.")
@click.option("--licence", help="Provenance: its licence.")
@click.option("--citation", help="Provenance: how to cite it.")
@click.option("--note", help="Provenance: anything else.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@plugin_option
@store_option
@format_option
def command(
    file: Path,
    mapping: Path | None,
    store: Path,
    plugins: tuple[Path, ...],
    dry_run: bool,
    format_: str,
    **given: Any,
) -> None:
    from headwater.harness.cli.list_verb import report_problems
    from headwater.leaderboard.imports import IncomingTable, import_table
    from headwater.leaderboard.show.import_report import tables
    from headwater.leaderboard.store.store import Store
    from headwater.registry import Kind, Registry

    read = _mapping(file, mapping, given)
    registry = Registry.discover(plugins)
    report_problems(registry)
    estimators: Any = registry.cards[Kind.ESTIMATOR]
    incoming = IncomingTable.read(file, read, estimators, registry.domain_parents())
    for table in tables(
        import_table(Store(store), incoming, dry_run=dry_run),
        store,
        people=format_ != "json" and format_ != "csv",
    ):
        table.print(format_)


def _mapping(file: Path, mapping: Path | None, given: dict[str, Any]) -> TableMapping:
    from headwater.leaderboard.imports import TableMapping

    lower = given["lower_is_better"]
    metrics: dict[str, Any] = _pairs("--metric", given["metrics"])
    if unknown := [name for name in lower if name not in metrics]:
        raise click.UsageError(
            f"--lower-is-better {unknown[0]}: no --metric {unknown[0]}=COLUMN is given"
        )
    metrics = {
        name: {"column": column, "direction": "lower" if name in lower else "higher"}
        for name, column in metrics.items()
    }
    columns = {
        "source": "source",
        "task": "task",
        "estimator": "estimator_name",
        "score": "estimator_score",
    }
    sections = {
        "columns": {key: given[option] for key, option in columns.items() if given[option]},
        "provenance": {
            key: given[key] for key in ("title", "url", "licence", "citation", "note") if given[key]
        },
        "metrics": metrics,
        "estimators": _pairs("--estimator", given["estimators"]),
    }
    keys = {key: value for key, value in sections.items() if value} | {
        key: given[key] for key in ("name", "adaptation", "size") if given[key]
    }
    if mapping:
        return TableMapping.read(mapping, **keys)
    if not (given["source"] and given["task"]):
        raise click.UsageError(
            "say what the columns are: --mapping FILE.toml, or --source COLUMN --task COLUMN --metric NAME=COLUMN …"
        )
    return TableMapping.of({"name": file.stem} | keys, where="options")


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise click.BadParameter(f"{text!r} is not NAME=COLUMN", param_hint=option)
        pairs[name] = column
    return pairs
