"""``headwater findings``: what the outcomes say of the findings of the literature."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from headwater.harness.cli.options import format_option, size_option
from headwater.harness.cli.store_option import store_option, store_to_read
from headwater.harness.cli.verb import option, verb


@verb(
    help="Hold the recorded outcomes against the findings F1 to F12 of the literature; one finding "
    "by its name is explained in full.",
    examples=["headwater findings", "headwater findings F3"],
)
@click.argument("ids", nargs=-1, metavar="[F3 ...]")
@store_option
@option("--task", default="", help="Target tasks: names and globs, with commas.")
@option("--adaptation", default="", help="Adaptations: names and globs, with commas.")
@size_option("Training images as asked for; F8 compares all sizes.")
@format_option
def command(ids: tuple[str, ...], store: Path | None, format_: str, **filters: str) -> None:
    from headwater.leaderboard.findings import examine
    from headwater.leaderboard.gains.gain_rows import Filter
    from headwater.leaderboard.show.findings_table import explanation, findings_table, targets_table
    from headwater.leaderboard.store.store import Store

    answers = examine(Store(store_to_read(store)), ids, Filter(**filters))
    in_full = len(ids) == 1
    if in_full and format_ == "table":
        width = shutil.get_terminal_size((100, 24)).columns
        click.echo(explanation(answers[0], width) + "\n")
    findings_table(answers, full=in_full).print(format_)
    if in_full and format_ == "table" and any(part.by_target for part in answers[0].parts):
        targets_table(answers[0]).print(format_)
