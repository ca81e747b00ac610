"""The generated modules that this process has imported, found among `sys.modules`.

A generated module is one, compiled or plain Python, that has tables of its messages and the digest of its
contracts file. Nothing registers itself: two schemas live in one process, and a reload is no error. The core
messages of the package itself are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from ..errors import MyceliumError, SchemaMismatchError
from ..session import DIGEST_SIZE

__all__ = [
    "check_schema",
    "classes_of_topic",
    "get_message_definition",
    "module_of",
    "modules",
    "only_digest",
]

#: Messages of the protocol itself: no user's schema.
_CORE: Final = f"{__package__.rpartition('.')[0]}.session.core"


def modules() -> list[ModuleType]:
    """The generated modules imported, in the order of their import.

    A module counts once, whatever its names, and however many others import its tables from it.
    """
    found: dict[int, ModuleType] = {}
    for name, module in list(sys.modules.items()):
        messages = _messages(module)
        if messages is None or name == _CORE:
            continue
        # Of several with the same table, the one that made it: packages may import all names of a module.
        made = any(cls.__module__ == name for cls in messages.values())
        if id(messages) not in found or made:
            found[id(messages)] = module
    return list(found.values())


def only_digest() -> bytes:
    """The schema digest of the generated modules imported, where they agree on one.

    Raises:
        MyceliumError: none is imported, or several of different contracts files; names each with its digest.
    """
    found = modules()
    digests = {module.SCHEMA_DIGEST for module in found}
    if len(digests) == 1:
        return bytes(digests.pop())
    if not found:
        raise MyceliumError(
            "schema_digest was not given, and no generated module is imported whose digest could be meant: "
            "import the messages first (from trading.messages import TradeTick), or pass schema_digest="
        )
    listed = "\n".join(f"  {module.__name__}: {module.SCHEMA_DIGEST.hex()}" for module in found)
    raise MyceliumError(
        "schema_digest was not given, and modules of several contracts files are imported; pass the "
        f"SCHEMA_DIGEST of the one that is meant as schema_digest=:\n{listed}"
    )


def get_message_definition(type_id: int) -> Any:
    """The `__definition__` of the message with a type id, searched for in every generated module imported.

    Raises:
        LookupError: no module has it, or two contracts files mean different messages by it; says which.
    """
    found: list[tuple[str, Any]] = []
    for module in modules():
        message_class = module.MESSAGES.get(type_id)
        if message_class is not None:
            found.append((f"{module.__name__}.{message_class.__name__}", message_class.__definition__))
    if not found:
        listed = ", ".join(module.__name__ for module in modules())
        raise LookupError(
            f"no message has the type id {type_id!r} in the generated modules imported: "
            f"{listed or 'none is'}. Import the module that has it"
        )
    first = found[0][1]
    # Modules in plain Python have classes of their own for definitions: what they say is what counts.
    if any(_said(definition) != _said(first) for _, definition in found[1:]):
        listed = " and ".join(name for name, _ in found)
        raise LookupError(
            f"the type id {type_id} means different messages: {listed}. Use the __definition__ of the class "
            "that is meant"
        )
    return first


def classes_of_topic(topic: str, digest: bytes | None = None) -> tuple[type, ...]:
    """The message classes of a topic, such as `market-data`, in the order of the contracts file.

    Args:
        digest: of the contracts file; None looks at the only one, as `only_digest()` does.

    Raises:
        LookupError: no module with that digest is imported, or none of its messages has the topic; lists the
            topics that there are.
        MyceliumError: as `only_digest`.
    """
    if digest is None:
        digest = only_digest()
    known: dict[str, None] = {}
    for module in modules():
        if digest != module.SCHEMA_DIGEST:
            continue
        classes = module.TOPICS.get(topic)
        if classes:
            return tuple(classes)
        known.update(dict.fromkeys(module.TOPICS))
    if not known:
        raise LookupError(
            f"no generated module with the schema digest {digest.hex()} is imported, so that the messages of "
            f"the topic {topic!r} are not known: import it"
        )
    raise LookupError(f"no message has the topic {topic!r}; there are {', '.join(known)}")


def module_of(message_class: type) -> ModuleType | None:
    """The generated module that has the class, or one that it is derived from; None where there is none."""
    for cls in message_class.__mro__:
        module = sys.modules.get(cls.__module__)
        messages = _messages(module)
        # Any module may import a SCHEMA_DIGEST; the one that lists the class is the one it was generated in.
        if messages is not None and cls in messages.values():
            return module
    return None


def check_schema(message_class: type, digest: bytes | None, connection: str) -> None:
    """Refuse a class that was generated from another contracts file than the connection's.

    Args:
        digest: of the connection; None where it has none, and nothing is known to differ.
        connection: what to call it in the error.

    Raises:
        SchemaMismatchError: the module that has the class has another digest.
    """
    module = None if digest is None else module_of(message_class)
    if digest is None or module is None or digest == module.SCHEMA_DIGEST:
        return
    raise SchemaMismatchError(
        f"{message_class.__module__}.{message_class.__name__} was generated from another contracts file than "
        f"that of {connection}: its schema digest is {module.SCHEMA_DIGEST.hex()}, the connection's "
        f"{digest.hex()}. Use classes of the module whose SCHEMA_DIGEST the transport has"
    )


def _messages(module: object) -> Mapping[int, type] | None:
    """The messages of a generated module; None for any other object."""
    if not issubclass(type(module), ModuleType):  # isinstance() believes what an object says of itself
        return None
    # No other way to ask: some modules load more, or themselves, when asked for a name that they do not have.
    names = ModuleType.__getattribute__(module, "__dict__")
    digest, messages, topics = (names.get(name) for name in ("SCHEMA_DIGEST", "MESSAGES", "TOPICS"))
    if not isinstance(digest, bytes) or len(digest) != DIGEST_SIZE:
        return None
    return messages if isinstance(messages, Mapping) and isinstance(topics, Mapping) else None


def _said(definition: Any) -> tuple[Any, ...]:
    """A definition as plain values, comparable across modules."""
    fields = tuple(
        (each.name, each.type, each.offset, each.size, each.rules, each.optional)
        for each in definition.fields
    )
    return definition.name, definition.type_id, definition.topic, definition.size, fields
