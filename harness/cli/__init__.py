"""The command line: one verb a file, imported only when it is called, so that ``--help`` stays
instant.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from headwater.harness.cli.verb import CONTEXT, is_debugging

if TYPE_CHECKING:
    from headwater.registry.errors import HeadwaterError

GROUPS = {
    "Choose": {
        "select": "Find the best source for a task: estimate and fine-tune within a budget.",
        "adapt": "Fine-tune one source on one task, and save the network.",
    },
    "Measure": {
        "run": "Run a benchmark, or continue it.",
        "status": "Show what is done, what failed and what is left.",
        "analyse": "Show what transfer changes inside the networks, with plots.",
    },
    "Read": {
        "leaderboard": "Rank the sources by measured gain.",
        "findings": "Hold the outcomes against the findings F1 to F12 of the literature.",
        "query": "Ask the store in SQL.",
    },
    "Share": {
        "export": "Write the store's tables to files.",
        "import": "Take published tables of results into the store.",
    },
    "Extend": {
        "list": "List what can be benchmarked: sources, tasks, adaptations, …",
        "info": "Show all about one source, task, adaptation or recorded cell.",
        "new": "Write a working plugin file to start from.",
        "check": "Run the conformance suite on a plugin.",
    },
}
"""The verbs and what each does, under the headings of ``headwater --help``."""

VERBS = {name: summary for verbs in GROUPS.values() for name, summary in verbs.items()}


class LazyGroup(click.Group):
    """A group that knows its verbs' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        return importlib.import_module(f"headwater.harness.cli.{name}_verb").command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a verb's name, or an option of the group; imports no verb."""
        verbs = [
            CompletionItem(name, help=summary)
            for name, summary in VERBS.items()
            if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS:
            from headwater.registry.names import did_you_mean

            raise click.UsageError(
                f"No such command {args[0]!r}.{did_you_mean(args[0], VERBS)}", ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in VERBS)
        for heading, verbs in GROUPS.items():
            with formatter.section(heading):
                rows = [(f"{name:<{width}}", summary) for name, summary in verbs.items()]
                formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings=CONTEXT)
@click.version_option(package_name="headwater")
def cli() -> None:
    """Which source model should I start from for this target task, and how do I know?"""


def main() -> None:
    """Run the command line.

    An error of Headwater's becomes a message, a missing layer one sentence with the command that
    installs it, an interrupt exit status 130; with ``--debug`` the traceback is shown instead.
    """
    from headwater.registry.errors import HeadwaterError

    try:
        status = cli.main(
            args=[word for word in sys.argv[1:] if word != "--debug"],
            prog_name="headwater",
            standalone_mode=False,
        )
    except HeadwaterError as error:
        if is_debugging():
            raise
        status = _show(error)
    except ImportError as error:
        from headwater.registry.layers import is_of_run_layer, missing_layer

        if is_debugging() or not is_of_run_layer(error):
            raise
        status = _show(missing_layer(f"headwater {sys.argv[1]}"))
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        status = 130
    except BrokenPipeError:  # `headwater list sources | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status if isinstance(status, int) else 0)


def _show(error: HeadwaterError) -> int:
    """Print an error and its hint; returns its exit status."""
    click.echo(error.message, err=True)
    if error.hint:
        click.echo(f" {error.hint}", err=True)
    return error.exit_status
