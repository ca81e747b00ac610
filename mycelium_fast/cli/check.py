"""`mycelium check`: whether generated files are what the contracts file gives today; for CI."""

from __future__ import annotations

import click

from mycelium_fast.cli.codegen import load_contracts

__all__ = ["command"]


@click.command()
@click.argument("contracts", metavar="CONTRACTS")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.pass_context
def command(ctx: click.Context, contracts: str, files: tuple[str, ...]) -> None:
    """See whether each generated FILE is up to date with CONTRACTS.

    Python files, stubs, Cython files and compiled modules are recognised by their names and first lines.
    Exits with 1 if any is not, and says where.
    """
    from mycelium_fast.codegen.drift import check

    drifts = check(load_contracts(contracts), files)
    for drift in drifts:
        click.echo(str(drift), err=True)
    if drifts:
        ctx.exit(1)
    click.echo(f"{len(files)} file{'s' * (len(files) != 1)} up to date with {contracts}")
