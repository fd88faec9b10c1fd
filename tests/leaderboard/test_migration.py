"""The file of an older version is brought up to date, whole or not at all."""

import duckdb
import pytest

from headwater.leaderboard import Store
from headwater.leaderboard.gains.standings import standings
from headwater.leaderboard.store import migration
from headwater.leaderboard.store.file import StoreFile
from headwater.leaderboard.store.statements import HOME, VIEWS
from headwater.registry.errors import StoreError, StoreUnwritable
from tests.leaderboard.synthetic import SCRATCH, done, job, store_of

NEWEST = max(migration.schema())
NEXT = "ALTER TABLE jobs ADD COLUMN host VARCHAR DEFAULT 'here';"


@pytest.fixture
def older(tmp_path):
    """A file of today's version, with one done job: older than the version the tests pretend to have."""
    return store_of(tmp_path / "s.duckdb", [job("a", SCRATCH)], [done("a", 0.5)]).path


def pretend(monkeypatch, **more):
    files = migration.schema() | {
        NEWEST + 1: NEXT,
        **{NEWEST + int(number[1:]): text for number, text in more.items()},
    }
    monkeypatch.setattr(migration, "schema", lambda: files)


def test_a_writer_migrates_an_older_file_and_keeps_its_rows(older, monkeypatch):
    pretend(monkeypatch)
    Store(older).plan("run-1", [job("b", SCRATCH, seed=1)])
    with duckdb.connect(str(older), read_only=True) as connection:
        assert connection.execute("SELECT job, state, host FROM jobs ORDER BY ALL").fetchall() == [
            ("a", "done", "here"),
            ("b", "planned", "here"),
        ]
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [
            (NEWEST + 1,)
        ]


def test_a_reader_migrates_an_older_file_too(older, monkeypatch):
    pretend(monkeypatch)
    assert Store(older).sql("SELECT host FROM jobs").rows == [("here",)]


def test_a_migration_that_fails_leaves_the_file_as_it_was(older, monkeypatch):
    pretend(monkeypatch, _2="ALTER TABLE nothing ADD COLUMN x INTEGER;")
    with pytest.raises(duckdb.CatalogException):
        Store(older).plan("run-1", [])
    with duckdb.connect(str(older), read_only=True) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(NEWEST,)]
        assert "host" not in [row[0] for row in connection.execute("DESCRIBE jobs").fetchall()]


def test_views_of_another_headwater_are_replaced(older):
    with duckdb.connect(str(older)) as connection:
        connection.execute(
            "CREATE OR REPLACE VIEW cells AS SELECT 1 AS outdated; UPDATE schema_version SET views = 'other'"
        )
    assert Store(older).sql("SELECT job, value FROM cells").rows == [("a", 0.5)]


def test_every_view_file_is_made_and_says_what_it_means():
    files = {file.stem: file.read_text() for file in (HOME / "views").glob("*.sql")}
    assert set(files) == set(VIEWS)
    assert all(text.startswith(f"-- {name}: ") for name, text in files.items())


def test_sql_fits_100_columns():
    files = {file: file.read_text().splitlines() for file in HOME.rglob("*.sql")}
    assert {file.name for file, lines in files.items() if max(map(len, lines)) > 100} == set()


def test_an_older_file_that_cannot_be_written_says_so(older, monkeypatch):
    with duckdb.connect(str(older)) as connection:
        connection.execute("DROP VIEW gains; UPDATE schema_version SET views = 'other'")

    def refuse(*_, **__):
        raise StoreUnwritable("the folder is read-only", subject=str(older))

    monkeypatch.setattr(StoreFile, "writing", refuse)
    store = Store(older)
    assert set(store.states()) == {"a"}
    with pytest.raises(StoreError, match="older Headwater"):
        standings(store)


def rows_of_version(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Make a file as Headwater of that version left it, without its views, with one done cell."""
    for number in range(1, version + 1):
        connection.execute(migration.schema()[number])
    protocol = "protocol" if version >= 4 else "setup"
    connection.execute(
        f"""
        INSERT INTO schema_version VALUES ({version}, 'of that version');
        INSERT INTO runs (run, name, spec, started, state, version)
        VALUES ('r', 'n', '{{}}', now(), 'done', '0');
        INSERT INTO jobs (
            job, kind, source, task, adaptation, control, size, {protocol}, metric, sign, run, state
        )
        VALUES (
            'a', 'adapt', 's', 't', 'fine_tune', 'from_scratch', '50', 'x', 'accuracy', 1, 'r', 'done'
        );
        INSERT INTO metrics VALUES ('a', 'test', 'accuracy', 0.5);
        """
    )


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_a_file_of_every_version_is_read_with_its_rows(tmp_path, version):
    path = tmp_path / "s.duckdb"
    with duckdb.connect(str(path)) as connection:
        rows_of_version(connection, version)
    store = Store(path)
    cells = store.sql("SELECT job, value, protocol, origin FROM cells").rows
    assert cells == [("a", 0.5, "x", "measured")]
    assert store.sql("SELECT note, kind, analysis, decoded FROM jobs").rows == [
        ("", "adapt", "", 0)
    ]
    assert store.sql("SELECT kind FROM runs").rows == [("run",)]
    assert store.sql("SELECT version FROM schema_version").rows == [(NEWEST,)]
