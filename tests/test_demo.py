"""The demo: that it succeeds, and that it fails when a message is missing, different, repeated or late."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS

from mycelium_fast.cli.demo_traffic import (
    TextChecker,
    TickChecker,
    make_text,
    make_tick,
)
from mycelium_fast.example_messages import TextMessage, TradeTick


def ticks(*numbers: int) -> list[Any]:
    return [TradeTick(*make_tick(number)) for number in numbers]


def figures(checker: Any) -> dict[str, int]:
    names = ("received", "lost", "different", "repeated", "late")
    return {name: getattr(checker, name) for name in names if getattr(checker, name)}


# Checking -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arriving", "found"),
    [
        ([1, 2, 3, 4, 5, 6], {"received": 6}),
        ([], {"lost": 6}),
        ([1, 2, 4, 5, 6], {"received": 5, "lost": 1}),
        ([2, 3, 4, 5, 6], {"received": 5, "lost": 1}),
        ([1, 2, 3, 4], {"received": 4, "lost": 2}),
        ([1, 2, 2, 3, 4, 5, 6], {"received": 7, "repeated": 1}),
        ([1, 2, 3, 4, 5, 6, 6], {"received": 7, "repeated": 1}),
        ([1, 3, 2, 4, 5, 6], {"received": 6, "late": 1}),
        ([3, 4, 5, 6, 1, 2], {"received": 6, "late": 2}),
        ([1, 3, 2, 2, 4, 5, 6], {"received": 7, "late": 1, "repeated": 1}),
        ([1, 2, 3, 5, 5, 6], {"received": 6, "lost": 1, "repeated": 1}),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 10])
def test_what_is_missing_repeated_or_late_is_found(
    arriving: list[int], found: dict[str, int], size: int
) -> None:
    checker = TickChecker(6)
    messages = ticks(*arriving)
    for start in range(0, len(messages), size):
        checker.check(messages[start : start + size])
    assert figures(checker) == found


@pytest.mark.parametrize("wrong", [TradeTick(3, 0), TradeTick(4, make_tick(3)[1]), TradeTick(2**64 - 1, 1)])
def test_a_tick_that_differs_in_any_field_is_found(wrong: Any) -> None:
    checker = TickChecker(5)
    checker.check([*ticks(1, 2), wrong, *ticks(4, 5)])
    assert figures(checker) == {"received": 5, "different": 1}


def text(number: int, **changes: Any) -> Any:
    sender, content = make_text(number)
    return TextMessage(**{"sender": sender, "content": content, "timestamp": 1000 + number, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "somebody"},
        {"content": "3 and something"},
        {"content": "words"},
        {"timestamp": 999},
        {"timestamp": 2001},
    ],
)
def test_a_text_that_differs_in_any_field_is_found(changes: dict[str, Any]) -> None:
    times = iter([1000, 2000])
    checker = TextChecker(5, lambda: next(times))
    checker.check([text(1), text(2), text(3, **changes), text(4), text(5)])
    assert figures(checker) == {"received": 5, "different": 1}
    assert list(checker.latencies) == [999, 998, 996, 995]


def test_the_marker_ends_the_checking_and_is_not_counted() -> None:
    checker = TickChecker(2)
    checker.check(ticks(1))
    assert not checker.ended
    checker.check([*ticks(2), TradeTick(0, 0)])
    assert checker.ended
    assert figures(checker) == {"received": 2}


def test_texts_of_every_number_fit_their_fields_and_differ() -> None:
    made = [make_text(number) for number in range(1, 20_001)]
    assert len(set(made)) == len(made)
    for sender, content in made:
        TextMessage(sender=sender, content=content, timestamp=0)


# The whole ----------------------------------------------------------------------------------------


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """The demo's folder for temporary files, which has to be empty afterwards."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []
    assert children(folder) == {}


def children(folder: Path) -> dict[str, int]:
    """Processes that have the folder in their command line: role and process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text().split("\0")
            except OSError:  # gone by now
                continue
            if any(word.startswith(str(folder)) for word in words):
                found[next(word for word in words if word in ("bridge", "check", "publish"))] = int(
                    entry.name
                )
    return found


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mycelium_fast", "demo", *options],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def figure(output: str, name: str) -> int:
    match = re.search(rf"^{name}\s+([\d,]+)", output, re.MULTILINE)
    assert match is not None, output
    return int(match[1].replace(",", ""))


@pytest.mark.parametrize(("tick_count", "text_count"), [(30_000, 3_000), (0, 10), (7, 0), (1, 5_000)])
def test_the_demo_delivers_everything(temporary: Path, tick_count: int, text_count: int) -> None:
    done = demo(temporary, "--ticks", str(tick_count), "--texts", str(text_count))
    assert done.returncode == 0, done.stderr
    assert figure(done.stdout, "sent") == tick_count + text_count
    assert figure(done.stdout, "received") == tick_count + text_count
    assert {figure(done.stdout, name) for name in ("lost", "different", "repeated", "out of order")} == {0}
    assert "every message arrived once, in order, as it was sent" in done.stdout
    for sent, received in re.findall(r"sent +([\d,]+) +received +([\d,]+) of", done.stdout):
        assert int(sent.replace(",", "")) >= int(received.replace(",", ""))
    if text_count:
        assert len(re.findall(r"^latency .* at full rate, queueing included$", done.stdout, re.M)) == 4
        p50, p99 = figure(done.stdout, "latency p50"), figure(done.stdout, "latency p99")
        assert 0 < p50 <= p99 <= figure(done.stdout, "latency max")


@pytest.mark.parametrize(
    ("fault", "name"), [("lose", "lost"), ("alter", "different"), ("repeat", "repeated")]
)
def test_the_demo_fails_when_one_message_is_not_as_it_should_be(
    temporary: Path, fault: str, name: str
) -> None:
    done = demo(temporary, "--ticks", "5000", "--texts", "500", "--fault", fault)
    assert done.returncode == 1
    assert figure(done.stdout, name) == 1
    assert "what arrived is not what was sent" in done.stderr


def test_the_demo_takes_a_contracts_file_of_ones_own(temporary: Path, tmp_path: Path) -> None:
    contracts = tmp_path / "own.yaml"
    contracts.write_bytes(CONTRACTS.read_bytes())  # the same digest: compiled before, most likely
    done = demo(temporary, "--ticks", "1000", "--texts", "100", "--contracts", str(contracts))
    assert done.returncode == 0, done.stderr
    assert figure(done.stdout, "received") == 1100


def start(folder: Path) -> subprocess.Popen[str]:
    """A demo that would take long, and whose processes are at work."""
    command = [sys.executable, "-m", "mycelium_fast", "demo", "--ticks", "100000000"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "received" in process.stdout.readline()
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_demo_and_all_its_processes(
    temporary: Path, number: signal.Signals, code: int
) -> None:
    with start(temporary) as process:
        assert children(temporary).keys() == {"bridge", "check", "publish"}
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("bridge", "bridge|publisher|subscriber"),
        ("check", "subscriber failed"),
        ("publish", "publisher failed"),
    ],
)
def test_the_demo_fails_when_one_of_its_processes_dies(temporary: Path, role: str, text: str) -> None:
    with start(temporary) as process:
        os.kill(children(temporary)[role], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(f"demo failed: the ({text})", errors)
