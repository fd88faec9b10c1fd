"""``headwater adapt``: fine-tune one source on one task, and save the network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.options import (
    check_executor,
    executor_options,
    format_option,
    plugin_option,
    stderr_console,
)
from headwater.harness.cli.spec_options import chosen_options, overrides_of
from headwater.harness.cli.verb import option, verb
from headwater.registry.defaults import DEFAULT_ADAPTATION

if TYPE_CHECKING:
    from headwater.harness.results.adapt import SavedNetwork
    from headwater.leaderboard.show.tables import Table

KEYS = ("image_size", "validation", "store")
SECTIONS = ("training", "pretraining", "tuning", "resources")


@verb(
    help="Fine-tune one source on TASK, and save the network with all that is needed to use it.",
    measures=True,
    examples=[
        "headwater adapt sklearn/digits --source timm/test_resnet.r160_in1k --save model.safetensors"
    ],
)
@click.argument("task")
@option("--source", required=True, help="The source model, by its name.")
@option(
    "--save", required=True, type=click.Path(path_type=Path), help="The file to write, safetensors."
)
@option("--adaptation", default=DEFAULT_ADAPTATION, help="How the source is adapted.")
@option(
    "--size",
    default="full",
    metavar="full|N",
    help="Training images, those for choices included.",
)
@option("--seed", type=click.IntRange(min=0), default=0)
@option("--force", is_flag=True, help="Replace a file that is there.")
@chosen_options(KEYS, SECTIONS)
@plugin_option()
@executor_options
@option("--rerun", is_flag=True, help="Train again what the store holds already.")
@format_option
def command(
    task: str,
    source: str,
    save: Path,
    adaptation: str,
    size: str,
    seed: int,
    force: bool,
    plugins: tuple[Path, ...],
    format_: str,
    **values: Any,
) -> int:
    from headwater.harness.results.adapt import adapt
    from headwater.harness.running.progress import watcher_for
    from headwater.harness.running.run import Control
    from headwater.registry.names import command_line

    check_executor(values["executor"], values["timeout"])
    control = Control(
        rerun="all" if values["rerun"] else "failed",
        executor=values["executor"],
        address=values["address"],
        timeout=values["timeout"],
    )
    typed = command_line(*sys.argv[1:])
    try:
        saved = adapt(
            task,
            source,
            save,
            adaptation=adaptation,
            size=int(size) if size.isdigit() else size,
            seed=seed,
            plugins=plugins,
            force=force,
            control=control,
            watcher=watcher_for(stderr_console()),
            command=typed,
            **overrides_of(values),
        )
    except KeyboardInterrupt:
        click.echo(f"\n Interrupted; nothing was saved. Continue: {typed}", err=True)
        return 130
    values_table(saved).print(format_)
    return 0


def values_table(saved: SavedNetwork) -> Table:
    """Return the metric on validation and test with intervals; notes say how to load the file."""
    from headwater.leaderboard.show.tables import Column, Table
    from headwater.registry import directed

    def interval(bounds: tuple[float | None, float | None]) -> str:
        low, high = bounds
        return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"

    columns = [
        Column("split", rank=0),
        Column("metric", show=lambda metric: directed(metric, saved.values[0].sign), rank=0),
        Column("value", show=".3f", rank=0),
        Column("between", "95 %", interval, rank=0, only="text"),
        Column("low", only="data"),
        Column("high", only="data"),
        Column("images", show=",d", rank=0),
    ]
    rows = [
        [row.split, row.metric, row.value, (row.low, row.high), row.low, row.high, row.images]
        for row in saved.values
    ]
    facts = saved.facts
    title = f"{facts.adaptation} · {facts.train_images:,} images · seed {facts.seed}"
    return Table(title, columns, rows, list(_notes(saved)))


def _notes(saved: SavedNetwork) -> Iterator[str]:
    facts = saved.facts
    if saved.epoch:
        epochs = f"epoch {saved.epoch} of {facts.training['epochs']}"
        took = f", trained in {saved.seconds:.0f} s" if saved.seconds else ""
        yield f"{epochs}{took}; it was chosen on validation, whose value is therefore a little high"
    yield from saved.flaws
    megabytes = saved.path.stat().st_size / 1e6
    parts = [saved.width, f"{facts.image_size} px", f"{megabytes:.1f} MB"]
    size = ", ".join(part for part in parts if part)
    if saved.new:
        yield f"saved {saved.path} ({size}), read back and checked on test images"
    else:
        yield f"{saved.path} ({size}) was there already"
    yield f'use: model = headwater.load_adapted("{saved.path}"); model.predict(["photo.jpg"])'
