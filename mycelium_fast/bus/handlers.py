"""Which messages a handler wants, read from the annotation of its first parameter; and whether it is `async`.

Functions, methods, `functools.partial`, callable objects and decorated functions all do. Calling handlers is
the client's work.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .arguments import check_message_class, is_message_class

__all__ = ["classes_of", "handler_classes", "handler_name", "is_async"]

_BY_CLASS = "or name the class: subscribe(TradeTick, handler)"


def classes_of(wanted: Any) -> tuple[type, ...]:
    """Message classes of one class, a union, or an iterable of them such as `TOPICS["market-data"]`.

    Raises:
        TypeError: something else is in there.
        ValueError: no class at all, or two classes with one type id.
    """
    found: dict[type, None] = {}
    _collect(wanted, found, None)
    if not found:
        raise ValueError("no message class was given: expected at least one, such as TradeTick")
    by_id: dict[int, type] = {}
    for cls in found:
        type_id: int = cls.TYPE_ID  # type: ignore[attr-defined]
        other = by_id.setdefault(type_id, cls)
        if other is not cls:
            raise ValueError(
                f"{other.__module__}.{other.__qualname__} and {cls.__module__}.{cls.__qualname__} both have "
                f"type id {type_id}: take the classes of one generated module"
            )
    return tuple(found)


def handler_classes(handler: Callable[..., Any], names: Mapping[str, Any] | None = None) -> tuple[type, ...]:
    """The message classes that a handler's first parameter is annotated with.

    Args:
        names: further names for annotations that are strings, such as the locals of whoever defined the
            handler; the handler's own globals and closure come first.

    Raises:
        TypeError: not callable, no parameter, no annotation, or one that names no message classes; says what
            to write instead.
    """
    if not callable(handler) or is_message_class(handler):
        raise TypeError(
            f"expected a handler, such as `async def on_tick(tick: TradeTick)`, {_BY_CLASS}; not {handler!r}"
        )
    shown = handler_name(handler)
    parameter = _first_parameter(handler, shown)
    if parameter.annotation is inspect.Parameter.empty:
        raise TypeError(
            f"parameter {parameter.name!r} of {shown} has no annotation to say what is subscribed to: write "
            f"{parameter.name}: TradeTick, {_BY_CLASS}"
        )
    found: dict[type, None] = {}
    try:
        _collect(parameter.annotation, found, _Scope(handler, names))
    except TypeError as error:
        raise TypeError(
            f"parameter {parameter.name!r} of {shown} has an annotation that does not say what is subscribed "
            f"to: {error}"
        ) from error
    return classes_of(tuple(found))


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether calling it gives something to be awaited, as far as its definition tells."""
    if inspect.iscoroutinefunction(handler):
        return True
    layer: Any = handler
    while (layer := _below(layer)) is not None:
        if inspect.iscoroutinefunction(layer):
            return True
    return False


def handler_name(handler: Callable[..., Any]) -> str:
    """What to call it in logs and errors."""
    layer: Any = handler
    while layer is not None:
        name = getattr(layer, "__qualname__", None)
        if isinstance(name, str):
            return f"{getattr(layer, '__module__', None) or '?'}.{name}()"
        layer = _below(layer)
    return repr(handler)


def _below(layer: Any) -> Any:
    """What a partial, a method, a decorated function or a callable object calls in the end, one step down."""
    if isinstance(layer, functools.partial):
        return layer.func
    if isinstance(layer, types.MethodType):
        return layer.__func__
    wrapped = getattr(layer, "__wrapped__", None)
    if wrapped is not None:
        return wrapped
    if isinstance(layer, (types.FunctionType, types.BuiltinFunctionType, type, types.MethodWrapperType)):
        return None
    return inspect.getattr_static(type(layer), "__call__", None)


def _first_parameter(handler: Callable[..., Any], shown: str) -> inspect.Parameter:
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError, NameError) as error:
        raise TypeError(f"the signature of {shown} cannot be read ({error}): {_BY_CLASS[3:]}") from error
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for parameter in signature.parameters.values():
        if parameter.kind in kinds:
            return parameter
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise TypeError(
                f"{shown} takes any arguments, and does not say of which message class: a decorator keeps "
                f"the annotation with functools.wraps, {_BY_CLASS}"
            )
    raise TypeError(f"{shown} takes no message: give it one parameter, such as tick: TradeTick")


class _Scope:
    """The names that a handler's string annotations may use."""

    def __init__(self, handler: Callable[..., Any], names: Mapping[str, Any] | None) -> None:
        self._handler = handler
        self._names = names

    def evaluate(self, text: str) -> Any:
        """What the text stands for; TypeError if its names are not known."""
        globals_: dict[str, Any] = {}
        closure: dict[str, Any] = {}
        layer: Any = self._handler
        while layer is not None:
            if isinstance(layer, types.FunctionType):
                # The innermost function is the one that was annotated; functools.wraps copied that.
                globals_ = layer.__globals__
                for name, cell in zip(layer.__code__.co_freevars, layer.__closure__ or (), strict=True):
                    with contextlib.suppress(ValueError):  # not assigned yet
                        closure[name] = cell.cell_contents
            layer = _below(layer)
        others = {name: value for name, value in (self._names or {}).items() if name not in globals_}
        try:
            return eval(text, globals_, {**others, **closure})
        except Exception as error:
            raise TypeError(
                f"{text!r} cannot be evaluated ({type(error).__name__}: {error}); import the class where the "
                f"handler is defined, {_BY_CLASS}"
            ) from error


def _collect(wanted: Any, found: dict[type, None], scope: _Scope | None) -> None:
    """Add the message classes that an annotation, a union or an iterable names, in order."""
    if isinstance(wanted, str) and scope is not None:
        wanted = scope.evaluate(wanted)
    elif isinstance(wanted, typing.ForwardRef) and scope is not None:
        wanted = scope.evaluate(wanted.__forward_arg__)
    if is_message_class(wanted):
        found[wanted] = None
        return
    origin = typing.get_origin(wanted)
    if origin is typing.Annotated:
        _collect(typing.get_args(wanted)[0], found, scope)
    elif origin is typing.Union or origin is types.UnionType:
        for part in typing.get_args(wanted):
            _collect(part, found, scope)
    elif type(wanted).__name__ == "TypeAliasType":  # `type Signal = TradeTick | Order`, from Python 3.12 on
        _collect(wanted.__value__, found, scope)
    elif isinstance(wanted, typing.TypeVar) and wanted.__constraints__:
        for part in wanted.__constraints__:
            _collect(part, found, scope)
    elif (
        scope is None
        and isinstance(wanted, Iterable)
        and not isinstance(wanted, (str, bytes, Mapping))
        and not isinstance(wanted, type)
    ):
        for part in wanted:
            _collect(part, found, None)
    else:
        check_message_class(wanted)
