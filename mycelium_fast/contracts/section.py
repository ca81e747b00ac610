"""A map of the contracts file with known keys, and the checks that every part of the file needs.

What is missing, misspelt, given twice or of the wrong shape is found here; which keys there are, and what
they mean, is for `loader.py`, `type_ids.py` and `fields.py`.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Any, Final

from .model import Position
from .report import Report, nearest, show
from .source import ListNode, MapNode, Node, ScalarNode, describe, given_twice, is_nothing, plain

__all__ = ["Section", "is_identifier", "require_map", "require_name", "take_python_name", "whole_number"]

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Section:
    """One map with known keys.

    Args:
        owner: what errors call it, such as `"TradeTick.price"`.
        position: where a missing key is reported.
        known: every key that has a meaning; any other is kept, see `extra`.
        synonyms: keys that are not near enough by spelling, to the known key that is probably meant by them.
    """

    def __init__(
        self,
        report: Report,
        node: MapNode,
        owner: str,
        position: Position,
        known: tuple[str, ...],
        synonyms: Mapping[str, str] = types.MappingProxyType({}),
    ) -> None:
        self._report = report
        self._owner = owner
        self._position = position
        self._values = {key.text: value for key, value in node.entries if key.text in known}
        self._unknown = [(key, value) for key, value in node.entries if key.text not in known]
        self._misspelt: dict[str, ScalarNode] = {}
        absent = [name for name in known if name not in self._values]
        for key, _ in self._unknown:
            meant = synonyms.get(key.text) or nearest(key.text, absent)
            if meant in absent:
                self._misspelt.setdefault(meant, key)
        for key, first in node.duplicates:
            report.error(key.position, f"{owner}: {given_twice(f'the key {show(key.text)}', first)}")

    def get(self, name: str) -> Node | None:
        """The value of an optional key; None where it is absent or empty."""
        node = self._values.get(name)
        return None if node is None or is_nothing(node) else node

    def require(self, name: str, advice: str) -> Node | None:
        """The value of a key that must be there, empty or not; None, and a problem, where it is not."""
        if name in self._values:
            return self._values[name]
        misspelt = self._misspelt.pop(name, None)
        if misspelt is not None:
            self._report.error(
                misspelt.position,
                f"{self._owner}: the key {name} is missing; did you mean it by {show(misspelt.text)}?",
            )
        else:
            self._report.error(self._position, f"{self._owner}: the key {name} is missing; {advice}")
        return None

    def text(self, name: str) -> str | None:
        """A key whose value is text; None where it is absent or empty."""
        node = self.get(name)
        if node is None or (isinstance(node, ScalarNode) and isinstance(node.value, str)):
            return node.text if node is not None else None
        self._report.error(node.position, f"{self._owner}: {name} must be text, not {describe(node)}")
        return None

    def description(self) -> str:
        """The description: text for people, so that a number or a bare true is taken as its text."""
        node = self.get("description")
        if node is None:
            return ""
        if isinstance(node, ScalarNode):
            return node.text
        self._report.error(node.position, f"{self._owner}: description must be text, not {describe(node)}")
        return ""

    def flag(self, name: str, *, default: bool) -> bool:
        """A key that is true or false. An empty one is an error: which of the two was meant is a guess."""
        node = self._values.get(name)
        if node is None:
            return default
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        self._report.error(
            node.position, f"{self._owner}: {name} must be true or false, not {describe(node)}"
        )
        return default

    def names(self, name: str) -> list[ScalarNode]:
        """A key whose value is a list of names."""
        node = self.get(name)
        if node is None:
            return []
        if not isinstance(node, ListNode):
            advice = f"; write [{node.text}]" if isinstance(node, ScalarNode) else ""
            self._report.error(
                node.position, f"{self._owner}: {name} must be a list, not {describe(node)}{advice}"
            )
            return []
        found: list[ScalarNode] = []
        for item in node.items:
            if isinstance(item, ScalarNode) and is_identifier(item.text):
                found.append(item)
            else:
                self._report.error(
                    item.position, f"{self._owner}: {name} holds names of messages, not {describe(item)}"
                )
        return found

    def extra(self) -> Mapping[str, Any]:
        """The keys that nobody knows, as plain data; to be asked once, after every `require`."""
        for meant, key in self._misspelt.items():
            self._report.warn(
                key.position,
                f"{self._owner}: the key {show(key.text)} is unknown and ignored; did you mean {meant!r}?",
            )
        for key, _ in self._unknown:
            if key.text == "<<":
                self._report.warn(
                    key.position,
                    f"{self._owner}: '<<' is an ordinary key here and ignored: YAML 1.2 merges no maps",
                )
        return types.MappingProxyType({key.text: plain(value, self._report) for key, value in self._unknown})


def is_identifier(text: str) -> bool:
    """Whether a message or field may be called so."""
    return _IDENTIFIER.fullmatch(text) is not None


def whole_number(node: Node) -> int | None:
    """The value of a node that is a whole number; a bool is none."""
    if isinstance(node, ScalarNode) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    return None


def require_map(node: Node, name: str, shape: str, report: Report) -> MapNode | None:
    """The node if it is a map; None, and a problem, if not."""
    if isinstance(node, MapNode):
        return node
    report.error(node.position, f"{name} must be a map {shape}, not {describe(node)}")
    return None


def require_name(key: ScalarNode, what: str, report: Report) -> bool:
    """Whether a key is an identifier; a problem if not."""
    if is_identifier(key.text):
        return True
    report.error(
        key.position,
        f"{what} name {show(key.text)} is not an identifier: ASCII letters, digits and _, no digit first",
    )
    return False


def take_python_name(
    key: ScalarNode, python_name: str, taken: dict[str, str], what: str, report: Report
) -> None:
    """Note in `taken` what Python calls something; a problem if something else is called so already."""
    other = taken.setdefault(python_name, key.text)
    if other != key.text:
        report.error(
            key.position,
            f"{what} {other!r} and {key.text!r} are both {python_name!r} in Python; rename one of them",
        )
