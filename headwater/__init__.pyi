from .harness import conformance as conformance
from .harness.data.pixels import sample_pixels as sample_pixels
from .harness.measure.scoring import score as score
from .harness.planning.planner import plan as plan
from .harness.planning.spec import Spec as Spec
from .harness.results.adapt import adapt as adapt
from .harness.results.adapted_network import load_adapted as load_adapted
from .harness.running.run import run as run
from .harness.selecting.select import select as select
from .leaderboard import findings as findings
from .leaderboard.store.store import Store as Store
from .plugins.models.timm_models import timm_model as timm_model
from .registry.cards.adaptation import (
    Adaptation as Adaptation,
)
from .registry.cards.adaptation import (
    Batch as Batch,
)
from .registry.cards.adaptation import (
    Context as Context,
)
from .registry.cards.adaptation import (
    Features as Features,
)
from .registry.cards.adaptation import (
    Objective as Objective,
)
from .registry.cards.adaptation import (
    ParameterGroup as ParameterGroup,
)
from .registry.cards.adaptation import (
    Solution as Solution,
)
from .registry.cards.adaptation import (
    SourceData as SourceData,
)
from .registry.cards.adaptation import (
    adaptation as adaptation,
)
from .registry.cards.annotations import Annotations as Annotations
from .registry.cards.annotations import Encoded as Encoded
from .registry.cards.card import Kind as Kind
from .registry.cards.domains import Domain as Domain
from .registry.cards.estimator import Estimator as Estimator
from .registry.cards.estimator import Score as Score
from .registry.cards.estimator import estimator as estimator
from .registry.cards.flaw import Flaw as Flaw
from .registry.cards.provider import Provider as Provider
from .registry.cards.selector import Question as Question
from .registry.cards.selector import Record as Record
from .registry.cards.selector import Selector as Selector
from .registry.cards.selector import selector as selector
from .registry.cards.source_model import SourceModel as SourceModel
from .registry.cards.source_model import source_model as source_model
from .registry.cards.task import Split as Split
from .registry.cards.task import Task as Task
from .registry.cards.task import task as task
from .registry.cards.task_type import Metric as Metric
from .registry.cards.task_type import Probe as Probe
from .registry.cards.task_type import Pyramid as Pyramid
from .registry.cards.task_type import TaskType as TaskType
from .registry.cards.task_type import TaskTypeMethods as TaskTypeMethods
from .registry.cards.task_type import task_type as task_type
from .registry.discovery import Registry as Registry
from .registry.errors import DataError as DataError
from .registry.errors import HeadwaterError as HeadwaterError
from .registry.errors import NotApplicable as NotApplicable
from .registry.evidence.evidence import Evidence as Evidence
from .registry.evidence.shape import Shape as Shape
from .registry.names import Name as Name
from .registry.stages import stages as stages
