"""What a driver hands frames to: the interface between moving bytes and making messages of them.

The subscribers' queues in `bus/` extend it. A driver offers from one thread at a time.
"""

from mycelium_fast.codec.frames cimport Run


cdef class Sink:
    """Where the frames of some type ids go.

    Attributes:
        type_ids: frozenset of the types that it wants; None for every type.
        lagged: frames for it that the peer says it dropped.
    """

    def __len__(self):
        """Messages that it holds for somebody to take; fewer whenever somebody does."""
        return 0

    def traced(self, context):
        """The first frame offered next has this trace context: trace id, span id, flags."""

    cpdef bint ready(self) except -1:
        """Whether whoever waits for it has something to wake up for."""
        raise NotImplementedError

    cpdef Py_ssize_t offer(self, Run run, Py_ssize_t start, bint force) except -1:
        """Take frames of the run from number `start` on; how many, all of them if `force`."""
        raise NotImplementedError
