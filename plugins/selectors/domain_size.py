"""The rule that follows from Mensink et al. 2022 (arXiv 2103.13318): within the domain, the larger
the better.
"""

from collections.abc import Sequence

from headwater import NotApplicable, Question, SourceModel, selector

_TIER = 1e12
"""More images than any source has."""


@selector("domain_size")
def domain_size(question: Question) -> dict[str, float]:
    """The largest source of the target's own domain; where there is none, the largest of the
    broadest domain.

    The broadest domain is the one that contains most others, of those the sources have; the larger
    of its sources come next, then all other sources by size.
    """
    if all(source.domain is None for source in question.sources):
        raise NotApplicable("no source names its domain", subject="domain_size")
    broadest = _broadest(question)
    tiers = {source.name: 2 * _is_within(source, question) + (source.domain is not None and source.domain in broadest)
             for source in question.sources}  # fmt: skip
    return {
        source.name: tiers[source.name] * _TIER + (source.images or 0)
        for source in question.sources
    }


def _is_within(source: SourceModel, question: Question) -> bool:
    """Return whether a source is within the target's domain: by the store (a chain counts by all
    tasks of its last stage), else by its card.
    """
    if source.name in question.relations:
        return question.relations[source.name] == "within-domain"
    return source.domain is not None and source.domain == question.task.domain


def _broadest(question: Question) -> Sequence[str]:
    """Return the domains of the sources that contain most others; none where no domain contains
    any.
    """
    contained = [parent for parents in question.domain_parents.values() for parent in parents]
    counts = {
        source.domain: contained.count(source.domain)
        for source in question.sources
        if source.domain is not None
    }
    most = max(counts.values(), default=0)
    return [domain for domain, count in counts.items() if count == most > 0]
