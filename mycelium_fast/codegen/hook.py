"""The setuptools hook: compiles the modules that a project's pyproject.toml names, with no code of its own.

    [[tool.mycelium.modules]]
    name = "trading.messages"
    contracts = "contracts.yaml"

setuptools calls `finalize_distribution` in every build of an environment that has this package, so what
is not ours has to be found out cheaply; the work itself is in `build_command.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from setuptools import Distribution

__all__ = ["finalize_distribution"]

_KEYS: Final = ("name", "contracts")
_MARK: Final = "_mycelium_modules"


def finalize_distribution(distribution: Distribution) -> None:
    """Add the modules of `[[tool.mycelium.modules]]` to a distribution that is about to be built.

    Raises:
        setuptools.errors.SetupError: the table cannot be used; says which entry and why.
    """
    # The project that builds this very package calls the hook itself, and may have the package installed.
    if hasattr(distribution, _MARK):
        return
    root = Path(getattr(distribution, "src_root", None) or os.curdir)
    try:
        data = (root / "pyproject.toml").read_bytes()
    except OSError:
        return
    if b"mycelium" not in data:
        return
    modules = _modules(data, root)
    if not modules:
        return
    setattr(distribution, _MARK, tuple(modules))
    from mycelium_fast.codegen.build_command import ContractsExtension, use_build_command

    extensions = [ContractsExtension(name, contracts) for name, contracts in modules.items()]
    distribution.ext_modules = [*(distribution.ext_modules or []), *extensions]
    use_build_command(distribution)


def _modules(data: bytes, root: Path) -> dict[str, str]:
    """Names of modules and their contracts files, which are relative to `root`."""
    try:
        document = _toml(data)
    except ValueError:
        # setuptools reads the same file and says it better.
        return {}
    tool = document.get("tool")
    table = tool.get("mycelium") if isinstance(tool, dict) else None
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise _error("tool.mycelium", "is not a table")
    for key in table:
        if key != "modules":
            raise _unknown("tool.mycelium", key, ("modules",))
    entries = table.get("modules", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _error("tool.mycelium.modules", "is not an array of tables: write [[tool.mycelium.modules]]")
    modules: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        where = f"tool.mycelium.modules (entry {number})"
        name, contracts = _entry(entry, where, root)
        if name in modules:
            raise _error(where, f"names the module {name!r} a second time")
        modules[name] = contracts
    return modules


def _entry(entry: dict[str, Any], where: str, root: Path) -> tuple[str, str]:
    from mycelium_fast.codegen.compile import check_module_name

    for key in entry:
        if key not in _KEYS:
            raise _unknown(where, key, _KEYS)
    for key in _KEYS:
        if not isinstance(entry.get(key), str):
            raise _error(where, f"has no {key!r}" if key not in entry else f"has a {key!r} that is no text")
    name, contracts = entry["name"], entry["contracts"]
    try:
        check_module_name(name)
    except ValueError as error:
        raise _error(where, f"has a name that cannot be imported: {error}") from None
    path = Path(contracts)
    if path.is_absolute() or ".." in path.parts:
        raise _error(
            where,
            f"has contracts outside the project ({contracts}), so that a source distribution would lack "
            "them; put the file, or a symbolic link to it, inside",
        )
    if not (root / path).is_file():
        raise _error(where, f"names a contracts file that is not there: {contracts} (in {root.resolve()})")
    return name, path.as_posix()


def _toml(data: bytes) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib
    document: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    return document


def _unknown(where: str, key: str, known: tuple[str, ...]) -> Exception:
    import difflib

    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    return _error(where, f"has an unknown key {key!r}; {hint}")


def _error(where: str, text: str) -> Exception:
    from setuptools.errors import SetupError

    return SetupError(f"pyproject.toml: {where} {text}")
