"""The catalogue is whole: twelve findings, each with its views, its page and a verdict that follows its parts."""

from pathlib import Path

import pytest

from headwater.leaderboard.findings import FINDINGS, FindingPart, FindingResult, Verdict, examine
from headwater.leaderboard.show.findings_table import interval_text
from headwater.leaderboard.store.statements import VIEWS
from tests.leaderboard.findings.world import targets, world

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "findings.md").read_text(encoding="utf-8")


def test_there_are_twelve_in_order():
    assert list(FINDINGS) == [f"F{number}" for number in range(1, 13)]


@pytest.mark.parametrize("finding", FINDINGS.values(), ids=lambda finding: finding.id)
def test_each_rests_on_views_and_has_its_line_in_the_docs(finding):
    assert set(finding.views) <= set(VIEWS)
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {finding.id} (")]
    assert finding.claim in line
    assert all(f"`{view}`" in line for view in finding.views if view != "step_gains")


def test_every_finding_view_rests_under_some_finding():
    used = {view for finding in FINDINGS.values() for view in finding.views}
    assert {view for view in VIEWS if view[0] == "f" and view[1:3].isdigit()} <= used


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([Verdict.SUPPORTED, Verdict.SUPPORTED], Verdict.SUPPORTED),
        ([Verdict.SUPPORTED, Verdict.CANNOT_TELL], Verdict.CANNOT_TELL),
        ([Verdict.CANNOT_TELL, Verdict.NOT_ENOUGH], Verdict.NOT_ENOUGH),
        ([Verdict.CONTRADICTED, Verdict.NOT_ENOUGH], Verdict.CONTRADICTED),
    ],
)
def test_a_finding_is_supported_where_all_that_decide_are(verdicts, expected):
    parts = [FindingPart("c", "m", verdict=verdict) for verdict in verdicts]
    informs = FindingPart("c", "m", verdict=Verdict.CONTRADICTED, decides=False)
    assert FindingResult(FINDINGS["F5"], (*parts, informs)).verdict is expected


@pytest.mark.parametrize(
    ("low", "high", "wants", "expected"),
    [
        (0.1, 0.2, 1, Verdict.SUPPORTED),
        (0.1, 0.2, -1, Verdict.CONTRADICTED),
        (-0.2, -0.1, 1, Verdict.CONTRADICTED),
        (-0.2, -0.1, -1, Verdict.SUPPORTED),
        (-0.1, 0.1, 1, Verdict.CANNOT_TELL),
        (0.0, 0.1, 1, Verdict.CANNOT_TELL),
    ],
)
def test_the_verdict_follows_the_interval(low, high, wants, expected):
    assert Verdict.of(low, high, wants=wants) is expected


def test_intervals_are_written_as_they_are_read():
    assert (
        interval_text(FindingPart("c", "m", value=-0.01, low=-0.06, high=0.04))
        == "−0.010 [−0.060, +0.040]"
    )
    assert (
        interval_text(FindingPart("c", "m", value=5 / 6, low=0.52, high=0.98, unit="share"))
        == "83 % [52, 98]"
    )
    assert interval_text(FindingPart("c", "m", value=4.0, unit="epochs")) == "+4.00 epochs"
    assert interval_text(FindingPart("c", "m")) == ""


def test_the_same_store_gives_the_same_answers(tmp_path):
    store = world(tmp_path / "s.duckdb", (), targets(3), lambda *_: 0.1)
    assert examine(store) == examine(store)
