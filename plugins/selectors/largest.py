"""The largest pre-training set first."""

from headwater import NotApplicable, Question, rank_rest_last, selector


@selector("largest")
def largest(question: Question) -> dict[str, float]:
    """The source that was last trained on the most images."""
    scores = {
        source.name: float(source.images)
        for source in question.sources
        if source.images is not None
    }
    if not scores:
        raise NotApplicable("no source says how many images it was trained on", subject="largest")
    return rank_rest_last(scores, question)
