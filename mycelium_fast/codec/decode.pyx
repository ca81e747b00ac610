"""Bytes to messages: one payload, back-to-back frames, a NumPy view of them.

A payload is copied into a new message first and checked there, so that nothing can change between the check and
the use, whoever else can write to the buffer. What is said of bad bytes is the subject of faults.pyx.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from mycelium_fast.codec.arguments cimport argument_error, parse_arguments
from mycelium_fast.codec.faults cimport decode_error, fault_error, rule_error, type_name
from mycelium_fast.codec.object cimport (
    MYC_KEYWORDS, PyMethodDef, myc_list_push, myc_list_with_room, new_message, payload_of,
)
from mycelium_fast.codec.tables cimport (
    MYC_HEADER_SIZE, myc_fault, myc_field, myc_load_u16, myc_load_u32, myc_spec, myc_uniform_span,
)
from mycelium_fast.codec.values cimport get

from mycelium_fast.errors import DecodeError, ValidationError


cdef class Definition:
    """What class functions are bound to: the class's tables, and `described`, its `__definition__`."""


cdef int check_rules(const myc_spec *spec, const uint8_t *payload, Py_ssize_t offset) except -1:
    """Raise ValidationError if a rule is broken; `offset` is the payload's in a received buffer, or -1."""
    cdef int broken
    if spec.rules != NULL:
        broken = spec.rules(payload)
        if broken:
            raise broken_rule(&spec.fields[broken >> 8], broken & 0xFF, payload + spec.fields[broken >> 8].offset, offset)
    return 0


cdef object broken_rule(const myc_field *field, int number, const uint8_t *memory, Py_ssize_t offset):
    return rule_error(field.spec, field - field.spec.fields, number, get(field, memory), offset)


cdef inline object decode(const myc_spec *spec, const uint8_t *payload, Py_ssize_t offset, bint validate):
    """A message from `spec.size` bytes; `offset` is theirs in the caller's buffer, for errors."""
    cdef myc_fault fault
    cdef uint8_t *memory
    message = new_message(spec)
    memory = payload_of(message)
    memcpy(memory, payload, spec.size)
    if spec.check != NULL and spec.check(memory, True, &fault) != 0:
        raise fault_error(spec, &fault, offset)
    if validate and spec.rules != NULL and spec.rules(memory):
        check_rules(spec, memory, offset)
    return message


cdef object decode_if_good(const myc_spec *spec, const uint8_t *payload, bint validate):
    cdef myc_fault fault
    cdef uint8_t *memory
    message = new_message(spec)
    memory = payload_of(message)
    memcpy(memory, payload, spec.size)
    if spec.check != NULL and spec.check(memory, True, &fault) != 0:
        return None
    if validate and spec.rules != NULL and spec.rules(memory):
        return None
    return message


# --- class functions: builtins bound to their class's Definition --------------------------------------------------
# (A builtin found in the type's dict is called twice as fast as a staticmethod, three times as a classmethod.)

cdef int view_of(const myc_spec *spec, function, value, Py_buffer *view) except -1:
    """Contiguous bytes of any bytes-like object; to be released."""
    if not PyObject_CheckBuffer(value):
        raise argument_error(spec, function, f"takes a bytes-like object, got {type_name(value)}")
    return PyObject_GetBuffer(value, view, PyBUF_SIMPLE)


cdef object wrong_payload_size(const myc_spec *spec, Py_ssize_t size, Py_ssize_t offset):
    return decode_error(spec, -1, offset, f"a payload of {size} bytes where the message has {spec.size}")


cdef object from_bytes(Definition self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames):
    cdef const myc_spec *spec = self.spec
    cdef PyObject *values[2]
    cdef bint validate = True
    cdef Py_buffer view
    if given == 1 and kwnames == NULL:
        values[0] = args[0]
    else:
        parse_arguments(spec, "from_bytes", ("payload", "validate"), 1, args, given, kwnames, values)
        validate = values[1] == NULL or <object>values[1]
    payload = <object>values[0]
    if PyBytes_CheckExact(payload):
        if PyBytes_GET_SIZE(payload) != spec.size:
            raise wrong_payload_size(spec, PyBytes_GET_SIZE(payload), 0)
        return decode(spec, <const uint8_t *>PyBytes_AS_STRING(payload), 0, validate)
    view_of(spec, "from_bytes", payload, &view)
    try:
        if view.len != spec.size:
            raise wrong_payload_size(spec, view.len, 0)
        return decode(spec, <const uint8_t *>view.buf, 0, validate)
    finally:
        PyBuffer_Release(&view)


cdef object from_buffer(Definition self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames):
    cdef const myc_spec *spec = self.spec
    cdef PyObject *values[3]
    cdef Py_buffer view
    parse_arguments(spec, "from_buffer", ("buffer", "offset", "validate"), 2, args, given, kwnames, values)
    offset = 0 if values[1] == NULL else PyNumber_Index(<object>values[1])  # of any size, until it is compared
    validate = values[2] == NULL or <object>values[2]
    view_of(spec, "from_buffer", <object>values[0], &view)
    try:
        if offset < 0 or view.len - offset < spec.size:
            raise decode_error(
                spec, -1, offset, f"a buffer of {view.len} bytes does not hold {spec.size} bytes from there"
            )
        return decode(spec, <const uint8_t *>view.buf + <Py_ssize_t>offset, offset, validate)
    finally:
        PyBuffer_Release(&view)


cdef inline Py_ssize_t frame_at(
    const myc_spec *spec, const uint8_t *frames, Py_ssize_t end, Py_ssize_t offset
) except -1:
    """Size of the payload of the complete frame of this type that starts at `offset`."""
    cdef const uint8_t *frame = frames + offset
    cdef Py_ssize_t left = end - offset - MYC_HEADER_SIZE
    if left < 0 or myc_load_u16(frame) != spec.type_id or myc_load_u32(frame + 2) > left:
        raise frame_error(spec, frame, left, offset)
    return myc_load_u32(frame + 2)


cdef object frame_error(const myc_spec *spec, const uint8_t *frame, Py_ssize_t left, Py_ssize_t offset):
    if left < 0:
        reason = f"a partial frame: {left + MYC_HEADER_SIZE} bytes of a header of {MYC_HEADER_SIZE}"
    elif myc_load_u16(frame) != spec.type_id:
        reason = f"a frame of type id {myc_load_u16(frame)} where the message has {spec.type_id}"
    else:
        reason = f"a partial frame: {left} bytes of a payload of {myc_load_u32(frame + 2)}"
    return decode_error(spec, -1, offset, reason)


cdef list decode_frames(const myc_spec *spec, const uint8_t *frames, Py_ssize_t end, bint validate, list errors):
    """Messages from back-to-back frames of one type; with `errors`, bad ones are left out and told there."""
    cdef Py_ssize_t offset = 0, size
    # Room for as many as there can be good ones.
    cdef list messages = myc_list_with_room(end // (MYC_HEADER_SIZE + spec.size))
    while offset < end:
        size = frame_at(spec, frames, end, offset)
        try:
            if size != spec.size:
                raise wrong_payload_size(spec, size, offset)
            message = decode(spec, frames + offset + MYC_HEADER_SIZE, offset + MYC_HEADER_SIZE, validate)
        except (DecodeError, ValidationError) as error:
            if errors is None:
                raise
            errors.append(error)
        else:
            myc_list_push(messages, message)
        offset += MYC_HEADER_SIZE + size
    return messages


cdef object decode_batch(Definition self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames):
    cdef const myc_spec *spec = self.spec
    cdef PyObject *values[3]
    cdef Py_buffer view
    cdef bint validate
    parse_arguments(spec, "decode_batch", ("buffer", "validate", "errors"), 1, args, given, kwnames, values)
    validate = values[1] == NULL or <object>values[1]
    errors = None if values[2] == NULL else <object>values[2]
    if errors is not None and not isinstance(errors, list):
        raise argument_error(spec, "decode_batch", f"takes a list as errors, got {type_name(errors)}")
    view_of(spec, "decode_batch", <object>values[0], &view)
    try:
        return decode_frames(spec, <const uint8_t *>view.buf, view.len, validate, errors)
    finally:
        PyBuffer_Release(&view)


cdef object array(Definition self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames):
    cdef const myc_spec *spec = self.spec
    cdef PyObject *values[2]
    cdef Py_buffer view
    cdef myc_fault fault
    cdef Py_ssize_t offset, size
    cdef uint8_t *payload
    cdef bint validate
    parse_arguments(spec, "array", ("buffer", "validate"), 1, args, given, kwnames, values)
    validate = values[1] == NULL or <object>values[1]
    dtype = self.described.numpy_dtype
    import numpy

    buffer = <object>values[0]
    view_of(spec, "array", buffer, &view)
    try:
        size = myc_uniform_span(<const uint8_t *>view.buf, view.len, spec.type_id, spec.size)
        if size != view.len:
            raise wrong_payload_size(spec, frame_at(spec, <const uint8_t *>view.buf, view.len, size), size)
        if spec.check != NULL or (validate and spec.rules != NULL):
            # (range() with a step that is known only here would be one of Python's, over int objects.)
            offset = MYC_HEADER_SIZE
            while offset < size:
                payload = <uint8_t *>view.buf + offset
                if spec.check != NULL and spec.check(payload, False, &fault) != 0:
                    raise fault_error(spec, &fault, offset)
                if validate:
                    check_rules(spec, payload, offset)
                offset += MYC_HEADER_SIZE + spec.size
    finally:
        PyBuffer_Release(&view)
    # (frombuffer itself takes no empty buffer.)
    return numpy.frombuffer(buffer, dtype) if size else numpy.empty(0, dtype)


cdef PyMethodDef[4] FUNCTIONS

FUNCTIONS[0] = PyMethodDef(
    "from_bytes", <void *>from_bytes, MYC_KEYWORDS,
    b"from_bytes(payload, *, validate=True)\n--\n\n"
    b"A message from exactly SIZE bytes.\n\n"
    b"Raises DecodeError (message, field, offset, reason) for bytes that are no such payload, ValidationError for\n"
    b"a broken rule of the contract unless validate is False.",
)
FUNCTIONS[1] = PyMethodDef(
    "from_buffer", <void *>from_buffer, MYC_KEYWORDS,
    b"from_buffer(buffer, offset=0, *, validate=True)\n--\n\n"
    b"A message from a copy of the SIZE bytes that start at offset. Raises as from_bytes.",
)
FUNCTIONS[2] = PyMethodDef(
    "decode_batch", <void *>decode_batch, MYC_KEYWORDS,
    b"decode_batch(buffer, *, validate=True, errors=None)\n--\n\n"
    b"A list of messages from back-to-back frames of this type.\n\n"
    b"A bad frame raises as in from_bytes, offsets being those in the buffer; with a list as errors it is left\n"
    b"out and its exception appended to the list. A frame of another type, or a partial one, always raises.",
)
FUNCTIONS[3] = PyMethodDef(
    "array", <void *>array, MYC_KEYWORDS,
    b"array(buffer, *, validate=True)\n--\n\n"
    b"A structured NumPy view, without a copy, of back-to-back frames of this type: one row a frame.\n\n"
    b"Raises as decode_batch. Padding and unused capacity are as they came.",
)


cdef int decoders(PyMethodDef **functions) noexcept:
    functions[0] = FUNCTIONS
    return sizeof(FUNCTIONS) // sizeof(PyMethodDef)
