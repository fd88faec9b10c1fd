"""F10 to F12 on stores where the truth is known."""

import duckdb
import numpy as np
import pytest

from headwater.leaderboard.findings import Verdict
from headwater.registry.cards.analysis import Reading
from tests.facts import missing_facts
from tests.leaderboard.findings.world import analyses, answer, targets, world

BLOCKS = (1, 4, 8, 32)


def shuffled(advantage, *, intact=0.4, noise=0.005):
    """P-T is better by ``advantage`` on shuffled images, by ``intact`` on whole ones."""
    draw = np.random.default_rng(0)

    def readings(task, seed):
        scratch = {block: 0.2 + 0.01 * place for place, block in enumerate(BLOCKS)}
        better = {
            block: (intact if block == 32 else advantage * (1 + place / 10)) + draw.normal(0, noise)
            for place, block in enumerate(BLOCKS)
        }
        return [
            *(Reading("RI-T", "metric", value, x=block) for block, value in scratch.items()),
            *(
                Reading("P-T", "metric", scratch[block] + better[block], x=block)
                for block in BLOCKS
            ),
        ]

    return readings


def test_f10_supported_where_distant_targets_gain_and_shuffled_images_keep_an_advantage(tmp_path):
    found = answer(analyses(tmp_path / "s.duckdb", "block_shuffle", shuffled(0.1)), "F10")
    gain, kept, shrunk, _ = found.parts
    assert {found.verdict, gain.verdict, kept.verdict, shrunk.verdict} == {Verdict.SUPPORTED}
    assert [part.value for part in found.parts] == pytest.approx([0.2, 0.105, 0.295, 1.0], abs=0.02)
    assert (kept.targets, kept.cells) == (6, 12)


def test_f10_contradicted_where_shuffling_turns_the_advantage(tmp_path):
    found = answer(analyses(tmp_path / "s.duckdb", "block_shuffle", shuffled(-0.1)), "F10")
    assert [part.verdict for part in found.parts[:2]] == [Verdict.SUPPORTED, Verdict.CONTRADICTED]
    assert found.verdict is Verdict.CONTRADICTED


def test_f10_contradicted_where_distant_targets_lose(tmp_path):
    found = answer(
        analyses(tmp_path / "s.duckdb", "block_shuffle", shuffled(0.1), gain=lambda *_: -0.1), "F10"
    )
    assert found.parts[0].verdict is found.verdict is Verdict.CONTRADICTED


def test_f10_turns_metrics_that_should_be_low(tmp_path):
    store = analyses(
        tmp_path / "s.duckdb", "block_shuffle", shuffled(-0.1, intact=-0.4, noise=0), sign=-1
    )
    assert store.sql(
        "SELECT DISTINCT round(advantage_abs, 3) FROM f10_shuffle WHERE intact"
    ).rows == [(0.4,)]
    assert answer(store, "F10").parts[1].value == pytest.approx(0.105)


def test_f10_without_analyses_or_distant_sources_says_what_it_needs(tmp_path):
    found = answer(world(tmp_path / "s.duckdb", (), targets(3), lambda *_: 0.1), "F10")
    assert [part.missing[:24] for part in found.parts[:2]] == [
        "no cross-domain gains ov",
        "no shuffled images: anat",
    ]
    assert found.verdict is Verdict.NOT_ENOUGH


def ambiguous(transferred, scratch):
    draw = np.random.default_rng(1)

    def readings(task, seed):
        nats = {
            "both-right": 0.1,
            "only-first-wrong": transferred,
            "only-second-wrong": scratch,
            "both-wrong": 1.0,
        }
        return [
            *(
                Reading("P-T/RI-T", "ambiguity", value + draw.normal(0, 0.01), module)
                for module, value in nats.items()
            ),
            *(Reading("P-T/RI-T", "images", 10.0, module) for module in nats),
            Reading("P-T/RI-T", "kappa", 0.6),
            Reading("P-T/P-T", "ambiguity", 9.0, "only-first-wrong"),
        ]

    return readings


@pytest.mark.parametrize(
    ("transferred", "scratch", "verdict"),
    [(0.9, 0.4, Verdict.SUPPORTED), (0.4, 0.9, Verdict.CONTRADICTED)],
)
def test_f11_compares_the_ambiguity_of_mistakes_only_one_network_makes(
    tmp_path, transferred, scratch, verdict
):
    found = answer(
        analyses(tmp_path / "s.duckdb", "mistakes", ambiguous(transferred, scratch)), "F11"
    )
    assert (found.verdict, found.parts[0].targets, found.parts[0].cells) == (verdict, 6, 12)
    assert [part.value for part in found.parts] == pytest.approx(
        [transferred - scratch, transferred, scratch, 0.6], abs=0.02
    )


def test_f11_skips_analyses_where_one_network_makes_no_mistake_of_its_own(tmp_path):
    def readings(task, seed):
        return [
            r
            for r in ambiguous(0.9, 0.4)(task, seed)
            if not (seed == 1 and r.module == "only-first-wrong")
        ]

    assert answer(analyses(tmp_path / "s.duckdb", "mistakes", readings), "F11").parts[0].cells == 6
    found = answer(world(tmp_path / "t.duckdb", (), targets(3), lambda *_: 0.1), "F11")
    assert found.verdict is Verdict.NOT_ENOUGH
    assert 'anatomy.analyses = ["mistakes"]' in found.parts[0].missing


def rewound(drops):
    draw = np.random.default_rng(2)

    def readings(task, seed):
        return [
            Reading(
                subject,
                "drop",
                drop + draw.normal(0, 0.002),
                f"stage{place}",
                place / (len(drops) - 1),
            )
            for subject in ("P-T", "RI-T")
            for place, drop in enumerate(drops if subject == "P-T" else drops[::-1])
        ]

    return readings


@pytest.mark.parametrize(
    ("drops", "verdicts", "rho", "share"),
    [
        ([0.01, 0.05, 0.1, 0.4], [Verdict.SUPPORTED, Verdict.SUPPORTED], 1, 1),
        ([0.4, 0.1, 0.05, 0.01], [Verdict.CONTRADICTED, Verdict.CONTRADICTED], -1, 0),
        ([0.01, 0.1, 0.4, 0.3], [Verdict.SUPPORTED, Verdict.CONTRADICTED], 0.8, 0),
    ],
)
def test_f12_ranks_drops_by_depth_and_asks_whether_the_head_drops_most(
    tmp_path, drops, verdicts, rho, share
):
    found = answer(analyses(tmp_path / "s.duckdb", "criticality", rewound(drops)), "F12")
    assert [part.verdict for part in found.parts[:2]] == verdicts
    assert (found.parts[0].value, found.parts[1].value, found.parts[2].value) == pytest.approx(
        (rho, share, -rho)
    )
    assert found.parts[0].low >= -1 and found.parts[0].high <= 1


def test_f12_without_analyses_says_what_it_needs(tmp_path):
    found = answer(world(tmp_path / "s.duckdb", (), targets(3), lambda *_: 0.1), "F12")
    for part in found.parts[:2]:
        assert missing_facts(part.missing, '"criticality"', "headwater analyse") == []


def test_of_two_analyses_of_one_cell_the_later_counts(tmp_path):
    store = analyses(
        tmp_path / "s.duckdb", "criticality", rewound([0.1, 0.2, 0.3]), tasks=1, seeds=1
    )
    with duckdb.connect(str(store.path)) as connection:
        earlier = "SELECT * REPLACE ('old' AS job, started - INTERVAL 1 HOUR AS started) FROM jobs WHERE kind = 'analyse'"
        connection.execute(f"INSERT INTO jobs BY NAME ({earlier})")
        connection.execute(
            "INSERT INTO readings SELECT 'old', subject, quantity, module, x, 9.0 FROM readings"
        )
    assert store.sql("SELECT count(*), max(drop) < 1 FROM f12_modules").rows == [(6, True)]
