"""The rule that follows from Mensink et al. 2022 (arXiv 2103.13318): within the domain, the larger
the better.
"""

from collections import Counter
from itertools import chain

from headwater import NotApplicable, Question, SourceModel, selector

IMAGES_PER_TIER = 1e12
"""More images than any source has: a source of a higher tier is before all of the lower ones."""


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
    scores = {}
    for source in question.sources:
        is_broad = source.domain in broadest
        tier = 2 * _is_within(source, question) + is_broad
        scores[source.name] = tier * IMAGES_PER_TIER + (source.images or 0)
    return scores


def _is_within(source: SourceModel, question: Question) -> bool:
    """Return whether a source is within the target's domain."""
    # The store knows more than the card: a chain counts by all tasks of its last stage.
    relation = question.relations.get(source.name)
    if relation is not None:
        return relation == "within-domain"
    return source.domain is not None and source.domain == question.task.domain


def _broadest(question: Question) -> set[str]:
    """Return the domains of the sources that contain most others.

    None of them where no domain contains any: a flat list of domains has no broadest.
    """
    domains = {source.domain for source in question.sources if source.domain is not None}
    contained = Counter(chain.from_iterable(question.domain_parents.values()))
    most = max((contained[domain] for domain in domains), default=0)
    if not most:
        return set()
    return {domain for domain in domains if contained[domain] == most}
