"""Every exception of the package, in one place.

A message says what happened, where, and what to do next. `MyceliumError` is the root; each class is
also the built-in exception that a caller would expect (`ValueError`, `OSError`, `TimeoutError`, ...).
This module imports nothing, so that any other may import it.
"""

from __future__ import annotations

__all__ = [
    "BuildError",
    "ConnectionClosed",
    "ContractError",
    "ContractWarning",
    "DecodeError",
    "EncodeError",
    "HandshakeError",
    "MyceliumError",
    "PermissionDenied",
    "PoolExhausted",
    "ProtocolError",
    "SchemaMismatchError",
    "SubscriberOverflow",
    "TopologyError",
    "TransportError",
    "TransportTimeout",
    "ValidationError",
]


class MyceliumError(Exception):
    """The root of every error that this package raises on purpose."""


class ContractWarning(UserWarning):
    """Something in a contracts file that is allowed and probably not meant."""


class ContractError(MyceliumError, ValueError):
    """A contracts file that cannot be used.

    Attributes:
        file: path of the contracts file, as it was given.
        line: line of the first problem, from 1; 0 where none applies (an unreadable file).
        column: column of the first problem, from 1; 0 where none applies.
        problems: every problem found, as `(line, column, text)`, in file order.
    """

    def __init__(self, file: str, problems: list[tuple[int, int, str]]) -> None:
        self.file = file
        self.problems = sorted(problems)
        self.line, self.column, _ = self.problems[0]
        lines = [
            f"{file}:{line}:{column}: {text}" if line else f"{file}: {text}"
            for line, column, text in self.problems
        ]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.file, self.problems)


class BuildError(MyceliumError, RuntimeError):
    """Generated code could not be compiled; says what is missing and what to do instead."""


class EncodeError(MyceliumError, ValueError):
    """A value of the right type that does not fit: out of range, or over the field's capacity."""


class DecodeError(MyceliumError, ValueError):
    """Received bytes that are not a valid payload or frame.

    Attributes:
        message: name of the message, or None where it is not known.
        field: contract name of the field concerned, or None where it is the whole message.
        offset: byte offset of the fault in the buffer that was decoded.
        reason: what is wrong, without any of the field's contents.
    """

    def __init__(
        self,
        text: str,
        message: str | None = None,
        field: str | None = None,
        offset: int | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(text)
        self.message = message
        self.field = field
        self.offset = offset
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.args[0], self.message, self.field, self.offset, self.reason)


class ValidationError(MyceliumError, ValueError):
    """A value against a rule (`validation`) of the contract.

    Attributes:
        message: name of the message.
        field: contract name of the field.
        rule: name of the rule, such as `"min"`.
        limit: the rule's limit, as the contract has it.
        offset: byte offset of the field in the buffer that was decoded; None when building or setting.
    """

    def __init__(
        self,
        text: str,
        message: str | None = None,
        field: str | None = None,
        rule: str | None = None,
        limit: object = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(text)
        self.message = message
        self.field = field
        self.rule = rule
        self.limit = limit
        self.offset = offset

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (
            self.args[0],
            self.message,
            self.field,
            self.rule,
            self.limit,
            self.offset,
        )


class TransportError(MyceliumError, OSError):
    """A connection could not be made, or failed. The root of everything below."""


class HandshakeError(TransportError):
    """The peer did not complete the handshake, or not as the protocol says."""


class SchemaMismatchError(HandshakeError):
    """The two ends were generated from different contracts files."""


class ConnectionClosed(TransportError, ConnectionError):
    """The connection has ended; the message has the reason."""


class TransportTimeout(TransportError, TimeoutError):
    """The peer did not do its part in the time allowed.

    Attributes:
        accepted: messages of a publish that were accepted all the same, from its first on: they are kept, and
            sent as soon as the peer takes them. 0 where nothing was published.
    """

    accepted: int = 0


class PermissionDenied(TransportError, PermissionError):
    """The peer's access rules refuse what was asked for."""


class PoolExhausted(MyceliumError, BufferError):
    """Every block of a buffer pool is in use; says how many, and what holds or bounds them."""


class SubscriberOverflow(MyceliumError):
    """A subscriber with overflow "error" was full when more arrived; what it had queued was given before."""


class ProtocolError(MyceliumError, ValueError):
    """Bytes that no Mycelium peer would send: a frame too long, a stream cut within a frame."""


class TopologyError(MyceliumError, ValueError):
    """A topology file that cannot be used, or a service that it does not have."""
