"""The cost that a selector saves: fine-tune every source and choose the best."""

from headwater import NotApplicable, Question, rank_rest_last, selector


@selector("everything", share=1.0)
def everything(question: Question) -> dict[str, float]:
    """Every source fine-tuned once on all the images, the best on validation chosen: what any other
    selector is to save.
    """
    seen = (
        question.measure([source.name for source in question.sources]) if question.measure else {}
    )
    if not seen:
        raise NotApplicable("nothing to measure with", subject="everything")
    return rank_rest_last(dict(seen), question)
