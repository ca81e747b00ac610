"""`mycelium codegen`: source files from a contracts file, any number of languages at once."""

from __future__ import annotations

import os
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
@click.option("--rust-out", metavar="FILE", help="A Rust module that needs the standard library alone.")
@click.option("--c-out", metavar="FILE", help="A header for C11 and C++17 that needs nothing else.")
@click.option("--ocaml-out", metavar="FILE", help="An OCaml module that needs the standard library alone.")
@click.option("--test-out", metavar="FILE", help="A pytest file that round-trips every message.")
@click.option(
    "--module",
    metavar="NAME",
    help="The module that the pytest file imports; default: the stem of --python-out or --cython-out.",
)
@click.option(
    "--template",
    "templates",
    metavar="TEMPLATE FILE",
    nargs=2,
    multiple=True,
    help="A template of your own, and the file to make with it: any language.",
)
@click.option("--force", is_flag=True, help="Overwrite files that were not generated, too.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors alone: no warnings, no names of files.")
def command(
    contracts_file: str | None,
    contracts: str | None,
    cython_out: str | None,
    stub_out: str | None,
    python_out: str | None,
    rust_out: str | None,
    c_out: str | None,
    ocaml_out: str | None,
    test_out: str | None,
    templates: tuple[tuple[str, str], ...],
    module: str | None,
    force: bool,
    quiet: bool,
) -> None:
    """Generate source files from CONTRACTS.

    A file name of - is standard output. Files appear whole or not at all, and one that is up to date
    already is left alone. A file that was not generated is overwritten with --force alone.
    """
    from mycelium_fast.codegen.render import Language, render, render_template

    file = _one(contracts_file, contracts)
    if module is None and (named := python_out or cython_out) and named != "-":
        module = Path(named).stem
    wanted: list[tuple[Language, str | None]] = [
        ("cython", cython_out),
        ("stub", stub_out),
        ("python", python_out),
        ("rust", rust_out),
        ("c", c_out),
        ("ocaml", ocaml_out),
        ("test", test_out),
    ]
    outputs = [(language, output) for language, output in wanted if output is not None]
    names = [output for _, output in outputs] + [output for _, output in templates]
    if not names:
        raise click.UsageError(
            "Nothing to generate: give one or more of --cython-out, --stub-out, --python-out, --rust-out, "
            "--c-out, --ocaml-out, --test-out, --template."
        )
    _see_that_each_is_its_own(names, file)
    model = load_contracts(file, quiet=quiet)
    try:
        # All of them before the first is written: an error leaves every file as it was.
        rendered = [(output, render(model, language, module=module)) for language, output in outputs]
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    rendered += [(output, render_template(model, template)) for template, output in templates]
    if not force:
        for name in names:
            _see_that_it_may_go(name)
    for output, text in rendered:
        if output == "-":
            click.echo(text, nl=False)
            continue
        written = _write(_target(output), output, text.encode())
        if not quiet:
            click.echo(f"{'wrote' if written else 'up to date:'} {output}", err="-" in names)


def load_contracts(file: str, *, quiet: bool = False) -> Contracts:
    """Load a contracts file and show its warnings on stderr, unless `quiet`."""
    from mycelium_fast.contracts import load

    model = load(file)
    if not quiet:
        show_problems(file, model.warnings, "warning")
    return model


def _one(argument: str | None, option: str | None) -> str:
    if argument is not None and option is not None:
        raise click.UsageError("The contracts file is given twice: as an argument and by --contracts.")
    file = argument if argument is not None else option
    if file is None:
        raise click.UsageError("Missing the contracts file: mycelium codegen contracts.yaml ...")
    return file


def _target(name: str) -> Path:
    """The file that an output goes to: a symbolic link stays one, and its target is written."""
    return Path(os.path.realpath(name))


def _see_that_each_is_its_own(names: list[str], contracts: str) -> None:
    """Refuse outputs that would overwrite each other, or the contracts file, by whatever name."""
    seen: dict[Path | str, str] = {}
    for name in names:
        key = name if name == "-" else _target(name)
        if key in seen:
            other = "" if seen[key] == name else f" ({seen[key]} is the same file)"
            place = "standard output" if name == "-" else name
            raise click.UsageError(f"Two outputs are to go to {place}{other}.")
        seen[key] = name
        if name != "-" and _same(name, contracts):
            raise click.UsageError(f"The output {name} is the contracts file itself; name another file.")


def _same(first: str, second: str) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:  # one of them is not there
        return False


def _see_that_it_may_go(name: str) -> None:
    """Refuse to overwrite what somebody wrote."""
    from mycelium_fast.codegen.drift import is_generated

    if name == "-" or not (path := _target(name)).is_file():
        return
    try:
        with path.open("rb") as file:
            first = file.readline(1000)
    except OSError as error:
        raise click.FileError(name, error.strerror) from None
    if first and not is_generated(first):
        raise click.ClickException(
            f'{name} was not generated: it does not begin with a line "Generated from ..., do not edit". '
            "Nothing was written. Name another file, or overwrite it with --force."
        )


def _write(path: Path, name: str, data: bytes) -> bool:
    """Write a file; False if it has these contents already, so that nobody builds again for nothing."""
    from mycelium_fast.codegen.compile import replace_file

    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() or not path.exists():
            replace_file(path, data)
        else:
            path.write_bytes(data)  # a pipe or /dev/null, which is no file to replace
    except OSError as error:
        raise click.FileError(name, error.strerror) from None
    return True
