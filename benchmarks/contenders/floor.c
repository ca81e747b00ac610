/* The least that a call from Python can do: the limit that codecs are compared with.
 *
 * A Layout is one message: its type id, the size of its payload, and where its fields are. Its methods make objects
 * whose memory is a frame, as ours do, and copy bytes; they check nothing but what keeps them inside their memory.
 * Freed objects are kept in a chain without a bound, which no library could afford.
 *
 *     object:  | header of the interpreter | 2 bytes of padding | type id | length | payload |
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HEADER 6
#define MOST_FIELDS 16

/* `kind`: Q (u64), H (u16), i (i32), b (bytes of the size), s (text after its 16-bit count, and 6 bytes of padding),
 * V (u64s after their count, likewise). `size`: of a `b`, or the capacity of an `s` or a `V`. */
typedef struct {
    char kind;
    uint32_t offset, size;
} Field;

typedef struct {
    PyObject_HEAD
    char padding[2];
    char frame[]; /* the payload is aligned to 8 */
} Item;

typedef struct {
    PyObject_HEAD
    PyTypeObject type; /* of its objects */
    Py_ssize_t size; /* of the payload */
    char header[HEADER];
    Py_ssize_t count;
    Field fields[MOST_FIELDS];
    PyObject *freed; /* a chain; the link is where a live object has its type */
    char *out;       /* where append() writes, round and round */
    Py_ssize_t used, room;
} Layout;

static PyTypeObject LayoutType = {PyVarObject_HEAD_INIT(NULL, 0)};

/* --- objects --- */

static inline Item *new_item(Layout *self) {
    PyObject *object = self->freed;
    if (object != NULL) {
        self->freed = (PyObject *)Py_TYPE(object);
        Py_SET_TYPE(object, &self->type);
        Py_SET_REFCNT(object, 1);
    } else {
        object = PyObject_Malloc(offsetof(Item, frame) + HEADER + self->size);
        if (object == NULL) return (Item *)PyErr_NoMemory();
        PyObject_Init(object, &self->type);
    }
    memcpy(((Item *)object)->frame, self->header, HEADER);
    return (Item *)object;
}

static void item_dealloc(PyObject *object) {
    Layout *layout = (Layout *)((char *)Py_TYPE(object) - offsetof(Layout, type)); /* lives as long as the process */
    Py_SET_TYPE(object, (PyTypeObject *)layout->freed);
    layout->freed = object;
}

static inline Item *item_of(Layout *self, PyObject *object) {
    if (Py_IS_TYPE(object, &self->type)) return (Item *)object;
    PyErr_SetString(PyExc_TypeError, "not an object of this layout");
    return NULL;
}

static inline Item *item_from(Layout *self, PyObject *payload) {
    Item *item;
    if (!PyBytes_CheckExact(payload) || PyBytes_GET_SIZE(payload) != self->size) {
        PyErr_SetString(PyExc_ValueError, "not a payload of this layout");
        return NULL;
    }
    if ((item = new_item(self)) != NULL) memcpy(item->frame + HEADER, PyBytes_AS_STRING(payload), self->size);
    return item;
}

/* --- values --- */

/* A call of memcpy() takes longer than 32 bytes do. */
static inline void copy(char *to, const char *from, size_t size) {
    if (size == 32)
        memcpy(to, from, 32);
    else
        memcpy(to, from, size);
}

static inline int store_u64(char *to, PyObject *value) {
    int overflow; /* beyond 2^63, which no value here is; the calls without it take far longer */
    int64_t number;
#if PY_VERSION_HEX >= 0x030C0000
    if (PyLong_CheckExact(value) && PyUnstable_Long_IsCompact((PyLongObject *)value)) {
        number = PyUnstable_Long_CompactValue((PyLongObject *)value);
#else
    if (PyLong_CheckExact(value) && Py_SIZE(value) == 1) {
        number = ((PyLongObject *)value)->ob_digit[0];
#endif
        memcpy(to, &number, 8);
        return 1;
    }
    number = PyLong_AsLongLongAndOverflow(value, &overflow);
    memcpy(to, &number, 8);
    if (overflow) PyErr_SetString(PyExc_OverflowError, "too large");
    return !(number == -1 && PyErr_Occurred());
}

/* From Python into memory: false with an exception set. Counts are held to the capacity, and what is beyond them
 * stays as it was. */
static inline int store(const Field *field, char *to, PyObject *value) {
    Py_ssize_t size;
    const char *from;
    if (field->kind == 'Q') return store_u64(to, value);
    if (field->kind == 'H' || field->kind == 'i') {
        long number = PyLong_AsLong(value);
        if (field->kind == 'H') /* of a little-endian machine */
            memcpy(to, &number, 2);
        else
            memcpy(to, &number, 4);
        return !(number == -1 && PyErr_Occurred());
    }
    if (field->kind == 'b') {
        if (!PyBytes_CheckExact(value) || PyBytes_GET_SIZE(value) != field->size) goto wrong;
        copy(to, PyBytes_AS_STRING(value), field->size);
        return 1;
    }
    if (field->kind == 's') {
        if (PyUnicode_Check(value) && PyUnicode_IS_COMPACT_ASCII(value))
            from = PyUnicode_DATA(value), size = PyUnicode_GET_LENGTH(value);
        else if ((from = PyUnicode_AsUTF8AndSize(value, &size)) == NULL)
            return 0;
        if (size > field->size) goto wrong;
        copy(to + 8, from, size);
    } else {
        if (!PyList_CheckExact(value) || (size = PyList_GET_SIZE(value)) > field->size) goto wrong;
        for (Py_ssize_t i = 0; i < size; i++)
            if (!store_u64(to + 8 + 8 * i, PyList_GET_ITEM(value, i))) return 0;
    }
    memcpy(to, &size, 8); /* the count and the padding after it */
    return 1;
wrong:
    PyErr_SetString(PyExc_ValueError, "not a value of this field");
    return 0;
}

static PyObject *load(const Field *field, const char *from) {
    uint64_t number;
    uint16_t count;
    int32_t low;
    PyObject *list;
    switch (field->kind) {
    case 'Q': memcpy(&number, from, 8); return PyLong_FromUnsignedLongLong(number);
    case 'H': memcpy(&count, from, 2); return PyLong_FromLong(count);
    case 'i': memcpy(&low, from, 4); return PyLong_FromLong(low);
    case 'b': return PyBytes_FromStringAndSize(from, field->size);
    }
    memcpy(&count, from, 2);
    if (count > field->size) count = (uint16_t)field->size;
    if (field->kind == 's') return PyUnicode_DecodeUTF8(from + 8, count, NULL);
    if ((list = PyList_New(count)) == NULL) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        memcpy(&number, from + 8 + 8 * i, 8);
        PyObject *value = PyLong_FromUnsignedLongLong(number);
        if (value == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, i, value);
    }
    return list;
}

/* --- methods of a layout --- */

/* build(**fields): values in the order of the fields, whatever they are called. */
static PyObject *build(Layout *self, PyObject *const *args, Py_ssize_t given, PyObject *names) {
    Item *item;
    if (given != 0 || names == NULL || PyTuple_GET_SIZE(names) != self->count)
        return PyErr_Format(PyExc_TypeError, "takes all %zd fields by keyword", self->count);
    if ((item = new_item(self)) == NULL) return NULL;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        if (store(&self->fields[i], item->frame + HEADER + self->fields[i].offset, args[i])) continue;
        Py_DECREF(item);
        return NULL;
    }
    return (PyObject *)item;
}

/* make(payload): an object with a copy. */
static PyObject *make(Layout *self, PyObject *payload) { return (PyObject *)item_from(self, payload); }

/* read(payload): the same, and a tuple of its values. */
static PyObject *read_all(Layout *self, PyObject *payload) {
    Item *item = item_from(self, payload);
    PyObject *values = item == NULL ? NULL : PyTuple_New(self->count);
    for (Py_ssize_t i = 0; values != NULL && i < self->count; i++) {
        PyObject *value = load(&self->fields[i], item->frame + HEADER + self->fields[i].offset);
        if (value == NULL)
            Py_CLEAR(values);
        else
            PyTuple_SET_ITEM(values, i, value);
    }
    Py_XDECREF(item);
    return values;
}

/* object.to_frame(): its bytes. */
static PyObject *item_to_frame(PyObject *object, PyObject *Py_UNUSED(none)) {
    Py_ssize_t size = Py_TYPE(object)->tp_basicsize - (Py_ssize_t)offsetof(Item, frame);
    return PyBytes_FromStringAndSize(((Item *)object)->frame, size);
}

static PyMethodDef ITEM_METHODS[] = {
    {"to_frame", item_to_frame, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* append(object): its bytes into the buffer, and from the start again when that is full. */
static PyObject *append(Layout *self, PyObject *object) {
    Item *item = item_of(self, object);
    Py_ssize_t size = HEADER + self->size;
    if (item == NULL) return NULL;
    if (self->used + size > self->room) self->used = 0;
    memcpy(self->out + self->used, item->frame, size);
    self->used += size;
    Py_RETURN_NONE;
}

/* appended(): a copy of what is in the buffer, which is empty then. */
static PyObject *appended(Layout *self, PyObject *Py_UNUSED(none)) {
    PyObject *bytes = PyBytes_FromStringAndSize(self->out, self->used);
    self->used = 0;
    return bytes;
}

/* batch_in(frames): a list of objects. */
static PyObject *batch_in(Layout *self, PyObject *frames) {
    Py_ssize_t size = HEADER + self->size, count;
    PyObject *list;
    if (!PyBytes_CheckExact(frames)) return PyErr_Format(PyExc_TypeError, "takes bytes");
    count = PyBytes_GET_SIZE(frames) / size;
    if ((list = PyList_New(count)) == NULL) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        Item *item = new_item(self);
        if (item == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        memcpy(item->frame, PyBytes_AS_STRING(frames) + i * size, size);
        PyList_SET_ITEM(list, i, (PyObject *)item);
    }
    return list;
}

/* batch_out(list): the bytes of all. */
static PyObject *batch_out(Layout *self, PyObject *list) {
    Py_ssize_t size = HEADER + self->size, count = PyList_CheckExact(list) ? PyList_GET_SIZE(list) : 0;
    PyObject *frames = PyBytes_FromStringAndSize(NULL, count * size);
    for (Py_ssize_t i = 0; frames != NULL && i < count; i++) {
        Item *item = item_of(self, PyList_GET_ITEM(list, i));
        if (item == NULL)
            Py_CLEAR(frames);
        else
            memcpy(PyBytes_AS_STRING(frames) + i * size, item->frame, size);
    }
    return frames;
}

/* Layout(type_id, size, fields, room): `fields` are (kind, offset, size); `room` is that of append()'s buffer. */
static PyObject *layout_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs)) {
    unsigned short type_id;
    uint32_t length;
    Py_ssize_t size, room;
    PyObject *fields;
    Layout *self;
    if (!PyArg_ParseTuple(args, "HnO!n", &type_id, &size, &PyTuple_Type, &fields, &room)) return NULL;
    if (PyTuple_GET_SIZE(fields) > MOST_FIELDS || room < HEADER + size)
        return PyErr_Format(PyExc_ValueError, "too many fields, or too little room");
    if ((self = (Layout *)type->tp_alloc(type, 0)) == NULL) return NULL;
    Py_INCREF(self); /* for ever */
    if ((self->out = PyMem_Malloc(room)) == NULL) return PyErr_NoMemory();
    Py_SET_REFCNT(&self->type, 1);
    self->type.tp_name = "floor.Item";
    self->type.tp_basicsize = offsetof(Item, frame) + HEADER + size;
    self->type.tp_flags = Py_TPFLAGS_DEFAULT;
    self->type.tp_dealloc = item_dealloc;
    self->type.tp_methods = ITEM_METHODS;
    if (PyType_Ready(&self->type) < 0) return NULL;
    self->size = size, self->room = room, self->count = PyTuple_GET_SIZE(fields), length = (uint32_t)size;
    memcpy(self->header, &type_id, 2);
    memcpy(self->header + 2, &length, 4);
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Field *field = &self->fields[i];
        int kind;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(fields, i), "CII", &kind, &field->offset, &field->size)) return NULL;
        field->kind = (char)kind;
    }
    return (PyObject *)self;
}

static PyMethodDef METHODS[] = {
    {"build", (PyCFunction)(void (*)(void))build, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"make", (PyCFunction)make, METH_O, NULL},
    {"read", (PyCFunction)read_all, METH_O, NULL},
    {"append", (PyCFunction)append, METH_O, NULL},
    {"appended", (PyCFunction)appended, METH_NOARGS, NULL},
    {"batch_in", (PyCFunction)batch_in, METH_O, NULL},
    {"batch_out", (PyCFunction)batch_out, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "floor", .m_size = -1};

PyMODINIT_FUNC PyInit_floor(void) {
    PyObject *module = PyModule_Create(&MODULE);
    LayoutType.tp_name = "floor.Layout";
    LayoutType.tp_basicsize = sizeof(Layout);
    LayoutType.tp_flags = Py_TPFLAGS_DEFAULT;
    LayoutType.tp_new = layout_new;
    LayoutType.tp_methods = METHODS;
    if (module == NULL || PyType_Ready(&LayoutType) < 0) return NULL;
    Py_INCREF(&LayoutType);
    return PyModule_AddObject(module, "Layout", (PyObject *)&LayoutType) < 0 ? NULL : module;
}
