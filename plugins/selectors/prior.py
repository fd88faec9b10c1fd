"""The store's own prior: what did well elsewhere."""

from headwater import NotApplicable, Question, rank_rest_last, selector
from headwater.plugins.relative_rank import mean_relative_rank


@selector("prior")
def prior(question: Question) -> dict[str, float]:
    """Mean rank on all other targets, among the sources asked about: where a source came in
    wherever two of them were measured.
    """
    asked = {source.name for source in question.sources}
    known = mean_relative_rank(record for record in question.records if record.source in asked)
    if not known:
        raise NotApplicable(
            "no two of these sources were measured together on another target", subject="prior"
        )
    return rank_rest_last(known, question)
