"""Scoring plain arrays: one estimator, the features somebody already has, no benchmark around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from headwater.registry import Estimator, Evidence, Kind, Name, Registry, Score
from headwater.registry.errors import DataError, NotApplicable
from headwater.registry.evidence.pool import pooled


def score(
    name: str | Estimator,
    features: Any,
    labels: Any,
    source_probabilities: Any = None,
    *,
    task_type: str = "classification",
    **options: Any,
) -> Any:
    """How well features should transfer to labels, by an estimator; higher is better.

    ``name``: an estimator's name, with options in brackets or as keywords, or its card. ``features``: (N, D); ``labels``: (N,)
    classes, or (N, K) for regression and multilabel; ``source_probabilities``: (N, source classes), for those that read the
    source's own predictions. numpy arrays, torch tensors or lists. Returns a Score: a float with a ``note`` where it tells little.

    Several sources on one task: a sequence or a mapping of features (and of probabilities) gives a list, or a dict, of scores.
    Scores of a pooled estimator (etran) only exist among several. Raises DataError for arrays that do not fit together,
    NotApplicable where the estimator has no answer, UnknownName and BadName for names and options that do not exist.
    """
    card, known = _card(name)
    sources = _by_source(features)
    if sources is None:
        if card.pooled:
            raise NotApplicable(
                f"scores of {card.name} belong to a pool: alone, one source has none",
                subject=card.name,
                hint=f'Give the features of all sources: hw.score("{card.name}", [first, second], labels).',
            )
        return _one(card, features, labels, source_probabilities, task_type, known | options)
    probabilities = _matched(source_probabilities, sources)
    scores = {
        key: _one(card, sources[key], labels, probabilities[key], task_type, known | options)
        for key in sources
    }
    scores = pooled(scores) if card.pooled else scores
    return scores if isinstance(features, Mapping) else list(scores.values())


def _card(name: str | Estimator) -> tuple[Estimator, dict[str, Any]]:
    """The estimator and the options in its name's brackets."""
    if isinstance(name, Estimator):
        return name, {}
    card = _registry().get(Kind.ESTIMATOR, name)
    assert isinstance(card, Estimator)
    return card, dict(Name.parse(name).options)


@cache
def _registry() -> Registry:
    return Registry.discover()


def _one(
    card: Estimator,
    features: Any,
    labels: Any,
    probabilities: Any,
    task_type: str,
    options: Mapping[str, Any],
) -> Score:
    evidence = Evidence.of(_array(features), _array(labels), _array(probabilities), task_type)
    return card.of(evidence, **options)


def _by_source(features: Any) -> dict[Any, Any] | None:
    """Feature sets by key or position; None where it is one set."""
    if isinstance(features, Mapping):
        if not features:
            raise DataError("there are no features", subject="features")
        return dict(features)
    if isinstance(features, Sequence) and len(features) and _axes(features[0]) == 2:
        return dict(enumerate(features))
    return None


def _axes(value: Any) -> int:
    """How many axes an array, or a list of lists, has."""
    if hasattr(value, "ndim"):
        return int(value.ndim)
    return (
        1 + _axes(value[0])
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value)
        else 0
    )


def _matched(probabilities: Any, sources: Mapping[Any, Any]) -> dict[Any, Any]:
    """Each source's probabilities; None for one that has none."""
    if probabilities is None:
        return dict.fromkeys(sources)
    given = (
        dict(probabilities)
        if isinstance(probabilities, Mapping)
        else dict(enumerate(probabilities))
    )
    if set(given) != set(sources):
        raise DataError(
            "source_probabilities are not of the same sources as features",
            subject="source_probabilities",
            hint="Give one for each, in the same order or under the same keys; None for a source without a classifier.",
        )
    return given


def _array(values: Any) -> Any:
    """A torch tensor as an array; all else as it is."""
    if hasattr(values, "detach") and hasattr(values, "numpy"):
        values = values.detach().cpu()
        return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    return values
