"""A contracts file to the immutable model; every problem in the file is found before one is raised.

What the file may say is in the protocol, sections 1 and 3. YAML itself is read by `source.py`, fields by
`fields.py`, type ids by `type_ids.py`; here are the top of the file and the messages.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from ..errors import ContractError
from .fields import read_fields
from .layout import layout
from .model import Contracts, Message, Position, message_python_name
from .report import Report, did_you_mean, show
from .section import Section, is_identifier, require_map, require_name, take_python_name, whole_number
from .source import MapNode, Node, ScalarNode, compose, describe, given_twice, is_nothing
from .type_ids import TypeId, check_type_ids, read_tag_ranges, read_type_id

__all__ = ["load", "parse"]

#: Payload bytes: what a peer sends at most, since older peers refuse more; and what any peer accepts.
_MAX_SENT: Final = 4_194_304
_MAX_ACCEPTED: Final = 16_777_216

_TOP_KEYS: Final = ("schema", "tag_ranges", "messages")
_SCHEMA_KEYS: Final = ("id", "version", "min_compatible")
_MESSAGE_KEYS: Final = (
    "tlv_type",
    "domain",
    "description",
    "fields",
    "sensitivity",
    "log_payload",
    "required_prior_messages",
)
#: What other formats call these keys.
_MESSAGE_SYNONYMS: Final = {
    "id": "tlv_type",
    "message_id": "tlv_type",
    "tag": "tlv_type",
    "topic": "domain",
    "type": "tlv_type",
    "type_id": "tlv_type",
}


def load(path: str | os.PathLike[str]) -> Contracts:
    """Read and check a contracts file.

    Args:
        path: of a YAML file in UTF-8; kept in `Contracts.file` as given.

    Raises:
        ContractError: the file cannot be read, or has problems; the error has every one, with its position.
        BuildError: PyYAML is not installed.
    """
    file = os.fspath(path)
    try:
        data = Path(file).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        text = f"cannot read the contracts file: {reason}; check its path and permissions"
        raise ContractError(file, [(0, 0, text)]) from error
    return parse(data, file)


def parse(data: bytes, file: str = "<contracts>") -> Contracts:
    """Check the bytes of a contracts file.

    Args:
        data: the exact bytes, since the digest is taken over them.
        file: what errors call the file.

    Raises:
        ContractError: with every problem in the file and its position.
        BuildError: PyYAML is not installed.
        TypeError: `data` is not bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"parse() takes the bytes of a contracts file, not {type(data).__name__}; "
            "to read a file by its path, use load()"
        )
    data = bytes(data)
    report = Report()
    root = compose(data, report)
    if isinstance(root, MapNode):
        contracts = _read_contracts(root, file, hashlib.sha256(data).digest(), report)
        report.raise_problems(file)
        return contracts
    report.raise_problems(file)
    if root is None or is_nothing(root):
        problem = (1, 1, "the file is empty; it needs at least the key messages")
    else:
        line, column = root.position.line, root.position.column
        problem = (line, column, f"a contracts file must be a map with a key messages, not {describe(root)}")
    raise ContractError(file, [problem])


def _read_contracts(root: MapNode, file: str, digest: bytes, report: Report) -> Contracts:
    top = Section(report, root, "the file", Position(1, 1), _TOP_KEYS)
    schema = _read_schema(top.get("schema"), report)
    tag_ranges = read_tag_ranges(top.get("tag_ranges"), report)
    type_ids: list[TypeId] = []
    node = top.require("messages", "it is a map from the name of a message to its contents")
    messages = _read_messages(node, type_ids, report)
    check_type_ids(type_ids, tag_ranges, report)
    extra = top.extra()
    return Contracts(
        file=file,
        digest=digest,
        schema_id=schema.get("id"),
        version=schema.get("version"),
        min_compatible=schema.get("min_compatible"),
        tag_ranges=tag_ranges,
        messages=messages,
        extra=extra,
        warnings=report.warnings,
    )


def _read_schema(node: Node | None, report: Report) -> dict[str, int]:
    found: dict[str, int] = {}
    if node is None:
        return found
    table = require_map(node, "schema", "with the keys id, version and min_compatible", report)
    if table is None:
        return found
    section = Section(report, table, "schema", table.position, _SCHEMA_KEYS)
    for name in _SCHEMA_KEYS:
        value = section.get(name)
        if value is None:
            continue
        number = whole_number(value)
        if number is not None and number >= 0:
            found[name] = number
        else:
            report.error(
                value.position, f"schema.{name} must be a whole number from 0, not {describe(value)}"
            )
    section.extra()
    if "version" in found and found.get("min_compatible", 0) > found["version"]:
        report.warn(
            table.position,
            f"schema: min_compatible {found['min_compatible']} is above version {found['version']}",
        )
    return found


def _read_messages(node: Node | None, type_ids: list[TypeId], report: Report) -> tuple[Message, ...]:
    """Read every message; the type ids also of those that are wrong in another way."""
    if node is None:
        return ()
    table = require_map(node, "messages", "from the name of a message to its contents", report)
    if table is None:
        return ()
    if not table.entries:
        report.warn(table.position, "the file has no messages")
    for key, first in table.duplicates:
        report.error(key.position, given_twice(f"the message {show(key.text)}", first))
    names = {key.text for key, _ in table.entries}
    taken: dict[str, str] = {}
    messages: list[Message] = []
    for key, value in table.entries:
        if require_name(key, "message", report):
            take_python_name(key, message_python_name(key.text), taken, "the messages", report)
        contents = require_map(
            value, f"the message {show(key.text)}", "with tlv_type, domain and fields", report
        )
        message = _read_message(key, contents, names, type_ids, report) if contents else None
        if message is not None:
            messages.append(message)
    return tuple(messages)


def _read_message(
    key: ScalarNode, node: MapNode, names: set[str], type_ids: list[TypeId], report: Report
) -> Message | None:
    owner = key.text if is_identifier(key.text) else show(key.text)
    section = Section(report, node, owner, key.position, _MESSAGE_KEYS, _MESSAGE_SYNONYMS)
    type_id = read_type_id(section.require("tlv_type", "it is the message's number"), owner, report)
    if type_id is not None:
        type_ids.append(type_id)
    domain = _read_domain(section.require("domain", "the topic is made from it"), owner, report)
    fields_node = section.require("fields", "write 'fields: {}' for a message without fields")
    fields = read_fields(fields_node, owner, report)
    description = section.description()
    sensitivity = section.text("sensitivity")
    log_payload = section.flag("log_payload", default=True)
    prior = section.names("required_prior_messages")
    for item in prior:
        if item.text not in names:
            report.warn(
                item.position,
                f"{owner}: required_prior_messages names {item.text}, which is not in this file"
                f"{did_you_mean(item.text, names)}",
            )
    extra = section.extra()
    if type_id is None or domain is None or fields is None:
        return None
    message = Message(
        name=key.text,
        python_name=message_python_name(key.text),
        type_id=type_id.value,
        domain=domain,
        description=description,
        fields=fields,
        sensitivity=sensitivity,
        log_payload=log_payload,
        required_prior_messages=tuple(item.text for item in prior),
        extra=extra,
        position=key.position,
    )
    _check_size(message, report)
    return message


def _read_domain(node: Node | None, owner: str, report: Report) -> str | None:
    if node is None:
        return None
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value.strip():
        return node.value
    report.error(node.position, f"{owner}: domain must be text such as MarketData, not {describe(node)}")
    return None


def _check_size(message: Message, report: Report) -> None:
    size = layout(message).size
    if size > _MAX_ACCEPTED:
        report.error(
            message.position,
            f"{message.name}: the payload takes {size} bytes, over the {_MAX_ACCEPTED} that peers accept; "
            "lower a max_length or an array length",
        )
    elif size > _MAX_SENT:
        report.warn(
            message.position,
            f"{message.name}: the payload takes {size} bytes; older peers refuse more than {_MAX_SENT}",
        )
