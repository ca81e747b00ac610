"""`Message`, the base class of every generated message: the object is the frame.

A generated class adds the packed struct of its payload to the header that `Message` holds, and hands over a
table of its fields (message.h). Everything that messages do is here, once, driven by that table: building,
decoding, encoding, comparing, showing. Field values are the subject of values.pyx.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport Py_EQ, Py_NE, PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from mycelium_fast.codec.faults cimport decode_error, fault_error, rule_error
from mycelium_fast.codec.tables cimport (
    MYC_ABI, MYC_HEADER_SIZE, MYC_U256, myc_fault, myc_field, myc_load_u16, myc_load_u32, myc_spec,
    myc_uniform_span,
)
from mycelium_fast.codec.values cimport get, put

import sys
from types import MappingProxyType

from mycelium_fast.codec.definition import FieldDefinition, MessageDefinition
from mycelium_fast.errors import DecodeError, ValidationError

cdef extern from "values.h":
    ctypedef object (*getter)(object, void *)
    int myc_put_fast(const myc_field *, uint8_t *, PyObject *)
    getter myc_fast_getter(int)

cdef extern from "object.h":
    object myc_new(const myc_spec *)
    void myc_type_is_abstract(PyTypeObject *)
    int myc_type_add(PyTypeObject *, object, object) except -1
    const int MYC_KEYWORDS
    Py_ssize_t PyVectorcall_NARGS(size_t)
    PyTypeObject *Py_TYPE(object)
    int PyUnicode_Compare(object, object) except? -1
    void PyType_Modified(PyTypeObject *)
    object PyUnicode_InternFromString(const char *)

    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    ctypedef struct PyGetSetDef:
        const char *name
        getter get
        int (*set)(object, PyObject *, void *) except -1
        const char *doc
        void *closure
    void myc_prepare_type(PyTypeObject *, myc_spec *, PyGetSetDef *)
    const myc_spec *myc_spec_of(object)
    PyGetSetDef *properties_of "myc_properties_of"(object)
    object PyCFunction_NewEx(PyMethodDef *, object, object)
    object PyDescr_NewMethod(PyTypeObject *, PyMethodDef *)
    const int METH_NOARGS
    object PyDescr_NewGetSet(PyTypeObject *, PyGetSetDef *)

#: Number of the tables that a generated module shares with this one; see `require_abi`.
ABI = MYC_ABI


cdef class Message:
    """Base class of every message: a mutable object whose memory is one frame.

    Generated classes add the fields and, on the class, `from_bytes`, `from_buffer`, `decode_batch`,
    `encode_batch`, `array`, `from_dict`, `TYPE_ID`, `TOPIC`, `SIZE` and `__definition__`. The buffer protocol
    exports the payload, read-only; a view shows later changes of the message.
    """

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, payload_of(self), self.length, 1, flags)

    def __richcmp__(self, other, int op):
        if type(self) is not type(other) or (op != Py_EQ and op != Py_NE):
            return NotImplemented
        equal = memcmp(payload_of(self), payload_of(other), (<Message>self).length) == 0
        return equal if op == Py_EQ else not equal

    def __repr__(self):
        cdef const myc_spec *spec = myc_spec_of(self)
        name = type(self).__name__
        if spec.confidential:
            return f"{name}(<confidential>)"
        values = zip(self.__match_args__, to_tuple(self, NULL))
        return f"{name}({', '.join([f'{field}={value!r}' for field, value in values])})"

    def validate(self):
        """Check the contract's rules again.

        Raises:
            ValidationError: the first rule broken. (Building and setting check too: this finds what came in
                through `validate=False`.)
        """
        check_rules(myc_spec_of(self), payload_of(self), -1)

    def replace(self, **changes):
        """A copy with some fields changed.

        Raises:
            TypeError, EncodeError, ValidationError: as for setting the fields.
        """
        copied = copy_of(self)
        for name, value in changes.items():
            if name not in type(self).__match_args__:
                raise TypeError(f"{type(self).__name__}.replace() got an unexpected keyword argument {name!r}")
            setattr(copied, name, value)
        return copied

    def __replace__(self, **changes):
        return self.replace(**changes)

    def to_dict(self):
        """The fields as a new dict, under the contract's names."""
        names = [field.name for field in self.__definition__.fields]
        return dict(zip(names, to_tuple(self, NULL)))

    def __copy__(self):
        return copy_of(self)

    def __deepcopy__(self, memo):
        return copy_of(self)

    def __reduce__(self):
        return restore, (type(self), self.to_bytes())


myc_type_is_abstract(<PyTypeObject *>Message)


def restore(cls, payload):
    """Unpickle a message: the rules are not checked again, its bytes are."""
    return cls.from_bytes(payload, validate=False)


# --- memory --------------------------------------------------------------------------------------------------

cdef inline uint8_t *frame_of(object message) noexcept:
    return <uint8_t *>&(<Message>message).type_id


cdef inline uint8_t *payload_of(object message) noexcept:
    return frame_of(message) + MYC_HEADER_SIZE


cdef class Definition:
    """What class functions are bound to: the class's tables, and `described`, its `__definition__`."""

    cdef myc_spec *spec
    cdef object described


cdef inline object new_message(const myc_spec *spec):
    """A message with its header; the payload is not initialised."""
    message = myc_new(spec)
    (<Message>message)._padding = 0
    (<Message>message).type_id = spec.type_id
    (<Message>message).length = spec.size
    return message


cdef object copy_of(object message):
    cdef const myc_spec *spec = myc_spec_of(message)
    copied = new_message(spec)
    memcpy(payload_of(copied), payload_of(message), spec.size)
    return copied


# --- rules and structure: what a payload may be --------------------------------------------------------------

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


# --- building ------------------------------------------------------------------------------------------------

cdef PyObject *construct(
    myc_spec *spec, PyObject *const *args, size_t nargsf, PyObject *kwnames
) except NULL:
    """The constructor of every class, called through its type's tp_vectorcall."""
    cdef Py_ssize_t positional = PyVectorcall_NARGS(nargsf)
    cdef Py_ssize_t keywords = 0 if kwnames == NULL else PyTuple_GET_SIZE(<object>kwnames)
    cdef Py_ssize_t index
    cdef PyObject **ordered
    if positional + keywords == spec.field_count:
        for index in range(keywords):
            if PyTuple_GET_ITEM(<object>kwnames, index) != spec.fields[positional + index].key:
                break
        else:
            return build(spec, args)  # all there and in order: as most calls are
    ordered = <PyObject **>PyMem_Malloc((spec.field_count + 1) * sizeof(PyObject *))
    if ordered == NULL:
        raise MemoryError()
    try:
        order_arguments(spec, args, positional, keywords, kwnames, ordered)
        return build(spec, ordered)
    finally:
        PyMem_Free(ordered)


cdef PyObject *build(const myc_spec *spec, PyObject *const *values) except NULL:
    """A new message from one value for each field, in contract order."""
    cdef Py_ssize_t index
    cdef const myc_field *field
    message = new_message(spec)
    cdef uint8_t *memory = payload_of(message)
    if spec.padded:
        memset(memory, 0, spec.size)
    for index in range(spec.field_count):
        field = &spec.fields[index]
        if not myc_put_fast(field, memory + field.offset, values[index]):
            put(field, memory + field.offset, <object>values[index])
    if spec.rules != NULL and spec.rules(memory):
        check_rules(spec, memory, -1)
    Py_INCREF(message)
    return <PyObject *>message


cdef int order_arguments(
    const myc_spec *spec, PyObject *const *args, Py_ssize_t positional, Py_ssize_t keywords, PyObject *kwnames,
    PyObject **ordered
) except -1:
    """Arguments into field order, or the TypeError that a call of a Python function would give."""
    cdef Py_ssize_t index, given, count = spec.field_count
    cls = (<type>spec.type).__name__
    if positional > count:
        verb = "was" if positional == 1 else "were"
        noun = "argument" if count == 1 else "arguments"
        raise TypeError(f"{cls}() takes {count} positional {noun} but {positional} {verb} given")
    for index in range(count):
        ordered[index] = args[index] if index < positional else NULL
    for given in range(keywords):
        name = <object>PyTuple_GET_ITEM(<object>kwnames, given)
        index = field_index(spec, name)
        if index < 0:
            raise TypeError(f"{cls}() got an unexpected keyword argument {name!r}")
        if ordered[index] != NULL:
            raise TypeError(f"{cls}() got multiple values for argument {name!r}")
        ordered[index] = args[positional + given]
    missing = [f"{spec.fields[index].python_name.decode()!r}" for index in range(count) if ordered[index] == NULL]
    if missing:
        noun = "argument" if len(missing) == 1 else "arguments"
        last = missing.pop()
        names = f"{', '.join(missing)}{',' if len(missing) > 1 else ''} and {last}" if missing else last
        raise TypeError(f"{cls}() missing {len(missing) + 1} required {noun}: {names}")
    return 0


cdef Py_ssize_t field_index(const myc_spec *spec, object name) except -2:
    """The field of a Python name, or -1. Names in code are interned: most are found by their address."""
    cdef Py_ssize_t index
    for index in range(spec.field_count):
        if spec.fields[index].key == <PyObject *>name:
            return index
    for index in range(spec.field_count):
        if PyUnicode_Compare(<object>spec.fields[index].key, name) == 0:
            return index
    return -1


cdef object get_property(object message, void *closure):
    cdef const myc_field *field = <const myc_field *>closure
    return get(field, payload_of(message) + field.offset)


cdef int set_property(object message, PyObject *value, void *closure) except -1:
    """Set a field whole or not at all: what can fail half-way, or against a rule, is made beside it first."""
    cdef const myc_field *field = <const myc_field *>closure
    cdef uint8_t *memory = payload_of(message) + field.offset
    cdef uint8_t[256] small
    cdef uint8_t *scratch = small
    cdef int broken
    if value == NULL:
        raise AttributeError(f"{field.spec.name.decode()}.{field.name.decode()}: a field cannot be deleted")
    if field.rule == NULL and field.kind <= MYC_U256:
        return 0 if myc_put_fast(field, memory, value) else put(field, memory, <object>value)
    if field.size > sizeof(small):
        scratch = <uint8_t *>PyMem_Malloc(field.size)
        if scratch == NULL:
            raise MemoryError()
    try:
        if not myc_put_fast(field, scratch, value):
            put(field, scratch, <object>value)
        if field.rule != NULL:
            broken = field.rule(scratch)
            if broken:
                raise broken_rule(field, broken, scratch, -1)
        memcpy(memory, scratch, field.size)
    finally:
        if scratch != small:
            PyMem_Free(scratch)
    return 0


# --- encoding ------------------------------------------------------------------------------------------------

cdef object to_bytes(object self, PyObject *unused):
    return PyBytes_FromStringAndSize(<char *>payload_of(self), (<Message>self).length)


cdef object to_frame(object self, PyObject *unused):
    return PyBytes_FromStringAndSize(<char *>frame_of(self), MYC_HEADER_SIZE + (<Message>self).length)


cdef object to_tuple(object self, PyObject *unused):
    cdef const myc_spec *spec = myc_spec_of(self)
    cdef PyGetSetDef *properties = properties_of(self)
    cdef Py_ssize_t index
    values = PyTuple_New(spec.field_count)
    for index in range(spec.field_count):
        value = properties[index].get(self, properties[index].closure)
        Py_INCREF(value)
        PyTuple_SET_ITEM(values, index, value)
    return values


cdef PyMethodDef[3] METHODS

METHODS[0] = PyMethodDef(
    "to_bytes", <void *>to_bytes, METH_NOARGS, b"to_bytes($self, /)\n--\n\nThe payload: SIZE bytes."
)
METHODS[1] = PyMethodDef(
    "to_frame", <void *>to_frame, METH_NOARGS, b"to_frame($self, /)\n--\n\nThe frame: header (6 bytes) and payload."
)
METHODS[2] = PyMethodDef(
    "to_tuple", <void *>to_tuple, METH_NOARGS, b"to_tuple($self, /)\n--\n\nThe values of all fields, in contract order."
)


# --- what stands on the class: builtins bound to its Definition ----------------------------------------------
# (A builtin found in the type's dict is called twice as fast as a staticmethod, three times as a classmethod.)

cdef int parse_arguments(
    const myc_spec *spec, str function, tuple names, Py_ssize_t positional, PyObject *const *args, Py_ssize_t given,
    PyObject *kwnames, PyObject **values
) except -1:
    """Bind arguments to `names`: the first is required, up to `positional` may be given by position."""
    cdef Py_ssize_t index, keyword
    for index in range(PyTuple_GET_SIZE(names)):
        values[index] = args[index] if index < given else NULL
    if given > positional:
        raise argument_error(spec, function, f"takes at most {positional} positional arguments but {given} were given")
    for keyword in range(0 if kwnames == NULL else PyTuple_GET_SIZE(<object>kwnames)):
        name = <object>PyTuple_GET_ITEM(<object>kwnames, keyword)
        for index in range(PyTuple_GET_SIZE(names)):
            if PyUnicode_Compare(<object>PyTuple_GET_ITEM(names, index), name) == 0:
                break
        else:
            raise argument_error(spec, function, f"got an unexpected keyword argument {name!r}")
        if values[index] != NULL:
            raise argument_error(spec, function, f"got multiple values for argument {name!r}")
        values[index] = args[given + keyword]
    if values[0] == NULL:
        raise argument_error(spec, function, f"missing 1 required argument: {names[0]!r}")
    return 0


cdef object argument_error(const myc_spec *spec, function, problem):
    return TypeError(f"{(<type>spec.type).__name__}.{function}() {problem}")


cdef int view_of(const myc_spec *spec, function, value, Py_buffer *view) except -1:
    """Contiguous bytes of any bytes-like object; to be released."""
    if not PyObject_CheckBuffer(value):
        raise argument_error(spec, function, f"takes a bytes-like object, got {type(value).__name__}")
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
    cdef Py_ssize_t offset
    cdef Py_buffer view
    parse_arguments(spec, "from_buffer", ("buffer", "offset", "validate"), 2, args, given, kwnames, values)
    offset = 0 if values[1] == NULL else <object>values[1]
    validate = values[2] == NULL or <object>values[2]
    view_of(spec, "from_buffer", <object>values[0], &view)
    try:
        if offset < 0 or view.len - offset < <Py_ssize_t>spec.size:
            raise decode_error(
                spec, -1, offset, f"a buffer of {view.len} bytes does not hold {spec.size} bytes from there"
            )
        return decode(spec, <const uint8_t *>view.buf + offset, offset, validate)
    finally:
        PyBuffer_Release(&view)


cdef inline Py_ssize_t frame_at(const myc_spec *spec, const Py_buffer *view, Py_ssize_t offset) except -1:
    """Size of the payload of the complete frame of this type that starts at `offset`."""
    cdef const uint8_t *frame = <const uint8_t *>view.buf + offset
    cdef Py_ssize_t left = view.len - offset - MYC_HEADER_SIZE
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


cdef object decode_batch(Definition self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames):
    cdef const myc_spec *spec = self.spec
    cdef PyObject *values[3]
    cdef Py_buffer view
    cdef Py_ssize_t offset = 0, count = 0, size
    cdef bint validate
    parse_arguments(spec, "decode_batch", ("buffer", "validate", "errors"), 1, args, given, kwnames, values)
    validate = values[1] == NULL or <object>values[1]
    errors = None if values[2] == NULL else <object>values[2]
    if errors is not None and not isinstance(errors, list):
        raise argument_error(spec, "decode_batch", f"takes a list as errors, got {type(errors).__name__}")
    view_of(spec, "decode_batch", <object>values[0], &view)
    try:
        # As many as there can be good ones; cut to length below.
        messages = PyList_New(view.len // (MYC_HEADER_SIZE + spec.size))
        while offset < view.len:
            size = frame_at(spec, &view, offset)
            try:
                if size != spec.size:
                    raise wrong_payload_size(spec, size, offset)
                message = decode(
                    spec, <const uint8_t *>view.buf + offset + MYC_HEADER_SIZE, offset + MYC_HEADER_SIZE, validate
                )
            except (DecodeError, ValidationError) as error:
                if errors is None:
                    raise
                errors.append(error)
            else:
                Py_INCREF(message)
                PyList_SET_ITEM(messages, count, message)
                count += 1
            offset += MYC_HEADER_SIZE + size
        del messages[count:]
        return messages
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

    view_of(spec, "array", <object>values[0], &view)
    try:
        size = myc_uniform_span(<const uint8_t *>view.buf, view.len, spec.type_id, spec.size)
        if size != view.len:
            raise wrong_payload_size(spec, frame_at(spec, &view, size), size)
        if spec.check != NULL or (validate and spec.rules != NULL):
            for offset in range(MYC_HEADER_SIZE, size, MYC_HEADER_SIZE + spec.size):
                payload = <uint8_t *>view.buf + offset
                if spec.check != NULL and spec.check(payload, False, &fault) != 0:
                    raise fault_error(spec, &fault, offset)
                if validate:
                    check_rules(spec, payload, offset)
    finally:
        PyBuffer_Release(&view)
    # (frombuffer itself takes no empty buffer.)
    return numpy.frombuffer(<object>values[0], dtype) if size else numpy.empty(0, dtype)


cdef object encode_batch(Definition self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames):
    cdef const myc_spec *spec = self.spec
    cdef PyObject *values[1]
    cdef Py_ssize_t index, size = MYC_HEADER_SIZE + spec.size
    cdef uint8_t *position
    parse_arguments(spec, "encode_batch", ("messages",), 1, args, given, kwnames, values)
    cdef tuple messages = tuple(<object>values[0])  # a copy of a list: another thread may change that
    frames = PyBytes_FromStringAndSize(NULL, size * PyTuple_GET_SIZE(messages))
    position = <uint8_t *>PyBytes_AS_STRING(frames)
    for index in range(PyTuple_GET_SIZE(messages)):
        message = <object>PyTuple_GET_ITEM(messages, index)
        if Py_TYPE(message) != spec.type:
            raise argument_error(
                spec, "encode_batch", f"takes {qualified(<object>spec.type)} alone, got {qualified(type(message))}"
            )
        memcpy(position, frame_of(message), size)
        position += size
    return frames


cdef object qualified(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


cdef object from_dict(Definition self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames):
    cdef const myc_spec *spec = self.spec
    cdef PyObject *values[1]
    parse_arguments(spec, "from_dict", ("mapping",), 1, args, given, kwnames, values)
    mapping = dict(<object>values[0])
    names = [field.name for field in self.described.fields]
    for name in names:
        if name not in mapping:
            raise argument_error(spec, "from_dict", f"missing the field {name!r}")
    if len(mapping) > len(names):
        unknown = [name for name in mapping if name not in names]
        raise argument_error(spec, "from_dict", f"got an unknown field {unknown[0]!r}")
    return (<object>spec.type)(*[mapping[name] for name in names])


cdef PyMethodDef[6] CLASS_FUNCTIONS

CLASS_FUNCTIONS[0] = PyMethodDef(
    "from_bytes", <void *>from_bytes, MYC_KEYWORDS,
    b"from_bytes(payload, *, validate=True)\n--\n\n"
    b"A message from exactly SIZE bytes.\n\n"
    b"Raises DecodeError (message, field, offset, reason) for bytes that are no such payload, ValidationError for\n"
    b"a broken rule of the contract unless validate is False.",
)
CLASS_FUNCTIONS[1] = PyMethodDef(
    "from_buffer", <void *>from_buffer, MYC_KEYWORDS,
    b"from_buffer(buffer, offset=0, *, validate=True)\n--\n\n"
    b"A message from a copy of the SIZE bytes that start at offset. Raises as from_bytes.",
)
CLASS_FUNCTIONS[2] = PyMethodDef(
    "decode_batch", <void *>decode_batch, MYC_KEYWORDS,
    b"decode_batch(buffer, *, validate=True, errors=None)\n--\n\n"
    b"A list of messages from back-to-back frames of this type.\n\n"
    b"A bad frame raises as in from_bytes, offsets being those in the buffer; with a list as errors it is left\n"
    b"out and its exception appended to the list. A frame of another type, or a partial one, always raises.",
)
CLASS_FUNCTIONS[3] = PyMethodDef(
    "array", <void *>array, MYC_KEYWORDS,
    b"array(buffer, *, validate=True)\n--\n\n"
    b"A structured NumPy view, without a copy, of back-to-back frames of this type: one row a frame.\n\n"
    b"Raises as decode_batch. Padding and unused capacity are as they came.",
)
CLASS_FUNCTIONS[4] = PyMethodDef(
    "encode_batch", <void *>encode_batch, MYC_KEYWORDS,
    b"encode_batch(messages)\n--\n\nThe frames of messages of this type, back to back, as bytes.",
)
CLASS_FUNCTIONS[5] = PyMethodDef(
    "from_dict", <void *>from_dict, MYC_KEYWORDS,
    b"from_dict(mapping)\n--\n\nA message from a mapping of the contract's field names to values; the reverse of to_dict.",
)


# --- what a generated module calls ---------------------------------------------------------------------------

def require_abi(int abi, str module, str built_with):
    """Refuse a generated module that was built for another version of the codec's tables.

    Raises:
        ImportError: names both versions and the command that rebuilds the module.
    """
    if abi != MYC_ABI:
        from mycelium_fast import __version__

        raise ImportError(
            f"{module} was built with mycelium-fast {built_with} (codec ABI {abi}); installed is {__version__} "
            f"(codec ABI {MYC_ABI}). Build it again: mycelium build CONTRACTS --module {module}, "
            "or install its package again",
            name=module,
        )


def register(cls, capsule, description):
    """Finish a generated class: constructor, properties, class functions and constants.

    Args:
        cls: the class, a direct subclass of Message.
        capsule: of its `myc_spec`.
        description: keyword arguments of `MessageDefinition`; `fields` are those of `FieldDefinition`.
    """
    cdef myc_spec *spec = <myc_spec *>PyCapsule_GetPointer(capsule, "mycelium_fast.spec")
    cdef PyTypeObject *type_ = <PyTypeObject *>cls
    cdef Definition definition = Definition.__new__(Definition)
    cdef myc_field *field
    cdef PyGetSetDef *property_
    cdef Py_ssize_t index
    fields = tuple([FieldDefinition(**each) for each in description.pop("fields")])
    definition.spec = spec
    definition.described = MessageDefinition(fields=fields, **description)
    cdef PyGetSetDef *properties = <PyGetSetDef *>PyMem_Malloc((spec.field_count + 1) * sizeof(PyGetSetDef))
    if properties == NULL:
        raise MemoryError()
    # Tables and description live as long as the process, as the type does.
    Py_INCREF(definition.described)
    spec.definition = <PyObject *>definition.described
    spec.type = type_
    spec.construct = <void *>construct
    for index in range(spec.field_count + 1):
        field = &spec.fields[index]
        field.spec = spec
        properties[index].closure = field
        if index == spec.field_count:
            properties[index].name = NULL
            break
        key = PyUnicode_InternFromString(field.python_name)
        Py_INCREF(key)
        field.key = <PyObject *>key
        property_ = &properties[index]
        property_.name = field.python_name
        property_.get = myc_fast_getter(field.kind)
        if property_.get == NULL:
            property_.get = get_property
        property_.set = set_property
        property_.doc = NULL
        myc_type_add(type_, key, PyDescr_NewGetSet(type_, property_))
    # On each class again: the interpreter's quick call of a method takes one of exactly the object's own type.
    for index in range(<Py_ssize_t>(sizeof(METHODS) // sizeof(PyMethodDef))):
        method = PyDescr_NewMethod(type_, &METHODS[index])
        myc_type_add(type_, sys.intern(method.__name__), method)
    myc_prepare_type(type_, spec, properties)
    for index in range(<Py_ssize_t>(sizeof(CLASS_FUNCTIONS) // sizeof(PyMethodDef))):
        function = PyCFunction_NewEx(&CLASS_FUNCTIONS[index], definition, None)
        myc_type_add(type_, sys.intern(function.__name__), function)
    constants = {
        "__definition__": definition.described,
        "__match_args__": tuple([each.python_name for each in fields]),
        "TYPE_ID": int(spec.type_id),
        "TOPIC": definition.described.topic,
        "SIZE": int(spec.size),
    }
    for name, value in constants.items():
        myc_type_add(type_, sys.intern(name), value)
    PyType_Modified(type_)


def tables(classes):
    """`MESSAGES` and `TOPICS` of a generated module, read-only, from its classes in contract order."""
    topics = {}
    for cls in classes:
        topics[cls.TOPIC] = (*topics.get(cls.TOPIC, ()), cls)
    return MappingProxyType({cls.TYPE_ID: cls for cls in classes}), MappingProxyType(topics)
