"""Programs written for the older SDK run with their import lines changed and nothing else."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from bridges import bridge
from environments import checked

import mycelium_fast
from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick

PROGRAM = Path(__file__).parent / "data" / "old_sdk_program.py"
TOPOLOGY = """\
socket_dir = "{}"

[[nodes]]
name = "trading"
services = ["trader", "monitor"]

[[nodes]]
name = "data"
services = ["collector"]
"""

NAMES = [
    *("MessageBus", "Topology", "Node", "TransportType", "EndpointKind", "EndpointConfig", "UnixTransport"),
    *("TcpTransport", "TransportError", "Publisher", "Subscriber", "encode_frame", "read_frame"),
    *("HEADER_SIZE", "MAX_PAYLOAD_SIZE", "get_message_definition"),
]


@pytest.mark.parametrize("own_bridge", [False, True], ids=["without its own bridge", "with its own bridge"])
def test_a_program_for_the_older_sdk_runs(tmp_path: Path, own_bridge: bool) -> None:
    topology = tmp_path / "topology.toml"
    topology.write_text(TOPOLOGY.format(tmp_path))
    data = tmp_path / "data.sock"
    with contextlib.ExitStack() as stack:
        stack.enter_context(bridge(data))
        if own_bridge:
            stack.enter_context(bridge(tmp_path / "trading.sock"))
        transport = stack.enter_context(UnixTransport(data, SCHEMA_DIGEST))
        collected = transport.subscriber(TextMessage)
        output = checked(sys.executable, "-X", "dev", PROGRAM, topology, data, logged=True)
        lines = output.splitlines()
        logged = [line for line in lines if "delivers within this process alone" in line]
        assert len(logged) == (not own_bridge)
        assert [line for line in lines if line not in logged] == [
            "answer: HELLO",
            "nothing more",
            "a foreign class",
            "asynchronously: hello",
            "no connection",
            "no such service: True",
            "signal: 7",
        ]
        contents = [collected.recv(20).content for _ in range(4)]
        assert contents == ["hello", "HELLO", "hello", "hello"]  # the last one by its service's name


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_older_sdk_is_there(name: str) -> None:
    assert name in mycelium_fast.__all__
    assert getattr(mycelium_fast, name) is not None


def test_the_sizes_are_those_of_the_older_sdk() -> None:
    assert mycelium_fast.HEADER_SIZE == 6
    assert mycelium_fast.MAX_PAYLOAD_SIZE == 4_194_304


def test_what_a_message_class_says_of_itself_is_there() -> None:
    definition = TradeTick.__definition__
    assert (TradeTick.TYPE_ID, TradeTick.TOPIC) == (1200, "market-data")
    assert (definition.name, definition.type_id, definition.topic, definition.size) == (
        *("TradeTick", 1200),
        *("market-data", 16),
    )
    assert TradeTick.from_bytes(TradeTick(1, 2).to_bytes()) == TradeTick(1, 2)
