"""`mycelium build`: a contracts file to a compiled module with its stub, with progress on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mycelium_fast.cli.codegen import load_contracts

if TYPE_CHECKING:
    from mycelium_fast.codegen.compile import Progress

__all__ = ["command", "progress_display"]


@click.command()
@click.argument("contracts", metavar="CONTRACTS")
@click.option("--module", metavar="NAME", required=True, help="Dotted name, for example trading.messages.")
@click.option(
    "--out",
    metavar="DIR",
    default=".",
    show_default=True,
    help="Where packages begin: the directory that will be on sys.path.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors alone: no warnings, no progress.")
def command(contracts: str, module: str, out: str, quiet: bool) -> None:
    """Compile CONTRACTS into an extension module, with its type stub beside it.

    A package has an easier way: [[tool.mycelium.modules]] in its pyproject.toml.
    """
    from mycelium_fast.codegen.compile import build_module, check_module_name

    try:
        check_module_name(module)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--module") from None
    model = load_contracts(contracts, quiet=quiet)
    display = contextlib.nullcontext(None) if quiet else progress_display(f"{contracts} -> {module}")
    try:
        with display as progress:
            built = build_module(model, module, out, progress=progress)
    except OSError as error:
        raise click.FileError(error.filename or out, error.strerror) from None
    if not quiet:
        click.echo(f"built {built} and {built.parent / module.rpartition('.')[2]}.pyi")


@contextlib.contextmanager
def progress_display(title: str) -> Iterator[Progress]:
    """Show the steps of a build on stderr: live on a terminal, a line for each elsewhere."""
    if sys.stderr.isatty():
        import rich.console
        import rich.progress

        columns = (
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=20),
            rich.progress.TimeElapsedColumn(),
        )
        console = rich.console.Console(stderr=True)
        with rich.progress.Progress(*columns, console=console, transient=True) as display:
            task = display.add_task(title, total=None)

            def live(step: str, done: int, total: int) -> None:
                display.update(task, description=f"{title}: {step}", completed=done, total=total)

            yield live
        return

    def plain(step: str, done: int, total: int) -> None:
        if done < total:
            click.echo(f"[{done + 1}/{total}] {step}", err=True)

    yield plain
