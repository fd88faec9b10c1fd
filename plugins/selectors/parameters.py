"""The largest network first."""

from headwater.registry import Question, rank_rest_last, selector
from headwater.registry.errors import NotApplicable


@selector("parameters")
def parameters(question: Question) -> dict[str, float]:
    """The network with the most parameters."""
    known = {
        source.name: float(source.parameters)
        for source in question.sources
        if source.parameters is not None
    }
    if not known:
        raise NotApplicable("no source says how many parameters it has", subject="parameters")
    return rank_rest_last(known, question)
