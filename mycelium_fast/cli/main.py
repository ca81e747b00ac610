"""The command group: which commands there are, and how their errors are shown.

A command's file is imported when the command is run, so that `mycelium --help` is quick. Each has a click
command by the name of `command`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import click

from mycelium_fast._version import __version__
from mycelium_fast.errors import ContractError, MyceliumError

__all__ = ["main", "show_problems"]

#: Every command with its line in `--help`; the file has the command's name.
COMMANDS: Final = {
    "bridge": "Relay messages between the processes of this machine.",
    "build": "Compile a contracts file into an extension module.",
    "check": "See whether generated files are up to date.",
    "codegen": "Generate source files from a contracts file.",
    "demo": "Send messages through a bridge and check every one.",
    "diff": "Compare two contracts files: what breaks whom.",
    "pub": "Publish messages written by hand, or as JSON.",
    "tap": "Show, record or replay the messages of a bridge.",
    "worker": "Run a function of yours with a connected client.",
}


class LazyGroup(click.Group):
    """A group that imports a command when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"mycelium_fast.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0].lower(), COMMANDS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(sorted(COMMANDS))}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ContractError as error:
            show_problems(error.file, error.problems, "error")
            ctx.exit(1)
        except MyceliumError as error:
            _fail(ctx, str(error))
        except ImportError as error:
            # Raised by the codec itself where it is not compiled, with what to do.
            if error.name == "mycelium_fast.codec":
                _fail(ctx, error.msg)
            # An optional dependency; an import of our own that fails is a defect and shows as one.
            if error.name is None or error.name.partition(".")[0] == "mycelium_fast":
                raise
            _fail(ctx, f'{error.name} is not installed: run `pip install "mycelium-fast[cli]"`')


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mycelium-fast")
def main() -> None:
    """Typed, compiled messages from a contracts file, and the bridge that carries them."""


def show_problems(file: str, problems: Iterable[tuple[int, int, str]], kind: str) -> None:
    """Print problems of a contracts file on stderr, one a line, in colour on a terminal.

    Args:
        problems: as `(line, column, text)`; line 0 where none applies.
        kind: `"error"` or `"warning"`.
    """
    colour = "red" if kind == "error" else "yellow"
    for line, column, text in problems:
        place = click.style(f"{file}:{line}:{column}:" if line else f"{file}:", bold=True)
        label = "" if kind == "error" else click.style(f"{kind}: ", fg=colour)
        click.echo(f"{place} {label}{click.style(text, fg=colour)}", err=True)


def _fail(ctx: click.Context, text: str) -> NoReturn:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True)
    ctx.exit(1)
