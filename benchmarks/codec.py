"""Messages to bytes and back, one and many: beside msgspec, protobuf, `struct`, plain Python, and C.

`contenders/messages.py` has the messages in everybody's form and `contenders/floor.c` the limit. Every turn
is checked once its time was taken: what the last operation left has to hold the right values. The loop around
an operation is part of its time, the same few nanoseconds for everybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat, starmap
from typing import Any

from contenders.floor import ROOM
from contenders.messages import MESSAGES, Form, all_forms
from harness import Contender, Measure, Wanted, figure, limit, ours

ALL = tuple(MESSAGES)
SMALL = ("tick", "text", "pool")


@figure("build", variants=ALL, limit_explained="Building copies")
def build(measure: Measure, variant: str) -> None:
    """Building a message from keywords, in contract order.

    Ours checks types, ranges, capacities and rules, and copies text and lists into the message. msgspec keeps
    references to what it is given and checks nothing before it encodes: of lists of numbers, that is hardly
    any work. protobuf copies, and checks types and ranges. The limit converts and copies values in the order
    in which they come, with no look at the keywords, and knows no rules. `struct` has no objects to build.
    """
    values = MESSAGES[variant].values
    code = f"o = make({', '.join(f'{name}={name}' for name in values)})"
    contenders = [
        contender(form, code, "o", _holds(form, values), make=form.make, **values)
        for form in all_forms(variant, measure.build)
        if form.name != "struct"
    ]
    _one(
        measure,
        contenders,
        _against("msgspec", {"tick": 1.4, "text": 1.3, "pool": 0.9}.get(variant), "Building copies"),
    )


@figure("frame out", variants=ALL)
def frame_out(measure: Measure, variant: str) -> None:
    """From a message to one `bytes` object.

    Ours, plain Python, `struct` and the limit make a whole frame with its header. msgspec and protobuf make a
    payload alone, with an `Encoder` that is kept and with `SerializeToString()`. `struct` packs values that
    are a tuple already, and checks neither text nor rules. The limit is a `bytes` object and a copy.
    """
    contenders = [
        contender(form, f"b = {form.encode}", "b", _is(form.b), o=form.o)
        for form in all_forms(variant, measure.build)
    ]
    _one(
        measure,
        contenders,
        _against("msgspec", {"tick": 1.5, "text": 3, "pool": 6}.get(variant), "A frame is a bytes object"),
    )


@figure("decode", variants=ALL, limit_explained="Text is checked")
def decode(measure: Measure, variant: str) -> None:
    """From the bytes of a message to the message, of which no field is read.

    Ours copies the payload, checks its structure, text and rules, and zeroes its padding; it makes values
    when they are read, and so do protobuf and plain Python. msgspec and `struct` make all values here:
    "decode and read" is the work that is the same. `struct` checks nothing but the size and the text. The
    limit is an object and a copy.
    """
    contenders = [
        contender(form, form.decode, "o", _holds(form, MESSAGES[variant].values), p=form.p)
        for form in all_forms(variant, measure.build)
    ]
    _one(
        measure,
        contenders,
        _against("msgspec", {"tick": 3, "text": 3, "pool": 7}.get(variant), "Text is checked"),
    )


@figure("decode and read", variants=ALL, limit_explained="Reading a field")
def decode_and_read(measure: Measure, variant: str) -> None:
    """From the bytes of a message to the values of all its fields, each read once.

    Fields are read as attributes; "ours, to_tuple()" reads all in one call. Lists of numbers are lists with
    everybody. A field that is read twice is made twice by ours, plain Python and protobuf; msgspec and
    `struct` have it already. The limit makes an object, a copy, and a tuple of the values, all in one call.
    """
    values = MESSAGES[variant].values
    contenders = []
    for form in all_forms(variant, measure.build):
        names: dict[str, Any] = {"p": form.p}
        if form.role == "limit":
            contenders.append(contender(form, "t = read(p)", "t", _is(tuple(values.values())), **names))
            continue
        code = "; ".join(filter(None, [form.decode, form.read]))
        contenders.append(contender(form, code, "o", _holds(form, values), **names))
        if form.role == "ours":
            run = timed("t = decode(p).to_tuple()", "t", _is(tuple(values.values())), **form.names, **names)
            contenders.append(ours("ours, to_tuple()", run))
    wanted = [
        Wanted(mine, theirs, times=1, explained="Reading a field")
        for mine in ("ours", "ours, to_tuple()")
        for theirs in ("msgspec", "struct")
        if variant in SMALL
    ]
    _one(measure, contenders, wanted)


@figure("append", variants=ALL)
def append(measure: Measure, variant: str) -> None:
    """Appending a message to a buffer that is to be sent; after 64 KiB it is taken, and the next one begun.

    Ours is what a publisher does: `BatchWriter.write()` into blocks of a pool, with its verdict on when to
    send. msgspec has `encode_into()` a bytearray, `struct` has `pack_into()` a buffer that is there already;
    protobuf and plain Python append a `bytes` object to a bytearray. msgspec and protobuf write no header, so
    that a receiver could not tell one message from the next. The limit copies into a buffer that it uses
    again and again.
    """
    forms = all_forms(variant, measure.build)
    count = ROOM // len(forms[0].b)
    contenders = [
        contender(
            form,
            f"{form.begin}\nfor _each in times:\n    {form.append}",
            form.appended,
            _is(form.b * count),
            per=count,
            o=form.o,
            times=range(count),
        )
        for form in forms
    ]
    _one(measure, contenders, [])


@figure("batch out", variants=SMALL, limit_explained="Each message of a list is looked at")
def batch_out(measure: Measure, variant: str) -> None:
    """From a list of 10,000 messages to the bytes of all; time for one of them. Plain Python has 1,000.

    msgspec encodes the list in one call, as one document that a receiver has to have whole; protobuf and
    `struct` join the bytes of each message, without a header in protobuf's case. The limit copies each
    message's frame.
    """
    contenders = []
    for form in all_forms(variant, measure.build):
        names = _batch(form, variant)
        code = f"b = {form.join}"
        contenders.append(
            contender(form, code, "b", _is(names["batch"]), per=form.batch, items=names["items"])
        )
    _many(measure, contenders, [])


@figure("batch in", variants=SMALL, limit_explained="A batch's objects come from the allocator")
def batch_in(measure: Measure, variant: str) -> None:
    """From the bytes of 10,000 messages to a list of them, of which no field is read; time for one of them.

    Ours, plain Python (of which there are 1,000), `struct` and the limit find the messages in one piece of
    bytes, msgspec decodes one document with all of them, and protobuf is given each message's bytes by
    itself. msgspec and `struct` make all values, as in "decode". "C" keeps every object that was ever freed
    for the next, which no library could afford; "empty objects" is a list of as many, made by CPython's
    allocator and loops in C.
    """
    contenders = []
    for form in all_forms(variant, measure.build):
        names = _batch(form, variant)
        right = _holds_all(form, MESSAGES[variant].numbered(form.batch))
        code = f"found = {form.split}"
        contenders.append(contender(form, code, "found", right, per=form.batch, **names))
    count = contenders[0].per
    code = "found = [*starmap(object, repeat((), count))]"
    names = {"starmap": starmap, "repeat": repeat, "object": object, "count": count}
    empty = timed(code, "len(found)", _is(count), **names)
    contenders.append(limit("empty objects", empty, per=count))
    _many(measure, contenders, [Wanted("ours", "empty objects", times=1 / 1.6)] if variant == "tick" else [])


@figure("NumPy column", variants=SMALL, of="a row", limit_explained="Arrays are checked row by row")
def numpy_column(measure: Measure, variant: str) -> None:
    """The sum of one column over 10,000 frames; time for one of them.

    Ours checks every frame, its text and its rules, and gives NumPy a view to sum; msgspec and `struct`
    decode messages, of which Python sums one field. The limits are NumPy's sum alone, of a view with the
    frames' stride and of an array of nothing but this column.
    """
    message = MESSAGES[variant]
    codes = {
        "ours": f"array(batch)[{message.number!r}].sum()",
        "msgspec": f"sum([o.{message.number} for o in decode_list(batch)])",
        "struct": f"sum([o[{message.position}] for o in iter_unpack(batch)])",
    }
    forms = [form for form in all_forms(variant, measure.build) if form.name in codes]
    count = forms[0].batch
    right = _is(sum(values[message.number] for values in message.numbered(count)))
    contenders = [
        contender(form, f"total = {codes[form.name]}", "total", right, per=count, **_batch(form, variant))
        for form in forms
    ]
    strided = forms[0].names["array"](_batch(forms[0], variant)["batch"])[message.number]
    for name, column in (("NumPy, strided", strided), ("NumPy, contiguous", strided.copy())):
        run = timed("total = column.sum()", "total", right, column=column)
        contenders.append(limit(name, run, per=count))
    _many(measure, contenders, [Wanted("ours", at_most=2)] if variant == "tick" else [])


def timed(code: str, result: str, right: Callable[[Any], bool], **names: Any) -> Callable[[int], int]:
    """Times statements that run n times; the names in them are local variables.

    Args:
        result: an expression for what they left, evaluated after the time was taken.
        right: whether that is what it has to be.

    Raises:
        ValueError: it is not.
    """
    arguments = "".join(f", {name}={name}" for name in names)
    body = "\n        ".join(code.splitlines())
    source = (
        f"def run(_n, _repeat=_repeat, _now=_now{arguments}):\n"
        f"    _start = _now()\n"
        f"    for _ in _repeat(None, _n):\n"
        f"        {body}\n"
        f"    _end = _now()\n"
        f"    return _end - _start, {result}\n"
    )
    scope: dict[str, Any] = {"_repeat": repeat, "_now": time.perf_counter_ns, **names}
    exec(source, scope)

    def run(operations: int) -> int:
        elapsed: int
        elapsed, found = scope["run"](operations)
        if not right(found):
            raise ValueError(f"the result of `{code}` is wrong")
        return elapsed

    return run


def contender(
    form: Form, code: str, result: str, right: Callable[[Any], bool], *, per: int = 1, **names: Any
) -> Contender:
    """A form that runs statements, in which its own names may stand."""
    return Contender(form.name, form.role, timed(code, result, right, **{**form.names, **names}), per=per)


def _is(expected: Any) -> Callable[[Any], bool]:
    return lambda found: bool(found == expected)


def _holds(form: Form, values: Mapping[str, Any]) -> Callable[[Any], bool]:
    expected = tuple(values.values())
    return lambda found: form.values(found) == expected


def _holds_all(form: Form, values: Sequence[Mapping[str, Any]]) -> Callable[[list[Any]], bool]:
    """As many, and the right ones at both ends."""
    first, last = _holds(form, values[0]), _holds(form, values[-1])
    return lambda found: len(found) == len(values) and first(found[0]) and last(found[-1])


def _batch(form: Form, variant: str) -> dict[str, Any]:
    """`items`, numbered messages; `batch`, the bytes of all; `pieces`, of each; every value was compared."""
    numbered = MESSAGES[variant].numbered(form.batch)
    names: dict[str, Any] = {"items": [form.make(**values) for values in numbered]}
    names["batch"] = eval(form.join, {**form.names, **names})
    names["pieces"] = eval(f"[{form.encode} for o in items]", {**form.names, **names})
    found = eval(form.split, {**form.names, **names})
    if [form.values(each) for each in found] != [tuple(values.values()) for values in numbered]:
        raise ValueError(f"{form.name} does not decode what it encoded")
    return names


def _against(peer: str, times: float | None, explained: str) -> list[Wanted]:
    return [] if times is None else [Wanted("ours", peer, times=times, explained=explained)]


def _one(measure: Measure, contenders: Sequence[Contender], wanted: Sequence[Wanted]) -> None:
    measure.timed(contenders, wanted=wanted, rounds=3, round_s=0.003, bursts=5)


def _many(measure: Measure, contenders: Sequence[Contender], wanted: Sequence[Wanted]) -> None:
    measure.timed(contenders, wanted=wanted, rounds=3, round_s=0.006, bursts=3)
