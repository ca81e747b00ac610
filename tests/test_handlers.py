"""Reading from a handler's annotation what it wants."""

from __future__ import annotations

import functools
import typing
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Union

import pytest

import mycelium_fast.example_messages as messages
from mycelium_fast.bus.handlers import classes_of, handler_classes, handler_name, is_async
from mycelium_fast.example_messages import TOPICS, Ping, Pong, TradeTick
from mycelium_fast.session import core

Handler = Callable[[Any], Any]


def plain(message: Ping) -> None: ...


async def asynchronous(message: Ping | Pong) -> None: ...


def old_union(message: Union[Ping, Pong, TradeTick]) -> None: ...


def annotated(message: Annotated[messages.TradeTick, "as it came"]) -> None: ...


def evaluated(message: Any) -> None: ...


evaluated.__annotations__["message"] = Union[Ping, "Pong"]  # as without the __future__ import


def with_more(message: Ping, again: int = 1, *, verbose: bool = False) -> None: ...


def unrelated_annotations(message: Ping, other: NotImportedAnywhere = None) -> AlsoNot: ...  # type: ignore[name-defined]  # noqa: F821


class Holder:
    def method(self, message: Ping) -> None: ...

    async def coroutine(self, message: Pong) -> None: ...

    @staticmethod
    def static(message: Ping) -> None: ...

    @classmethod
    def of_class(cls, message: Ping) -> None: ...


class Callable_:
    async def __call__(self, message: TradeTick) -> None: ...


def decorated(function: Handler) -> Handler:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def hiding(function: Handler) -> Handler:
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def labelled(label: str, message: Ping) -> None: ...


@pytest.mark.parametrize(
    ("handler", "classes", "asynchronous_"),
    [
        (plain, (Ping,), False),
        (asynchronous, (Ping, Pong), True),
        (old_union, (Ping, Pong, TradeTick), False),
        (annotated, (TradeTick,), False),
        (evaluated, (Ping, Pong), False),
        (with_more, (Ping,), False),
        (unrelated_annotations, (Ping,), False),
        (Holder().method, (Ping,), False),
        (Holder().coroutine, (Pong,), True),
        (Holder.static, (Ping,), False),
        (Holder.of_class, (Ping,), False),
        (Callable_(), (TradeTick,), True),
        (decorated(plain), (Ping,), False),
        (decorated(decorated(asynchronous)), (Ping, Pong), True),
        (functools.partial(labelled, "label"), (Ping,), False),
        (functools.partial(asynchronous), (Ping, Pong), True),
        (functools.partial(Holder().coroutine), (Pong,), True),
        (decorated(Holder().coroutine), (Pong,), True),
    ],
)
def test_what_a_handler_wants_is_in_its_annotation(
    handler: Handler, classes: tuple[type, ...], asynchronous_: bool
) -> None:
    assert handler_classes(handler) == classes
    assert is_async(handler) is asynchronous_


def test_classes_that_are_known_only_where_the_handler_was_defined_are_found() -> None:
    Local = TradeTick
    Other = Ping

    def handler(message: Local) -> None: ...

    def closure(message: Other | Local) -> Any:
        return Other

    assert handler_classes(handler, locals()) == (TradeTick,)
    assert handler_classes(closure, {"Local": Local}) == (Ping, TradeTick)
    with pytest.raises(TypeError, match=r"'Local' cannot be evaluated .*import the class"):
        handler_classes(handler)


def test_names_of_the_caller_do_not_hide_the_handlers_own() -> None:
    assert handler_classes(plain, {"Ping": Pong}) == (Ping,)


def no_annotation(message): ...  # type: ignore[no-untyped-def]


def nothing() -> None: ...


def keywords(*, message: Ping) -> None: ...


def number(message: int) -> None: ...


def optional(message: Ping | None) -> None: ...


def many(messages: list[Ping]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (no_annotation, "has no annotation"),
        (lambda message: None, "has no annotation"),
        (nothing, "takes no message"),
        (keywords, "takes no message"),
        (number, "message class"),
        (optional, "message class"),
        (many, "message class"),
        (hiding(plain), "functools.wraps"),
        (unrelated_annotations.__annotations__, "expected a handler"),
        (TradeTick, "expected a handler"),
        (None, "expected a handler"),
        (print, "print"),
    ],
)
def test_a_handler_that_does_not_say_is_a_type_error_that_tells_what_to_write(
    handler: Any, says: str
) -> None:
    with pytest.raises(TypeError, match=says) as caught:
        handler_classes(handler)
    assert "TradeTick" in str(caught.value)


def test_classes_unions_and_topics_name_classes() -> None:
    assert classes_of(Ping) == (Ping,)
    assert classes_of(Ping | Pong) == (Ping, Pong)
    assert classes_of(typing.Union[Ping, Pong]) == (Ping, Pong)
    assert classes_of([Ping, Pong, Ping]) == (Ping, Pong)
    assert classes_of(TOPICS["market-data"]) == TOPICS["market-data"]
    assert classes_of((Ping | Pong, TradeTick)) == (Ping, Pong, TradeTick)


@pytest.mark.parametrize("wanted", [None, "Ping", b"Ping", 3, [3], {"a": Ping}, Ping("x"), int, list])
def test_what_names_no_classes_is_a_type_error(wanted: Any) -> None:
    with pytest.raises(TypeError, match="message class"):
        classes_of(wanted)


def test_no_class_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        classes_of([])


def test_two_classes_of_one_type_id_are_an_error() -> None:
    class Other:
        TYPE_ID = core.Ping.TYPE_ID
        SIZE = 0
        to_frame = encode_batch = decode_batch = None

    with pytest.raises(ValueError, match=f"both have type id {core.Ping.TYPE_ID}"):
        classes_of((core.Ping, Other))


def test_a_handler_is_called_by_its_name() -> None:
    assert handler_name(plain).endswith("test_handlers.plain()")
    assert "Holder.method" in handler_name(Holder().method)
    assert "labelled" in handler_name(functools.partial(labelled, "x"))
    assert "Callable_" in handler_name(Callable_())


async def awaitable(message: Ping) -> Awaitable[None] | None:
    return None
