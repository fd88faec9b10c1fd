"""The command line: one verb a file, imported only when it is called, so that ``--help`` stays instant."""

from __future__ import annotations

import importlib
import os
import sys

import click

_VERBS = {
    "list": "What can be benchmarked: sources, tasks, adaptations, ...",
    "info": "All that is known of one source, task, adaptation or recorded cell.",
    "new": "Write a working plugin file to start from.",
    "check": "Run the conformance suite on a plugin.",
    "run": "Run a benchmark, or continue it.",
    "select": "Which source for my task: estimates and fine-tunes within a budget.",
    "adapt": "Fine-tune one source on one task, and save the network.",
    "status": "What is done, failed and still to do.",
    "leaderboard": "Rank the sources by measured gain.",
    "findings": "What the outcomes say of the findings F1 to F12.",
    "analyse": "What transfer changes inside the networks, with plots.",
    "query": "Ask the store in SQL.",
    "export": "Write the store's tables to files.",
    "import": "Take published tables of results into the store.",
}


class LazyGroup(click.Group):
    """A group that knows its verbs' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        return importlib.import_module(f"headwater.harness.cli.{name}_verb").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _VERBS:
            from headwater.registry.names import did_you_mean

            raise click.UsageError(
                f"No such command {args[0]!r}.{did_you_mean(args[0], _VERBS)}", ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "HEADWATER"},
)
@click.version_option(package_name="headwater")
def cli() -> None:
    """Which source model should I start from for this target task, and how do I know?"""


def main() -> None:
    """Run the command line; a HeadwaterError becomes a message, an interrupt exit status 130."""
    from headwater.registry.errors import HeadwaterError

    debug = "--debug" in sys.argv or bool(os.environ.get("HEADWATER_DEBUG"))
    try:
        status = cli.main(
            args=[arg for arg in sys.argv[1:] if arg != "--debug"],
            prog_name="headwater",
            standalone_mode=False,
        )
    except HeadwaterError as error:
        if debug:
            raise
        click.echo(f"{error.message}\n {error.hint}" if error.hint else error.message, err=True)
        status = error.exit_status
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
