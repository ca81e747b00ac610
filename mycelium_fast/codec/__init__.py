"""The codec: message objects whose memory is the frame, and frames as bytes.

definition.py   what a class says of itself at run time
message.pyx     Message: building, encoding, comparing, showing; what generated modules call
decode.pyx      bytes to messages, one and many
values.pyx      the value of one field, to memory and back
faults.pyx      what is said of what is refused
arguments.pyx   arguments of calls, with Python's own errors
pool.pyx        blocks of memory, used again and again
frames.pyx      a stream of bytes into frames: the batch reader
writer.pyx      frames on their way out: the batch writer
batching.py     ... and when they are due
tracer.py       what a tracer of messages has to have
message.h       the tables that a generated module fills; wire.h, the wire in plain C
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec(f"{__name__}.message") is None:
    raise ImportError(
        "the codec of mycelium-fast is not compiled in this installation, so that no compiled module can be "
        "used: install the package (`pip install .` in a checkout, and run from another directory), or, for "
        "messages alone, `mycelium_fast.load(..., compiled=False)`",
        name=__name__,
    )
