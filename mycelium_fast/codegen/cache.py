"""The cache of modules compiled at run time: a directory for each contracts file, whole or not there.

    <cache>/mycelium-fast/<version>-abi<N>-<interpreter>-<fingerprint>/
        <digest>/           manifest.json, the extension module, its stub
        <digest>.lock       held by the one process that compiles

What is found there is executed, so that it has to be this user's (or root's) and nobody else's to write, and
as it was when it was put there.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import stat
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mycelium_fast._version import __version__
from mycelium_fast.codegen.compile import abi_version, fingerprint, replace_file
from mycelium_fast.codegen.switches import Switches

__all__ = ["Entry", "directory", "get"]

_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One compiled module.

    Attributes:
        module: path of the extension module.
        notes: what `build` returned when it was compiled.
    """

    module: Path
    notes: tuple[str, ...]


def get(digest: str, module_name: str, build: Callable[[Path], list[str]]) -> Entry:
    """Find a compiled module, or have it built.

    Args:
        digest: of the contracts file, in hex.
        module_name: a name without dots.
        build: compiles the module into the directory that it is given, and returns notes to keep with it.

    Warns:
        RuntimeWarning: the cache cannot be used; a directory of this process alone takes its place.
    """
    home = directory()
    try:
        _see_that_it_is_ours(home)
        return _find(home / digest, module_name) or _fill(home, digest, module_name, build)
    except (OSError, _NotOurs) as error:
        reason = str(error)
    home = _own_directory()
    found = _find(home / digest, module_name)
    if found is None:
        warnings.warn(
            f"compiling for this process alone, since the cache {directory()} cannot be used: {reason}; "
            "set MYCELIUM_CACHE_DIR to a directory that you can write to",
            RuntimeWarning,
            stacklevel=4,
        )
        found = _fill(home, digest, module_name, build)
    return found


def directory() -> Path:
    """Where modules of this version, interpreter and set of switches are kept; it need not exist."""
    switches = Switches.from_environment()
    interpreter = sysconfig.get_config_var("EXT_SUFFIX").strip(".").partition(".")[0]
    kind = f"{__version__}-abi{abi_version()}-{interpreter}"
    if switches.tag:
        kind += f"-{switches.tag}"
    return _root() / "mycelium-fast" / f"{kind}-{fingerprint(switches)[:12]}"


class _NotOurs(Exception):
    """Somebody else could change what is in the cache."""


def _root() -> Path:
    if given := os.environ.get("MYCELIUM_CACHE_DIR"):
        return Path(given).absolute()
    # The XDG specification has relative paths ignored.
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return Path(given)
    home = Path(os.path.expanduser("~"))
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"


@functools.cache
def _own_directory() -> Path:
    path = tempfile.mkdtemp(prefix="mycelium-fast-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def _see_that_it_is_ours(home: Path) -> None:
    home.parent.parent.mkdir(parents=True, exist_ok=True)
    for path in (home.parent, home):
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.stat()
        if status.st_uid not in (os.geteuid(), 0):
            raise _NotOurs(f"{path} belongs to another user (uid {status.st_uid})")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _NotOurs(f"{path} can be written to by others (chmod go-w {path})")


def _find(entry: Path, module_name: str) -> Entry | None:
    """The entry, if it is whole: what a crash or a full disk left behind does not count."""
    try:
        manifest = json.loads((entry / _MANIFEST).read_bytes())
        module = entry / (module_name + sysconfig.get_config_var("EXT_SUFFIX"))
        if hashlib.sha256(module.read_bytes()).hexdigest() == manifest["sha256"]:
            return Entry(module, tuple(map(str, manifest["notes"])))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        pass
    return None


def _fill(home: Path, digest: str, module_name: str, build: Callable[[Path], list[str]]) -> Entry:
    entry = home / digest
    with _locked(home / f"{digest}.lock"):
        found = _find(entry, module_name)  # by another process, while this one waited
        if found is not None:
            return found
        work = Path(tempfile.mkdtemp(prefix=f".{digest[:16]}-", dir=home))
        try:
            notes = build(work)
            module = work / (module_name + sysconfig.get_config_var("EXT_SUFFIX"))
            manifest = {"sha256": hashlib.sha256(module.read_bytes()).hexdigest(), "notes": notes}
            replace_file(work / _MANIFEST, json.dumps(manifest).encode())
            if entry.exists():
                _discard(entry)
            # Fails if another process, on a file system without locks, was quicker: its entry is as good.
            with contextlib.suppress(OSError):
                os.rename(work, entry)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        found = _find(entry, module_name)
    if found is None:
        raise OSError(f"{entry} does not keep what is written to it")
    return found


def _discard(entry: Path) -> None:
    """Move a broken entry away in one step, then delete it."""
    away = Path(tempfile.mkdtemp(prefix=".broken-", dir=entry.parent))
    with contextlib.suppress(FileNotFoundError):
        os.rename(entry, away / entry.name)
    shutil.rmtree(away, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Without locks (some network file systems) two processes compile the same; the rename decides.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
