"""What `mycelium diff` prints: text for people, in colour on a terminal, and JSON for programs.

Text of a contract comes out on one line, with everything that a terminal would act upon shown by its number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import click

from mycelium_fast.codegen.names import plain_text
from mycelium_fast.contracts.changes import HARMFUL, Change, Effect, Effects, Level, SharedMessage, Verdict
from mycelium_fast.contracts.compare import Comparison
from mycelium_fast.contracts.field_changes import type_text
from mycelium_fast.contracts.layout import MessageLayout
from mycelium_fast.contracts.model import Contracts, Position

__all__ = ["json_line", "text"]

_AUDIENCES: Final = (
    ("old_readers", "old readers, new writers"),
    ("new_readers", "new readers, old writers"),
    ("stored", "stored data"),
)
_LABELS: Final = {
    Level.BREAKING: ("breaks", "red"),
    Level.WARNING: ("warning", "yellow"),
    Level.NOTE: ("note", "cyan"),
}
_FINDINGS: Final = {"error": "red", "warning": "yellow", "note": "cyan"}
_LABEL_WIDTH: Final = 9


def text(comparison: Comparison) -> str:
    """The whole comparison for people."""
    old, new = plain_text(comparison.old.file), plain_text(comparison.new.file)
    if comparison.identical:
        return f"{old} and {new} are the same, byte for byte."
    lines = [click.style(f"{old} -> {new}", bold=True), ""]
    moved = {item.type_id: item for item in comparison.messages if item.same_message and item.moved}
    for type_id, group in groupby(comparison.changes, key=lambda change: change.type_id):
        changes = list(group)
        name = changes[0].message
        title = "The file" if name is None else f"{name} (type id {type_id})"
        lines.append(click.style(title, bold=True))
        for change in changes:
            lines += _change(change, comparison)
        if type_id in moved:
            lines += _layouts(moved.pop(type_id))
        lines.append("")
    for finding in comparison.findings:
        label = click.style(f"{finding.level:<{_LABEL_WIDTH}}", fg=_FINDINGS[finding.level])
        lines.append(f"{label}{finding.text}")
    lines += [""] if comparison.findings else []
    return "\n".join([*lines, _summary(comparison), *_advice(comparison)])


def _change(change: Change, comparison: Comparison) -> Iterator[str]:
    word, colour = _LABELS[change.level]
    label = click.style(f"{word:<{_LABEL_WIDTH}}", fg=colour, bold=change.level is Level.BREAKING)
    places = [
        f"{plain_text(contracts.file)}:{position.line}"
        for contracts, position in (
            (comparison.old, change.old_position),
            (comparison.new, change.new_position),
        )
        if position is not None and change.message is not None
    ]
    place = click.style(f"  [{', '.join(places)}]", dim=True) if places else ""
    yield f"  {label}{plain_text(change.text)}{place}"
    verdicts = [(title, _verdict(change.effects, key)) for key, title in _AUDIENCES]
    if len({verdict for _, verdict in verdicts}) == 1 and verdicts[0][1].effect is Effect.SAME:
        return
    for title, verdict in verdicts:
        effect = click.style(f"{verdict.effect.value:<13}", fg=_colour(verdict.effect))
        yield f"  {'':<{_LABEL_WIDTH}}{title:<26}{effect}{plain_text(verdict.text)}"


def _verdict(effects: Effects, audience: str) -> Verdict:
    verdict: Verdict = getattr(effects, audience)
    return verdict


def _colour(effect: Effect) -> str:
    if effect in HARMFUL:
        return "red"
    return "green" if effect is Effect.SAME else "yellow"


def _layouts(item: SharedMessage) -> Iterator[str]:
    """The two layouts side by side, each offset on a line of its own."""
    sides = [_rows(item.old), _rows(item.new)]
    heads = [f"before: {item.old.size} bytes", f"after: {item.new.size} bytes"]
    width = max(len(heads[0]), *(len(row) for row in sides[0].values())) if sides[0] else len(heads[0])
    yield ""
    left, right = click.style(f"{heads[0]:<{width}}", underline=True), click.style(heads[1], underline=True)
    yield f"    {left}    {right}"
    for offset in sorted({*sides[0], *sides[1]}):
        left, right = (side.get(offset, "") for side in sides)
        line = f"    {left:<{width}}    {right}".rstrip()
        yield line if left == right else click.style(line, fg="yellow")
    total = [f"{each.value}" for each in (item.old_readers, item.new_readers, item.stored)]
    yield f"    in all: old readers {total[0]}, new readers {total[1]}, stored data {total[2]}"


def _rows(item: MessageLayout) -> dict[int, str]:
    """What begins at each offset, padding too, in columns: offset, size, name, type."""
    entries = [(place.offset, place.size, place.field.name, type_text(place.field)) for place in item.fields]
    entries += [(start, end - start, "", "padding") for start, end in item.padding]
    widths = [max((len(str(entry[column])) for entry in entries), default=0) for column in range(3)]
    return {
        offset: f"{offset:>{widths[0]}} {size:>{widths[1]}}  {name:<{widths[2]}}  {type_}"
        for offset, size, name, type_ in entries
    }


def _summary(comparison: Comparison) -> str:
    count = len(comparison.changes)
    breaking = sum(change.level is Level.BREAKING for change in comparison.changes)
    changes = f"{count} change{'s' * (count != 1)}"
    if not breaking:
        return click.style(f"{changes}; nothing breaks peers or stored data.", fg="green")
    verb = "breaks" if breaking == 1 else "break"
    return click.style(f"{changes}; {breaking} of them {verb} peers or stored data.", fg="red")


def _advice(comparison: Comparison) -> Iterator[str]:
    """What to do about the digests, which differ whatever changed."""
    yield "The digests differ, and peers compare digests: generate every program again from the new file."
    if not comparison.wire_compatible:
        yield "A bridge cannot serve peers of both files:"
        yield from (f"  - {plain_text(obstacle)}" for obstacle in comparison.obstacles)
        return
    yield "Until then a bridge with the new file can serve peers of the old one as well, by the option"
    yield "--accept, or in its table of the topology file by"
    yield f"  {_accept(comparison.old)}"
    if comparison.breaks and any("rules" in change.kind for change in comparison.changes):
        yield "Layouts are the same, rules are not: a message that breaks a reader's rule is refused there."


def _accept(contracts: Contracts) -> str:
    """The entry of a bridge's table; of what is no file, such as standard input, a copy has to be made."""
    if not os.path.isfile(contracts.file):
        return 'accept = ["old.yaml"]    # a copy of the old file'
    escaped = contracts.file.replace("\\", "\\\\").replace('"', '\\"')
    shown = "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in escaped)
    return f'accept = ["{shown}"]'


# --- JSON ---------------------------------------------------------------------------------------------------


def json_line(comparison: Comparison) -> str:
    """The whole comparison as a JSON object on one line; documented in docs/changing-contracts.md."""
    return json.dumps(
        {
            "old": _file(comparison.old),
            "new": _file(comparison.new),
            "identical": comparison.identical,
            "failed": comparison.failed,
            "breaks": comparison.breaks,
            "wire_compatible": comparison.wire_compatible,
            "obstacles": list(comparison.obstacles),
            "shared_type_ids": sorted(comparison.shared_type_ids),
            "changes": [_change_data(change) for change in comparison.changes],
            "messages": [_message_data(item) for item in comparison.messages],
            "schema": [{"level": finding.level, "text": finding.text} for finding in comparison.findings],
        }
    )


def _file(contracts: Contracts) -> dict[str, Any]:
    return {
        "file": contracts.file,
        "digest": contracts.digest.hex(),
        "version": contracts.version,
        "min_compatible": contracts.min_compatible,
    }


def _change_data(change: Change) -> dict[str, Any]:
    verdicts = {key: _verdict(change.effects, key) for key, _ in _AUDIENCES}
    return {
        "kind": change.kind,
        "level": change.level.value,
        "message": change.message,
        "type_id": change.type_id,
        "field": change.field,
        "text": change.text,
        "effects": {key: {"effect": each.effect.value, "text": each.text} for key, each in verdicts.items()},
        "old": _place(change.old_position),
        "new": _place(change.new_position),
    }


def _place(position: Position | None) -> dict[str, int] | None:
    return None if position is None else {"line": position.line, "column": position.column}


def _message_data(item: SharedMessage) -> dict[str, Any]:
    return {
        "type_id": item.type_id,
        "moved": item.moved,
        "effects": {key: getattr(item, key).value for key, _ in _AUDIENCES},
        "old": _layout(item.old),
        "new": _layout(item.new),
    }


def _layout(item: MessageLayout) -> dict[str, Any]:
    fields: Sequence[dict[str, Any]] = [
        {
            "name": place.field.name,
            "type": str(place.field.type),
            "capacity": place.field.capacity,
            "offset": place.offset,
            "size": place.size,
        }
        for place in item.fields
    ]
    return {"name": item.message.name, "size": item.size, "align": item.align, "fields": fields}
