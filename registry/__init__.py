"""Register what can be benchmarked: cards, domains, discovery, names. Needs no torch and no ray."""

from headwater.registry import columns
from headwater.registry.cards.adaptation import (
    Adaptation,
    Batch,
    Context,
    Features,
    Objective,
    ParameterGroup,
    Solution,
    SourceData,
    adaptation,
)
from headwater.registry.cards.analysis import (
    AnalysedNetwork,
    Analysis,
    AnalysisView,
    NetworkPart,
    Networks,
    Reading,
    SummaryTable,
    analysis,
)
from headwater.registry.cards.annotations import Annotations, Encoded
from headwater.registry.cards.card import Card, Kind, card_class
from headwater.registry.cards.chain import CHAIN_FORM, Chain, chain_name, parse_chain
from headwater.registry.cards.domains import Domain
from headwater.registry.cards.estimator import Estimator, Score, estimator
from headwater.registry.cards.flaw import Flaw
from headwater.registry.cards.job_kind import JobKind, Planning, job_kind
from headwater.registry.cards.provider import Provider
from headwater.registry.cards.selector import (
    Question,
    Record,
    RecordSetting,
    Selector,
    rank_rest_last,
    selector,
)
from headwater.registry.cards.source_model import SourceModel, source_model
from headwater.registry.cards.task import Split, Task, data_set_of, family_of_classes, task
from headwater.registry.cards.task_type import (
    Metric,
    Probe,
    Pyramid,
    TaskType,
    TaskTypeMethods,
    directed,
    task_type,
)
from headwater.registry.columns import TargetColumn
from headwater.registry.discovery import Problem, Registry
from headwater.registry.evidence.evidence import Evidence
from headwater.registry.evidence.labels import LabelKind
from headwater.registry.evidence.shape import Bound, Shape
from headwater.registry.names import Name

__all__ = [
    "CHAIN_FORM",
    "Adaptation",
    "AnalysedNetwork",
    "Analysis",
    "AnalysisView",
    "Annotations",
    "Batch",
    "Bound",
    "Card",
    "Chain",
    "Context",
    "Domain",
    "Encoded",
    "Estimator",
    "Evidence",
    "Features",
    "Flaw",
    "JobKind",
    "Kind",
    "LabelKind",
    "Metric",
    "Name",
    "NetworkPart",
    "Networks",
    "Objective",
    "ParameterGroup",
    "Planning",
    "Probe",
    "Problem",
    "Provider",
    "Pyramid",
    "Question",
    "Reading",
    "Record",
    "RecordSetting",
    "Registry",
    "Score",
    "Selector",
    "Shape",
    "Solution",
    "SourceData",
    "SourceModel",
    "Split",
    "SummaryTable",
    "TargetColumn",
    "Task",
    "TaskType",
    "TaskTypeMethods",
    "adaptation",
    "analysis",
    "card_class",
    "chain_name",
    "columns",
    "data_set_of",
    "directed",
    "estimator",
    "family_of_classes",
    "job_kind",
    "parse_chain",
    "rank_rest_last",
    "selector",
    "source_model",
    "task",
    "task_type",
]
