"""Two contracts files compared: what each change does to those who read and write with the other file.

Fields are `field_changes.py`'s, their bytes `outcomes.py`'s, the numbers of the `schema` section
`versions.py`'s; here are the whole file and its messages. What a person reads is made by `mycelium diff`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .changes import Change, Effect, Effects, Finding, Level, SharedMessage, Verdict
from .field_changes import NOTHING, field_changes, other_keys, shared
from .layout import MessageLayout, layout
from .model import Contracts, Message, Position
from .report import show
from .versions import check_versions

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of one contracts file in another.

    Attributes:
        changes: by message, in the order of the new file; what is of the whole file comes last.
        messages: every type id that both files have.
        findings: what the `schema` section gets wrong.
    """

    old: Contracts
    new: Contracts
    changes: tuple[Change, ...]
    messages: tuple[SharedMessage, ...]
    findings: tuple[Finding, ...]

    @property
    def identical(self) -> bool:
        """Whether the two files are the same bytes."""
        return self.old.digest == self.new.digest

    @property
    def breaks(self) -> bool:
        """Whether programs or recordings of the old file do not get on with the new one."""
        return any(change.level is Level.BREAKING for change in self.changes)

    @property
    def failed(self) -> bool:
        """Whether something breaks, or the `schema` section says the wrong thing about it."""
        return self.breaks or any(finding.level == "error" for finding in self.findings)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why peers of the one file cannot be on a bus of the other; empty if they can."""
        if not self.messages and (self.old.messages or self.new.messages):
            return (
                "the two files have no type id in common: there is nothing that such peers could exchange",
            )
        return tuple(obstacle for message in self.messages for obstacle in message.obstacles)

    @property
    def wire_compatible(self) -> bool:
        """Whether both files have some type ids, and each of these is the same message in the same bytes.

        A server of the one file may then take peers of the other, for the messages that both have. Rules may
        differ all the same, and with them what is refused.
        """
        return not self.obstacles

    @property
    def shared_type_ids(self) -> frozenset[int]:
        """The type ids that both files have."""
        return frozenset(message.type_id for message in self.messages)


def compare(old: Contracts, new: Contracts) -> Comparison:
    """Compare two contracts files.

    Args:
        old: what peers and recordings there are were made with.
        new: what is to come.
    """
    before = {message.type_id: layout(message) for message in old.messages}
    after = {message.type_id: layout(message) for message in new.messages}
    names = ({message.name for message in old.messages}, {message.name for message in new.messages})
    messages = tuple(
        shared(before[type_id], item, same_message=_same_message(before[type_id], item, *names))
        for type_id, item in after.items()
        if type_id in before
    )
    by_id = {message.type_id: message for message in messages}
    changes: list[Change] = []
    for message in new.messages:
        if message.type_id in by_id:
            changes += _shared_changes(by_id[message.type_id])
        elif message.name not in names[0]:
            changes.append(_added(message))
    changes += _other_type_ids(old, new, by_id)
    changes += [
        _removed(message)
        for message in old.messages
        if message.type_id not in by_id and message.name not in names[1]
    ]
    changes += _file_changes(old, new, [item.type_id for item in messages if item.same_message])
    breaking = any(change.level is Level.BREAKING for change in changes)
    findings: tuple[Finding, ...] = ()
    if old.digest != new.digest:
        findings = check_versions(old, new, changed=bool(changes), breaking=breaking)
        changes = changes or [_text_change(old, new)]
    return Comparison(old, new, tuple(changes), messages, findings)


def _same_message(old: MessageLayout, new: MessageLayout, old_names: set[str], new_names: set[str]) -> bool:
    """Whether a type id stands for the same message in both files, possibly renamed.

    It does if the names are equal; or if neither lives on elsewhere and half of the fields have kept theirs.
    """
    if old.message.name == new.message.name:
        return True
    if old.message.name in new_names or new.message.name in old_names:
        return False
    fields = [{place.field.name for place in each.fields} for each in (old, new)]
    return bool(fields[0] & fields[1]) and 2 * len(fields[0] & fields[1]) >= max(map(len, fields))


# --- Messages -----------------------------------------------------------------------------------------------


def _message_change(
    kind: str, text: str, old: Message | None, new: Message | None, level: Level, effects: Effects = NOTHING
) -> Change:
    message = new or old
    assert message is not None
    return Change(
        kind,
        level,
        message.name,
        message.type_id,
        None,
        text,
        effects,
        old.position if old else None,
        new.position if new else None,
    )


def _added(message: Message) -> Change:
    effects = Effects(
        Verdict(Effect.SKIPPED, f"do not know type id {message.type_id}: they skip it and count it"),
        Verdict(Effect.SAME, "old programs never send it"),
        Verdict(Effect.SAME, "none is stored"),
    )
    text = f"{message.name} is new, type id {message.type_id}"
    return _message_change("message-added", text, None, message, Level.NOTE, effects)


def _removed(message: Message) -> Change:
    unknown = f"do not know type id {message.type_id} any more: they skip it and count it"
    effects = Effects(
        Verdict(Effect.SAME, "new programs never send it: who waits for it waits for ever"),
        Verdict(Effect.SKIPPED, unknown),
        Verdict(Effect.SKIPPED, "what is stored can be read with the old file alone"),
    )
    text = f"{message.name} is gone, type id {message.type_id}"
    return _message_change("message-removed", text, message, None, Level.BREAKING, effects)


def _other_type_ids(old: Contracts, new: Contracts, by_id: Mapping[int, SharedMessage]) -> Iterator[Change]:
    """Messages of one name with another type id; it may be one that the other file has as well."""
    before = {message.name: message for message in old.messages}
    for message in new.messages:
        was = before.get(message.name)
        if was is None or was.type_id == message.type_id:
            continue
        skipped = "do not know type id {}: they skip it and count it"
        stored = Verdict(Effect.SKIPPED, "what is stored can be read with the old file alone")
        effects = Effects(
            _taken_for(by_id[message.type_id].old_readers, message.type_id)
            if message.type_id in by_id
            else Verdict(Effect.SKIPPED, skipped.format(message.type_id)),
            _taken_for(by_id[was.type_id].new_readers, was.type_id)
            if was.type_id in by_id
            else Verdict(Effect.SKIPPED, skipped.format(was.type_id)),
            _taken_for(by_id[was.type_id].stored, was.type_id) if was.type_id in by_id else stored,
        )
        text = f"{message.name} has type id {message.type_id} where it had {was.type_id}"
        yield _message_change("type-id-changed", text, was, message, Level.BREAKING, effects)


def _taken_for(effect: Effect, type_id: int) -> Verdict:
    return Verdict(effect, f"take type id {type_id} for another message")


def _shared_changes(item: SharedMessage) -> Iterator[Change]:
    """The changes of what has one type id in both files."""
    old, new = item.old.message, item.new.message
    if not item.same_message:
        text = f"type id {new.type_id} was {old.name} and is {new.name} now"
        yield _message_change("type-id-reused", text, old, new, Level.BREAKING, _reused(item))
        return
    if old.name != new.name:
        text = (
            f"{new.name} was called {old.name}: the same type id, taken to have the same meaning; source "
            "code that uses it changes"
        )
        yield _message_change("message-renamed", text, old, new, Level.WARNING)
    if old.topic != new.topic:
        text = (
            f"the topic is {show(new.topic)} where it was {show(old.topic)}: it is not on the wire, but "
            "subscriptions by topic and access rules depend on it"
        )
        yield _message_change("topic", text, old, new, Level.WARNING)
    elif old.domain != new.domain:
        text = f"the domain is spelt {show(new.domain)} where it was {show(old.domain)}: the same topic"
        yield _message_change("domain", text, old, new, Level.NOTE)
    yield from _confidentiality(old, new)
    yield from field_changes(item.old, item.new)
    if old.required_prior_messages != new.required_prior_messages:
        prior = ", ".join(new.required_prior_messages) or "none"
        yield _message_change("prior-messages", f"required prior messages: {prior} now", old, new, Level.NOTE)
    if old.description != new.description:
        yield _message_change("description", f"{new.name} has another description", old, new, Level.NOTE)
    if keys := other_keys(old.extra, new.extra):
        text = f"{new.name} has other keys that mean nothing here: {keys}"
        yield _message_change("unknown-keys", text, old, new, Level.NOTE)


def _reused(item: SharedMessage) -> Effects:
    old, new = item.old, item.new
    if old.size != new.size:
        return Effects(
            Verdict(Effect.REFUSED, f"{new.size} bytes come where {old.size} are expected"),
            Verdict(Effect.REFUSED, f"{old.size} bytes come where {new.size} are expected"),
            Verdict(Effect.REFUSED, f"{old.size} bytes are stored where {new.size} are expected"),
        )
    return Effects(
        Verdict(Effect.MISREAD, f"{new.message.name} is taken for {old.message.name}"),
        Verdict(Effect.MISREAD, f"{old.message.name} is taken for {new.message.name}"),
        Verdict(Effect.MISREAD, f"what is stored as {old.message.name} is taken for {new.message.name}"),
    )


def _confidentiality(old: Message, new: Message) -> Iterator[Change]:
    """`sensitivity` and `log_payload`: who may see values."""
    if (old.sensitivity, old.log_payload) == (new.sensitivity, new.log_payload):
        return
    if old.confidential == new.confidential:
        text = "sensitivity or log_payload changed; values are " + (
            "hidden as before" if new.confidential else "shown as before"
        )
        yield _message_change("confidentiality", text, old, new, Level.NOTE)
        return
    shows, hides = "show its values in errors, logs and repr", "hide its values"
    sides = (shows, hides) if new.confidential else (hides, shows)
    stored = (
        "are hidden by tools now" if new.confidential else "that were confidential are shown by tools now"
    )
    effects = Effects(
        Verdict(Effect.SAME, f"{sides[0]}, as before"),
        Verdict(Effect.SAME, f"{sides[1]}, those of old programs too"),
        Verdict(Effect.SAME, f"stored values {stored}"),
    )
    text = "values are confidential now" if new.confidential else "values are not confidential any more"
    yield _message_change("confidentiality", text, old, new, Level.WARNING, effects)


# --- The file -----------------------------------------------------------------------------------------------


def _file_change(kind: str, text: str) -> Change:
    start = Position(1, 1)
    return Change(kind, Level.NOTE, None, None, None, text, NOTHING, start, start)


def _file_changes(old: Contracts, new: Contracts, kept: list[int]) -> Iterator[Change]:
    """What is of no single message; `kept` has the type ids of those that are in both, in the new order."""
    if old.tag_ranges != new.tag_ranges:
        yield _file_change(
            "tag-ranges",
            "tag_ranges differ: they decide what type ids this file may use, nothing on the wire",
        )
    both = {*kept}
    if kept != [message.type_id for message in old.messages if message.type_id in both]:
        yield _file_change("message-order", "messages stand in another order, which means nothing")
    if keys := other_keys(old.extra, new.extra):
        yield _file_change("unknown-keys", f"the file has other keys that mean nothing here: {keys}")


def _text_change(old: Contracts, new: Contracts) -> Change:
    """What differs where the messages are the same."""
    numbers = [(each.schema_id, each.version, each.min_compatible) for each in (old, new)]
    if numbers[0] != numbers[1]:
        return _file_change("schema", "the numbers of the schema section differ, and no message")
    return _file_change("text", "comments, white space or spelling differ, and nothing else")
