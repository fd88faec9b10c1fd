"""What can be benchmarked: cards, appearance domains, discovery, names. Needs neither torch nor ray."""

from registry.adaptation import Adaptation, Batch, Context, Features, Objective, ParameterGroup, Solution, SourceData, adaptation
from registry.annotations import Annotations, Encoded, Flaw
from registry.card import Card, Kind
from registry.discovery import Problem, Registry, kind_of
from registry.domains import Domain
from registry.estimator import Estimator, Score, Shape, estimator
from registry.evidence import Evidence
from registry.names import Name
from registry.provider import Provider
from registry.selector import Question, Record, Selector, last_for_the_rest, selector
from registry.source_model import Chain, SourceModel, source_model
from registry.task import Split, Task, task
from registry.task_type import Metric, Probe, Pyramid, TaskType, TaskTypeMethods, directed, task_type

__all__ = [
    "Adaptation",
    "Annotations",
    "Batch",
    "Card",
    "Chain",
    "Context",
    "Domain",
    "Encoded",
    "Estimator",
    "Evidence",
    "Features",
    "Flaw",
    "Kind",
    "Metric",
    "Name",
    "Objective",
    "ParameterGroup",
    "Probe",
    "Problem",
    "Provider",
    "Pyramid",
    "Question",
    "Record",
    "Registry",
    "Score",
    "Selector",
    "Shape",
    "Solution",
    "SourceData",
    "SourceModel",
    "Split",
    "Task",
    "TaskType",
    "TaskTypeMethods",
    "adaptation",
    "directed",
    "estimator",
    "kind_of",
    "last_for_the_rest",
    "selector",
    "source_model",
    "task",
    "task_type",
]
