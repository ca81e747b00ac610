"""Start-up: imports, the first message, the bridge's start, and what generating and building take.

Whole programs are measured by the wall clock, with every file that they read in the system's cache and
Python's `.pyc` files written: the first run of each, which sees to that, is its check and does not count.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from contenders import brokers, first_message, generating
from contenders.whole_process import until_end, until_said
from harness import Measure, figure, limit, ours, peer
from harness.peers import have, nats_server
from harness.shared import folder, shared

from mycelium_fast.codegen.render import Language
from mycelium_fast.contracts import load

#: What programs import.
OURS = {
    "ours, the package": "import mycelium_fast",
    "ours, compiled messages": "import mycelium_fast.example_messages",
    "ours, blocking client": "from mycelium_fast import UnixTransport",
    "ours, asyncio client": "from mycelium_fast import MyceliumClient",
    "ours, the bridge": "from mycelium_fast.bridge import Bridge",
}
PEERS = {
    "msgspec": "import msgspec",
    # What generated modules import.
    "protobuf": "from google.protobuf import descriptor_pool; from google.protobuf.internal import builder",
    "pyzmq": "import zmq",
    "eclipse-zenoh": "import zenoh",
    "nats-py": "import nats",
}
LANGUAGES: dict[str, Language] = {
    "Cython": "cython",
    "plain Python": "python",
    "Rust": "rust",
    "C": "c",
    "OCaml": "ocaml",
}
_PROXY = """
import sys, zmq
with zmq.Context() as context, context.socket(zmq.XSUB) as xsub, context.socket(zmq.XPUB) as xpub:
    xsub.bind(f"ipc://{sys.argv[1]}.in")
    xpub.bind(f"ipc://{sys.argv[1]}.out")
    print("listening", flush=True)
    zmq.proxy(xsub, xpub)
"""


@figure("import", of="a process", limit_explained="Imports")
def imports(measure: Measure, _variant: str) -> None:
    """A Python process that imports something and ends: `python -c "import …"`, no flags, in an empty folder.

    The limit is an interpreter that imports nothing. Each part of ours is loaded when it is first used, so it
    has a row of its own. Both asyncio clients, ours and nats-py, import asyncio, which has a row as well.
    What protobuf imports is what a generated module begins with. Memory is not measured here.
    """

    def run(program: str) -> dict[str, Callable[[], object]]:
        import_it = functools.partial(until_end, [sys.executable, "-c", program], measure.scratch)
        return {"run": import_it, "check": import_it}

    contenders = [ours(name, **run(program)) for name, program in OURS.items()]
    contenders += [peer(name, **run(program)) for name, program in PEERS.items() if have(name)]
    contenders.append(peer("asyncio alone", **run("import asyncio")))
    contenders.append(limit("empty interpreter", **run("pass")))
    measure.sampled(contenders, rounds=5)


@figure("first message", of="a process", limit_explained="Imports")
def first(measure: Measure, _variant: str) -> None:
    """From the start of a Python process to its first message in a subscriber's hands.

    The subscriber is in the process that measures, and was there before. Ours connects to a running bridge,
    names its schema, is welcomed, and publishes a TradeTick. nats-py goes through a running nats-server.
    pyzmq (PUSH to PULL) and zenoh (two peers, one link) have nothing in between, which is less work. zenoh
    waits until it knows of the subscriber, or its message might be lost. The limit connects a plain socket,
    packs 22 bytes with `struct` and sends them.
    """
    with contextlib.ExitStack() as stack:

        def ready(subscriber: AbstractContextManager[first_message.First]) -> dict[str, Any]:
            run = stack.enter_context(subscriber)
            return {"run": run, "check": run}

        contenders = [
            ours(
                "ours, bridge",
                **ready(first_message.ours(measure.scratch, _bridge()[0].removeprefix("unix:"))),
            )
        ]
        if have("pyzmq"):
            contenders.append(peer("pyzmq PUSH/PULL", **ready(first_message.zmq(measure.scratch))))
        if have("nats-py") and have("nats-server"):
            contenders.append(
                peer(
                    "nats-py, nats-server",
                    **ready(first_message.nats(measure.scratch, _nats().replace("tcp://", "nats://"))),
                )
            )
        if have("eclipse-zenoh"):
            contenders.append(peer("zenoh", **ready(first_message.zenoh(measure.scratch))))
        contenders.append(limit("bare socket", **ready(first_message.bare_socket(measure.scratch))))
        measure.sampled(contenders, rounds=5)


@figure("broker", of="a start", limit_explained="Starting the bridge")
def broker(measure: Measure, _variant: str) -> None:
    """From the start of a broker's process to the line in which it says that it listens.

    Ours reads and checks a contracts file, and listens on a Unix socket. nats-server is a compiled program
    without an interpreter to start, and has no schema; it listens on TCP. The ZeroMQ proxy is a Python
    program of six lines. The limit is a Python program that prints one line.
    """
    python = sys.executable

    def run(words: bytes, *command: str) -> dict[str, Callable[[], object]]:
        start_it = functools.partial(until_said, command, measure.scratch, words)
        return {"run": start_it, "check": start_it}

    bridge = [python, "-m", "mycelium_fast", "bridge", "--unix", str(measure.scratch / "bridge.sock")]
    contenders = [
        ours("ours, mycelium bridge", **run(b"listening on", *bridge, "--contracts", str(brokers.CONTRACTS)))
    ]
    if (program := nats_server()) is not None:
        contenders.append(
            peer("nats-server", **run(b"Server is ready", program, "-a", "127.0.0.1", "-p", "-1"))
        )
    if have("pyzmq"):
        proxy = str(measure.scratch / "proxy")
        contenders.append(peer("pyzmq, proxy", **run(b"listening", python, "-c", _PROXY, proxy)))
    contenders.append(limit("empty interpreter", **run(b"listening", python, "-c", "print('listening')")))
    measure.sampled(contenders, rounds=5)


@figure("generate", of="a contracts file", axis="messages", limit_explained="Reading contracts")
def generate(measure: Measure, _variant: str) -> None:
    """Source text from a contracts file, by number of messages: reading, checking, laying out and rendering.

    In a process that has done so before: starting one and loading the templates are not part of it. The
    messages are TradeTick, TextMessage and PoolStateUpdate in turn. "Reading alone" stops before the
    template. The limit is libyaml's parser (PyYAML's `CSafeLoader`), which makes dicts and lists of the same
    file and checks nothing.
    """
    contenders = []
    for messages in (1, 10) if measure.quick else (1, 10, 100, 1000):
        file = generating.contracts(measure.scratch, messages)
        for name, language in LANGUAGES.items():
            run = _repeated(generating.generated(file, language), messages)
            check = functools.partial(generating.checked, file, messages, language)
            contenders.append(
                ours(f"ours, {name}", run, x=messages, check=check if messages <= 100 else None)
            )
        reading = _repeated(functools.partial(load, file), messages)
        contenders.append(ours("ours, reading alone", reading, x=messages))
        contenders.append(limit("libyaml", _repeated(generating.parsed(file), messages), x=messages))
    measure.sampled(contenders, rounds=2)


@figure("build", of="a module", axis="messages", limit_explained="Building is Cython and the C compiler")
def build(measure: Measure, _variant: str) -> None:
    """`mycelium build`: from a contracts file to a compiled module, by number of messages.

    That is an interpreter's start, rendering, Cython, and the C compiler. The limit is the C compiler alone,
    with the same flags, given the C that Cython made of the same file: no way to an extension module is
    without it. What was built is imported afterwards, and has all of its messages.
    """
    contenders = []
    for messages in (1,) if measure.quick else (1, 10):
        file = generating.contracts(measure.scratch, messages)
        out = measure.scratch / f"built-{messages}"
        out.mkdir()
        command = generating.build_command(file, out)

        def built(command: list[str] = command, out: Path = out, messages: int = messages) -> int:
            taken = until_end(command, measure.scratch)
            generating.import_built(out, messages)
            return taken

        compiled = functools.partial(
            until_end, generating.compile_command(file, measure.build), measure.scratch
        )
        contenders.append(ours("ours", built, x=messages))
        contenders.append(limit("C compiler", compiled, x=messages))
    measure.sampled(contenders, rounds=1)


def _repeated(run: Callable[[], object], messages: int) -> Callable[[], float]:
    """Nanoseconds of a run that takes longer for more messages: the mean of several where they are few."""
    times = max(1, 20 // messages)

    def repeated() -> float:
        start = time.perf_counter_ns()
        for _ in range(times):
            run()
        return (time.perf_counter_ns() - start) / times

    return repeated


# --- brokers of the first message ---------------------------------------------------------------------------


@shared
def _bridge() -> AbstractContextManager[list[str]]:
    return brokers.bridge(folder())


@shared
def _nats() -> AbstractContextManager[str]:
    program = nats_server()
    assert program is not None
    return brokers.nats(folder(), program)
