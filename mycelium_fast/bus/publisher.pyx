"""Publishing messages of one class, one by one or many at once.

A publisher copies a message's frame to the connection's batch, whole and in order; when it leaves, and what happens
while the peer is slow, is `transport/`'s work.
"""

from cpython.object cimport PyObject, PyTypeObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from mycelium_fast.codec.object cimport Py_TYPE, frame_of
from mycelium_fast.transport.stream cimport Stream

from mycelium_fast.bus.arguments import check_message_class, is_message_class
from mycelium_fast.codec.frames import HEADER_SIZE
from mycelium_fast.codec.message import Message
from mycelium_fast.errors import EncodeError


cdef class Publisher:
    """Sends messages of one class; made by a transport (`transport.publisher(TradeTick)`).

    Any number of threads may share it: frames are never mixed, and those of one `publish_many` stay in order. When a
    message leaves is up to the transport's `profile`.

    Attributes:
        message_class: the class whose messages it sends.
    """

    def __init__(self, Stream stream, message_class, *, max_payload_size):
        check_message_class(message_class)
        if message_class.SIZE > max_payload_size:
            raise EncodeError(
                f"{message_class.__name__} has {message_class.SIZE} payload bytes, over the limit of "
                f"{max_payload_size} for sending: older peers refuse more. Make its fields smaller, or raise "
                "max_payload_size of the transport"
            )
        self._stream = stream
        self.message_class = message_class
        self._type_id = message_class.TYPE_ID
        self._frame_size = HEADER_SIZE + message_class.SIZE
        self._type = <PyTypeObject *>message_class if issubclass(message_class, Message) else NULL

    def __class_getitem__(cls, item):
        return cls

    def publish(self, message):
        """Send one message. Waits while the peer does not take it; received messages are taken in meanwhile.

        Raises:
            TypeError: a message of another class; nothing was sent.
            TransportTimeout: nothing could be sent for `publish_timeout` seconds. `accepted` of the error is 1
                where the message was accepted all the same: then it goes out as soon as the peer takes it.
            ConnectionClosed: the connection is over; whether the peer got the message is not known.
            PermissionDenied: the peer takes no messages of this class, as it said to an earlier one.
            PoolExhausted: every block of the transport's pool is in use; the message was not accepted.
        """
        if self._stream.refused is not None:
            self._stream.raise_if_refused(self._type_id)
        if Py_TYPE(message) != self._type:
            self._publish_other(message)
        elif self._stream.tracer is not None:
            self._publish_traced(message.to_frame(), 1)
        else:
            self._stream.publish(frame_of(message), self._frame_size)

    def publish_many(self, messages):
        """Send messages in order, with as few system calls as the profile and the peer's pace allow.

        Raises:
            TypeError: a message of another class is among them; nothing was sent.
            TransportTimeout: as `publish`; `accepted` of the error is how many were accepted, from the first on.
            ConnectionClosed: the connection is over; how many the peer got is not known.
            PermissionDenied, PoolExhausted: as `publish`.
        """
        cdef tuple batch
        cdef Py_ssize_t index
        if self._stream.refused is not None:
            self._stream.raise_if_refused(self._type_id)
        if not isinstance(messages, (list, tuple)):
            messages = self._checked(messages)
        batch = tuple(messages)  # another thread may change a list meanwhile
        for index in range(PyTuple_GET_SIZE(batch)):
            if Py_TYPE(<object>PyTuple_GET_ITEM(batch, index)) != self._type:
                if self._type != NULL or type(batch[index]) is not self.message_class:
                    raise self._foreign(batch[index])
        if not batch:
            return
        if self._stream.tracer is not None:
            self._publish_traced(self.message_class.encode_batch(batch), len(batch))
        elif self._type != NULL:
            self._stream.publish_all(self._type, self._frame_size, batch)
        else:
            self._stream.publish_frames(self.message_class.encode_batch(batch), len(batch))

    def flush(self):
        """Hand the operating system whatever was accepted and is not on its way yet.

        Raises:
            TransportTimeout: as `publish`.
            ConnectionClosed: the connection is over.
        """
        self._stream.flush()

    def _publish_other(self, message):
        """Messages of a class that is not compiled, and what is no message of ours."""
        if self._type != NULL or type(message) is not self.message_class:
            raise self._foreign(message)
        if self._stream.tracer is not None:
            self._publish_traced(message.to_frame(), 1)
        else:
            self._stream.publish_frames(message.to_frame(), 1)

    def _publish_traced(self, frames, count):
        """Publish within a span; its context goes out just before the first frame, where the peer wants such."""
        span = self._stream.tracer.publishing(self.message_class, count)
        try:
            self._stream.publish_frames(self._stream.trace_frame(span.context) + frames, count)
        except BaseException as error:
            span.end(error)
            raise
        span.end()

    def _checked(self, messages):
        """The argument of `publish_many`, if it is one."""
        ours = self.message_class.__name__
        if isinstance(messages, self.message_class):
            raise TypeError(f"publish_many() takes a list of {ours} messages, not one alone: use publish()")
        try:
            return iter(messages)
        except TypeError:
            given = type(messages).__name__
            raise TypeError(f"publish_many() takes a list of {ours} messages, not {given}") from None

    def _foreign(self, message):
        theirs, ours = type(message), self.message_class
        if message is ours:
            return TypeError(f"this publisher sends messages, not classes: {ours.__name__}(...)")
        if not is_message_class(theirs):
            return TypeError(f"this publisher sends {ours.__name__} messages, not {theirs.__name__}")
        names = theirs.__name__, ours.__name__
        if names[0] == names[1]:  # two generated modules with a message of that name
            names = f"{theirs.__module__}.{names[0]}", f"{ours.__module__}.{names[1]}"
        return TypeError(
            f"this publisher sends {names[1]}, not {names[0]}: make one with publisher({names[0]})"
        )

    def __repr__(self):
        return f"<Publisher of {self.message_class.__name__}>"
