"""`python -m mycelium_fast` is the command `mycelium`, for where scripts are not on PATH."""

from __future__ import annotations

from mycelium_fast.cli import run

if __name__ == "__main__":
    run()
