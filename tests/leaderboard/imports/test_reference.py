"""Selectors judged on imported tables: what comes out of the store is what the table says."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from headwater.leaderboard import Store
from headwater.leaderboard.imports import IncomingTable, TableMapping, import_table
from headwater.leaderboard.selectors.judging import judge
from headwater.registry import Kind, Registry
from tests.leaderboard.imports.published import written

HOME = Path(__file__).resolve().parents[3]
EXTERNAL = HOME.parent / "shared" / "data" / "external"
SEGMENTATION = EXTERNAL / "segmentation_17x16.csv"
MODELS = EXTERNAL / "imagenet_models_10x8.csv"
needs = pytest.mark.skipif(not SEGMENTATION.exists(), reason="the shared tables are not here")


def rel1_from_store(store, table, mapping, names):
    """Mean Rel@1 of each selector, from an imported table."""
    registry = Registry.discover()
    found = IncomingTable.read(
        table, mapping, registry.cards[Kind.ESTIMATOR], registry.domain_parents()
    )
    import_table(store, found)
    selectors = [(registry.get(Kind.SELECTOR, name), {}, name) for name in names]
    return {row.name: row.figures["rel1"].value for row in judge(store, selectors).rows}


def rel1_of(truth, chosen):
    """Mean over targets of the truth of what is chosen over the best truth; ``truth``: target -> source -> metric."""
    return sum(of[chosen(target)] / max(of.values()) for target, of in truth.items()) / len(truth)


GRID = {  # target -> source -> metric, logme, leep
    "rooms": {"coco": (0.50, 0.2, -1.0), "scannet": (0.40, 0.3, -1.1), "city": (0.20, 0.1, -2.0)},
    "streets": {"coco": (0.60, 0.1, -1.0), "scannet": (0.30, 0.5, -0.5), "city": (0.80, 0.4, -0.6)},
    "reefs": {"coco": (0.45, 0.1, -1.0), "scannet": (0.50, 0.2, -2.0), "city": (0.25, 0.3, -3.0)},
}
SMALL = {
    "name": "small",
    "size": 150,
    "columns": {"source": "s", "task": "t"},
    "metrics": {"mean_iou": "m"},
    "estimators": {"logme": "logme", "leep": "leep"},
    "sources": {
        "coco": {"domain": "consumer", "images": 118_000},
        "scannet": {"domain": "indoor", "images": 19_000},
        "city": {"domain": "driving", "images": 3_000},
    },
    "tasks": {
        "rooms": {"domain": "indoor"},
        "streets": {"domain": "driving"},
        "reefs": {"domain": "underwater"},
    },
}


def test_selectors_are_judged_on_an_imported_table(tmp_path):
    rows = [
        f"{s},{t},{','.join(map(str, of))}"
        for t, sources in GRID.items()
        for s, of in sources.items()
    ]
    table = written(tmp_path, "\n".join(["s,t,m,logme,leep", *rows]))
    found = rel1_from_store(
        Store(tmp_path / "s.duckdb"),
        table,
        TableMapping.of(SMALL),
        ["random", "largest", "domain_size", "logme", "leep"],
    )
    assert found == pytest.approx(
        {
            "random": (
                (0.5 + 0.4 + 0.2) / 3 / 0.5
                + (0.6 + 0.3 + 0.8) / 3 / 0.8
                + (0.45 + 0.5 + 0.25) / 3 / 0.5
            )
            / 3,
            "largest": (1 + 0.6 / 0.8 + 0.45 / 0.5) / 3,
            "domain_size": (0.4 / 0.5 + 1 + 0.45 / 0.5)
            / 3,  # no source shows reefs: the broadest domain is consumer
            "logme": (0.4 / 0.5 + 0.3 / 0.8 + 0.25 / 0.5) / 3,
            "leep": (1 + 0.3 / 0.8 + 0.45 / 0.5) / 3,
        }
    )


def test_scores_of_one_import_are_not_taken_for_those_of_another(tmp_path):
    store, registry = Store(tmp_path / "s.duckdb"), Registry.discover()
    for name, sign in (("one", 1), ("other", -1)):
        rows = [
            f"{s},{t},{m},{sign * logme},{leep}"
            for t, sources in GRID.items()
            for s, (m, logme, leep) in sources.items()
        ]
        table = written(tmp_path, "\n".join(["s,t,m,logme,leep", *rows]))
        mapping = TableMapping.of({**SMALL, "name": name})
        import_table(
            store,
            IncomingTable.read(
                table, mapping, registry.cards[Kind.ESTIMATOR], registry.domain_parents()
            ),
        )
    (judged,) = judge(store, [(registry.get(Kind.SELECTOR, "logme"), {}, "logme")]).rows
    first = (0.4 / 0.5 + 0.3 / 0.8 + 0.25 / 0.5) / 3
    second = (0.2 / 0.5 + 0.6 / 0.8 + 0.45 / 0.5) / 3
    assert judged.figures["rel1"].value == pytest.approx((first + second) / 2)


@needs
def test_the_reference_figures_of_the_segmentation_table_come_out_of_the_store(tmp_path):
    mapping = TableMapping.read(HOME / "benchmarks" / "published" / "segmentation_17x16.toml")
    names = ["random", "largest", "leep", "logme", "domain_size", "gbc"]
    found = rel1_from_store(Store(tmp_path / "s.duckdb"), SEGMENTATION, mapping, names)
    assert {name: round(value, 3) for name, value in found.items() if name != "largest"} == {
        "random": 0.851,
        "leep": 0.983,
        "logme": 0.987,
        "domain_size": 0.987,
        "gbc": 0.990,
    }
    # The README beside the table says 0.961: 0.9605 rounded again, it seems. No size within its rounding changes the 0.96048.
    assert round(found["largest"], 5) == 0.96048
    truth: dict[str, dict[str, float]] = defaultdict(dict)
    scores: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    with SEGMENTATION.open() as file:
        for row in csv.DictReader(file):
            source, target = row["Source Dataset"], row["Target Dataset"]
            truth[target][source] = float(row["Test Mean IoU"])
            scores[row["Transferability Metric"]][target][source] = float(
                row["Transferability Metric Score"]
            )
    for name in ("leep", "logme", "gbc"):
        assert found[name] == pytest.approx(
            rel1_of(
                truth, lambda target, of=scores[name]: max(of[target], key=of[target].__getitem__)
            )
        )
    images = {name: facts.images or 0 for name, facts in mapping.sources.items()}
    assert found["largest"] == pytest.approx(
        rel1_of(truth, lambda target: max(truth[target], key=images.__getitem__))
    )


@needs
@pytest.mark.parametrize(
    ("table", "flagged"),
    [(SEGMENTATION, {("hscore", "*"): 272}), (MODELS, {("hscore", "DTD"): 3, ("nce", "DTD"): 10})],
    ids=["segmentation", "models"],
)
def test_the_known_faults_of_the_published_columns_are_flagged_and_nothing_else(table, flagged):
    registry = Registry.discover()
    mapping = TableMapping.read(HOME / "benchmarks" / "published" / f"{table.stem}.toml")
    found = IncomingTable.read(
        table, mapping, registry.cards[Kind.ESTIMATOR], registry.domain_parents()
    )
    assert found.problems.empty and not found.unknown
    counted: dict[tuple[str, str], int] = defaultdict(int)
    for row in found.flagged.itertuples():
        assert row.note.startswith("outside [")
        counted[row.adaptation, "*" if table == SEGMENTATION else row.task] += 1
    assert counted == flagged
    if table == MODELS:
        notes = set(found.flagged.loc[found.flagged["adaptation"] == "nce", "note"])
        assert all("the same as logme" in note for note in notes)
