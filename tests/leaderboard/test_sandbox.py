"""A query can read the store and nothing else, for a bounded time."""

import pytest

from headwater.registry.errors import QueryError
from tests.leaderboard.synthetic import SCRATCH, done, job, store_of


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox")
    (folder / "secret.csv").write_text("word\nswordfish\n")
    return store_of(
        folder / "s.duckdb",
        [job(str(n), SCRATCH, seed=n) for n in range(5)],
        [done(str(n), n / 10) for n in range(5)],
    )


@pytest.mark.parametrize(
    "query",
    [
        "FROM read_csv('{secret}')",
        "FROM '{secret}'",
        "FROM 'x.parquet'",
        "FROM read_text('{secret}')",
        "FROM glob('{folder}/*')",
        "FROM sniff_csv('{secret}')",
        "SELECT * FROM query_table('{secret}')",
        "EXPLAIN ANALYZE COPY jobs TO '{folder}/out.csv'",
        "COPY jobs TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "ATTACH '{folder}/other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET enable_external_access = true",
        "RESET memory_limit",
        "CALL enable_logging()",
        "CHECKPOINT",
    ],
)
def test_files_extensions_and_settings_are_out_of_reach(store, query):
    before = sorted(store.path.parent.iterdir())
    with pytest.raises(QueryError):
        store.sql(query.format(secret=store.path.parent / "secret.csv", folder=store.path.parent))
    assert sorted(store.path.parent.iterdir()) == before


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM jobs",
        "INSERT INTO jobs SELECT * FROM jobs",
        "UPDATE jobs SET state = 'done'",
        "DROP VIEW gains",
        "CREATE TEMP TABLE t AS FROM jobs",
        "EXPLAIN ANALYZE DELETE FROM jobs",
        "WITH x AS (SELECT 1) DELETE FROM jobs",
        "INSERT INTO metrics (PIVOT metrics ON split USING avg(value))",
        "CREATE TEMP TABLE t AS PIVOT metrics ON split USING avg(value)",
        "COPY (FROM (PIVOT metrics ON split USING avg(value))) TO 'out.csv'",
        "PIVOT jobs ON state USING count(*); DELETE FROM jobs",
    ],
)
def test_nothing_can_be_written(store, query):
    with pytest.raises(QueryError):
        store.sql(query)
    assert store.sql("SELECT count(*) FROM jobs").rows == [(5,)]


def test_two_statements_are_refused(store):
    with pytest.raises(QueryError, match=r"one statement .* not 2"):
        store.sql("SELECT 1; SELECT 2")


@pytest.mark.parametrize("query", ["", "  -- nothing", ";"])
def test_no_statement_is_refused(store, query):
    with pytest.raises(QueryError, match=r"one statement .* not 0"):
        store.sql(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "FROM jobs",
        "WITH x AS (SELECT 1) FROM x",
        "DESCRIBE gains",
        "SHOW TABLES",
        "SUMMARIZE jobs",
        "EXPLAIN SELECT 1",
        "VALUES (1);",
    ],
)
def test_whatever_reads_is_answered(store, query):
    assert store.sql(query).rows


@pytest.mark.parametrize(
    "query",
    [
        "PIVOT cells ON seed USING avg(value) GROUP BY source",
        "FROM (PIVOT cells ON seed USING avg(value) GROUP BY source);",
        "WITH p AS (PIVOT cells ON seed USING avg(value) GROUP BY source) FROM p -- wide",
    ],
)
def test_a_pivot_finds_its_columns(store, query):
    answer = store.sql(query)
    assert answer.columns == ("source", "0", "1", "2", "3", "4")
    assert answer.rows == [(SCRATCH, 0.0, 0.1, 0.2, 0.3, 0.4)]


def test_a_wrong_column_brings_the_right_ones(store):
    with pytest.raises(QueryError, match='"gains_abs" not found') as caught:
        store.sql("SELECT gains_abs FROM gains")
    assert '"gain_abs"' in caught.value.message
    assert "gains, leaderboard" in caught.value.hint


def test_a_wrong_table_brings_the_right_one(store):
    with pytest.raises(QueryError, match='Did you mean "gains"'):
        store.sql("FROM gain")


def test_a_long_query_is_stopped(store):
    # Of 10^12 pairs: if nothing stopped it, the suite's own time limit would end the test.
    with pytest.raises(QueryError, match=r"ran past 0\.2 s"):
        store.sql(
            "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b", seconds=0.2
        )


def test_a_hungry_query_is_stopped(store):
    with pytest.raises(QueryError, match="Out of Memory"):
        store.sql("SELECT list(range) FROM range(30000000)", memory="20MB")


def test_rows_are_limited_and_the_answer_says_so(store):
    found = store.sql("SELECT job FROM jobs ORDER BY job", rows=2)
    assert (found.rows, found.truncated) == ([("0",), ("1",)], True)
    assert not store.sql("FROM jobs", rows=5).truncated


def test_an_answer_becomes_a_data_frame(store):
    frame = store.sql("SELECT job, value FROM cells ORDER BY job").df()
    assert list(frame.columns) == ["job", "value"]
    assert frame["value"].tolist() == [0.0, 0.1, 0.2, 0.3, 0.4]
