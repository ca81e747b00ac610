# Message objects as C sees them: memory, type slots, and where the frame lies.

from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uint8_t

from mycelium_fast.codec.tables cimport MYC_HEADER_SIZE, myc_spec, myc_store_header

cdef extern from "object.h":
    const size_t MYC_FRAME_OFFSET
    const int MYC_KEYWORDS, METH_NOARGS
    object myc_new(const myc_spec *)
    object myc_list_with_room(Py_ssize_t)
    void myc_list_push(object, object)
    void myc_prepare_type(PyTypeObject *, myc_spec *, PyGetSetDef *)
    void myc_type_is_abstract(PyTypeObject *)
    int myc_type_add(PyTypeObject *, object, object) except -1
    const myc_spec *myc_spec_of(object)
    PyGetSetDef *properties_of "myc_properties_of"(object)

    # Of Python.h, where Cython has no declaration.
    Py_ssize_t PyVectorcall_NARGS(size_t)
    PyTypeObject *Py_TYPE(object)
    void PyType_Modified(PyTypeObject *)
    object PyUnicode_InternFromString(const char *)
    ctypedef object (*getter)(object, void *)
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
    object PyCFunction_NewEx(PyMethodDef *, object, object)
    object PyDescr_NewMethod(PyTypeObject *, PyMethodDef *)
    object PyDescr_NewGetSet(PyTypeObject *, PyGetSetDef *)


cdef inline uint8_t *frame_of(object message) noexcept:
    return <uint8_t *><PyObject *>message + MYC_FRAME_OFFSET


cdef inline uint8_t *payload_of(object message) noexcept:
    return frame_of(message) + MYC_HEADER_SIZE


cdef inline object new_message(const myc_spec *spec):
    """A message with its header; the payload is not initialised."""
    message = myc_new(spec)
    myc_store_header(frame_of(message), spec.type_id, spec.size)
    return message
