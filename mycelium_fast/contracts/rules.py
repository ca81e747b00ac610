"""The `validation` of a field: which rules are checked, which are kept as metadata, and what makes no sense.

A rule leaves here in the form that generated code can use as it stands: limits in the field's own kind of
number, capacity taken out (it belongs to the type), nothing that the type's range alone makes pointless.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, Final

from .model import CHECKED_RULES, Position, Rule
from .report import Report, did_you_mean, nearest, show
from .section import whole_number
from .source import ListNode, MapNode, Node, ScalarNode, describe, given_twice, is_nothing, plain
from .types import MAX_COUNT, SCALARS, U256, FieldType, Scalar, String, Vec

__all__ = ["Entry", "capacity_of", "check_rules", "read_validation"]

_FLAGS: Final = ("not_empty", "not_zero", "no_0x_prefix")
_LENGTHS: Final = ("min_length", "max_length")
_MAX_F32: Final = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_MAX_F64: Final = struct.unpack("<d", b"\xff\xff\xff\xff\xff\xff\xef\x7f")[0]


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule as the file has it."""

    name: str
    value: Node
    position: Position


def read_validation(node: Node | None, owner: str, report: Report) -> list[Entry]:
    """Flatten `validation`, a list of maps, to its rules; no rule stands twice in the result.

    Args:
        node: None, or an empty scalar, is no rules.
        owner: `"TradeTick.price"`, for the texts of problems.
    """
    if node is None or is_nothing(node):
        return []
    if not isinstance(node, ListNode):
        report.error(
            node.position,
            f"{owner}: validation must be a list of rules such as '- min: 1', not {describe(node)}",
        )
        return []
    first: dict[str, ScalarNode] = {}
    entries: list[Entry] = []
    for item in node.items:
        if not isinstance(item, MapNode):
            advice = ""
            if isinstance(item, ScalarNode) and item.text in _FLAGS:
                advice = f"; write '{item.text}: true'"
            report.error(
                item.position, f"{owner}: a rule must be a map such as 'min: 1', not {describe(item)}{advice}"
            )
            continue
        repeated = [(key, earlier) for key, earlier in item.duplicates]
        for key, value in item.entries:
            if key.text in first:
                repeated.append((key, first[key.text]))
            else:
                first[key.text] = key
                entries.append(Entry(key.text, value, key.position))
        for key, earlier in repeated:
            report.error(key.position, f"{owner}: {given_twice(f'the rule {show(key.text)}', earlier)}")
    return entries


def capacity_of(entries: list[Entry]) -> int | None:
    """The capacity that `max_length` gives; None where it gives none, or a wrong one."""
    for entry in entries:
        if entry.name == "max_length":
            value = whole_number(entry.value)
            return value if value is not None and 1 <= value <= MAX_COUNT else None
    return None


def check_rules(
    entries: list[Entry], type_: FieldType | None, owner: str, report: Report
) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Sort the rules of a field into those that are checked and those kept as metadata.

    Args:
        type_: the field's type; None where it is wrong, and only the limits themselves can be checked.

    Returns:
        `(rules, context_rules)`, each in file order. `max_length` is in neither where it is the capacity.
    """
    misspelt = _misspelt_capacity(entries, type_)
    capacity_known = misspelt is None and (
        capacity_of(entries) is not None or all(entry.name != "max_length" for entry in entries)
    )
    checker = _Checker(type_, capacity_known, owner, report)
    for entry in entries:
        if entry is misspelt:
            # No warning as for other rules: with the default capacity the message has another layout.
            report.error(
                entry.position,
                f"{owner}: the rule {show(entry.name)} is unknown; did you mean 'max_length'? "
                "The capacity, and with it the layout, depends on it",
            )
        else:
            checker.take(entry)
    checker.compare()
    return tuple(checker.rules), tuple(checker.context_rules)


def _misspelt_capacity(entries: list[Entry], type_: FieldType | None) -> Entry | None:
    """The rule that was probably meant to be a missing `max_length`, where that is the capacity."""
    if isinstance(type_, (String, Vec)) and all(entry.name != "max_length" for entry in entries):
        for entry in entries:
            if entry.name not in CHECKED_RULES and nearest(entry.name, CHECKED_RULES) == "max_length":
                return entry
    return None


class _Checker:
    """The rules of one field."""

    def __init__(self, type_: FieldType | None, capacity_known: bool, owner: str, report: Report) -> None:
        self.rules: list[Rule] = []
        self.context_rules: list[Rule] = []
        self._type = type_
        self._capacity_known = capacity_known
        self._owner = owner
        self._report = report

    def take(self, entry: Entry) -> None:
        if entry.name not in CHECKED_RULES:
            guess = did_you_mean(entry.name, CHECKED_RULES)
            self._keep(
                entry, f"the rule {show(entry.name)} is not one that is checked here; kept as metadata{guess}"
            )
            return
        limit = self._limit(entry)
        if limit is None or limit is False:
            return
        if self._type is None:
            return
        if not _applies(entry.name, self._type):
            self._keep(entry, f"the rule {entry.name} means nothing for {self._type} and is not checked")
        elif entry.name == "min_length":
            self._min_length(entry, limit)
        elif entry.name in ("min", "max"):
            self._bound(entry, limit)
        elif entry.name != "max_length":
            self.rules.append(Rule(entry.name, True, entry.position))

    def compare(self) -> None:
        """Find a `min` above the `max`, once both are known."""
        bounds = {rule.name: rule for rule in self.rules if rule.name in ("min", "max")}
        if len(bounds) == 2 and bounds["min"].limit > bounds["max"].limit:
            later = max(bounds.values(), key=lambda rule: (rule.position.line, rule.position.column))
            low, high = bounds["min"].limit, bounds["max"].limit
            self._report.error(
                later.position, f"{self._owner}: min {low} is above max {high}, so that no value is valid"
            )

    def _error(self, position: Position, text: str) -> None:
        self._report.error(position, f"{self._owner}: {text}")

    def _keep(self, entry: Entry, why: str) -> None:
        limit = plain(entry.value, self._report)
        self.context_rules.append(Rule(entry.name, limit, entry.position))
        self._report.warn(entry.position, f"{self._owner}: {why}")

    def _limit(self, entry: Entry) -> Any:
        """The limit, if it is of the kind that the rule takes; else None, and a problem."""
        value = entry.value.value if isinstance(entry.value, ScalarNode) else None
        if entry.name in _FLAGS:
            if isinstance(value, bool):
                return value
            wanted = "true or false"
        elif entry.name in _LENGTHS:
            low = 1 if entry.name == "max_length" else 0
            length = whole_number(entry.value)
            if length is not None and low <= length <= MAX_COUNT:
                return length
            wanted = f"a whole number from {low} to {MAX_COUNT}"
        else:
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if isinstance(value, float) and math.isfinite(value):
                return value
            wanted = "a finite number"
        self._error(entry.value.position, f"{entry.name} must be {wanted}, not {describe(entry.value)}")
        return None

    def _min_length(self, entry: Entry, limit: int) -> None:
        assert isinstance(self._type, (String, Vec))
        if self._capacity_known and limit > self._type.capacity:
            self._error(
                entry.value.position,
                f"min_length {limit} is over the capacity {self._type.capacity}; raise max_length",
            )
        elif limit > 0:
            self.rules.append(Rule(entry.name, limit, entry.position))

    def _bound(self, entry: Entry, limit: int | float) -> None:
        """A `min` or `max`: its limit becomes a number of the field's own kind."""
        assert isinstance(self._type, (Scalar, U256))
        low, high = _range(self._type)
        if isinstance(low, int) and isinstance(limit, float):
            if not limit.is_integer():
                self._error(
                    entry.value.position,
                    f"{entry.name} {limit} is not a whole number, but {self._type} holds nothing else",
                )
                return
            limit = int(limit)
        if limit > high if entry.name == "min" else limit < low:
            self._error(
                entry.value.position,
                f"{entry.name} {limit} excludes every value of {self._type} ({low} to {high})",
            )
        elif isinstance(low, float) and (limit < low if entry.name == "min" else limit > high):
            # Nothing finite breaks it, but NaN and an infinity do.
            self.rules.append(Rule(entry.name, low if entry.name == "min" else high, entry.position))
        elif limit < low if entry.name == "min" else limit > high:
            # Left out of the checked rules: in C its limit would not even fit the field's type.
            self._keep(
                entry, f"{entry.name} {limit} is outside {self._type} ({low} to {high}) and can never fail"
            )
        else:
            self.rules.append(Rule(entry.name, _rounded(limit, self._type), entry.position))


def _applies(rule: str, type_: FieldType) -> bool:
    if rule in ("not_empty", "min_length", "max_length"):
        return isinstance(type_, (String, Vec))
    if rule == "no_0x_prefix":
        return isinstance(type_, String)
    if rule == "not_zero":
        return not isinstance(type_, String)
    return isinstance(type_, U256) or (isinstance(type_, Scalar) and type_.name != "bool")


def _range(type_: Scalar | U256) -> tuple[int, int] | tuple[float, float]:
    """Smallest and largest value of a number type; floats for a float type."""
    if isinstance(type_, U256):
        return 0, 2**256 - 1
    if type_.name == "f32":
        return -_MAX_F32, _MAX_F32
    if type_.name == "f64":
        return -_MAX_F64, _MAX_F64
    bits = SCALARS[type_.name] * 8
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if type_.name[0] == "i" else (0, 2**bits - 1)


def _rounded(limit: int | float, type_: Scalar | U256) -> int | float:
    """A limit in the precision of the field.

    For f32 `max: 0.1` must let the value 0.1 through, which as f32 is a little larger than 0.1 as f64.
    """
    if isinstance(type_, Scalar) and type_.name == "f32":
        rounded: float = struct.unpack("<f", struct.pack("<f", limit))[0]
        return rounded
    if isinstance(type_, Scalar) and type_.name == "f64":
        return float(limit)
    return limit
