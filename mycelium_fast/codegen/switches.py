"""How C is made and compiled, for the codec and for generated modules alike: the one place for it.

Three environment variables change it: `MYCELIUM_DEBUG=1` (no optimisation, symbols, C assertions),
`MYCELIUM_LINETRACE=1` (Cython line tracing, for coverage) and `MYCELIUM_SANITIZE=address,undefined` (the
compiler's sanitizers, with freelists off so that they see every object come and go).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mycelium_fast.errors import BuildError

__all__ = ["Switches"]

_OFF = {"", "0", "false", "no", "off"}
_ON = {"1", "true", "yes", "on"}
_SANITIZERS = ("address", "undefined", "thread", "leak")


@dataclass(frozen=True, slots=True)
class Switches:
    """The build's switches, and what they mean to Cython, compiler and linker."""

    debug: bool = False
    linetrace: bool = False
    sanitize: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Switches:
        """Read the three variables.

        Raises:
            BuildError: a value that means nothing.
        """
        names = environ.get("MYCELIUM_SANITIZE", "").replace(" ", "")
        sanitize = tuple(sorted({name for name in names.split(",") if name}))
        for name in sanitize:
            if name not in _SANITIZERS:
                raise BuildError(
                    f"MYCELIUM_SANITIZE={names}: no sanitizer {name!r}; there are {', '.join(_SANITIZERS)}"
                )
        return cls(_flag(environ, "MYCELIUM_DEBUG"), _flag(environ, "MYCELIUM_LINETRACE"), sanitize)

    @property
    def tag(self) -> str:
        """A short name for directories: empty for an ordinary build."""
        names = ["debug"] * self.debug + ["linetrace"] * self.linetrace + list(self.sanitize)
        return "-".join(names)

    @property
    def directives(self) -> dict[str, bool | int]:
        """Cython's compiler directives."""
        directives: dict[str, bool | int] = {
            "language_level": 3,
            "binding": False,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "embedsignature": True,
        }
        if self.linetrace:
            # Only functions with `binding` can be traced.
            directives.update(linetrace=True, binding=True)
        return directives

    @property
    def macros(self) -> list[tuple[str, str | None]]:
        """Preprocessor macros to define."""
        macros: list[tuple[str, str | None]] = []
        if self.linetrace:
            macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]
        if self.sanitize:
            macros.append(("MYCELIUM_NO_FREELIST", "1"))
        return macros

    @property
    def undefined_macros(self) -> list[str]:
        """Preprocessor macros to undefine: Python's own flags turn `assert` off."""
        return ["NDEBUG"] if self.debug or self.sanitize else []

    @property
    def compile_args(self) -> list[str]:
        """Arguments for the C compiler; never -march, since a wheel runs on other machines too."""
        if self.sanitize:
            return [
                "-O1",
                "-g",
                f"-fsanitize={','.join(self.sanitize)}",
                "-fno-sanitize-recover=all",
                "-fno-omit-frame-pointer",
            ]
        return ["-O0", "-g"] if self.debug else ["-O3", "-g0"]

    @property
    def link_args(self) -> list[str]:
        """Arguments for the linker."""
        return [f"-fsanitize={','.join(self.sanitize)}"] if self.sanitize else []


def _flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").strip().lower()
    if value in _OFF:
        return False
    if value in _ON:
        return True
    raise BuildError(f"{name}={value}: neither on (1) nor off (0)")
