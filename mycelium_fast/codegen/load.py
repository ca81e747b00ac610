"""`load`: a contracts file to a module at run time, for notebooks, tests and tools.

Compiled modules are kept in a cache that `cache.py` looks after; a project that is built should name its
modules in pyproject.toml instead (`hook.py`), which needs neither compiler nor cache where it runs.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import linecache
import os
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fast.errors import BuildError, ContractWarning

if TYPE_CHECKING:
    from mycelium_fast.codegen.compile import Progress
    from mycelium_fast.contracts import Contracts

__all__ = ["load"]

_lock: Final = threading.RLock()


def load(
    path: str | os.PathLike[str], *, compiled: bool = True, progress: Progress | None = None
) -> types.ModuleType:
    """Make a module of message classes from a contracts file.

    Compiling happens once for each content of the file, version of this package, interpreter and set of
    build switches; the result is kept in `$MYCELIUM_CACHE_DIR`, or in the user's cache directory. The same
    content gives the same module object as long as the process runs, so that its classes stay the same and
    its messages can be pickled.

    Args:
        path: the contracts file.
        compiled: False renders plain Python, which needs no compiler and is many times slower. It is never
            chosen on its own.
        progress: called as each step of compiling begins, with the step, the number of steps done and their
            total; not called if there is nothing to compile.

    Warns:
        ContractWarning: something in the file is allowed and probably not meant.
        RuntimeWarning: the cache cannot be used, so that this process compiles for itself alone.

    Raises:
        ContractError: the file cannot be used.
        BuildError: something needed for compiling is missing, or it failed.
    """
    file = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except OSError:
        from mycelium_fast import contracts

        contracts.load(path)  # has the error's text
        raise
    digest = hashlib.sha256(data).hexdigest()
    name = f"mycelium_messages_{digest[:16]}" + ("" if compiled else "_python")
    # Not only for the table of modules: two threads that compile the same file would do it twice.
    with _lock:
        module = sys.modules.get(name)
        if module is None:
            make = _compiled if compiled else _plain
            module = make(name, data, file, digest, progress)
    return module


def _compiled(name: str, data: bytes, file: str, digest: str, progress: Progress | None) -> types.ModuleType:
    from mycelium_fast.codegen import cache
    from mycelium_fast.codegen.compile import build_module

    try:
        importlib.import_module("mycelium_fast.codec")
    except ImportError as error:
        raise BuildError(str(error)) from None

    def build(directory: Path) -> list[str]:
        contracts = _parse(data, file)
        build_module(contracts, name, directory, progress=progress)
        return [f"{line}:{column}: {text}" for line, column, text in contracts.warnings]

    entry = cache.get(digest, name, build)
    _warn(file, entry.notes)
    loader = importlib.machinery.ExtensionFileLoader(name, str(entry.module))
    spec = importlib.util.spec_from_file_location(name, entry.module, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    return _execute(name, module, lambda: loader.exec_module(module))


def _plain(name: str, data: bytes, file: str, digest: str, progress: Progress | None) -> types.ModuleType:
    from mycelium_fast.codegen.render import render

    contracts = _parse(data, file)
    _warn(file, (f"{line}:{column}: {text}" for line, column, text in contracts.warnings))
    source = render(contracts, "python")
    shown = f"<{name} from {os.path.basename(file)}>"
    module = types.ModuleType(name)
    module.__file__ = shown
    # For the source lines in tracebacks; without a time, so that checkcache() leaves the entry alone.
    linecache.cache[shown] = (len(source), None, source.splitlines(keepends=True), shown)
    code = compile(source, shown, "exec", dont_inherit=True)
    return _execute(name, module, lambda: exec(code, module.__dict__))


def _execute(name: str, module: types.ModuleType, run: Callable[[], object]) -> types.ModuleType:
    # Before it runs, as the import system does: classes may look their module up.
    sys.modules[name] = module
    try:
        run()
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules[name]


def _parse(data: bytes, file: str) -> Contracts:
    from mycelium_fast import contracts

    return contracts.parse(data, file)


def _warn(file: str, notes: Iterable[str]) -> None:
    for note in notes:
        # The frames between: this function, _compiled or _plain, load.
        warnings.warn(f"{file}:{note}", ContractWarning, stacklevel=4)
