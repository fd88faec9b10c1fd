"""The form of every verb: options that stand in sections, their defaults, and examples at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings that the group hands down to its verbs."""


class VerbOption(click.Option):
    """An option that names its section of the help and shows its default there."""

    def __init__(self, *names: Any, section: str = "", **settings: Any) -> None:
        has_default = settings.get("default") not in (None, "", ())
        settings.setdefault("show_default", has_default)
        super().__init__(*names, **settings)
        self.section = section


class Verb(click.Command):
    """A command whose help has sections and examples.

    Args:
        examples: Commands that are printed at the end of the help.
        measures: True where the command needs the measuring layer, ``headwater[run]``.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: Sequence[str] = (),
        measures: bool = False,
        **settings: Any,
    ) -> None:
        settings.setdefault("context_settings", CONTEXT)
        super().__init__(*arguments, **settings)
        self.examples = examples
        self.measures = measures

    def invoke(self, ctx: click.Context) -> Any:
        if self.measures:
            from headwater.registry.layers import require_run_layer

            require_run_layer(ctx.command_path)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each section of the options, in the order in which they first come."""
        sections: dict[str, list[tuple[str, str]]] = {}
        section = "Options"
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Argument):  # the usage line and the text name them
                continue
            section = getattr(parameter, "section", "") or section
            record = parameter.get_help_record(ctx)
            if record:
                sections.setdefault(section, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if not self.examples:
            return
        with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


option: Callable[..., Any] = partial(click.option, cls=VerbOption)
"""``click.option`` whose ``section`` says under which heading of the help it stands."""

verb: Callable[..., Any] = partial(click.command, cls=Verb)
"""``click.command`` whose help has sections and examples."""


def is_debugging() -> bool:
    """Tell whether tracebacks are wanted: ``--debug`` anywhere on the line, or HEADWATER_DEBUG."""
    return "--debug" in sys.argv or bool(os.environ.get("HEADWATER_DEBUG"))
