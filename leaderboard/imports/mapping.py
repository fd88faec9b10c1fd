"""Map a published table: what its columns are, where it comes from, and what is known of its
sources and tasks.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from headwater.registry.defaults import DEFAULT_ADAPTATION
from headwater.registry.errors import BadSpec
from headwater.registry.names import split_list
from headwater.registry.validation import validated

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(gt=0)]
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: split_list(value) if isinstance(value, str) else value),
]


class MappingSection(BaseModel):
    """A section of a mapping; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MappedColumns(MappingSection):
    """Which column is what. A long table has a row for each estimator: its name and its score."""

    source: Text = Field(description="names of the source models")
    task: Text = Field(description="names of the target tasks")
    estimator: Text | None = Field(None, description="names of the estimators (a long table)")
    score: Text | None = Field(None, description="their scores (a long table)")
    size: Text | None = Field(
        None, description="training images, where they differ from row to row"
    )
    seed: Text | None = Field(None, description="seeds, whole numbers")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.estimator is None) != (self.score is None):
            raise ValueError("a long table needs both columns.estimator and columns.score")
        return self


class MetricColumn(MappingSection):
    """A metric's column; ``scale`` turns it into the unit of the store (accuracy is a share: 0.01
    for per cent).
    """

    column: Text
    direction: Literal["higher", "lower"] = "higher"
    scale: Annotated[float, Field(gt=0)] = 1.0


Metric = Annotated[
    MetricColumn,
    BeforeValidator(lambda value: {"column": value} if isinstance(value, str) else value),
]


class SourceFacts(MappingSection):
    """What is known of a source model, as on its card."""

    architecture: str | None = None
    pretrained_on: Names | None = None
    domain: str | None = None
    task_type: str | None = None
    images: Count | None = None
    parameters: Count | None = None
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    input_size: Count | None = None
    licence: str | None = None


class TaskFacts(MappingSection):
    """What is known of a task, as on its card. ``classes`` bounds several estimators."""

    domain: str | None = None
    type: str | None = None
    images: Count | None = None
    classes: Annotated[int, Field(gt=1)] | None = None
    licence: str | None = None


FactsT = TypeVar("FactsT", SourceFacts, TaskFacts)


class Provenance(MappingSection):
    """Whose figures these are."""

    title: str = ""
    url: str = ""
    licence: str = ""
    citation: str = ""
    note: str = ""


class Rename(MappingSection):
    """Names of the table -> names in the store."""

    sources: dict[str, Text] = {}
    tasks: dict[str, Text] = {}
    estimators: dict[str, Text] = {}


class KnownFault(MappingSection):
    """A fault that is known of a column of scores: it goes with each of them as its note."""

    estimator: Text
    tasks: Names = ("*",)
    note: Text

    def holds(self, estimator: str, task: str) -> bool:
        """Return whether the scores of an estimator on a task have this fault."""
        if estimator != self.estimator:
            return False
        return any(fnmatchcase(task, pattern) for pattern in self.tasks)


class TableMapping(MappingSection):
    """Say how one published table is read.

    The sections ``sources``, ``tasks`` and ``faults`` use the names that ``rename`` gives.
    """

    name: Text = Field(
        description="what the import is called; importing under the same name again updates it"
    )
    columns: MappedColumns
    metrics: dict[str, Metric] = {}
    estimators: dict[str, Text] = {}
    adaptation: Text = DEFAULT_ADAPTATION
    size: Annotated[
        Text, BeforeValidator(lambda value: str(value) if type(value) is int else value)
    ] = "full"
    decimal: Literal[".", ","] = "."
    provenance: Provenance = Provenance()
    rename: Rename = Rename()
    every_source: SourceFacts = SourceFacts()
    every_task: TaskFacts = TaskFacts()
    sources: dict[str, SourceFacts] = {}
    tasks: dict[str, TaskFacts] = {}
    faults: tuple[KnownFault, ...] = ()

    @model_validator(mode="after")
    def _holds_values(self) -> Self:
        if not self.metrics and not self.estimators and not self.columns.score:
            raise ValueError(
                "names no column of values: give metrics, estimators, or columns.estimator and columns.score"
            )
        return self

    def source(self, name: str) -> SourceFacts:
        """Return what is known of a source."""
        return _merged(self.every_source, self.sources.get(name))

    def task(self, name: str) -> TaskFacts:
        """Return what is known of a task."""
        return _merged(self.every_task, self.tasks.get(name))

    @property
    def column_names(self) -> dict[str, str]:
        """Every column that the mapping names, by the key that names it."""
        columns = self.columns.model_dump()
        names = {f"columns.{key}": column for key, column in columns.items() if column}
        names |= {f"metrics.{name}": metric.column for name, metric in self.metrics.items()}
        names |= {f"estimators.{name}": column for name, column in self.estimators.items()}
        return names

    @classmethod
    def read(cls, path: Path | str, **overrides: Any) -> TableMapping:
        """Read a TOML mapping.

        Args:
            path: The file.
            **overrides: Keys that win over the file's.

        Raises:
            BadSpec: The file cannot be read, or a key is wrong: it names the key, the value and
                what is allowed.
        """
        path = Path(path)
        try:
            keys = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            examples = files("headwater") / "benchmarks" / "published"
            hint = f"Mappings to start from are in {examples}."
            raise BadSpec(f"there is no mapping at {path}", subject=str(path), hint=hint) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSpec(f"{path} is not TOML: {error}", subject=str(path)) from None
        except OSError as error:
            raise BadSpec(
                f"{path} could not be read: {error.strerror}", subject=str(path)
            ) from None
        return cls.of({"name": path.stem} | keys, where=str(path), **overrides)

    @classmethod
    def of(
        cls, keys: Mapping[str, Any], *, where: str = "mapping", **overrides: Any
    ) -> TableMapping:
        """Validate keys, ``overrides`` winning; sections are merged key by key."""
        return validated(cls, keys, overrides=overrides, where=where, keys_at=_keys_at)


def _merged(shared: FactsT, stated: FactsT | None) -> FactsT:
    """Return the facts of one source or task: those stated of it win over those of every one."""
    if stated is None:
        return shared
    updates = {key: value for key, value in stated if value is not None}
    return shared.model_copy(update=updates)


def _keys_at(place: list[Any]) -> list[str]:
    """Return the keys that are allowed at a place of the mapping."""
    section = str(place[0]) if place else ""
    return list(_SECTIONS.get(section, TableMapping).model_fields)


_SECTIONS: dict[str, type[BaseModel]] = {
    "columns": MappedColumns,
    "metrics": MetricColumn,
    "provenance": Provenance,
    "rename": Rename,
    "every_source": SourceFacts,
    "every_task": TaskFacts,
    "sources": SourceFacts,
    "tasks": TaskFacts,
    "faults": KnownFault,
}
