"""The anatomy as it is read: means with intervals over seeds and tasks, tables, plots and their page."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy.stats import t

from headwater.leaderboard.anatomy.readings import anatomies
from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.show.anatomy_page import write_page
from headwater.leaderboard.show.anatomy_table import readings_table, summary_tables
from headwater.leaderboard.show.anatomy_views import shown_analyses
from headwater.leaderboard.store.records import CurvePoint, Outcome, State
from headwater.leaderboard.store.store import Store
from headwater.registry import Reading, Registry
from headwater.registry.cards.analysis import PAIRS
from headwater.registry.errors import QueryError
from tests.leaderboard.synthetic import BEGAN, IMAGENET, PHOTO, SCRATCH, TASKS, done, job, store_of

ANALYSES = (
    "block_shuffle",
    "convergence",
    "similarity",
    "distance",
    "barrier",
    "criticality",
    "mistakes",
)
"""In the order in which they are shown."""
REGISTRY = Registry.discover()
STAGES = (("conv1", 0.0), ("layer1", 0.5), ("head", 1.0))


def readings(analysis, seed):
    """What each analysis reads, every value known from the seed."""
    tilt = 0.01 * seed
    match analysis:
        case "block_shuffle":
            for x in (1, 8, 32):
                yield Reading("P-T", "metric", 0.5 + 0.01 * x + tilt, x=x)
                yield Reading("RI-T", "metric", 0.4 + 0.01 * x, x=x)
                yield Reading("P-T/RI-T", "relative_drop", 10 + 100 * tilt, x=x)
        case "similarity" | "distance":
            for pair in PAIRS:
                if analysis == "distance":
                    yield Reading(pair, "l2", 40.0 + seed)
                for module, x in STAGES:
                    if not (
                        module == "head"
                        and analysis == "similarity"
                        and pair in ("P/P-T", "RI/RI-T")
                    ):
                        yield Reading(
                            pair,
                            "cka" if analysis == "similarity" else "l2",
                            0.9 - 0.1 * x - tilt,
                            module,
                            x,
                        )
        case "barrier":
            for pair in PAIRS[2:]:
                yield from (
                    Reading(pair, "metric", 0.9 - x * (1 - x) - tilt, x=x) for x in (0, 0.5, 1)
                )
                yield Reading(pair, "barrier", 0.25 + tilt)
        case "criticality":
            for subject in ("P-T", "RI-T"):
                for module, x in STAGES:
                    yield Reading(subject, "drop", 0.3 * x + tilt, module, x)
                    yield from (
                        Reading(subject, "path", 0.5 + 0.4 * t, module, t) for t in (0, 0.5, 1)
                    )
        case "mistakes":
            for pair in PAIRS[2:]:
                for module, share in (
                    ("both-right", 0.8),
                    ("only-first-wrong", 0.05),
                    ("only-second-wrong", 0.1),
                    ("both-wrong", 0.05),
                ):
                    yield Reading(pair, "share", share, module)
                    yield Reading(pair, "images", 100 * share, module)
                    yield Reading(pair, "ambiguity", 0.5 + tilt, module)
                yield Reading(pair, "kappa", 0.4 + tilt)


def analysed(path, seeds=3, tasks=TASKS[:1], sources=(PHOTO,), value=readings):
    jobs, outcomes = [], []
    for task in tasks:
        for seed in range(seeds):
            for source in (SCRATCH, *sources):
                name = f"{source}{task}{seed}"
                jobs.append(
                    job(
                        name,
                        source,
                        task,
                        "from_scratch" if source == SCRATCH else "fine_tune",
                        seed=seed,
                    )
                )
                curve = tuple(
                    CurvePoint(epoch, "validation", "accuracy", 0.3 * epoch + 0.01 * seed)
                    for epoch in (1, 2, 3)
                )
                outcomes.append(done(name, 0.9, curves=curve))
            for source in sources:
                for analysis in set(ANALYSES) - {"convergence"}:
                    name = f"{analysis}{source}{task}{seed}"
                    jobs.append(job(name, source, task, seed=seed, analysis=analysis))
                    outcomes.append(
                        Outcome(
                            name, State.DONE, started=BEGAN, readings=tuple(value(analysis, seed))
                        )
                    )
    return store_of(path / "s.duckdb", [as_analysis(record) for record in jobs], outcomes)


def as_analysis(record):
    from dataclasses import replace

    return replace(record, kind="analyse") if record.analysis else record


def line(found, analysis, quantity, subject, module="", x=None):
    lines = found.analyses[analysis].of(quantity)
    lines = lines[
        (lines["subject"] == subject)
        & (lines["module"] == module)
        & (lines["x"].isna() if x is None else lines["x"] == x)
    ]
    assert len(lines) == 1
    return lines.iloc[0]


def test_a_reading_is_averaged_over_seeds_with_students_interval(tmp_path):
    (found,) = anatomies(analysed(tmp_path))
    row = line(found, "barrier", "barrier", "P-T/RI-T")
    assert row["mean"] == pytest.approx(0.26)
    assert (row["tasks"], row["seeds"]) == (1, 3)
    assert row["low"] < 0.25 < 0.27 < row["high"]
    error = np.std([0.25, 0.26, 0.27], ddof=1) / np.sqrt(3)
    assert row["high"] - row["mean"] == pytest.approx(t.ppf(0.975, 2) * error)
    assert line(found, "block_shuffle", "metric", "P-T", x=8)["mean"] == pytest.approx(0.59)


def test_tasks_are_the_units_where_there_are_several(tmp_path):
    (found,) = anatomies(analysed(tmp_path, seeds=2, tasks=TASKS))
    row = line(found, "similarity", "cka", "P-T/P-T", "layer1", 0.5)
    assert (row["tasks"], row["seeds"]) == (3, 2)
    assert row["mean"] == pytest.approx(0.85 - 0.005)


def test_one_cell_has_no_interval_and_the_tables_say_so(tmp_path):
    (found,) = anatomies(analysed(tmp_path, seeds=1))
    assert np.isnan(line(found, "distance", "l2", "P-T/RI-T")["low"])
    assert any(
        "one task and one seed" in note for note in summary_tables(found, REGISTRY)[-1].notes
    )


def test_the_latest_of_an_analysis_counts(tmp_path):
    store = analysed(tmp_path)
    store.plan("run-1", [as_analysis(job("again", PHOTO, TASKS[0], seed=0, analysis="barrier"))])
    store.record(
        [
            Outcome(
                "again",
                State.DONE,
                started=BEGAN.replace(year=2027),
                readings=(Reading("P-T/RI-T", "barrier", 0.95),),
            )
        ]
    )
    (found,) = anatomies(store)
    assert line(found, "barrier", "barrier", "P-T/RI-T")["mean"] == pytest.approx(
        (0.95 + 0.26 + 0.27) / 3
    )


def test_convergence_pairs_the_analysed_cells_curves_with_their_references(tmp_path):
    (found,) = anatomies(analysed(tmp_path, sources=(PHOTO,)))
    assert line(found, "convergence", "validation", "P-T", x=2.0)["mean"] == pytest.approx(0.61)
    assert line(found, "convergence", "validation", "RI-T", x=3.0)["mean"] == pytest.approx(0.91)


def test_each_source_is_read_by_itself_and_filters_apply(tmp_path):
    store = analysed(tmp_path, sources=(PHOTO, IMAGENET), tasks=TASKS[:2])
    assert {found.source for found in anatomies(store)} == {PHOTO, IMAGENET}
    (found,) = anatomies(store, Filter(task=TASKS[1]), source="timm/*")
    assert (found.source, set(found.rows["task"])) == (IMAGENET, {TASKS[1]})
    with pytest.raises(QueryError, match=r"s\.duckdb"):
        anatomies(store, Filter(task="nothing"))


def test_a_store_without_analyses_says_how_to_get_some(tmp_path):
    with pytest.raises(QueryError) as error:
        anatomies(store_of(tmp_path / "s.duckdb", [], []))
    assert "headwater analyse four_networks" in error.value.hint


def test_tables_hold_every_pair_side_by_side_and_every_reading_for_programs(tmp_path):
    (found,) = anatomies(analysed(tmp_path))
    tables = {table.title: table for table in summary_tables(found, REGISTRY)}
    assert "block shuffle: test accuracy ↑" in tables
    cka = tables["similarity: linear CKA"]
    assert [column.name for column in cka.columns] == ["stage", *PAIRS]
    assert [row[0] for row in cka.rows] == ["conv1", "layer1", "head"]
    assert cka.rows[2][1] == ""
    assert cka.rows[0][3].startswith("0.890 ± ")
    readings = readings_table([found])
    assert len(readings.rows) == sum(len(one.lines) for one in found.analyses.values())
    assert '"quantity": "barrier"' in readings.render("json")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    store = analysed(folder)
    return write_page(anatomies(store), folder / "out", REGISTRY)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_each_plot_is_drawn_as_png_and_as_svg_with_its_axes_named(page, analysis):
    png = (page.parent / f"{analysis}.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    drawn = ElementTree.parse(page.parent / f"{analysis}.svg").getroot()
    words = " ".join(
        text
        for element in drawn.iter()
        if element.tag.endswith("text")
        for text in element.itertext()
    )
    expected = {
        "block_shuffle": ("block size (pixels)", "test accuracy", "relative drop (%)", "RI-T"),
        "convergence": ("epoch", "validation accuracy", "P-T"),
        "similarity": ("CKA", "layer1", "P/P-T"),
        "distance": ("l2 distance", "layer1", "RI-T/RI-T"),
        "barrier": ("λ", "test accuracy", "P-T/P-T"),
        "criticality": ("drop of test accuracy", "head", "from initial (0) to trained (1)"),
        "mistakes": ("kappa 0.41", "80.0 %", "ambiguity (nats)", "wrong"),
    }
    for word in expected[analysis]:
        assert word in words


def test_the_page_says_how_to_read_each_plot(page):
    html, markdown = page.read_text(), (page.parent / "index.md").read_text()
    (anatomy,) = anatomies(Store(page.parent.parent / "s.duckdb"))
    shown = shown_analyses(anatomy, REGISTRY)
    assert [analysis.name for analysis in shown] == list(ANALYSES)
    for analysis in shown:
        assert f'src="{analysis.name}.png"' in html
        assert f"({analysis.name}.png)" in markdown
        assert analysis.title in html
        assert analysis.view.how_to_read in markdown
        assert analysis.view.formula in markdown


def test_an_analysis_whose_plugin_is_not_loaded_is_shown_by_tables(tmp_path):
    (anatomy,) = anatomies(analysed(tmp_path, seeds=1))
    tables = {table.title for table in summary_tables(anatomy, Registry())}
    assert {"similarity: cka", "distance: l2", "mistakes: kappa"} <= tables
    page = write_page([anatomy], tmp_path / "out", Registry())
    assert "similarity: cka" in page.read_text()
    assert [file.stem for file in page.parent.glob("*.png")] == ["convergence"]


def test_the_same_figures_are_the_same_bytes(tmp_path):
    found = anatomies(
        analysed(
            tmp_path, value=lambda name, seed: readings(name, seed) if name == "barrier" else ()
        )
    )
    one, two = (write_page(found, tmp_path / name, REGISTRY).parent for name in ("one", "two"))
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes(), file.name


def test_plots_of_one_analysis_alone_and_one_seed_are_drawn(tmp_path):
    found = anatomies(
        analysed(
            tmp_path,
            seeds=1,
            value=lambda name, seed: readings(name, seed) if name == "mistakes" else (),
        )
    )
    assert set(found[0].analyses) == {"convergence", "mistakes"}
    write_page(found, tmp_path / "out", REGISTRY)
    assert (tmp_path / "out" / "mistakes.png").is_file()
