"""The immutable model of a contracts file: what it says, checked, with positions kept for errors.

`source.py` and `loader.py` make it from YAML; `layout.py` computes bytes from it; templates render it.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .types import FieldType, String, Vec

__all__ = [
    "CHECKED_RULES",
    "Contracts",
    "Field",
    "Message",
    "Position",
    "Rule",
    "TagRanges",
    "field_python_name",
    "message_python_name",
    "topic_of",
]

#: The rules that the codec checks; any other is kept as metadata and named in a warning.
CHECKED_RULES: Final = (
    "not_empty",
    "min_length",
    "max_length",
    "min",
    "max",
    "not_zero",
    "no_0x_prefix",
)

#: What every message class has: a field of such a name gets a trailing underscore in Python.
MESSAGE_ATTRIBUTES: Final = frozenset(
    {
        "TYPE_ID",
        "TOPIC",
        "SIZE",
        "to_bytes",
        "to_frame",
        "from_bytes",
        "from_buffer",
        "decode_batch",
        "encode_batch",
        "array",
        "replace",
        "to_dict",
        "to_tuple",
        "from_dict",
        "validate",
    }
)

#: What stands in a generated module beside the classes, and words that Cython does not take as a class name.
MODULE_NAMES: Final = frozenset(
    {
        "MESSAGES",
        "Message",
        "SCHEMA_DIGEST",
        "TOPICS",
        "DecodeError",
        "EncodeError",
        "FieldDefinition",
        "MessageDefinition",
        "ValidationError",
        "NULL",
        "DEF",
        "IF",
        "ELIF",
        "ELSE",
        "by",
        "cdef",
        "cimport",
        "cpdef",
        "ctypedef",
        "extern",
        "include",
        "char",
        "const",
        "double",
        "enum",
        "fused",
        "inline",
        "long",
        "new",
        "short",
        "signed",
        "sizeof",
        "struct",
        "union",
        "unsigned",
        "void",
        "volatile",
    }
)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the contracts file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of a field's `validation`.

    Attributes:
        name: as in the contract.
        limit: True for rules without a limit; int for lengths; int or float for `min` and `max`; for a rule
            that is not checked, whatever the contract has.
    """

    name: str
    limit: Any = field(hash=False)
    position: Position


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        name: the contract's name.
        python_name: the attribute's name, `name` with an underscore where Python needs one.
        rules: rules that are checked, in contract order.
        context_rules: rules that are not checked here, kept as metadata alone: those that need more than one
            message to check, or that this package does not know.
        extra: keys that this package does not know, as plain data.
    """

    name: str
    python_name: str
    type: FieldType
    type_text: str
    description: str
    optional: bool
    rules: tuple[Rule, ...]
    context_rules: tuple[Rule, ...]
    extra: Mapping[str, Any] = field(hash=False)
    position: Position

    @property
    def capacity(self) -> int | None:
        """Bytes that a `String`, or elements that a `Vec`, can hold; None for every other type."""
        return self.type.capacity if isinstance(self.type, (String, Vec)) else None


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its identity on the wire and its fields in wire order."""

    name: str
    python_name: str
    type_id: int
    domain: str
    description: str
    fields: tuple[Field, ...]
    sensitivity: str | None
    log_payload: bool
    required_prior_messages: tuple[str, ...]
    extra: Mapping[str, Any] = field(hash=False)
    position: Position

    @property
    def topic(self) -> str:
        """The topic that the message belongs to."""
        return topic_of(self.domain)

    @property
    def confidential(self) -> bool:
        """Whether no error, log line or `repr` may show a field's value."""
        return not self.log_payload or self.sensitivity is not None


@dataclass(frozen=True, slots=True)
class TagRanges:
    """Inclusive bounds of type ids; None where the contract gives none."""

    core: tuple[int, int] | None = None
    app: tuple[int, int] | None = None
    experimental: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Contracts:
    """A whole contracts file.

    Attributes:
        file: path as it was given, for people.
        digest: SHA-256 over the file's exact bytes; 32 bytes.
        messages: in file order.
        warnings: what is allowed and probably not meant, as `(line, column, text)`.
    """

    file: str
    digest: bytes
    schema_id: int | None
    version: int | None
    min_compatible: int | None
    tag_ranges: TagRanges | None
    messages: tuple[Message, ...]
    extra: Mapping[str, Any] = field(hash=False)
    warnings: tuple[tuple[int, int, str], ...] = ()

    @property
    def topics(self) -> Mapping[str, tuple[Message, ...]]:
        """The messages of every topic, topics in order of first appearance."""
        topics: dict[str, tuple[Message, ...]] = {}
        for message in self.messages:
            topics[message.topic] = (*topics.get(message.topic, ()), message)
        return topics


def topic_of(domain: str) -> str:
    """The topic of a message's domain, as every Mycelium program derives it."""
    return domain.lower().replace("marketdata", "market-data")


def field_python_name(name: str) -> str:
    """The attribute for a contract's field: the name, unless Python or `Message` has taken it."""
    dunder = name.startswith("__") and name.endswith("__")
    return f"{name}_" if keyword.iskeyword(name) or name in MESSAGE_ATTRIBUTES or dunder else name


def message_python_name(name: str) -> str:
    """The class for a contract's message: the name, unless Python or the generated module has taken it.

    Names that begin with an underscore and do not end in one are the generated module's own, those in double
    underscores Python's.
    """
    taken = keyword.iskeyword(name) or name in MODULE_NAMES or hasattr(builtins, name)
    if not taken and not name.startswith("_"):
        return name
    return f"{name}__" if name.startswith("__") and name.endswith("_") else f"{name}_"
