"""`mycelium codegen`: source files from a contracts file, any number of languages at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mycelium_fast.cli.main import show_problems

if TYPE_CHECKING:
    from mycelium_fast.contracts import Contracts

__all__ = ["command", "load_contracts"]


@click.command()
@click.argument("contracts_file", metavar="CONTRACTS", required=False)
@click.option("--contracts", metavar="FILE", help="The contracts file, as an option.")
@click.option("--cython-out", metavar="FILE", help="A Cython module (.pyx); `mycelium build` compiles it.")
@click.option("--stub-out", metavar="FILE", help="A type stub (.pyi) for any of the Python modules.")
@click.option("--python-out", metavar="FILE", help="A module of plain Python that needs no compiler.")
@click.option("--test-out", metavar="FILE", help="A pytest file that round-trips every message.")
@click.option(
    "--module",
    metavar="NAME",
    help="The module that the pytest file imports; default: the stem of --python-out or --cython-out.",
)
def command(
    contracts_file: str | None,
    contracts: str | None,
    cython_out: str | None,
    stub_out: str | None,
    python_out: str | None,
    test_out: str | None,
    module: str | None,
) -> None:
    """Generate source files from CONTRACTS.

    A file name of - is standard output. Files appear whole or not at all, and one that is up to date
    already is left alone.
    """
    from mycelium_fast.codegen.render import Language, render

    file = _one(contracts_file, contracts)
    if module is None and (named := python_out or cython_out) and named != "-":
        module = Path(named).stem
    wanted: list[tuple[Language, str | None]] = [
        ("cython", cython_out),
        ("stub", stub_out),
        ("python", python_out),
        ("test", test_out),
    ]
    outputs = [(language, output) for language, output in wanted if output is not None]
    if not outputs:
        raise click.UsageError(
            "Nothing to generate: give one or more of --cython-out, --stub-out, --python-out, --test-out."
        )
    names = [output for _, output in outputs]
    for name in names:
        if names.count(name) > 1:
            raise click.UsageError(f"Two outputs are to go to {'standard output' if name == '-' else name}.")
    model = load_contracts(file)
    try:
        # All of them before the first is written: an error leaves every file as it was.
        rendered = [(output, render(model, language, module=module)) for language, output in outputs]
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for output, text in rendered:
        if output == "-":
            click.echo(text, nl=False)
        else:
            report = "wrote" if _write(Path(output), text.encode()) else "up to date:"
            click.echo(f"{report} {output}", err="-" in names)


def load_contracts(file: str) -> Contracts:
    """Load a contracts file and show its warnings on stderr."""
    from mycelium_fast.contracts import load

    model = load(file)
    show_problems(file, model.warnings, "warning")
    return model


def _one(argument: str | None, option: str | None) -> str:
    if argument is not None and option is not None:
        raise click.UsageError("The contracts file is given twice: as an argument and by --contracts.")
    file = argument if argument is not None else option
    if file is None:
        raise click.UsageError("Missing the contracts file: mycelium codegen contracts.yaml ...")
    return file


def _write(path: Path, data: bytes) -> bool:
    """Write a file; False if it has these contents already, so that nobody builds again for nothing."""
    from mycelium_fast.codegen.compile import replace_file

    try:
        if path.read_bytes() == data:
            return False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from None
    return True
