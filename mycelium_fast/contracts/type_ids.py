"""Type ids: what a message may be numbered, by `tag_ranges` and by the other messages of the file.

The ranges are the protocol's, section 1. A file without `tag_ranges` has no bounds but those of a `u16`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .model import Position, TagRanges
from .report import Report
from .section import Section, require_map, whole_number
from .source import Node, ScalarNode, describe

__all__ = ["TypeId", "check_type_ids", "read_tag_ranges", "read_type_id"]

_MAX_TYPE_ID: Final = 65_535
_RANGE_KEYS: Final = ("core", "app", "experimental")
_RANGE: Final = re.compile(r"\s*([0-9]{1,6})\s*-\s*([0-9]{1,6})\s*")


@dataclass(frozen=True, slots=True)
class TypeId:
    """The type id of a message, with the place where it stands."""

    message: str
    value: int
    position: Position


@dataclass(frozen=True, slots=True)
class _Range:
    name: str
    start: int
    end: int
    position: Position

    def __contains__(self, value: int) -> bool:
        return self.start <= value <= self.end

    def __str__(self) -> str:
        return f"{self.name} ({self.start}-{self.end})"


def read_tag_ranges(node: Node | None, report: Report) -> TagRanges | None:
    """Read `tag_ranges`; None where the file has none."""
    if node is None:
        return None
    table = require_map(node, "tag_ranges", "with ranges such as 'app: 1000-49999'", report)
    if table is None:
        return None
    section = Section(report, table, "tag_ranges", table.position, _RANGE_KEYS)
    found: list[_Range] = []
    for name in _RANGE_KEYS:
        value = section.get(name)
        range_ = _read_range(value, name, report) if value is not None else None
        if range_ is not None:
            found.append(range_)
    section.extra()
    found.sort(key=lambda range_: (range_.position.line, range_.position.column))
    for index, later in enumerate(found):
        for earlier in found[:index]:
            if later.start <= earlier.end and earlier.start <= later.end:
                report.error(
                    later.position,
                    f"tag_ranges: {later} overlaps {earlier}; a type id can be in one range alone",
                )
    bounds = {range_.name: (range_.start, range_.end) for range_ in found}
    return TagRanges(bounds.get("core"), bounds.get("app"), bounds.get("experimental"))


def _read_range(node: Node, name: str, report: Report) -> _Range | None:
    owner = f"tag_ranges.{name}"
    match = _RANGE.fullmatch(node.text) if isinstance(node, ScalarNode) else None
    if match is None:
        report.error(node.position, f"{owner} must be a range such as '1000-49999', not {describe(node)}")
        return None
    start, end = int(match[1]), int(match[2])
    if start > end:
        report.error(node.position, f"{owner}: the range {start}-{end} ends before it begins")
    elif start < 1 or end > _MAX_TYPE_ID:
        report.error(node.position, f"{owner}: the range {start}-{end} is not within 1-{_MAX_TYPE_ID}")
    else:
        return _Range(name, start, end, node.position)
    return None


def read_type_id(node: Node | None, message: str, report: Report) -> TypeId | None:
    """Read `tlv_type`; None, and a problem, where it is no type id."""
    if node is None:
        return None
    value = whole_number(node)
    if value is not None and 1 <= value <= _MAX_TYPE_ID:
        return TypeId(message, value, node.position)
    report.error(
        node.position,
        f"{message}: tlv_type must be a whole number from 1 to {_MAX_TYPE_ID}, not {describe(node)}",
    )
    return None


def check_type_ids(type_ids: Iterable[TypeId], ranges: TagRanges | None, report: Report) -> None:
    """Compare the type ids of a file with each other and with its ranges."""
    first: dict[int, TypeId] = {}
    for entry in type_ids:
        earlier = first.setdefault(entry.value, entry)
        if earlier is not entry:
            report.error(
                entry.position,
                f"{entry.message}: tlv_type {entry.value} is taken by {earlier.message} "
                f"(line {earlier.position.line}); every message needs its own",
            )
        if ranges is not None:
            _check_range(entry, ranges, report)


def _check_range(entry: TypeId, ranges: TagRanges, report: Report) -> None:
    core, app, experimental = (
        _Range(name, *bounds, entry.position) if bounds is not None else None
        for name, bounds in (
            ("core", ranges.core),
            ("app", ranges.app),
            ("experimental", ranges.experimental),
        )
    )
    what = f"{entry.message}: tlv_type {entry.value}"
    if core is not None and entry.value in core:
        advice = f"; take one from {app}" if app is not None else ""
        report.error(entry.position, f"{what} is inside {core}, which is reserved for the framework{advice}")
    elif experimental is not None and entry.value in experimental:
        report.warn(entry.position, f"{what} is inside {experimental}: other programs may use it too")
    elif app is not None and experimental is not None and entry.value not in app:
        report.warn(entry.position, f"{what} is outside {app} and {experimental}")
