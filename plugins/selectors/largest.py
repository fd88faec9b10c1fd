"""The largest pre-training set first."""

from headwater.registry import Question, rank_rest_last, selector
from headwater.registry.errors import NotApplicable


@selector("largest")
def largest(question: Question) -> dict[str, float]:
    """The source that was last trained on the most images."""
    known = {
        source.name: float(source.images)
        for source in question.sources
        if source.images is not None
    }
    if not known:
        raise NotApplicable("no source says how many images it was trained on", subject="largest")
    return rank_rest_last(known, question)
