"""`mycelium demo`: a bridge, a publisher and a checking subscriber as processes, and what came of it.

It starts them, shows how far they are, judges the result and cleans up. The messages, and the checking of
each of them, are in `demo_traffic.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

import click

from ..errors import MyceliumError
from .demo_traffic import Plan

__all__ = ["command"]

#: Seconds without any progress after which the demo has failed.
_PATIENCE_S: Final = 20.0
_SHOW_EVERY_S: Final = 0.5
_TRAFFIC: Final = "mycelium_fast.cli.demo_traffic"
#: Bytes of a frame of either class.
_TICK_FRAME: Final = 6 + 16
_TEXT_FRAME: Final = 6 + 312


class _DemoFailed(Exception):
    """The demo could not be run to its end; the text says why."""


@click.command("demo")
@click.option("--ticks", type=click.IntRange(min=0), default=1_000_000, show_default=True, metavar="N")
@click.option("--texts", type=click.IntRange(min=0), default=100_000, show_default=True, metavar="N")
@click.option(
    "--contracts",
    type=click.Path(exists=True, dir_okay=False),
    help="A contracts file with the example's TradeTick and TextMessage; built if needed.",
)
@click.option("--fault", type=click.Choice(["lose", "alter", "repeat"]), default=None, hidden=True)
def command(ticks: int, texts: int, contracts: str | None, fault: str | None) -> None:
    """Send numbered messages through a bridge, and check every one at the far end.

    Starts a bridge, a publisher and a subscriber as processes of their own, on a Unix socket in a temporary
    folder. Exits with 1 if a message is missing, different, repeated or out of order.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        contracts_file, loaded = _messages(contracts)
        offset = time.time_ns() - time.monotonic_ns()
        result = _run(Plan(ticks, texts, loaded, offset, fault or ""), contracts_file)
    except (_DemoFailed, MyceliumError) as error:
        click.echo(f"demo failed: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    _print_result(result, ticks, texts)
    wrong = [result[kind] for kind in ("lost", "different", "repeated", "late", "undecodable")]
    if any(wrong) or result["received"] != ticks + texts:
        click.echo("demo failed: what arrived is not what was sent", err=True)
        sys.exit(1)
    click.echo("every message arrived once, in order, as it was sent")


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _messages(contracts: str | None) -> tuple[Path, str | None]:
    """The contracts file for the bridge, and the one to load for the others (None: the package's module)."""
    if contracts is None:
        beside = Path(__file__).parents[1]
        places = (beside / "contracts.yaml", beside.parent / "contracts.yaml")
        candidates = [path for path in places if path.exists()]
        try:
            digest = importlib.import_module("mycelium_fast.example_messages").SCHEMA_DIGEST
        except ImportError as error:
            if not candidates:
                raise _DemoFailed(
                    f"the example messages are not compiled ({error}): install the package with pip, "
                    "or name a contracts file with --contracts"
                ) from error
            contracts = str(candidates[0])
        else:
            for path in candidates:
                if hashlib.sha256(path.read_bytes()).digest() == digest:
                    return path, None
            raise _DemoFailed(
                f"no contracts.yaml with the digest {digest.hex()} of the example messages beside the package"
                ": install the package again, or name a contracts file with --contracts"
            )
    from ..codegen.load import load

    contracts = str(Path(contracts).resolve())  # the other processes run elsewhere
    click.echo(f"loading {contracts} (compiled the first time, which takes a while)", err=True)
    module = load(contracts)
    needed = {"TradeTick": ("price", "size"), "TextMessage": ("sender", "content", "timestamp")}
    for name, fields in needed.items():
        found = getattr(getattr(module, name, None), "__match_args__", None)
        if found != fields:
            raise _DemoFailed(
                f"{contracts} needs a message {name} with exactly the fields {', '.join(fields)}"
            )
    return Path(contracts), contracts


def _run(plan: Plan, contracts: Path) -> dict[str, Any]:
    """Run the three processes; returns what the last two reported, merged."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mycelium-")))
        path = str(folder / "bus.sock")
        news: queue.Queue[tuple[_Process, str | None]] = queue.Queue()

        def start(name: str, *arguments: str) -> _Process:
            process = _Process(name, arguments, folder / f"{name}.log", news)
            stack.callback(process.stop)
            return process

        bridge = start(
            "bridge",
            "mycelium_fast",
            "bridge",
            "--unix",
            path,
            "--contracts",
            str(contracts),
            "--max-output",
            "1 MiB",
            "--slow-consumer",
            "block",
        )
        _next_line(news, bridge)
        workers = [
            start("subscriber", _TRAFFIC, "check", path),
            start("publisher", _TRAFFIC, "publish", path),
        ]
        subscriber, publisher = workers
        for worker in workers:
            worker.tell(json.dumps(dataclasses.asdict(plan)))
        for _ in workers:
            _next_line(news, *workers)
        publisher.tell("go")
        state: dict[str, Any] = {"sent": 0, "received": 0}
        with _display(plan.ticks + plan.texts) as show:
            finished: set[_Process] = set()
            changed = time.monotonic()
            while len(finished) < len(workers):
                process, line = _news(news)
                if line is not None:
                    before = dict(state)
                    state.update(json.loads(line))
                    if state != before:
                        changed = time.monotonic()
                    elif time.monotonic() - changed > _PATIENCE_S:
                        raise _DemoFailed(
                            f"no progress for {_PATIENCE_S:g} s: {state['sent']} messages were sent, "
                            f"{state['received']} received"
                        )
                elif process is bridge:
                    raise _DemoFailed(f"the bridge ended early: {process.log()}")
                elif process.wait() != 0:
                    raise _DemoFailed(f"the {process.name} failed: {process.log()}")
                else:
                    finished.add(process)
                    if process is publisher:
                        subscriber.tell("the publisher is done")
                # Each reports when it has the time; what was received was sent, reported or not.
                show(max(state["sent"], state["received"]), state["received"])
    return state


class _Process:
    """A child process; every line that it prints goes to `news`, and None when it has ended."""

    def __init__(
        self,
        name: str,
        arguments: tuple[str, ...],
        log: Path,
        news: queue.Queue[tuple[_Process, str | None]],
    ) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=log.parent,  # and not ours: -m imports from there, which may be a checkout
                start_new_session=True,  # Ctrl-C is for the demo, which stops the others
            )
        self._thread = threading.Thread(target=self._listen, args=(news,), daemon=True)
        self._thread.start()

    def _listen(self, news: queue.Queue[tuple[_Process, str | None]]) -> None:
        for line in self._process.stdout or ():
            news.put((self, line))
        news.put((self, None))

    def tell(self, line: str) -> None:
        """Write a line to the child; a child that is gone shows in `news`."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()

    def wait(self) -> int:
        """The exit code, once the child has closed its output."""
        try:
            return self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise _DemoFailed(f"the {self.name} does not end") from None

    def log(self) -> str:
        """The end of what it wrote to standard error."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return "\n".join(["", *lines[-8:]]) if lines else "it said nothing"

    def stop(self) -> None:
        """End it, the hard way if need be."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _news(news: queue.Queue[tuple[_Process, str | None]]) -> tuple[_Process, str | None]:
    try:
        return news.get(timeout=_PATIENCE_S)
    except queue.Empty:
        raise _DemoFailed(f"nothing happened for {_PATIENCE_S:g} s") from None


def _next_line(news: queue.Queue[tuple[_Process, str | None]], *expected: _Process) -> None:
    """Wait for a line of one of these; whoever ends instead has failed."""
    process, line = _news(news)
    if line is None or process not in expected:
        raise _DemoFailed(f"the {process.name} ended early: {process.log()}")


@contextlib.contextmanager
def _display(total: int) -> Iterator[Callable[[int, int], None]]:
    """Shows (sent, received): live on a terminal, plain lines elsewhere."""
    start = time.monotonic()

    def text(sent: int, received: int) -> str:
        seconds = time.monotonic() - start
        rate = received / seconds if seconds > 0 else 0.0
        done = f"sent {sent:>11,}   received {received:>11,} of {total:,}"
        return f"{seconds:6.1f} s   {done}   {rate:>11,.0f}/s"

    if sys.stdout.isatty():
        try:
            from rich.live import Live
            from rich.text import Text
        except ImportError:  # plain lines do as well
            pass
        else:
            with Live(Text(text(0, 0)), refresh_per_second=10) as live:
                yield lambda sent, received: live.update(Text(text(sent, received)))
            return
    shown = start - _SHOW_EVERY_S

    def show(sent: int, received: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= _SHOW_EVERY_S:
            shown = now
            click.echo(text(sent, received))

    yield show


def _print_result(result: dict[str, Any], ticks: int, texts: int) -> None:
    seconds = max(1, result["end_ns"] - result["start_ns"]) / 1e9
    megabytes = (ticks * _TICK_FRAME + texts * _TEXT_FRAME) / 1e6
    pace = f"{megabytes / seconds:,.1f} MB/s, {seconds:.2f} s"
    rows = [
        ("sent", f"{result['sent']:,}", f"{ticks:,} TradeTick, {texts:,} TextMessage"),
        ("received", f"{result['received']:,}", "every field of each compared"),
        ("lost", f"{result['lost']:,}", ""),
        ("different", f"{result['different'] + result['undecodable']:,}", ""),
        ("repeated", f"{result['repeated']:,}", ""),
        ("out of order", f"{result['late']:,}", ""),
        ("rate", f"{result['received'] / seconds:,.0f}/s", pace),
    ]
    for name, value in result["latency_us"].items():
        rows.append((f"latency {name}", f"{value:,.0f} µs", "at full rate, queueing included"))
    for name, figure, remark in rows:
        click.echo(f"{name:<14}{figure:>16}   {remark}".rstrip())
