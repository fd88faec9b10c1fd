"""What does best on its own pre-training task first."""

from headwater import NotApplicable, Question, rank_rest_last, selector


@selector("source_accuracy")
def source_accuracy(question: Question) -> dict[str, float]:
    """The source with the highest accuracy on its own pre-training task, whatever task that is."""
    scores = {
        source.name: float(source.accuracy)
        for source in question.sources
        if source.accuracy is not None
    }
    if not scores:
        raise NotApplicable(
            "no source says how accurate it is on its own task", subject="source_accuracy"
        )
    return rank_rest_last(scores, question)
