"""What changed between two editions of one message: its fields, and what each change does to whom.

The outcome for the bytes is computed by `outcomes.py`; here it gets its names. Changes of the message itself
(name, type id, topic, who may see it) are `compare.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .changes import HARMFUL, Change, Effect, Effects, Level, SharedMessage, Verdict, worst
from .layout import FieldLayout, MessageLayout
from .model import Field, Rule
from .outcomes import Outcome, Reading, passed, read, without_rules
from .report import show
from .types import String, Vec

__all__ = ["NOTHING", "field_changes", "other_keys", "shared", "type_text"]

_SAME: Final = Verdict(Effect.SAME, "nothing changes")
#: What most changes do.
NOTHING: Final = Effects(_SAME, _SAME, _SAME)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both layouts of one message, and the old names of the new one's fields."""

    old: MessageLayout
    new: MessageLayout
    names: Mapping[str, str]

    @property
    def same_size(self) -> bool:
        return self.old.size == self.new.size

    @property
    def new_names(self) -> dict[str, str]:
        """The new names of the old one's fields."""
        return {old: new for new, old in self.names.items()}


def _old_names(old: MessageLayout, new: MessageLayout) -> dict[str, str]:
    """The old name of every field of `new` that the old message has.

    A field has been renamed if one of the very same type, of which the new message has no other, was at its
    place.
    """
    before = {place.field.name: place for place in old.fields}
    after = {place.field.name for place in new.fields}
    gone = {place.offset: place for name, place in before.items() if name not in after}
    names: dict[str, str] = {}
    for place in new.fields:
        name = place.field.name
        if name in before:
            names[name] = name
        elif (was := gone.get(place.offset)) is not None and was.field.type == place.field.type:
            names[name] = was.field.name
    return names


def shared(old: MessageLayout, new: MessageLayout, *, same_message: bool) -> SharedMessage:
    """What happens in all to the messages of a type id that both files have."""
    if not same_message:
        effect = Effect.MISREAD if old.size == new.size else Effect.REFUSED
        obstacle = (
            f"type id {old.message.type_id} is {old.message.name} in the old file and {new.message.name} "
            "in the new one"
        )
        return SharedMessage(
            old.message.type_id, old, new, False, True, effect, effect, effect, (obstacle,), {}
        )
    pair = _Pair(old, new, _old_names(old, new))
    to_new, to_old = _effect(read(old, new, pair.names)), _effect(read(new, old, pair.new_names))
    return SharedMessage(
        old.message.type_id,
        old,
        new,
        True,
        _any_moved(pair),
        to_old,
        to_new,
        to_new,
        _obstacles(pair),
        pair.names,
    )


def _any_moved(pair: _Pair) -> bool:
    before = {place.field.name: (place.offset, place.field.type) for place in pair.old.fields}
    after = {pair.names.get(place.field.name): (place.offset, place.field.type) for place in pair.new.fields}
    return before != after


def _effect(reading: Reading) -> Effect:
    """Of a whole message. One field that is always refused refuses the message, whatever the others do."""
    if not reading.same_size or any(each == Outcome.REFUSED for each in reading.fields.values()):
        return Effect.REFUSED
    found = [_named(each) for each in reading.fields.values()]
    return worst([*found, Effect.LOST] if reading.unseen else found)


def _named(outcome: Outcome) -> Effect:
    taken, refused = bool(outcome & ~Outcome.REFUSED), bool(outcome & Outcome.REFUSED)
    if outcome & Outcome.DIFFERENT:
        return Effect.MISREAD
    if not refused:
        return Effect.SAME
    return Effect.REFUSED_SOME if taken else Effect.REFUSED


def _obstacles(pair: _Pair) -> tuple[str, ...]:
    """What is not the very same in bytes and structure, rules aside."""
    name = pair.new.message.name
    if not pair.same_size:
        return (f"{name} has {pair.new.size} bytes where it had {pair.old.size}",)
    old, new = without_rules(pair.old), without_rules(pair.new)
    places = {place.field.name: place for place in old.fields}
    found = []
    if old.message.name != name and any(was != now for now, was in pair.names.items()):
        found.append(
            f"{name} was {old.message.name}, and its fields have other names too: it may be another message"
        )
    for place in new.fields:
        was = places.get(pair.names.get(place.field.name, ""))
        owner = f"{name}.{place.field.name}"
        if was is None:
            found.append(f"{owner} is new, in what was padding or another field")
        elif was.offset != place.offset:
            found.append(f"{owner} is at offset {place.offset} where it was at {was.offset}")
        elif passed(was, place) != Outcome.EQUAL or passed(place, was) != Outcome.EQUAL:
            found.append(f"{owner} is {type_text(place.field)} where it was {type_text(was.field)}")
    found += [f"{name}.{unseen} is gone" for unseen in read(old, new, pair.names).unseen]
    return tuple(found)


# --- Changes, one by one ------------------------------------------------------------------------------------


def field_changes(old: MessageLayout, new: MessageLayout) -> list[Change]:
    """Every change of a message's fields, in the order of the new file; those that are gone at the end."""
    pair = _Pair(old, new, _old_names(old, new))
    before = {place.field.name: place for place in old.fields}
    changes: list[Change] = []
    for place in new.fields:
        if place.field.name in pair.names:
            changes += _kept(pair, before[pair.names[place.field.name]], place)
        else:
            changes.append(_added(pair, place))
    changes += [_removed(pair, place) for name, place in before.items() if name not in pair.new_names]
    return changes + _moved(pair)


def _change(
    pair: _Pair, kind: str, text: str, effects: Effects, old: Field | None, new: Field | None, level: Level
) -> Change:
    field = new or old
    return Change(
        kind,
        Level.BREAKING if effects.harmful else level,
        pair.new.message.name,
        pair.new.message.type_id,
        field.name if field else None,
        text,
        effects,
        old.position if old else pair.old.message.position if field is None else None,
        new.position if new else pair.new.message.position if field is None else None,
    )


def _refused(pair: _Pair) -> Effects:
    """The size differs."""
    old, new = pair.old.size, pair.new.size
    return Effects(
        Verdict(Effect.REFUSED, f"{new} bytes come where {old} are expected"),
        Verdict(Effect.REFUSED, f"{old} bytes come where {new} are expected"),
        Verdict(Effect.REFUSED, f"{old} bytes are stored where {new} are expected"),
    )


def _added(pair: _Pair, place: FieldLayout) -> Change:
    field = place.field
    text = f"{field.name} is new: {type_text(field)}"
    if field.optional:
        text += " (optional: programs may do without its value, and it takes its bytes all the same)"
    effects = _refused(pair)
    if pair.same_size:
        unseen = Verdict(Effect.LOST, f"do not see {field.name}")
        effects = Effects(unseen, _made_up(place), _made_up(place))
    return _change(pair, "field-added", text, effects, None, field, Level.WARNING)


def _made_up(place: FieldLayout) -> Verdict:
    """At readers that have a field which the writers do not."""
    text = (
        f"bytes {place.offset} to {place.end} are taken for {place.field.name}: those of another field, or "
        "padding (zeros, or anything at all from peers that leave it as it was)"
    )
    return Verdict(Effect.MISREAD, text)


def _removed(pair: _Pair, place: FieldLayout) -> Change:
    field = place.field
    effects = _refused(pair)
    if pair.same_size:
        effects = Effects(
            _made_up(place),
            Verdict(Effect.LOST, f"do not see {field.name} any more"),
            Verdict(Effect.LOST, f"the stored values of {field.name} are not seen any more"),
        )
    text = f"{field.name} is gone: it was {type_text(field)}"
    return _change(pair, "field-removed", text, effects, field, None, Level.WARNING)


def _moved(pair: _Pair) -> list[Change]:
    """One change for all fields that lie elsewhere, where another change does not account for it."""
    before = {place.field.name: place for place in pair.old.fields}
    kept = [
        (before[pair.names[each.field.name]], each)
        for each in pair.new.fields
        if each.field.name in pair.names
    ]
    moved = [(was, now) for was, now in kept if was.offset != now.offset]
    reordered = [was.offset for was, _ in kept] != sorted(was.offset for was, _ in kept)
    if not moved or (not reordered and not pair.same_size):
        return []
    effects = _refused(pair)
    if pair.same_size:
        reads = "bytes are taken for another field, where its structure and rules let them through"
        effects = Effects(*(Verdict(Effect.MISREAD, reads) for _ in range(3)))
    places = ", ".join(f"{now.field.name} {was.offset} to {now.offset}" for was, now in moved)
    kind = "fields-reordered" if reordered else "fields-moved"
    text = f"{'the order of fields changed' if reordered else 'fields lie elsewhere'}: {places}"
    return [_change(pair, kind, text, effects, None, None, Level.NOTE)]


def _kept(pair: _Pair, was: FieldLayout, now: FieldLayout) -> list[Change]:
    """The changes of a field that both have."""
    old, new = was.field, now.field
    found: list[Change] = []

    def note(kind: str, text: str, level: Level = Level.NOTE, effects: Effects = NOTHING) -> None:
        found.append(_change(pair, kind, f"{new.name} {text}", effects, old, new, level))

    if old.name != new.name:
        text = (
            f"was called {old.name}: the same bytes, taken to have the same meaning; source code that uses "
            "it changes"
        )
        note("field-renamed", text, Level.WARNING)
    rules = _rule_texts(old.rules, new.rules)
    if old.type != new.type:
        capacity = type(old.type) is type(new.type) and str(old.type) == str(new.type)
        # Another alignment alone can move what follows, and with it the end.
        resized = not pair.same_size and (was.size, was.align) != (now.size, now.align)
        effects = _refused(pair) if resized else _effects(was, now)
        text = f"is {type_text(new)} where it was {type_text(old)}{'; ' * bool(rules)}{rules}"
        note("field-capacity" if capacity else "field-type", text, Level.WARNING, effects)
    elif rules:
        effects = _effects(was, now)
        note(_rules_kind(effects), rules, Level.NOTE, effects)
    if old.optional != new.optional:
        note(
            "field-optional", f"is {'optional' if new.optional else 'required'} now: its bytes stay the same"
        )
    if text := _rule_texts(old.context_rules, new.context_rules):
        note("context-rules", f"{text}; nothing here checks that")
    if old.description != new.description:
        note("description", "has another description")
    if keys := other_keys(old.extra, new.extra):
        note("unknown-keys", f"has other keys that mean nothing here: {keys}")
    return found


def _effects(was: FieldLayout, now: FieldLayout) -> Effects:
    """Of a field at its old place with another type, or other rules."""
    to_new, to_old = passed(was, now), passed(now, was)
    return Effects(_verdict(to_old), _verdict(to_new), _verdict(to_new, stored=True))


def _verdict(outcome: Outcome, *, stored: bool = False) -> Verdict:
    effect = _named(outcome)
    if effect is Effect.MISREAD:
        text = "bytes are taken, and some of them for another value"
        text += "; some are refused" if Outcome.REFUSED in outcome else ""
    elif effect is Effect.REFUSED:
        text = "no value is let through"
    elif effect is Effect.REFUSED_SOME:
        text = "some values that the other file allows are refused"
        text = "some values that were allowed are refused now" if stored else text
    else:
        text = "every value is taken, and for what it is"
    return Verdict(effect, text)


def _rules_kind(effects: Effects) -> str:
    tighter, looser = (each.effect in HARMFUL for each in (effects.new_readers, effects.old_readers))
    if tighter and looser:
        return "rules-changed"
    return "rules-tightened" if tighter else "rules-loosened" if looser else "rules-reworded"


def _rule_texts(old: tuple[Rule, ...], new: tuple[Rule, ...]) -> str:
    """The rules that are new, gone or have another limit; empty if there are none."""
    before = {rule.name: rule.limit for rule in old}
    after = {rule.name: rule.limit for rule in new}
    texts = []
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in before:
            texts.append(f"has the new rule {_rule(name, after[name])}")
        elif name not in after:
            texts.append(f"has no rule {_rule(name, before[name])} any more")
        elif before[name] != after[name]:
            texts.append(f"has the rule {_rule(name, after[name])} where it was {_shown(before[name])}")
    return "; ".join(texts)


def _rule(name: str, limit: object) -> str:
    spelt = name if name.isidentifier() else show(name)
    return spelt if limit is True else f"{spelt} {_shown(limit)}"


def _shown(limit: object) -> str:
    return show(limit) if isinstance(limit, str) else show(repr(limit))[1:-1]


def other_keys(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """The keys that only one of two maps has, or each with another value; empty if there are none."""
    absent = object()
    keys = [key for key in sorted({*old, *new}) if old.get(key, absent) != new.get(key, absent)]
    return ", ".join(show(key) for key in keys)


def type_text(field: Field) -> str:
    """A field's type with its capacity, as `String of 32 bytes`."""
    if isinstance(field.type, String):
        return f"String of {field.type.capacity} bytes"
    if isinstance(field.type, Vec):
        return f"{field.type} of {field.type.capacity}"
    return str(field.type)
