"""Score plain arrays by one estimator, without a benchmark around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from headwater.registry import Estimator, Evidence, Kind, Name, Registry
from headwater.registry.defaults import DEFAULT_TASK_TYPE
from headwater.registry.errors import DataError, NotApplicable
from headwater.registry.evidence.pool import pooled


def score(
    name: str | Estimator,
    features: Any,
    labels: Any,
    source_probabilities: Any = None,
    *,
    task_type: str = DEFAULT_TASK_TYPE,
    **options: Any,
) -> Any:
    """Score how well features should transfer to labels, by an estimator; higher is better.

    Several sources on one task: a sequence or a mapping of features (and of probabilities) gives a
    list, or a dict, of scores. Scores of a pooled estimator (etran) only exist among several
    sources.

    Args:
        name: An estimator's name, with options in brackets or as keywords, or its card.
        features: (N, D): a numpy array, a torch tensor or lists; or several of them.
        labels: (N,) classes, or (N, K) numbers or flags, as the task type says.
        source_probabilities: (N, source classes), for estimators that read the source's own
            predictions.
        task_type: The name of a registered task type, whose card says what the labels are.
        **options: The estimator's options.

    Returns:
        A Score: a float with a ``note`` where it tells little; or a list or dict of them.

    Raises:
        DataError: The arrays do not fit together.
        NotApplicable: The estimator has no answer.
        UnknownName, BadName: There is no such estimator, task type or option.
    """
    card, name_options = _card(name)
    options = name_options | options
    sources = _by_source(features)
    if sources is None:
        if card.pooled:
            example = f'hw.score("{card.name}", [first, second], labels)'
            raise NotApplicable(
                f"scores of {card.name} belong to a pool: alone, one source has none",
                subject=card.name,
                hint=f"Give the features of all sources: {example}.",
            )
        evidence = _evidence(features, labels, source_probabilities, task_type)
        return card.of(evidence, **options)
    probabilities = _probabilities_by_source(source_probabilities, sources)
    scores = {}
    for key, source_features in sources.items():
        evidence = _evidence(source_features, labels, probabilities[key], task_type)
        scores[key] = card.of(evidence, **options)
    if card.pooled:
        scores = pooled(scores)
    return scores if isinstance(features, Mapping) else list(scores.values())


def _card(name: str | Estimator) -> tuple[Estimator, dict[str, Any]]:
    """Return the estimator and the options in its name's brackets."""
    if isinstance(name, Estimator):
        return name, {}
    card = _registry().get(Kind.ESTIMATOR, name)
    assert isinstance(card, Estimator)
    return card, dict(Name.parse(name).options)


@cache
def _registry() -> Registry:
    return Registry.discover()


def _evidence(features: Any, labels: Any, probabilities: Any, task_type: str) -> Evidence:
    kind = _registry().task_type(task_type).scored_as
    if kind is None:
        raise DataError(
            f"features are not scored for {task_type} tasks",
            subject="task_type",
            hint="Its card declares no labels that estimators know.",
        )
    return Evidence.of(_array(features), _array(labels), _array(probabilities), kind)


def _by_source(features: Any) -> dict[Any, Any] | None:
    """Return feature sets by key or position; None where ``features`` is one set."""
    if isinstance(features, Mapping):
        if not features:
            raise DataError("there are no features", subject="features")
        return dict(features)
    if isinstance(features, Sequence) and len(features) and _count_axes(features[0]) == 2:
        return dict(enumerate(features))
    return None


def _count_axes(value: Any) -> int:
    """Return the number of axes of an array, or of a list of lists."""
    if hasattr(value, "ndim"):
        return int(value.ndim)
    if isinstance(value, str) or not isinstance(value, Sequence) or not len(value):
        return 0
    return 1 + _count_axes(value[0])


def _probabilities_by_source(probabilities: Any, sources: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return each source's probabilities; None for a source that has none."""
    if probabilities is None:
        return dict.fromkeys(sources)
    if isinstance(probabilities, Mapping):
        by_source = dict(probabilities)
    else:
        by_source = dict(enumerate(probabilities))
    if set(by_source) != set(sources):
        raise DataError(
            "source_probabilities are not of the same sources as features",
            subject="source_probabilities",
            hint="Give one for each, in the same order or under the same keys; "
            "None for a source without a classifier.",
        )
    return by_source


def _array(values: Any) -> Any:
    """Return a torch tensor as an array, anything else as it is."""
    if not (hasattr(values, "detach") and hasattr(values, "numpy")):
        return values
    tensor = values.detach().cpu()
    # numpy has no bfloat16.
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
