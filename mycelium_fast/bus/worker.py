"""A user's function with a connected client, as a process of its own: what `mycelium worker` runs.

It finds the function, connects, calls it, and ends in order when a signal comes. The command's options are
`cli/worker.py`'s; starting and restarting the process is a bridge's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import importlib
import inspect
import os
import pkgutil
import signal
import ssl
import sys
import traceback
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from ..errors import SchemaMismatchError
from ..session import DIGEST_SIZE
from ..transport.addresses import Address, parse_address
from ..transport.dial import claim_stdio
from .client import MyceliumClient
from .environment import DIGEST_VARIABLE
from .registry import modules, only_digest
from .transports import SocketTransport, TcpTransport, UnixTransport

if TYPE_CHECKING:
    from .settings import Options

__all__ = [
    "load_function",
    "prepare",
    "run_worker",
    "worker_address",
    "worker_digest",
]

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
#: Seconds for the answer of a bridge that is known to give one.
_STDIO_GRACE_S: Final = 5.0


class _Stopped(BaseException):
    """A signal asks for the end; raised where the program is at that moment, as KeyboardInterrupt is."""


def worker_address(text: str) -> Address:
    """An address as users and bridges write it: `unix:` may be missing in front of a path.

    Raises:
        ValueError: it is none.
    """
    is_path = "://" not in text and ("/" in text or ":" not in text)
    if is_path and text and not text.startswith("unix:"):
        return Address("unix", path=text)
    return parse_address(text)


def worker_digest(text: str | None, accepted: str | None = None) -> bytes:
    """The schema digest to connect with: `MYCELIUM_SCHEMA_DIGEST`, or of the one generated module imported.

    Args:
        accepted: `MYCELIUM_ACCEPTED_DIGESTS`: where no module has the bridge's digest, one that has one of
            these will do.

    Raises:
        ValueError: the text is no digest.
        SchemaMismatchError: none is that of the generated modules that are imported; says both.
        MyceliumError: there is no text, and no generated module imported, or several; lists them.
    """
    if text is None:
        return only_digest()
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_SIZE or len(text) != 2 * DIGEST_SIZE:
        raise ValueError(f"{DIGEST_VARIABLE} has {2 * DIGEST_SIZE} hexadecimal digits, not as {text!r}")
    found = modules()
    if found and all(digest != module.SCHEMA_DIGEST for module in found):
        others = {module.SCHEMA_DIGEST.hex() for module in found} & set((accepted or "").lower().split(","))
        if len(others) == 1:
            return bytes.fromhex(others.pop())
        listed = ", ".join(f"{module.__name__} has {module.SCHEMA_DIGEST.hex()}" for module in found)
        raise SchemaMismatchError(
            f"the bridge has the schema digest {digest.hex()} ({DIGEST_VARIABLE}), and {listed}: generate "
            "the messages from the bridge's contracts file again, or have the bridge accept theirs (accept)"
        )
    return digest


def load_function(target: str) -> Callable[[Any], Any]:
    """The function that `module:function` names; a dot leads into a class or an object.

    Raises:
        LookupError: there is no such module or function, or it takes no client; says what is near.
        ImportError: the module raised something, which is the cause.
    """
    name, colon, path = target.partition(":")
    if not colon or not path or not all(part.isidentifier() for part in [*name.split("."), *path.split(".")]):
        hint = _from_path(target)
        raise LookupError(f"{target!r} is not MODULE:FUNCTION, such as strategies.momentum:main{hint}")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Missing is the module itself, or the package that it is in; else it is one that the module imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _not_imported(name, error) from error
        raise LookupError(
            f"there is no module {error.name!r}, neither in {os.getcwd()} nor among those installed"
            f"{_near(error.name, _modules_beside(error.name))}"
        ) from None
    except Exception as error:
        raise _not_imported(name, error) from error
    function: Any = module
    for part in path.split("."):
        try:
            function = getattr(function, part)
        except AttributeError:
            names = [each for each in dir(function) if callable(getattr(function, each, None))]
            near = _near(part, [each for each in names if not each.startswith("_")])
            raise LookupError(f"{name} has no function {path!r}{near}") from None
    if not callable(function) or inspect.isclass(function):
        raise LookupError(f"{target} is no function, but {function!r}")
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise LookupError(
            f"{target} has to take one argument: async def {path}(client) or def {path}(transport), and not "
            f"{path}{inspect.signature(function)}"
        ) from None
    except ValueError:  # one written in C, which does not tell
        pass
    return function  # type: ignore[no-any-return]


def run_worker(
    function: Callable[[Any], Any], address: Address, digest: bytes | None, *, service: str = ""
) -> int:
    """Call the function with a connected client until it returns, or SIGTERM or SIGINT comes.

    Args:
        function: a coroutine function gets a `MyceliumClient`, any other a blocking transport.
        digest: None for a peer that expects no handshake.

    Returns:
        the exit status: 0 when it returned or was stopped, 1 when it raised (with the traceback on stderr).

    Raises:
        MyceliumError: no connection; why.
    """
    options: Options = {"service": service, "handshake": digest is not None}
    if address.kind == "stdio":  # there is a bridge of ours, which answers, however busy the machine is
        options["handshake_grace"] = _STDIO_GRACE_S
    if _is_async(function):
        return asyncio.run(_run_async(function, MyceliumClient(address, schema_digest=digest, **options)))
    return _run_blocking(function, _transport(address, digest, options))


async def _run_async(function: Callable[[Any], Coroutine[Any, Any, Any]], client: MyceliumClient) -> int:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop(number: int) -> None:
        if not stopped.is_set():
            stopped.set()
            task.cancel()
        elif (
            number == signal.SIGINT
        ):  # asked for twice: at once. (SIGTERM comes twice from some supervisors.)
            os._exit(128 + number)

    async def work() -> int:
        async with client:
            try:
                await function(client)
            except (SystemExit, KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and stopped.is_set():
                    raise
                _show(error)
                return 1
        return 0

    # A task of its own: what asyncio.run() does about its main task's cancellation is its own affair.
    task = loop.create_task(work())
    for number in _STOPPING:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        return 0


def _run_blocking(
    function: Callable[[Any], Any], transport: UnixTransport | TcpTransport | SocketTransport
) -> int:
    interruptible = True

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal interruptible
        if interruptible:
            interruptible = False
            raise _Stopped
        if number == signal.SIGINT:
            os._exit(128 + number)

    for number in _STOPPING:
        signal.signal(number, stop)
    try:
        with transport:
            try:
                function(transport)
            except Exception as error:
                interruptible = False
                _show(error)
                return 1
            finally:
                interruptible = False  # what is left is to send what waits
    except _Stopped:
        pass
    return 0


def _transport(
    address: Address, digest: bytes | None, options: Options
) -> UnixTransport | TcpTransport | SocketTransport:
    if address.kind == "unix":
        return UnixTransport(address.path, digest, **options)
    if address.kind == "stdio":
        return SocketTransport.stdio(digest, **options)
    tls = ssl.create_default_context() if address.kind == "tls" else None
    return TcpTransport(address.host, address.port, digest, tls=tls, **options)


def _is_async(function: Callable[[Any], Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with async def __call__
    )


def _show(error: BaseException) -> None:
    """The traceback, from the user's function on."""
    trace = error.__traceback__
    traceback.print_exception(type(error), error, None if trace is None else trace.tb_next)
    sys.stderr.flush()


def _not_imported(name: str, error: Exception) -> ImportError:
    return ImportError(f"{name} cannot be imported: {type(error).__name__}: {error}", name=name)


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _from_path(target: str) -> str:
    """A hint for who wrote a file's name."""
    path, _, function = target.partition(":")
    if not path.endswith(".py"):
        return ""
    module = path.removesuffix(".py").strip("./").replace("/", ".")
    return f"; did you mean {module}:{function or 'main'}?"


def _modules_beside(name: str) -> list[str]:
    """Names of modules where this one was looked for."""
    package, _, _ = name.rpartition(".")
    places = [os.getcwd()]
    if package:
        found = sys.modules.get(package)
        places = list(getattr(found, "__path__", []))
    prefix = f"{package}." if package else ""
    with contextlib.suppress(OSError):
        return [prefix + each.name for each in pkgutil.iter_modules(places)]
    return []


def prepare(address: Address) -> None:
    """Before the user's module is imported: from now on nothing that it prints ends up in the connection."""
    if address.kind == "stdio":
        claim_stdio()
