/* Message objects as Python sees them: their memory, and type slots that Cython has no syntax for.
 *
 * Types are prepared by message.pyx alone, so that the chains of freed objects in use are those of that module;
 * others reach them through a message's spec.
 */
#ifndef MYCELIUM_OBJECT_H
#define MYCELIUM_OBJECT_H

#include "message.h"

#if defined(__GNUC__)
#define MYC_MAYBE_UNUSED __attribute__((unused))
#else
#define MYC_MAYBE_UNUSED
#endif

/* The frame starts after the object's header and two bytes of padding, so that the payload is aligned to 8. */
#define MYC_FRAME_OFFSET (sizeof(PyObject) + 2)

/* Memory for message objects. Freed ones wait in a chain by size, whatever their type was: taking one is four
 * times quicker than the general allocator. The link is where a live object has its type. A chain holds at most
 * 4096 objects and 256 KiB, so that a block's worth of small messages finds room; messages over 8 KiB have none. */
#define MYC_FREE_STEP 16
#define MYC_FREE_CHAINS 516 /* 8 KiB of payload, and the headers */
#define MYC_FREE_OBJECTS 4096
#define MYC_FREE_BYTES 262144
#if !defined(MYCELIUM_NO_FREELIST) && !defined(Py_GIL_DISABLED)
#define MYC_FREELIST 1
#endif

typedef struct {
    PyObject *first;
    uint32_t held, limit;
} myc_chain;

MYC_MAYBE_UNUSED static myc_chain myc_chains[MYC_FREE_CHAINS];

static inline size_t myc_chain_index(size_t size) { return (size + MYC_FREE_STEP - 1) / MYC_FREE_STEP; }

/* The chain for objects of a size, or NULL; memory of a chain is a multiple of the step, so that any type of the
 * chain can have it next. */
MYC_MAYBE_UNUSED static void *myc_chain_of(size_t size) {
#ifdef MYC_FREELIST
    size_t index = myc_chain_index(size);
    if (index < MYC_FREE_CHAINS) {
        size_t limit = MYC_FREE_BYTES / (index * MYC_FREE_STEP);
        myc_chains[index].limit = (uint32_t)(limit < MYC_FREE_OBJECTS ? limit : MYC_FREE_OBJECTS);
        return &myc_chains[index];
    }
#endif
    return NULL;
}

static inline PyObject *myc_new(const myc_spec *spec) {
    PyTypeObject *type = spec->type;
    PyObject *object;
#ifdef MYC_FREELIST
    myc_chain *chain = (myc_chain *)spec->chain;
    if (chain != NULL && (object = chain->first) != NULL) {
        chain->first = (PyObject *)Py_TYPE(object);
        chain->held--;
#ifndef Py_REF_DEBUG
        /* PyObject_Init without its two calls. For memory of a chain alone, where the count is 0: in fresh memory
         * it may happen to look like that of an immortal object, and then Py_SET_REFCNT leaves it as it is. */
        if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) Py_INCREF(type);
        Py_SET_TYPE(object, type);
        Py_SET_REFCNT(object, 1);
        return object;
#else
        return PyObject_Init(object, type);
#endif
    }
#endif
    object = (PyObject *)PyObject_Malloc(myc_chain_index((size_t)type->tp_basicsize) * MYC_FREE_STEP);
    if (object == NULL) return PyErr_NoMemory();
    return PyObject_Init(object, type);
}

MYC_MAYBE_UNUSED static void myc_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
#ifdef MYC_FREELIST
    size_t index = myc_chain_index((size_t)type->tp_basicsize);
    if (index < MYC_FREE_CHAINS && myc_chains[index].held < myc_chains[index].limit) {
        Py_SET_TYPE(object, (PyTypeObject *)myc_chains[index].first);
        myc_chains[index].first = object;
        myc_chains[index].held++;
    } else
#endif
        PyObject_Free(object);
    if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) Py_DECREF(type);
}

MYC_MAYBE_UNUSED static PyObject *myc_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    /* Only reached through __new__: a call of the class takes tp_vectorcall. Both build a whole message. */
    return PyVectorcall_Call((PyObject *)type, args, kwargs);
}

/* Slots that Cython has no syntax for. A generated type's properties lead from an object to its spec: the
 * closure of each is its field, that of the terminator the one past the last. */
MYC_MAYBE_UNUSED static void myc_prepare_type(PyTypeObject *type, myc_spec *spec, PyGetSetDef *properties) {
    type->tp_vectorcall = spec->vectorcall;
    type->tp_dealloc = myc_dealloc;
    type->tp_new = myc_tp_new;
    type->tp_getset = properties;
    spec->chain = myc_chain_of((size_t)type->tp_basicsize);
}
static inline PyGetSetDef *myc_properties_of(PyObject *message) { return Py_TYPE(message)->tp_getset; }
static inline const myc_spec *myc_spec_of(PyObject *message) {
    return ((const myc_field *)myc_properties_of(message)->closure)->spec;
}
MYC_MAYBE_UNUSED static PyObject *myc_abstract_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyErr_SetString(PyExc_TypeError, "Message is the base class of generated messages: build one of those");
    return NULL;
}
MYC_MAYBE_UNUSED static void myc_type_is_abstract(PyTypeObject *type) {
    type->tp_flags &= ~Py_TPFLAGS_BASETYPE;
    type->tp_new = myc_abstract_new;
    type->tp_vectorcall = NULL; /* Cython has one of its own, which does not go through tp_new */
}
MYC_MAYBE_UNUSED static int myc_type_add(PyTypeObject *type, PyObject *name, PyObject *value) {
    return PyDict_SetItem(type->tp_dict, name, value);
}

/* A list that is empty and has memory for so many items, for myc_list_push to fill: never one with NULL items. */
static inline PyObject *myc_list_with_room(Py_ssize_t room) {
    PyObject *list = PyList_New(room);
    if (list != NULL) Py_SET_SIZE((PyVarObject *)list, 0);
    return list;
}
static inline void myc_list_push(PyObject *list, PyObject *item) {
    Py_ssize_t size = PyList_GET_SIZE(list);
    Py_INCREF(item);
    PyList_SET_ITEM(list, size, item);
    Py_SET_SIZE((PyVarObject *)list, size + 1);
}

#define MYC_KEYWORDS (METH_FASTCALL | METH_KEYWORDS)

#endif
