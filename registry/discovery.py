"""Discovery: cards come in by three doors, and a broken plugin does not shut any of them.

The doors are the bundled ``plugins`` folder, installed entry points (group ``headwater.plugins``),
and files or folders that the user names. Importing a plugin registers nothing; its module-level
cards are collected.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from headwater.registry.cards.adaptation import Adaptation
from headwater.registry.cards.analysis import Analysis
from headwater.registry.cards.card import Card, Kind
from headwater.registry.cards.domains import Domain, containing
from headwater.registry.cards.estimator import Estimator
from headwater.registry.cards.job_kind import JobKind
from headwater.registry.cards.provider import Provider
from headwater.registry.cards.selector import Selector
from headwater.registry.cards.source_model import SourceModel
from headwater.registry.cards.task import Task
from headwater.registry.cards.task_type import TaskType
from headwater.registry.errors import BadPlugin, HeadwaterError, UnknownName
from headwater.registry.names import Name, did_you_mean, glob_matches, is_glob, split_list

ENTRY_POINTS = "headwater.plugins"

BUNDLED = ("headwater.plugins", "headwater.harness.job_kinds")
"""The packages whose modules are the bundled plugins, and the kinds of jobs that plans are made of.
"""

PluginLike = str | Path | Card | ModuleType


@dataclass(frozen=True)
class Problem:
    """A plugin, or one card of it, that could not be used; all others are not affected.

    Attributes:
        plugin: The file or module.
        reason: Why it could not be used.
        card: The name of the card that is left out; "" if it is the whole plugin.
    """

    plugin: str
    reason: str
    card: str = ""

    def __str__(self) -> str:
        """Return the problem as a sentence."""
        subject = f"card {self.card} of plugin" if self.card else "plugin"
        return f"{subject} {self.plugin} is left out: {self.reason}"


@dataclass
class Registry:
    """Every card there is, by kind and name.

    Attributes:
        cards: The registered cards.
        providers: What makes cards from names as they are needed, such as all models of timm.
        problems: What could not be used.
        plugins: The user's own plugins.
    """

    cards: dict[Kind, dict[str, Card]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    providers: list[Provider] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    plugins: tuple[PluginLike, ...] = ()
    _resolved: dict[tuple[Kind, str], Card] | None = field(default=None, repr=False)
    """Cards by what was looked up, while ``remembering``; else None."""

    @classmethod
    def discover(cls, plugins: Sequence[PluginLike] = ()) -> Registry:
        """Collect the cards of all three doors.

        A user's own plugin that cannot be imported is reported in ``problems``, as any other.

        Args:
            plugins: Files, folders, modules or cards of the user's own.

        Raises:
            BadPlugin: One of the plugins does not exist.
        """
        registry = cls(plugins=tuple(plugins))
        for module in _bundled():
            registry._admit(module, partial(importlib.import_module, module))
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
            registry._admit(f"{entry.name} ({entry.value})", entry.load)
        for plugin in plugins:
            registry._add_own(plugin)
        return registry

    def _add_own(self, plugin: PluginLike) -> None:
        if isinstance(plugin, Card | ModuleType):
            label = plugin.name if isinstance(plugin, Card) else plugin.__name__
            self._admit(label, lambda: plugin)
            return
        for file in _files(Path(plugin)):
            self._admit(str(file), partial(import_file, file))

    def _admit(self, label: str, load: Callable[[], object]) -> None:
        """Add the cards of a plugin; a plugin that cannot be loaded becomes a problem."""
        try:
            plugin = load()
        except HeadwaterError as error:
            self.problems.append(Problem(label, error.message))
            return
        except (Exception, SystemExit) as error:  # a plugin is foreign code: it may raise anything
            self.problems.append(Problem(label, f"{type(error).__name__}: {error}"))
            return
        members: list[object] = [plugin]
        if isinstance(plugin, ModuleType):
            members = list(vars(plugin).values())
        for member in members:
            if isinstance(member, Card):
                self._add(member, label)
            elif isinstance(member, Provider) and member not in self.providers:
                self.providers.append(replace(member, origin=label))

    def _add(self, card: Card, label: str) -> None:
        """Add a card; a second card of a name becomes a problem, and the first one stays."""
        cards = self.cards[card.kind]
        first = cards.get(card.name)
        if first is None:
            cards[card.name] = replace(card, origin=label)
            if isinstance(card, Estimator):  # an estimator's score is also a rule to choose by
                self._add(Selector.of_estimator(card), label)
        elif replace(first, origin="") != replace(card, origin=""):
            place = "the same file" if first.origin == label else first.origin
            reason = f"the {card.kind} {card.name} of {place} is used in its place"
            self.problems.append(Problem(label, reason, card.name))
        # Else the same card was imported by a second plugin.

    # -- looking up ---------------------------------------------------------------------------------------

    def get(self, kind: Kind, text: str) -> Card:
        """Return the card of a name, options applied.

        Args:
            kind: The kind of card.
            text: The name, options in brackets.

        Raises:
            UnknownName: No card has the name; the message has the nearest ones.
            BadName: The text is no name, or sets an option that the card does not have.
        """
        if self._resolved is None:
            return self._resolve(kind, text)
        if (kind, text) not in self._resolved:
            self._resolved[kind, text] = self._resolve(kind, text)
        return self._resolved[kind, text]

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Resolve each name once within this: a plan looks the same few up thousands of times."""
        before = self._resolved
        if before is None:
            self._resolved = {}
        try:
            yield
        finally:
            self._resolved = before

    def _resolve(self, kind: Kind, text: str) -> Card:
        name = Name.parse(text)
        # The whole text second: the name of a chain holds brackets of its own.
        card = self.cards[kind].get(name.stem) or self.cards[kind].get(text)
        if card is not None:
            return card.with_options(dict(name.options))
        for provider in self.providers:
            if provider.kind is kind and provider.owns(name.stem):
                return provider.resolve(name, self)
        raise self._unknown(kind, text)

    def find(self, kind: Kind, patterns: str | Iterable[str]) -> list[Card]:
        """Return the cards of names and globs, each once and in order.

        Args:
            kind: The kind of card.
            patterns: Names and globs; each may be a list with commas.

        Raises:
            UnknownName: A name or a glob matches nothing.
        """
        lists = [patterns] if isinstance(patterns, str) else patterns
        cards: dict[str, Card] = {}
        for text in lists:
            for pattern in split_list(text):
                for card in self._matching(kind, pattern):
                    cards.setdefault(card.name, card)
        return list(cards.values())

    def _matching(self, kind: Kind, text: str) -> list[Card]:
        if not is_glob(text):
            return [self.get(kind, text)]
        listed = {card.name: card for card in self.all(kind)}
        matches = glob_matches(listed, text)
        if not matches:
            raise UnknownName(
                f"No {kind} matches {text!r}",
                subject=text,
                hint=f"See what there is: headwater list {kind.plural}",
            )
        return [listed[name] for name in matches]

    def all(self, kind: Kind) -> Iterator[Card]:
        """Yield every card that can be listed, registered ones first."""
        yield from self.cards[kind].values()
        for provider in self.providers:
            if provider.kind is kind:
                yield from provider.cards()

    def _unknown(self, kind: Kind, text: str) -> UnknownName:
        """Return the error for a name that no card has."""
        names = [card.name for card in self.all(kind)]
        count = f"{len(names):,} {kind.plural}"
        forms = [provider.form for provider in self.providers if provider.kind is kind]
        if forms:
            count = f"{count} or any {', '.join(forms)}"
        hint = f"{count}: headwater list {kind.plural}."
        if self.problems:
            # The card may well be in a plugin that is broken.
            broken = f"{len(self.problems)} plugin(s) could not be loaded"
            hint = f"{hint} {broken}; headwater list shows why."
        return UnknownName(
            f"{text!r} is not a known {kind}.{did_you_mean(text, names)}",
            subject=text,
            hint=hint,
        )

    # -- typed shorthands ---------------------------------------------------------------------------------

    def source(self, name: str) -> SourceModel:
        return cast(SourceModel, self.get(Kind.SOURCE, name))

    def task(self, name: str) -> Task:
        return cast(Task, self.get(Kind.TASK, name))

    def task_type(self, name: str) -> TaskType:
        return cast(TaskType, self.get(Kind.TASK_TYPE, name))

    def adaptation(self, name: str) -> tuple[Adaptation, dict[str, Any]]:
        """Return the adaptation of a name and its options, defaults filled in."""
        card = cast(Adaptation, self.get(Kind.ADAPTATION, name))
        return card, _options_of(card, name)

    def estimator(self, name: str) -> tuple[Estimator, dict[str, Any]]:
        """Return the estimator of a name and its options, defaults filled in."""
        card = cast(Estimator, self.get(Kind.ESTIMATOR, name))
        return card, _options_of(card, name)

    def selector(self, name: str) -> tuple[Selector, dict[str, Any]]:
        """Return the selector of a name and its options, defaults filled in."""
        card = cast(Selector, self.get(Kind.SELECTOR, name))
        return card, _options_of(card, name)

    def analysis(self, name: str) -> tuple[Analysis, dict[str, Any]]:
        """Return the analysis of a name and its options, defaults filled in."""
        card = cast(Analysis, self.get(Kind.ANALYSIS, name))
        return card, _options_of(card, name)

    def job_kind(self, name: str) -> JobKind:
        """Return the job kind of a name."""
        return cast(JobKind, self.get(Kind.JOB_KIND, name))

    def domain_parents(self) -> Mapping[str, frozenset[str]]:
        """Return, for each domain, those that contain it."""
        domains = cast(Iterable[Domain], self.cards[Kind.DOMAIN].values())
        return containing(domains)


def _options_of(card: Card, name: str) -> dict[str, Any]:
    """Return all options of a card: those that the name sets, else the defaults."""
    return dict(card.options()) | dict(Name.parse(name).options)


def _bundled() -> list[str]:
    """Return the modules of the bundled cards; those that begin with _ hold none, as in a folder."""
    names: list[str] = []
    for package in BUNDLED:
        spec = importlib.util.find_spec(package)
        locations = spec.submodule_search_locations if spec else None
        for info in pkgutil.walk_packages(locations or (), f"{package}."):
            _, _, module = info.name.rpartition(".")
            if not info.ispkg and not module.startswith("_"):
                names.append(info.name)
    return sorted(names)


def _files(path: Path) -> list[Path]:
    """Return the plugin files at a path.

    Raises:
        BadPlugin: There is nothing at the path.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(file for file in path.rglob("*.py") if not file.name.startswith(("_", ".")))
    raise BadPlugin(
        f"there is no plugin at {path}",
        subject=str(path),
        hint="Give a .py file or a folder of them: headwater new source my/model",
    )


def import_file(path: Path) -> ModuleType:
    """Import a plugin file under a name that no other file has.

    Raises:
        BadPlugin: The file is not a Python file.
    """
    # From the whole path, so that two files called models.py do not collide.
    path_hash = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    name = f"headwater_plugin_{path_hash[:12]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadPlugin(f"{path} is not a Python file", subject=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before execution: dataclasses and pickle look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
