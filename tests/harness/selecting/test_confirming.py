"""Confirming: as much as the budget is likely to allow, and more where that was cheaper than it looked."""

from dataclasses import dataclass, field

from headwater.harness.selecting.confirming import confirm
from headwater.harness.selecting.rungs import Rung


@dataclass
class Work:
    """Live work that fits where a rung's images × epochs are within what is allowed, which grows once something was measured."""

    allowed: list[int]
    sources: tuple[str, ...] = ("a", "b", "c", "d")
    sizes: tuple[int, ...] = (50, 150)
    images: int = 333
    left: float = 60.0
    failures: dict[str, str] = field(default_factory=dict)
    bad: tuple[str, ...] = ()
    asked: list[tuple[list[str], Rung]] = field(default_factory=list)

    def rung(self, size):
        return Rung(size, 15)

    def fits(self, sources, rung):
        return (
            rung.images * rung.epochs <= self.allowed[min(len(self.asked), len(self.allowed) - 1)]
        )

    def measure(self, sources, *, size, epochs):
        self.asked.append((list(sources), Rung(size, epochs)))
        self.failures |= {source: "no weights" for source in sources if source in self.bad}


SCORES = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}


def confirmed(**work):
    live = Work(**work)
    confirm(live, SCORES, 2)
    return live.asked


def test_everything_where_it_fits():
    assert confirmed(allowed=[10**6]) == [(["a", "b"], Rung(333, 15))]


def test_a_small_budget_measures_on_a_small_rung_and_not_nothing():
    """Three full trainings used to be begun and cut off, all of them."""
    assert confirmed(allowed=[800]) == [(["a", "b"], Rung(150, 5)), (["a", "b"], Rung(150, 5))]
    assert confirmed(allowed=[0])[0] == (["a", "b"], Rung(50, 5))


def test_what_was_cheaper_than_it_looked_is_followed_by_more():
    assert [rung for _, rung in confirmed(allowed=[300, 10**6])] == [Rung(50, 5), Rung(333, 15)]


def test_one_that_fails_gives_way_to_the_next():
    assert confirmed(allowed=[10**6], bad=("a",)) == [
        (["a", "b"], Rung(333, 15)),
        (["b", "c"], Rung(333, 15)),
    ]


def test_nothing_is_asked_where_every_source_failed():
    live = Work(allowed=[10**6], failures=dict.fromkeys("abcd", "no weights"))
    confirm(live, SCORES, 2)
    assert live.asked == []
