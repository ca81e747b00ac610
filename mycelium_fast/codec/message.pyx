"""`Message`, the base class of every generated message: the object is the frame.

A generated class adds the packed struct of its payload to the header that `Message` holds, and hands over a
table of its fields (message.h). What messages do is here, once, driven by that table: building, encoding,
comparing, showing. Decoding is the subject of decode.pyx, a field's value that of values.pyx.
"""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport Py_EQ, Py_NE, PyObject, PyTypeObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy, memset

from mycelium_fast.codec.arguments cimport argument_error, order_arguments, parse_arguments
from mycelium_fast.codec.decode cimport Definition, broken_rule, check_rules, decoders
from mycelium_fast.codec.faults cimport type_name
from mycelium_fast.codec.object cimport (
    METH_NOARGS, MYC_KEYWORDS, Py_TYPE, PyCFunction_NewEx, PyDescr_NewGetSet, PyDescr_NewMethod, PyGetSetDef,
    PyMethodDef, PyType_Modified, PyUnicode_InternFromString, PyVectorcall_NARGS, frame_of, getter,
    myc_prepare_type, myc_spec_of, myc_type_add, myc_type_is_abstract, new_message, payload_of, properties_of,
)
from mycelium_fast.codec.tables cimport MYC_ABI, MYC_HEADER_SIZE, MYC_U256, myc_field, myc_spec
from mycelium_fast.codec.values cimport get, put

import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from mycelium_fast.codec.definition import FieldDefinition, MessageDefinition

cdef extern from "values.h":
    int myc_put_fast(const myc_field *, uint8_t *, PyObject *)
    getter myc_fast_getter(int)

#: Number of the tables that a generated module shares with this one; see `require_abi`.
ABI = MYC_ABI


@cython.auto_pickle(False)
cdef class Message:
    """Base class of every message: a mutable object whose memory is one frame.

    Generated classes add the fields and, on the class, `from_bytes`, `from_buffer`, `decode_batch`,
    `encode_batch`, `array`, `from_dict`, `TYPE_ID`, `TOPIC`, `SIZE` and `__definition__`. The buffer protocol
    exports the payload, read-only; a view shows later changes of the message.
    """

    def __getbuffer__(self, Py_buffer *view, int flags):
        # (Not PyBuffer_FillInfo, which would overwrite what Cython has put into view.obj.)
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("a message exports its payload read-only: set its fields, or take bytearray(message)")
        view.obj = self
        view.buf = payload_of(self)
        view.len = self.length
        view.readonly = True
        view.itemsize = 1
        view.format = <char *>b"B" if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = &view.len if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

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


cdef object copy_of(object message):
    cdef const myc_spec *spec = myc_spec_of(message)
    copied = new_message(spec)
    memcpy(payload_of(copied), payload_of(message), spec.size)
    return copied


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


cdef object encode_batch(Definition self, PyObject *const *args, Py_ssize_t given, PyObject *kwnames):
    cdef const myc_spec *spec = self.spec
    cdef PyObject *values[1]
    cdef Py_ssize_t index, size = MYC_HEADER_SIZE + spec.size
    cdef uint8_t *position
    parse_arguments(spec, "encode_batch", ("messages",), 1, args, given, kwnames, values)
    if not isinstance(<object>values[0], Iterable):
        raise argument_error(spec, "encode_batch", f"takes a list of messages, got {type_name(<object>values[0])}")
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
    if not isinstance(<object>values[0], Mapping):
        raise argument_error(spec, "from_dict", f"takes a mapping, got {type_name(<object>values[0])}")
    mapping = dict(<object>values[0])
    names = [field.name for field in self.described.fields]
    for name in names:
        if name not in mapping:
            raise argument_error(spec, "from_dict", f"missing the field {name!r}")
    if len(mapping) > len(names):
        unknown = [name for name in mapping if name not in names]
        raise argument_error(spec, "from_dict", f"got an unknown field {unknown[0]!r}")
    return (<object>spec.type)(*[mapping[name] for name in names])


cdef PyMethodDef[2] CLASS_FUNCTIONS

CLASS_FUNCTIONS[0] = PyMethodDef(
    "encode_batch", <void *>encode_batch, MYC_KEYWORDS,
    b"encode_batch(messages)\n--\n\nThe frames of messages of this type, back to back, as bytes.",
)
CLASS_FUNCTIONS[1] = PyMethodDef(
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
    add_class_functions(type_, definition, CLASS_FUNCTIONS, sizeof(CLASS_FUNCTIONS) // sizeof(PyMethodDef))
    cdef PyMethodDef *decoding
    cdef int count = decoders(&decoding)
    add_class_functions(type_, definition, decoding, count)
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


cdef int add_class_functions(
    PyTypeObject *type_, Definition definition, PyMethodDef *functions, Py_ssize_t count
) except -1:
    cdef Py_ssize_t index
    for index in range(count):
        function = PyCFunction_NewEx(&functions[index], definition, None)
        myc_type_add(type_, sys.intern(function.__name__), function)
    return 0


def tables(classes):
    """`MESSAGES` and `TOPICS` of a generated module, read-only, from its classes in contract order."""
    topics = {}
    for cls in classes:
        topics[cls.TOPIC] = (*topics.get(cls.TOPIC, ()), cls)
    return MappingProxyType({cls.TYPE_ID: cls for cls in classes}), MappingProxyType(topics)
