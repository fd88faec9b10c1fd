"""``headwater status``: what is done, failed and still to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headwater.harness.cli.options import format_option
from headwater.harness.cli.store_option import store_option, store_to_read
from headwater.harness.cli.verb import option, verb

if TYPE_CHECKING:
    from headwater.leaderboard import Store
    from headwater.leaderboard.show.tables import Table

_SHARED_WORK = {
    "decoding": "images decoded",
    "features": "feature sets extracted",
    "pretraining": "chains trained",
}
"""The kinds of the view ``work``, as people read them."""


@verb(
    help="Show what is done, what failed and what is left; with --failed, each failure with its "
    "reason and log.",
    examples=["headwater status --failed"],
)
@store_option
@option("--failed", is_flag=True, help="List the failures.")
@option("--skipped", is_flag=True, help="List the skipped jobs.")
@format_option
def command(store: Path | None, failed: bool, skipped: bool, format_: str) -> None:
    from headwater.leaderboard import Store

    opened = Store(store_to_read(store))
    states = [state for state, is_wanted in (("failed", failed), ("skipped", skipped)) if is_wanted]
    if states:
        _listed_jobs(opened, states).print(format_)
        return
    _counted_jobs(opened).print(format_)
    if format_ == "table":  # a program reads one table: it finds this one in the view
        _shared_work(opened).print(format_)


def _listed_jobs(store: Store, states: list[str]) -> Table:
    """Return the jobs in these states, with their reasons and logs."""
    from headwater.leaderboard.show.tables import Table

    jobs = store.result("status_jobs", states=states)
    notes = []
    if not jobs.rows:
        notes = ["none"]
    elif "failed" in states:
        notes = [
            f"logs are in {store.files}; run the same command again with --rerun failed to retry"
        ]
    title = f"{' and '.join(states)} jobs in {store.path}"
    return Table(title, jobs.columns, jobs.rows, notes)


def _counted_jobs(store: Store) -> Table:
    """Return how many jobs of each kind are in each state, and what they cost."""
    from headwater.leaderboard.show.tables import Table

    jobs = store.result("status_counts")
    count, last = store.result("status_runs").rows[0]
    note = f"{count} run{'s' * (count != 1)}, the last began {last} UTC"
    return Table(f"jobs in {store.path}", jobs.columns, jobs.rows, [note])


def _shared_work(store: Store) -> Table:
    """Return what was made once and shared, and how many jobs read it."""
    from headwater.leaderboard.show.tables import Column, Table

    columns = [
        Column("work", "made once and shared", rank=0),
        Column("made", show=",d", rank=0),
        Column("again", show=",d"),
        Column("tasks", show=",d", rank=2),
        Column("seconds", show=",.1f", rank=3),
        Column("used_by", "read by jobs", ",d"),
    ]
    work = store.result("work")
    return Table("", columns, [(_SHARED_WORK[row[0]], *row[1:]) for row in work.rows])
