"""The largest network first."""

from headwater import NotApplicable, Question, rank_rest_last, selector


@selector("parameters")
def parameters(question: Question) -> dict[str, float]:
    """The network with the most parameters."""
    scores = {
        source.name: float(source.parameters)
        for source in question.sources
        if source.parameters is not None
    }
    if not scores:
        raise NotApplicable("no source says how many parameters it has", subject="parameters")
    return rank_rest_last(scores, question)
