"""A program as a user of the older SDK has it; of its lines only those that import have changed.

Arguments: a topology file and the path of a bridge's socket. A second service of the topology, `collector`, is
reached through its bridge. It prints what it finds, for the test to compare.
"""

import asyncio
import queue
import socket
import sys
import threading
import time

from mycelium_fast import (
    HEADER_SIZE,
    MAX_PAYLOAD_SIZE,
    EndpointConfig,
    EndpointKind,
    MessageBus,
    Node,
    Publisher,
    Subscriber,
    TcpTransport,
    Topology,
    TransportError,
    TransportType,
    UnixTransport,
    encode_frame,
    get_message_definition,
    read_frame,
)
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeSignal


def main() -> int:
    topology_path, socket_path = sys.argv[1:3]
    digest = bytes.fromhex(SCHEMA_DIGEST.hex())

    # Definitions, payloads and frames.
    definition = TextMessage.__definition__
    assert get_message_definition(TextMessage.TYPE_ID) is definition
    assert (definition.name, definition.type_id) == ("TextMessage", TextMessage.TYPE_ID)
    assert (definition.topic, definition.size) == (TextMessage.TOPIC, len(greeting().to_bytes()))
    frame = encode_frame(TextMessage.TYPE_ID, greeting().to_bytes())
    assert len(frame) == HEADER_SIZE + definition.size
    assert MAX_PAYLOAD_SIZE == 4 * 1024 * 1024
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(frame)
        type_id, payload = read_frame(theirs)
    assert (type_id, TextMessage.from_bytes(payload)) == (TextMessage.TYPE_ID, greeting())

    # A transport, with a thread that answers.
    transport = UnixTransport(socket_path, digest)
    transport.connect()
    publisher = transport.publisher(TextMessage)
    subscriber = transport.subscriber(TextMessage)
    assert isinstance(publisher, Publisher)
    assert isinstance(subscriber, Subscriber)

    def answer() -> None:
        other = UnixTransport(socket_path, digest)
        other.connect()
        inbox = other.subscriber(TextMessage)
        ready.set()
        message = inbox.recv(timeout=20.0)
        other.publisher(TextMessage).publish(
            TextMessage(sender="answer", content=message.content.upper(), timestamp=message.timestamp)
        )
        other.close()

    ready = threading.Event()
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    ready.wait(20.0)
    publisher.publish(greeting())
    deadline = time.time() + 20.0
    while time.time() < deadline:
        try:
            message = subscriber.recv(timeout=1.0)
        except queue.Empty:
            continue
        if message.sender == "answer":
            print("answer:", message.content)
            break
    thread.join(20.0)

    try:
        subscriber.recv(timeout=0.01)
    except queue.Empty:
        print("nothing more")
    try:
        publisher.publish(TradeSignal(1, "ETH", True, 0.5, 2, 3))
    except TypeError:
        print("a foreign class")

    async def receive() -> TextMessage:
        publisher.publish(greeting())
        return await subscriber.recv_async()

    print("asynchronously:", asyncio.run(receive()).content)
    transport.close()

    try:
        TcpTransport("127.0.0.1", 1, digest).connect()
    except TransportError:
        print("no connection")

    # The topology.
    topology = Topology.load(topology_path)
    topology.validate()
    assert topology.find_node("collector") is topology.nodes[1]
    assert topology.same_node("trader", "monitor")
    assert topology.transport_between("trader", "monitor") == TransportType.LOCAL
    assert topology.transport_between("trader", "collector") == TransportType.UNIX
    assert topology.connection_info("collector")["path"] == str(topology.socket_path("data"))
    endpoint = EndpointConfig(kind=EndpointKind.TCP, addr="127.0.0.1:9091")
    node = Node(name="n", services=["s"], host="10.0.0.1", port=9000, endpoint=endpoint)
    assert Topology(nodes=[node]).find_node("nobody") is None
    try:
        MessageBus(topology, "nobody", digest)
    except ValueError as error:
        print("no such service:", "trader, monitor, collector" in str(error))

    bus = MessageBus.from_topology(topology_path, service_name="trader", schema_digest=digest)
    signals = bus.subscriber(TradeSignal)
    bus.publisher_to("collector", TextMessage).publish(greeting())
    with MessageBus.from_topology(topology_path, "monitor", digest) as monitor:
        monitor.publisher_to("trader", TradeSignal).publish(TradeSignal(7, "ETH", True, 0.5, 2, 3))
    for signal in signals:
        print("signal:", signal.signal_id)
        break
    bus.close()
    return 0


def greeting() -> TextMessage:
    return TextMessage(sender="trader", content="hello", timestamp=1)


if __name__ == "__main__":
    sys.exit(main())
