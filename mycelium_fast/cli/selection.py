"""Which frames a tap is for: types by name, id or topic, and comparisons of fields.

    comparison    FIELD OP VALUE      OP is one of  =  ==  !=  <  <=  >  >=  ~ (text that contains)

Everything is checked against the contracts before the first frame comes; nothing is evaluated as code.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from mycelium_fast.cli.connection import Messages, listed
from mycelium_fast.cli.values import ValueForm

__all__ = ["Filter", "Types", "message_named", "selected_types"]

_COMPARISON: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(==|!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "~": operator.contains,
}
_ORDER: Final = ("<", "<=", ">", ">=")
_F32_MAX: Final = 3.4028234663852886e38
#: What a kind of field can be compared with.
_ALLOWED: Final = {
    "integer": ("=", "==", "!=", *_ORDER),
    "float": ("=", "==", "!=", *_ORDER),
    "text": ("=", "==", "!=", *_ORDER, "~"),
    "bool": ("=", "==", "!="),
    "bytes": ("=", "==", "!="),
    "list": (),
}


@dataclass(frozen=True)
class Types:
    """The types wanted.

    Attributes:
        ids: None for every type.
    """

    ids: frozenset[int] | None

    def __contains__(self, type_id: int) -> bool:
        return self.ids is None or type_id in self.ids


def selected_types(names: Iterable[str], messages: Messages, *, raw: bool) -> Types:
    """The types of a command line: names of messages, type ids, `topic:NAME`; none are all of them.

    Args:
        raw: ids that the contracts do not have are meant, too.

    Raises:
        click.UsageError: there is no such thing; with what there is.
    """
    ids: set[int] = set()
    for name in names:
        if name.startswith("topic:"):
            topic = name.removeprefix("topic:")
            if topic not in messages.topics:
                raise click.UsageError(_unknown("topic", topic, list(messages.topics), messages))
            ids.update(each.TYPE_ID for each in messages.topics[topic])
        elif re.fullmatch(r"0[xX][0-9a-fA-F]{1,4}|[0-9]{1,5}", name):
            ids.add(_type_id(name, messages, raw=raw))
        else:
            ids.add(message_named(name, messages).TYPE_ID)
    return Types(frozenset(ids) if ids else None)


def message_named(name: str, messages: Messages) -> Any:
    """The class of a message by its name in the contracts; click.UsageError where there is none."""
    if name not in messages.by_name:
        raise click.UsageError(_unknown("message", name, list(messages.by_name), messages))
    return messages.by_name[name]


def _type_id(text: str, messages: Messages, *, raw: bool) -> int:
    type_id = int(text, 16 if text[:2] in ("0x", "0X") else 10)
    if type_id > 0xFFFF:
        raise click.UsageError(f"{text} is no type id: those go up to 65535")
    if not raw and type_id not in messages.by_id:
        known = listed(f"{each} ({name.__name__})" for each, name in messages.by_id.items())
        raise click.UsageError(
            f"{messages.file} has no type id {type_id}; there are {known}. To see frames of a type that it "
            "does not have, add --raw"
        )
    return type_id


def _unknown(what: str, name: str, known: list[str], messages: Messages) -> str:
    lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = f"Did you mean {lower[near[0]]!r}? " if near else ""
    return f"{messages.file} has no {what} {name!r}. {hint}There are {listed(known)}"


class Filter:
    """Comparisons of which every one has to hold; a message without such a field is left out.

    Args:
        comparisons: as on the command line.
        classes: the messages that may come.

    Raises:
        click.UsageError: a comparison is none, none of the messages has the field, or the value is not one of
            the field.
    """

    def __init__(self, comparisons: Sequence[str], classes: Iterable[Any]) -> None:
        self._tests: dict[Any, list[tuple[Callable[[Any], Any], Callable[[Any, Any], bool], Any]]] = {}
        parsed = [_parsed(each) for each in comparisons]
        every = list(classes)
        for field, _, _, text in parsed:
            if not any(field == each.name for cls in every for each in cls.__definition__.fields):
                known = list(dict.fromkeys(each.name for cls in every for each in cls.__definition__.fields))
                near = difflib.get_close_matches(field, known, n=1)
                hint = f"Did you mean {near[0]!r}? " if near else ""
                raise click.UsageError(
                    f"--where {text!r}: no message selected has a field {field!r}. {hint}"
                    f"There are {listed(known)}"
                )
        for cls in every:
            fields = {each.name: each for each in cls.__definition__.fields}
            if all(field in fields for field, _, _, _ in parsed):
                self._tests[cls] = [_test(cls, fields[field], *rest) for field, *rest in parsed]
        if parsed and not self._tests:
            raise click.UsageError(
                f"--where: no message selected has all of {listed(each[0] for each in parsed)}"
            )

    def __call__(self, message: Any) -> bool:
        """Whether the message is wanted."""
        tests = self._tests.get(type(message))
        return tests is not None and all(compare(value(message), with_) for value, compare, with_ in tests)


def _parsed(text: str) -> tuple[str, str, str, str]:
    """Field, operator, value, and the whole."""
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise click.UsageError(
            f"--where {text!r} is no comparison: write FIELD OP VALUE with one of {' '.join(_OPERATORS)}, "
            "such as 'price>100000'"
        )
    return match[1], match[2], match[3], text


def _test(
    cls: Any, definition: Any, sign: str, value: str, text: str
) -> tuple[Callable[[Any], Any], Callable[[Any, Any], bool], Any]:
    form = ValueForm(definition)
    name = f"{cls.__definition__.name}.{form.name}"
    allowed = _ALLOWED[form.kind]
    if sign not in allowed:
        can = f"can be compared by {' '.join(allowed)}" if allowed else "is a list, and cannot be compared"
        raise click.UsageError(f"--where {text!r}: {name} {can}")
    try:
        wanted = form.parse(value)
    except ValueError as error:
        raise click.UsageError(
            f"--where {text!r}: {value!r} is no value of {name}: {error}. It is {form.expected}"
        ) from None
    if isinstance(wanted, int) and definition.type == "U256":
        wanted = wanted.to_bytes(32, "big")
    if isinstance(wanted, list):  # of a Vec<u8>
        wanted = bytes(wanted)
    if definition.type == "f32" and math.isfinite(wanted):  # what is near enough to be the same in a message
        wanted = struct.unpack("<f", struct.pack("<f", max(-_F32_MAX, min(wanted, _F32_MAX))))[0]
    return operator.attrgetter(definition.python_name), _OPERATORS[sign], wanted
