"""The commands `mycelium` and `mycelium-codegen`: one file per command, loaded when it is asked for.

The entry points stand here, and import nothing before they are called: where click is not installed they
say so in a line.
"""

from __future__ import annotations

import sys

__all__ = ["run", "run_codegen"]


def run() -> None:
    """`mycelium`, and `python -m mycelium_fast`."""
    _see_that_click_is_there("mycelium")
    from mycelium_fast.cli.main import main

    main(prog_name="mycelium")


def run_codegen() -> None:
    """`mycelium-codegen`: the command `mycelium codegen` under its established name."""
    _see_that_click_is_there("mycelium-codegen")
    from mycelium_fast.cli.main import main

    main(args=["codegen", *sys.argv[1:]], prog_name="mycelium")


def _see_that_click_is_there(program: str) -> None:
    try:
        import click  # noqa: F401
    except ImportError:
        sys.stderr.write(f'{program} needs the package click: run `pip install "mycelium-fast[cli]"`\n')
        sys.exit(2)
