"""Chance: the selector that every other one has to beat."""

from random import Random

from headwater import Question, selector


@selector("random", chance=True)
def by_chance(question: Question, *, seed: int = 0) -> dict[str, float]:
    """A random order of the sources, the same one for the same task; judged by its exact
    expectation.
    """
    return {
        source.name: Random(f"{seed} {question.task.name} {source.name}").random()
        for source in question.sources
    }
