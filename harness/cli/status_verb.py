"""``headwater status``: what is done, failed and still to do."""

from __future__ import annotations

from pathlib import Path

import click

from headwater.harness.cli.options import format_option, store_option


@click.command(
    help="What is done, failed and still to do; with --failed, each failure with its reason and log."
)
@store_option
@click.option("--failed", is_flag=True, help="List the failures.")
@click.option("--skipped", is_flag=True, help="List the skipped jobs.")
@format_option
def command(store: Path, failed: bool, skipped: bool, format_: str) -> int:
    from headwater.leaderboard import Store
    from headwater.leaderboard.show.tables import Column, Table

    wanted = [state for state, asked in (("failed", failed), ("skipped", skipped)) if asked]
    opened = Store(store)
    if wanted:
        listed = ", ".join(f"'{state}'" for state in wanted)
        found = opened.sql(
            "SELECT state, kind, source, task, adaptation, size, seed, error, reason, log, job FROM jobs "
            f"WHERE state IN ({listed}) ORDER BY ALL",
            rows=None,
        )
        Table(
            f"{' and '.join(wanted)} jobs in {store}",
            found.columns,
            found.rows,
            _hints(found.rows, opened.files, failed),
        ).print(format_)
        return 0
    found = opened.sql(
        "SELECT j.state, CASE WHEN r.kind = 'import' THEN j.kind || ' (imported)' ELSE j.kind END AS kind, count(*) AS jobs, "
        "sum(j.seconds) AS seconds FROM jobs j LEFT JOIN runs r ON r.run = j.run GROUP BY ALL ORDER BY ALL",
        rows=None,
    )
    count, last = opened.sql(
        "SELECT count(*), date_trunc('second', max(started)) FROM runs", rows=None
    ).rows[0]
    note = f"{count} run{'s' * (count != 1)}, the last began {last} UTC"
    Table(f"jobs in {store}", found.columns, found.rows, [note]).print(format_)
    if format_ != "table":  # a program reads one table: it finds this one in the view
        return 0
    columns = [
        Column("work", "made once and shared", rank=0),
        Column("made", show=",d", rank=0),
        Column("again", show=",d"),
        Column("tasks", show=",d", rank=2),
        Column("seconds", show=",.1f", rank=3),
        Column("used_by", "read by jobs", ",d"),
    ]
    shared = opened.sql("SELECT work, made, again, tasks, seconds, used_by FROM work", rows=None)
    Table("", columns, [(_WORK[row[0]], *row[1:]) for row in shared.rows]).print(format_)
    return 0


_WORK = {
    "decoding": "images decoded",
    "features": "feature sets extracted",
    "pretraining": "chains trained",
}


def _hints(rows: list[tuple[object, ...]], files: Path, failed: bool) -> list[str]:
    if not rows:
        return ["none"]
    return (
        [f"logs stand in {files}; run the same command again with --rerun failed to retry"]
        if failed
        else []
    )
