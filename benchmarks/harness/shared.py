"""What figures share: made when the first of them asks for it, over when their process ends."""

from __future__ import annotations

import atexit
import contextlib
import functools
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_lasting = contextlib.ExitStack()
_forget: list[Callable[[], None]] = []


def shared(make: Callable[P, AbstractContextManager[T]]) -> Callable[P, T]:
    """A decorator: what the function makes is entered once for the same arguments, and left at the end."""

    def enter(*args: P.args, **options: P.kwargs) -> T:
        return _lasting.enter_context(make(*args, **options))

    once = functools.wraps(make)(functools.cache(enter))
    _forget.append(once.cache_clear)
    return once  # type: ignore[return-value]  # (a cache takes whatever can be hashed)


def folder() -> Path:
    """A new folder, empty, for as long as the rest."""
    made = tempfile.TemporaryDirectory(prefix="mycelium-", ignore_cleanup_errors=True)
    return Path(_lasting.enter_context(made))


@atexit.register
def end() -> None:
    """End all of it, the last first; whoever asks then gets it anew."""
    for forget in _forget:
        forget()
    _lasting.close()
