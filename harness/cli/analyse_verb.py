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
    from headwater.leaderboard.store.store import Store
    from headwater.registry import Registry

_FILTERS = {"store", "tasks", "adaptations", "sources"}
"""Options that filter stored readings; with these alone nothing runs."""


@verb(
    help="Analyse the networks of SPEC's benchmark (P, P-T, RI, RI-T), running what is missing, "
    "and plot the readings. Without SPEC: show the readings that --store holds, filtered by "
    "--sources, --tasks and --adaptations."
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
    from headwater.leaderboard.store.store import Store
    from headwater.registry import Registry

    overrides = overrides_of(values)
    if spec is None and set(overrides) <= _FILTERS:
        store = Store(store_to_read(overrides.get("store")))
        stored = _stored(store, overrides)
        _show(stored, store, Registry.discover(plugins), format_=format_, out=out)
        return 0
    read = _with_analyses(spec, overrides)
    status, plan = run_spec(read, plugins, dry_run, values, then="")
    if dry_run or status == 130:
        return status
    sources = {job.record.source for job in plan.cells}
    protocols = {job.record.protocol for job in plan.cells}
    store = Store(read.store)
    of_plan = []
    for anatomy in anatomies(store):
        measured = anatomy.under(protocols)
        if anatomy.source in sources and len(measured.rows):
            of_plan.append(measured)
    _show(of_plan, store, plan.registry, format_=format_, out=out)
    return status


def _stored(store: Store, overrides: dict[str, Any]) -> list[AnatomyReadings]:
    from headwater.leaderboard.anatomy.readings import anatomies
    from headwater.leaderboard.gains.gain_rows import Filter

    patterns = {
        key: ",".join(overrides.get(key, [])) for key in ("sources", "tasks", "adaptations")
    }
    wanted = Filter(task=patterns["tasks"], adaptation=patterns["adaptations"])
    return anatomies(store, wanted, patterns["sources"])


def _with_analyses(spec: Path | None, overrides: dict[str, Any]) -> Spec:
    """Return the spec, with every analysis where it names none."""
    from headwater.harness.planning.spec import Spec

    read = Spec.read(spec, **overrides) if spec else Spec.of(overrides, where="options")
    if read.anatomy.analyses:
        return read
    everything = read.anatomy.model_copy(update={"analyses": ("*",)})
    return read.model_copy(update={"anatomy": everything})


def _show(
    anatomies: Sequence[AnatomyReadings],
    store: Store,
    registry: Registry,
    *,
    format_: str,
    out: Path | None,
) -> None:
    """Print the readings; draw them too where people read them, or where a folder is named."""
    from headwater.leaderboard.show.anatomy_table import heading, readings_table, summary_tables

    if format_ in ("json", "csv"):
        readings_table(anatomies).print(format_)
    else:
        aside = format_ == "latex"  # headings between tables are no LaTeX
        for anatomy in anatomies:
            click.echo(heading(anatomy), err=aside)
            for table in summary_tables(anatomy, registry):
                click.echo(f"\n{table.title}", err=aside)
                table.title = ""  # a narrow table would fold it
                table.print(format_)
    if out or format_ == "table":
        beside_store = store.path.with_name(f"{store.path.stem}-anatomy")
        _draw(anatomies, out or beside_store, registry, required=out is not None)


def _draw(
    anatomies: Sequence[AnatomyReadings], folder: Path, registry: Registry, *, required: bool
) -> None:
    """Write the page of plots.

    Raises:
        HeadwaterError: matplotlib is missing, and the plots are ``required``.
    """
    from headwater.leaderboard.show.anatomy_page import write_page
    from headwater.leaderboard.show.plots import check_matplotlib
    from headwater.registry.errors import HeadwaterError

    try:
        check_matplotlib()
    except HeadwaterError as error:
        if required:
            raise
        click.echo(f" no plots: {error.message} ({error.hint})", err=True)
        return
    page = write_page(anatomies, folder, registry)
    click.echo(f" plots: {page}", err=True)
