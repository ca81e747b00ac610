"""`mycelium pub`: messages written by hand, or as JSON lines, to a bridge.

How values are written is the subject of `values.py`; how a refusal comes to light, that of `publishing.py`.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
import json
import shlex
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fast.cli.connection import Messages, Peer, Progress, listed, load_messages, note, peer_options
from mycelium_fast.cli.publishing import Outlet
from mycelium_fast.cli.selection import message_named
from mycelium_fast.cli.values import ValueForm
from mycelium_fast.errors import MyceliumError

if TYPE_CHECKING:
    from mycelium_fast.bus.transports import TcpTransport, UnixTransport

__all__ = ["command"]

#: Seconds between two looks at what the bridge has to say.
_LOOK_S: Final = 0.25
#: Characters of a value that an error shows.
_QUOTED: Final = 60


@click.command("pub")
@click.argument("address", metavar="ADDRESS")
@click.argument("name", metavar="TYPE", required=False)
@click.argument("fields", metavar="FIELD=VALUE...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Messages from standard input, one JSON object a line.")
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="Publish it so often; of --json, so many lines."
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), metavar="R", help="Messages a second, at most."
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors alone.")
@peer_options("pub")
def command(
    address: str,
    name: str | None,
    fields: tuple[str, ...],
    as_json: bool,
    count: int | None,
    rate: float | None,
    quiet: bool,
    contracts: str,
    uncompiled: bool,
    peer: Peer,
) -> None:
    """Publish a message of TYPE on the bridge at ADDRESS.

    ADDRESS is the path of a Unix socket, HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT. Every field is
    needed: integers (also 0x...), numbers, true or false, text, bytes in hexadecimal, lists as JSON.

    With --json there is no TYPE: messages are read as `mycelium tap --json` prints them, of which "type" and
    "fields" are needed.

    Exits with 1 if the bridge refuses the message or is not there, or a line is wrong, 2 if the command is.
    """
    messages = load_messages(contracts, uncompiled=uncompiled)
    transport = peer.transport(address, messages.digest)
    if as_json:
        if name is not None:
            raise click.UsageError(f"With --json, messages come from standard input: leave out {name!r}")
        source = _lines(sys.stdin.buffer, messages)
    elif name is None:
        raise click.UsageError(
            f"Say what to publish: TYPE FIELD=VALUE..., of {listed(messages.by_name)}; or --json"
        )
    else:
        cls = message_named(name, messages)
        example = _example(address, contracts, cls)
        source = itertools.repeat(_message(cls, fields, example), count or 1)
    _publish(transport, itertools.islice(source, count), rate, quiet=quiet)


def _publish(
    transport: UnixTransport | TcpTransport, source: Iterator[Any], rate: float | None, *, quiet: bool
) -> None:
    progress = Progress()
    names: dict[str, None] = {}

    def summary(done: str = "published") -> str:
        # The connection's own count: Ctrl-C may come between a message and a count kept here.
        sent = transport.stats().frames_sent
        of = f" of {next(iter(names))}" if len(names) == 1 else ""
        return f"{done} {sent:,} message{'s' * (sent != 1)}{of} to {transport.address}"

    with transport:
        outlet = Outlet(transport)
        try:
            with _listening(outlet), contextlib.suppress(KeyboardInterrupt):
                for message in source if rate is None else _paced(source, rate):
                    cls = type(message)
                    names[cls.__definition__.name] = None
                    outlet.publish(cls, [message])
                    if not quiet:
                        progress.tell(summary)
            outlet.settle()
        except (MyceliumError, click.ClickException):
            progress.clear()
            with contextlib.suppress(MyceliumError):
                transport.flush()
            if names and not quiet:
                note(f"{summary('sent')}, before this:")
            raise
        progress.clear()
        if not quiet:
            note(summary())


def _paced(source: Iterator[Any], rate: float) -> Iterator[Any]:
    """Messages when it is time to publish them."""
    started = time.monotonic()
    for number, message in enumerate(source):
        left = started + number / rate - time.monotonic()
        if left > 0:
            time.sleep(left)
        yield message


@contextlib.contextmanager
def _listening(outlet: Outlet) -> Iterator[None]:
    """Take in what the bridge says although nothing is published: it may ask whether we are there."""
    done = threading.Event()

    def listen() -> None:
        while not done.wait(_LOOK_S):
            with contextlib.suppress(MyceliumError):  # whoever publishes hears of it
                outlet.listen()

    thread = threading.Thread(target=listen, name="mycelium-pub", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _message(cls: Any, words: Sequence[str], example: str) -> Any:
    """The message that FIELD=VALUE words give."""
    definition = cls.__definition__
    forms = {each.name: ValueForm(each) for each in definition.fields}
    values: dict[str, Any] = {}
    for word in words:
        field, equals, text = word.partition("=")
        if not equals:
            raise _wrong(f"{_quoted(word, definition)} is not FIELD=VALUE", example)
        form = forms.get(field)
        if form is None:
            raise _wrong(_no_such_field(field, definition), example)
        if field in values:
            raise _wrong(f"{definition.name}.{field} is given twice", example)
        try:
            values[field] = form.parse(text)
        except ValueError as error:
            raise _wrong(
                f"{_quoted(text, definition)} is no value of {definition.name}.{field}: {error}. It is "
                f"{form.expected}",
                example,
            ) from None
    try:
        return _built(cls, forms, values)
    except ValueError as error:
        raise _wrong(str(error), example) from None


def _lines(stream: Iterable[bytes], messages: Messages) -> Iterator[Any]:
    """The messages of JSON lines, as they come."""
    forms: dict[Any, dict[str, ValueForm]] = {}
    for number, line in enumerate(stream, 1):
        if line.strip():
            try:
                message = _of_line(line, messages, forms)
            except ValueError as error:
                raise click.ClickException(f"standard input, line {number}: {error}") from None
            yield message


def _of_line(line: bytes, messages: Messages, forms: dict[Any, dict[str, ValueForm]]) -> Any:
    try:
        entry = json.loads(line)
    except ValueError as error:  # UTF-8 that is none is one, too
        raise ValueError(f"it is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("it nests too deep") from None
    name = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise ValueError('it is no message: {"type": "TradeTick", "fields": {...}} is one')
    cls = messages.by_name.get(name)
    if cls is None:
        raise ValueError(f"{messages.file} has no message {name!r}; there are {listed(messages.by_name)}")
    given = entry.get("fields")
    if not isinstance(given, dict):
        why = ": those of confidential messages are not shown" if cls.__definition__.confidential else ""
        raise ValueError(f'the "fields" of a {name} are missing{why}')
    if cls not in forms:
        forms[cls] = {each.name: ValueForm(each) for each in cls.__definition__.fields}
    values = {}
    for field, value in given.items():
        form = forms[cls].get(field)
        if form is None:
            raise ValueError(_no_such_field(field, cls.__definition__))
        try:
            values[field] = form.from_json(value)
        except ValueError as error:
            raise ValueError(
                f"{_quoted(json.dumps(value), cls.__definition__)} is no value of {name}.{field}: {error}. "
                f"It is {form.expected}"
            ) from None
    return _built(cls, forms[cls], values)


def _built(cls: Any, forms: dict[str, ValueForm], values: dict[str, Any]) -> Any:
    """The message; ValueError where a field is missing, does not fit, or breaks a rule."""
    name = cls.__definition__.name
    missing = [f"{field}, {form.expected}" for field, form in forms.items() if field not in values]
    if missing:
        raise ValueError(f"{name} needs every field; missing: {'; '.join(missing)}")
    return cls(*[values[field] for field in forms])


def _no_such_field(field: str, definition: Any) -> str:
    known = [each.name for each in definition.fields]
    near = difflib.get_close_matches(field, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{definition.name} has no field {field!r}. {hint}It has {listed(known) or 'none'}"


def _quoted(text: str, definition: Any) -> str:
    """A value, for an error; not of a confidential message."""
    if definition.confidential:
        return "what is given"
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}...")


def _wrong(text: str, example: str) -> click.UsageError:
    return click.UsageError(f"{text}\nFor example: {example}")


def _example(address: str, contracts: str, cls: Any) -> str:
    """A whole command line that publishes a message."""
    definition = cls.__definition__
    fields = [shlex.quote(f"{each.name}={ValueForm(each).example}") for each in definition.fields]
    start = ["mycelium", "pub", address, "--contracts", contracts, definition.name]
    return " ".join([*map(shlex.quote, start), *fields])
