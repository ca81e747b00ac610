"""What a subscriber is for: a message class, several, a topic; and the queue that is made of it.

Blocking and asyncio subscribers share it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .handlers import classes_of
from .message_queue import BadFramesHook, MessageQueue, Overflow
from .registry import check_schema, classes_of_topic

__all__ = ["message_queue", "raw_queue", "selected_classes"]


def selected_classes(wanted: Any, digest: bytes | None, connection: str) -> tuple[type, ...]:
    """The message classes that `wanted` names: a class, a union, a list or tuple of classes, a topic's name.

    Raises:
        TypeError, ValueError: not generated message classes, or none.
        SchemaMismatchError: a class was generated from another contracts file than the digest is of.
        LookupError: no generated module imported has the topic.
    """
    if isinstance(wanted, str):
        return classes_of_topic(wanted, digest)
    classes = classes_of(wanted)
    for each in classes:
        check_schema(each, digest, connection)
    return classes


def message_queue(
    wanted: Any,
    digest: bytes | None,
    connection: str,
    *,
    capacity: int,
    overflow: Overflow,
    validate: bool,
    on_bad_frame: BadFramesHook | None,
) -> MessageQueue:
    """The queue of a subscriber; raises as `selected_classes` and `MessageQueue` do."""
    return MessageQueue(
        selected_classes(wanted, digest, connection),
        capacity=capacity,
        overflow=overflow,
        validate=validate,
        on_bad_frame=on_bad_frame,
    )


def raw_queue(type_ids: Iterable[int], *, capacity: int, overflow: Overflow) -> MessageQueue:
    """The queue of a raw subscriber: frames of these types, of every type if there are none.

    Raises:
        TypeError, ValueError: a type id is not a number from 0 to 65535.
    """
    wanted = tuple(type_ids)
    for type_id in wanted:
        if isinstance(type_id, bool) or not isinstance(type_id, int):
            raise TypeError(f"a type id is a number, not {type_id!r}")
        if not 0 <= type_id <= 0xFFFF:
            raise ValueError(f"a type id is a number from 0 to 65535, not {type_id}")
    return MessageQueue(None, type_ids=wanted or None, capacity=capacity, overflow=overflow)
