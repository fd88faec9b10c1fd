"""The largest network first."""

from headwater.registry import Question, last_for_the_rest, selector
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
    return last_for_the_rest(known, question)
