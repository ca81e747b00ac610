"""`mycelium check`: whether generated files are what the contracts file gives today; for CI."""

from __future__ import annotations

import click

from mycelium_fast.cli.codegen import load_contracts
from mycelium_fast.cli.main import show_problems

__all__ = ["command"]


@click.command()
@click.argument("contracts", metavar="CONTRACTS")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--template",
    "templates",
    metavar="FILE",
    multiple=True,
    help="A template of your own: messages.jl.j2 is for every FILE that ends in .jl.",
)
@click.pass_context
def command(ctx: click.Context, contracts: str, files: tuple[str, ...], templates: tuple[str, ...]) -> None:
    """See whether each generated FILE is up to date with CONTRACTS.

    Files of every language and compiled modules are recognised by their names and first lines.
    Exits with 1 if any is not, and says where. Warnings about the contracts are shown then alone: those of
    files that are up to date were shown when the files were generated.
    """
    from mycelium_fast.codegen.drift import check

    model = load_contracts(contracts, quiet=True)
    drifts = check(model, files, templates)
    if drifts:
        show_problems(contracts, model.warnings, "warning")
        for drift in drifts:
            click.echo(str(drift), err=True)
        ctx.exit(1)
    click.echo(f"{len(files)} file{'s' * (len(files) != 1)} up to date with {contracts}")
