"""What does best on its own pre-training task first."""

from headwater.registry import Question, rank_rest_last, selector
from headwater.registry.errors import NotApplicable


@selector("source_accuracy")
def source_accuracy(question: Question) -> dict[str, float]:
    """The source with the highest accuracy on its own pre-training task, whatever task that is."""
    known = {
        source.name: float(source.accuracy)
        for source in question.sources
        if source.accuracy is not None
    }
    if not known:
        raise NotApplicable(
            "no source says how accurate it is on its own task", subject="source_accuracy"
        )
    return rank_rest_last(known, question)
