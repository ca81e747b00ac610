"""What a message class says of itself at run time: `TradeTick.__definition__`.

Plain immutable data, made when a generated module is imported; the layout in it is the one that the
contracts model computed. NumPy is imported when a dtype is asked for, not before.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

__all__ = ["FieldDefinition", "MessageDefinition"]

_HEADER_SIZE = 6
_NUMPY_SCALARS = {
    "u8": "<u1",
    "u16": "<u2",
    "u32": "<u4",
    "u64": "<u8",
    "i8": "<i1",
    "i16": "<i2",
    "i32": "<i4",
    "i64": "<i8",
    "f32": "<f4",
    "f64": "<f8",
    "bool": "?",
}


class _Definition:
    """Immutable; made of keywords, one for every annotation; equal to another of its class with equal values.

    That is a frozen dataclass, but for the import: `dataclasses` would take longer than all of the codec.
    """

    def __init__(self, **values: Any) -> None:
        names = type(self).__annotations__.keys()
        if values.keys() != names:
            raise TypeError(f"{type(self).__name__} takes the keywords {', '.join(names)}")
        self.__dict__.update(values)

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in type(self).__annotations__])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        values = [f"{name}={getattr(self, name)!r}" for name in type(self).__annotations__]
        return f"{type(self).__name__}({', '.join(values)})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to {name!r}: a {type(self).__name__} does not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r}: a {type(self).__name__} does not change")


class FieldDefinition(_Definition):
    """One field, with its place in the payload.

    Attributes:
        name: as in the contract.
        python_name: the attribute's name.
        type: as in the contract, white space normalised.
        offset: from the payload's start, in bytes.
        size: of the whole field, in bytes.
        align: in bytes.
        capacity: bytes of a `String`, elements of a `Vec`; None otherwise.
        contents_offset: from the payload's start to the first element or byte of text.
        element: type of the elements of an array or `Vec`; None otherwise.
        count: elements of an array, capacity of a `Vec` or `String`, bytes of a `[u8; N]`; else 1.
        rules: name and limit of each rule that is checked.
        context_rules: the same of rules that are not checked here.
    """

    name: str
    python_name: str
    type: str
    offset: int
    size: int
    align: int
    capacity: int | None
    contents_offset: int
    element: str | None
    count: int
    optional: bool
    description: str
    rules: tuple[tuple[str, Any], ...]
    context_rules: tuple[tuple[str, Any], ...]


class MessageDefinition(_Definition):
    """One message: what its contract says, and its layout in bytes.

    Attributes:
        size: of the payload.
        buffer_class: the frame's size rounded up to a power of two, at least 128.
        confidential: no error, log line or `repr` shows a field's value.
    """

    name: str
    type_id: int
    topic: str
    domain: str
    description: str
    size: int
    align: int
    buffer_class: int
    confidential: bool
    sensitivity: str | None
    log_payload: bool
    required_prior_messages: tuple[str, ...]
    fields: tuple[FieldDefinition, ...]

    @cached_property
    def numpy_dtype(self) -> numpy.dtype[Any]:
        """A row of `array()`: a whole frame, of which the fields are shown under their contract's names.

        Raises:
            ImportError: NumPy is not installed.
        """
        try:
            import numpy
        except ImportError as error:
            raise ImportError('array() needs NumPy: pip install "mycelium-fast[numpy]"') from error
        return numpy.dtype(
            {
                "names": [field.name for field in self.fields],
                "formats": [_format(field) for field in self.fields],
                "offsets": [_HEADER_SIZE + field.offset for field in self.fields],
                "itemsize": _HEADER_SIZE + self.size,
            }
        )


def _format(field: FieldDefinition) -> Any:
    """What `numpy.dtype` takes for a field."""
    contents: Any
    if field.type == "String":
        key, contents = "bytes", f"V{field.count}"
    elif field.type.startswith("Vec<"):
        key, contents = "elements", (_element_format(str(field.element)), (field.count,))
    elif field.element is not None:
        return _element_format(field.element), (field.count,)
    else:
        return _element_format(field.type)
    return {
        "names": ["count", key],
        "formats": ["<u2", contents],
        "offsets": [0, field.contents_offset - field.offset],
        "itemsize": field.size,
    }


def _element_format(type_: str) -> Any:
    if type_ in ("u128", "i128"):
        return [("low", "<u8"), ("high", "<u8")]
    if type_ == "U256":
        return "V32"
    if type_.startswith("["):
        return f"V{type_.removeprefix('[u8;').removesuffix(']').strip()}"
    return _NUMPY_SCALARS[type_]
