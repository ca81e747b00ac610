"""`mycelium diff`: what the changes between two contracts files do to whom.

The comparison is `contracts.compare()`, how it looks `diff_output.py`, a file's version in git
`diff_base.py`; here are the arguments and the exit code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mycelium_fast.cli.main import show_problems
from mycelium_fast.errors import ContractError

if TYPE_CHECKING:
    from mycelium_fast.contracts import Contracts

__all__ = ["command"]


@click.command()
@click.argument("files", metavar="OLD NEW", nargs=-1, required=True)
@click.option(
    "--base",
    metavar="REVISION",
    help="Compare every FILE named with its version at this git revision: HEAD, origin/main.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object for every comparison, one a line.")
@click.pass_context
def command(ctx: click.Context, files: tuple[str, ...], base: str | None, as_json: bool) -> None:
    """Compare two contracts files: what each change does to old readers with new writers, to new readers with
    old writers, and to stored data.

    With --base REVISION any number of files is named, each of them the new one. A file name of - is standard
    input.

    Exits with 1 if peers or recordings would not get on with the new file, or if its schema version does not
    say so; with 2 if a file cannot be read, or is no contracts file.
    """
    from mycelium_fast.cli.diff_output import json_line, text
    from mycelium_fast.contracts import compare

    if base is None and len(files) != 2:
        raise click.UsageError("Name two files, the old and the new one; or any number, and --base REVISION.")
    if files.count("-") > (1 if base is None else 0):
        raise click.UsageError(
            "Only one of the two files can be standard input."
            if base is None
            else "--base needs files that git knows, not standard input."
        )
    failed = False
    try:
        for old, new in _pairs(files, base):
            comparison = compare(old, new)
            failed |= comparison.failed
            click.echo(json_line(comparison) if as_json else text(comparison))
    except ContractError as error:
        show_problems(error.file, error.problems, "error")
        ctx.exit(2)
    ctx.exit(1 if failed else 0)


def _pairs(files: tuple[str, ...], base: str | None) -> Iterator[tuple[Contracts, Contracts]]:
    """The old and the new contracts of every comparison."""
    from mycelium_fast.cli.diff_base import GitError, version_at
    from mycelium_fast.codegen.names import plain_text
    from mycelium_fast.contracts import parse

    if base is None:
        yield _load(files[0]), _load(files[1])
        return
    for file in files:
        new = _load(file)
        try:
            data = version_at(base, file)
        except GitError as error:
            raise _Failure(str(error)) from None
        if data is None:
            note = f"{file} is not in {base}: there is nothing to compare it with"
            click.echo(plain_text(note), err=True)
        else:
            yield parse(data, f"{base}:{file}"), new


def _load(file: str) -> Contracts:
    from mycelium_fast.contracts import load, parse

    if file != "-":
        return load(file)
    with click.open_file("-", "rb") as stdin:
        return parse(stdin.read(), "<stdin>")


class _Failure(click.ClickException):
    """Something that is not the contracts' fault."""

    exit_code = 2
