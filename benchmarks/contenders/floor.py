"""`floor.c`, an extension module: the least that a call from Python can do for a message."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from contenders import compiling

from mycelium_fast.codec.definition import FieldDefinition

#: Bytes of the buffer that `append` writes to.
ROOM = 65536
#: What floor.c calls the types of fields; those of bytes alone are "b".
_KINDS = {"u64": "Q", "u16": "H", "i32": "i", "String": "s", "Vec<u64>": "V"}


def layout(cls: type[Any], build: Path) -> Any:
    """A `Layout` for a message class of ours, with room in its buffer for `ROOM` bytes.

    Raises:
        RuntimeError: there is no C compiler, or no Python.h.
    """
    fields = tuple(
        (_KINDS.get(each.type, "b"), each.offset, _size(each)) for each in cls.__definition__.fields
    )
    return _module(build).Layout(cls.TYPE_ID, cls.SIZE, fields, ROOM)


def _size(field: FieldDefinition) -> int:
    return field.size if field.capacity is None else field.capacity


@functools.cache
def _module(build: Path) -> Any:
    headers = f"-I{sysconfig.get_path('include')}"
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    compiled = compiling.library(build, "floor", ["floor.c"], headers, suffix=suffix)
    loader = importlib.machinery.ExtensionFileLoader("floor", str(compiled))
    spec = importlib.util.spec_from_file_location("floor", compiled, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
