"""The prior that learns why: from domains, sizes and sources to standings."""

from headwater import NotApplicable, Question, rank_rest_last, selector
from headwater.plugins.prior_model import PriorModel
from headwater.plugins.relative_rank import mean_relative_rank


@selector("learned_prior")
def learned_prior(question: Question) -> dict[str, float]:
    """Standing predicted from domain relation, sizes, source and base, by a ridge regression on the
    records of other targets.

    A source that was never measured is judged by its metadata. With records of fewer than three
    tasks, it is the prior.
    """
    model = PriorModel.learn(question.records)
    if model is not None:
        return model.predict(question)
    known = mean_relative_rank(question.records)
    if not any(source.name in known for source in question.sources):
        raise NotApplicable(
            "no records of these sources, nor of three other targets to learn from",
            subject="learned_prior",
        )
    return rank_rest_last(known, question)
