"""YAML text to a tree of nodes that know where they stand in the file.

Keys are text whatever they look like (`on`, `no`, `null`, `1`), as Rust peers read them; values follow the
YAML 1.2 core schema, where only `true` and `false` are booleans. What the keys mean is for `loader.py`.

The tree is built from PyYAML's events with a stack of its own, not by recursion, so that neither deep nesting
nor an alias inside itself can exhaust anything. A file is accepted or refused, with the same words, on every
installation: PyYAML's parser in C, twenty times as fast and not always there, reads only what the one in
Python is known to read alike, and never says what is wrong.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import BuildError
from .model import Position
from .report import Report, show

if TYPE_CHECKING:
    from yaml import Event

__all__ = [
    "ListNode",
    "MapNode",
    "Node",
    "ScalarNode",
    "compose",
    "describe",
    "given_twice",
    "is_nothing",
    "plain",
]

ScalarValue: TypeAlias = str | int | float | bool | None

#: Far deeper than any contract (which takes 8), far shallower than Python's stack.
_MAX_DEPTH: Final = 64
#: Nodes that aliases may stand for in one file, all together.
_MAX_ALIASED_NODES: Final = 100_000
#: More digits than any number that a contract can mean (2**256 has 78, the largest f64 309).
_MAX_DIGITS: Final = 400

_STANDARD_TAG: Final = "tag:yaml.org,2002:"
_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")
_SURROGATE = re.compile("[\ud800-\udfff]")
#: What only one of PyYAML's two parsers takes, or what has another meaning or place to the other: tabs, line
#: ends other than LF, byte order marks, question marks, directives, tags, a comment right behind the | or >
#: of a block; also what neither takes. (Text that has such characters for other reasons is read slowly.)
_READ_TWO_WAYS = re.compile(
    "[^\n -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    "|[?%!]|[|>][-+0-9]{0,2}#"
)


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value: `text` as the file has it, `value` as the core schema reads it."""

    text: str
    value: ScalarValue
    position: Position
    size: int = 1


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list; `size` counts the nodes under it and itself, aliases expanded."""

    items: tuple[Node, ...]
    position: Position
    size: int


@dataclass(frozen=True, slots=True)
class MapNode:
    """A map in file order.

    Attributes:
        entries: key and value; of a key given twice, the first.
        duplicates: keys given again, each with the first of its name.
        size: nodes under it and itself, aliases expanded.
    """

    entries: tuple[tuple[ScalarNode, Node], ...]
    duplicates: tuple[tuple[ScalarNode, ScalarNode], ...]
    position: Position
    size: int


Node: TypeAlias = ScalarNode | ListNode | MapNode


def is_nothing(node: Node) -> bool:
    """Whether a value is empty, or YAML's word for it."""
    return isinstance(node, ScalarNode) and node.value is None


def describe(node: Node) -> str:
    """What a node is, for the end of "must be a map, not ..."."""
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MapNode):
        return "a map"
    if node.value is None:
        return "empty" if not node.text else f"{node.text} (YAML's word for nothing)"
    if isinstance(node.value, bool):
        return node.text
    if isinstance(node.value, str):
        return f"the text {show(node.value)}"
    return f"the number {node.text}"


def plain(node: Node, report: Report) -> Any:
    """A node as immutable plain data: read-only mappings, tuples, scalars."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return tuple(plain(item, report) for item in node.items)
    for key, first in node.duplicates:
        report.error(key.position, given_twice(f"the key {show(key.text)}", first))
    return types.MappingProxyType({key.text: plain(value, report) for key, value in node.entries})


def given_twice(what: str, first: ScalarNode) -> str:
    """The text of a problem: something stands a second time in one map."""
    line, column = first.position.line, first.position.column
    return f"{what} is given twice; the first is at line {line}, column {column}"


def compose(data: bytes, report: Report) -> Node | None:
    """Read the bytes of a YAML file.

    What can be read past is reported; at what cannot, reading stops.

    Returns:
        The top-level node; None where there is none or where reading had to stop (there is a problem in the
        report then).

    Raises:
        BuildError: PyYAML is not installed.
    """
    text = _decode(data, report)
    if text is None:
        return None
    try:
        import yaml  # not at the top: importing this package must need nothing else
    except ImportError as error:
        raise BuildError(
            "reading a contracts file needs PyYAML, which is not installed; "
            "install it with: pip install 'mycelium-fast[build]'"
        ) from error

    # Loaders are used for their parsers alone: no object is ever constructed from the file.
    if hasattr(yaml, "CSafeLoader") and not _READ_TWO_WAYS.search(text):
        root = _compose_sound(yaml.CSafeLoader(text))
        if root is not None:
            return root
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        position = _position_in(text, error.position)
        report.error(position, f"the character {_code_point(error.character)} may not stand in a YAML file")
        return None
    composer = _Composer(report)
    try:
        while loader.check_event():
            event: Event = loader.get_event()  # type: ignore[no-untyped-call]
            if not composer.take(event):
                return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        report.error(_position(mark) if mark else Position(1, 1), f"not valid YAML: {_yaml_text(error)}")
        return None
    except (ValueError, OverflowError):
        # PyYAML lets these through for an escape beyond Unicode ("\UFFFFFFFF") and an endless %YAML version.
        problem = "not valid YAML: an escape or a version stands for a number that is too large"
        report.error(_position(loader.get_mark()), problem)
        return None
    return composer.root


def _compose_sound(loader: Any) -> Node | None:
    """The top-level node of a file without a fault; None where the other parser is to say what is wrong."""
    composer = _Composer(report := Report())
    try:
        while loader.check_event():
            event = loader.get_event()
            # (Where an empty value stands, the parsers do not agree.)
            if getattr(event, "value", None) == "" or not composer.take(event):
                return None
    except Exception:  # of many kinds, from C
        return None
    return None if report.has_problems else composer.root


def _decode(data: bytes, report: Report) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        report.error(
            _position_in(before, len(before)),
            f"byte 0x{data[error.start]:02x} (byte {error.start} of the file) is not UTF-8; "
            "save the file as UTF-8",
        )
        return None


def _position_in(text: str, index: int) -> Position:
    start = text.rfind("\n", 0, index) + 1
    return Position(text.count("\n", 0, index) + 1, index - start + 1)


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _code_point(character: object) -> str:
    # PyYAML's stubs say bytes, but for text it is the code point.
    return f"U+{character:04X}" if isinstance(character, int) else repr(character)


def _yaml_text(error: Any) -> str:
    """PyYAML's two half sentences as one, with the place that the first speaks of."""
    problem = error.problem or "it cannot be read"
    if not error.context:
        return str(problem)
    where = ""
    if error.context_mark is not None and error.context_mark is not error.problem_mark:
        where = f" (which begins at line {error.context_mark.line + 1})"
    return f"{problem}, {error.context}{where}"


@dataclass(slots=True)
class _Open:
    """A list or map whose end has not come yet."""

    is_map: bool
    position: Position
    anchor: str | None
    size: int = 1
    items: list[Node] = field(default_factory=list)
    entries: list[tuple[ScalarNode, Node]] = field(default_factory=list)
    first: dict[str, ScalarNode] = field(default_factory=dict)
    duplicates: list[tuple[ScalarNode, ScalarNode]] = field(default_factory=list)
    key: ScalarNode | None = None


class _Composer:
    """Puts nodes together, one event at a time."""

    def __init__(self, report: Report) -> None:
        self.root: Node | None = None
        self._report = report
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | _Open] = {}
        self._aliased = 0
        self._documents = 0
        self._handlers: Mapping[str, Callable[[Any, Position], bool]] = {
            "DocumentStartEvent": self._document,
            "AliasEvent": self._alias,
            "ScalarEvent": self._scalar,
            "SequenceStartEvent": self._open,
            "MappingStartEvent": self._open,
            "SequenceEndEvent": self._close,
            "MappingEndEvent": self._close,
        }

    def take(self, event: Event) -> bool:
        """Take the next event; False if nothing after it can be read."""
        handler = self._handlers.get(type(event).__name__)
        return handler is None or handler(event, _position(event.start_mark))

    def _stop(self, position: Position, text: str) -> bool:
        self._report.error(position, text)
        self.root = None
        return False

    def _document(self, event: Any, position: Position) -> bool:
        self._documents += 1
        if self._documents > 1:
            return self._stop(
                position, "a second YAML document begins here; a contracts file is a single one"
            )
        return True

    def _alias(self, event: Any, position: Position) -> bool:
        target = self._anchors.get(event.anchor)
        if target is None:
            return self._stop(position, f"the alias *{event.anchor} stands for no anchor before it")
        if isinstance(target, _Open):
            return self._stop(position, f"the alias *{event.anchor} stands inside what it stands for")
        self._aliased += target.size
        if self._aliased > _MAX_ALIASED_NODES:
            return self._stop(
                position,
                f"the aliases of this file stand for more than {_MAX_ALIASED_NODES} values; write fewer",
            )
        self._add(target, position)
        return True

    def _scalar(self, event: Any, position: Position) -> bool:
        value: ScalarValue = event.value
        if _SURROGATE.search(event.value):
            self._report.error(position, "an escape stands for half a surrogate pair, which is no character")
            value = ""
        elif event.tag is None or event.tag == "!":
            if event.tag is None and not event.style:
                value = self._resolve(event.value, position)
        else:
            value = self._tagged(event.tag, event.value, position)
        node = ScalarNode(event.value, value, position)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._add(node, position)
        return True

    def _open(self, event: Any, position: Position) -> bool:
        is_map = type(event).__name__ == "MappingStartEvent"
        if len(self._stack) == _MAX_DEPTH:
            return self._stop(position, f"nested deeper than {_MAX_DEPTH} levels")
        if event.tag not in (None, "!", _STANDARD_TAG + ("map" if is_map else "seq")):
            self._unknown_tag(event.tag, position)
        opened = _Open(is_map, position, event.anchor)
        if event.anchor is not None:
            self._anchors[event.anchor] = opened
        self._stack.append(opened)
        return True

    def _close(self, event: Any, position: Position) -> bool:
        opened = self._stack.pop()
        node: Node
        if opened.is_map:
            node = MapNode(tuple(opened.entries), tuple(opened.duplicates), opened.position, opened.size)
        else:
            node = ListNode(tuple(opened.items), opened.position, opened.size)
        # An anchor of the same name inside has taken its place otherwise.
        if opened.anchor is not None and self._anchors[opened.anchor] is opened:
            self._anchors[opened.anchor] = node
        self._add(node, opened.position)
        return True

    def _add(self, node: Node, position: Position) -> None:
        """Give a finished node to the list or map that it stands in; `position` is where it stands."""
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        parent.size += node.size
        if not parent.is_map:
            parent.items.append(node)
        elif parent.key is None:
            if not isinstance(node, ScalarNode):
                self._report.error(position, f"a key must be text, not {describe(node)}")
                node = ScalarNode("", "", position)
            # As an alias a key stands elsewhere than its text.
            parent.key = ScalarNode(node.text, node.text, position)
        else:
            first = parent.first.setdefault(parent.key.text, parent.key)
            if first is parent.key:
                parent.entries.append((parent.key, node))
            else:
                parent.duplicates.append((parent.key, first))
            parent.key = None

    def _resolve(self, text: str, position: Position) -> ScalarValue:
        """The value of a plain scalar by the core schema of YAML 1.2."""
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if text[0] not in "+-.0123456789":
            return text
        if _INT.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                self._report.error(position, f"a number of {len(text)} digits is too long")
                return 0
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _INF.fullmatch(text):
            return float("-inf") if text[0] == "-" else float("inf")
        return float("nan") if _NAN.fullmatch(text) else text

    def _tagged(self, tag: str, text: str, position: Position) -> ScalarValue:
        name = tag.removeprefix(_STANDARD_TAG)
        if tag == name or name not in ("str", "int", "float", "bool", "null"):
            self._unknown_tag(tag, position)
            return text
        if name == "str":
            return text
        value = self._resolve(text, position) if text else None
        kind = {"int": int, "float": float, "bool": bool, "null": type(None)}[name]
        if type(value) is int and kind is float:
            return _to_float(value)
        if type(value) is not kind:
            self._report.error(position, f"{show(text)} is no {name}, though its tag is !!{name}")
        return value

    def _unknown_tag(self, tag: str, position: Position) -> None:
        shown = tag.replace(_STANDARD_TAG, "!!")
        self._report.error(position, f"the tag {show(shown)} means nothing in a contracts file; remove it")


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
