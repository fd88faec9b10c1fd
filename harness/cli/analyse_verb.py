"""``headwater analyse``: what transfer changes inside the networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.options import format_option
from headwater.harness.cli.run_verb import run_options, run_spec
from headwater.harness.cli.spec_options import overrides_of
from headwater.harness.cli.store_option import store_to_read
from headwater.harness.cli.verb import option, verb

if TYPE_CHECKING:
    from headwater.harness.planning.spec import Spec
    from headwater.leaderboard.anatomy.readings import AnatomyReadings

_READING = {"store", "tasks", "adaptations", "sources"}
"""With these alone nothing runs: what is stored is read, filtered by them."""


@verb(
    help="Analyse the networks of SPEC's benchmark (P, P-T, RI, RI-T), running what is missing, and plot what was read. "
    "Without SPEC: read what --store holds, filtered by --sources, --tasks and --adaptations."
)
@run_options
@option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the plots and their page; by default beside the store.",
)
@format_option
def command(
    spec: Path | None,
    plugins: tuple[Path, ...],
    dry_run: bool,
    out: Path | None,
    format_: str,
    **values: Any,
) -> int:
    from headwater.leaderboard.anatomy.readings import anatomies
    from headwater.leaderboard.gains.standings import Filter
    from headwater.leaderboard.store.store import Store

    overrides = overrides_of(values)
    if spec is None and set(overrides) <= _READING:
        store = Store(store_to_read(overrides.get("store")))
        wanted = {
            key: ",".join(overrides.get(f"{key}s", [])) for key in ("source", "task", "adaptation")
        }
        found = anatomies(
            store, Filter(task=wanted["task"], adaptation=wanted["adaptation"]), wanted["source"]
        )
        return _show(found, store, out, format_)
    read = _with_analyses(spec, overrides)
    status, plan = run_spec(read, plugins, dry_run, values, then="")
    if dry_run or status == 130:
        return status
    sources, protocols = (
        {getattr(job.record, key) for job in plan.cells} for key in ("source", "protocol")
    )
    store = Store(read.store)
    found = [one.under(protocols) for one in anatomies(store) if one.source in sources]
    return _show([one for one in found if len(one.rows)], store, out, format_) or status


def _with_analyses(spec: Path | None, overrides: dict[str, Any]) -> Spec:
    """The spec, with every analysis where it names none."""
    from headwater.harness.planning.analyses import SETTINGS
    from headwater.harness.planning.spec import Spec

    read = Spec.read(spec, **overrides) if spec else Spec.of(overrides, where="options")
    if read.anatomy.analyses:
        return read
    return read.model_copy(
        update={"anatomy": read.anatomy.model_copy(update={"analyses": tuple(SETTINGS)})}
    )


def _show(found: Sequence[AnatomyReadings], store: Any, out: Path | None, format_: str) -> int:
    """Print what was read; draw it too where people read it, or where a folder is named."""
    from headwater.leaderboard.show.anatomy_table import heading, readings_table, summary_tables

    if format_ in ("json", "csv"):
        readings_table(found).print(format_)
    else:
        aside = format_ == "latex"  # what stands between tables is no LaTeX
        for one in found:
            click.echo(heading(one), err=aside)
            for table in summary_tables(one):
                click.echo(f"\n{table.title}", err=aside)
                table.title = ""  # a narrow table would fold it
                table.print(format_)
    if format_ == "table" or out:
        _draw(
            found, out or store.path.with_name(f"{store.path.stem}-anatomy"), asked=out is not None
        )
    return 0


def _draw(found: Sequence[AnatomyReadings], folder: Path, asked: bool) -> None:
    from headwater.leaderboard.show.plots import check_matplotlib
    from headwater.leaderboard.show.plots.page import write_page
    from headwater.registry.errors import HeadwaterError

    try:
        check_matplotlib()
    except HeadwaterError as error:
        if asked:
            raise
        click.echo(f" no plots: {error.message} ({error.hint})", err=True)
        return
    page = write_page(found, folder)
    click.echo(f" plots: {page}", err=True)
