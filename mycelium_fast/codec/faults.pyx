"""What is said of a value or payload that is refused: message, field, what was expected, what to do.

This is the one place that decides whether a value may be shown: never that of a confidential message, never
the contents of text or bytes. All of it is cold code.
"""

from mycelium_fast.codec.tables cimport (
    MYC_BYTES, MYC_F32, MYC_F64, MYC_FAULT_COUNT, MYC_FAULT_UTF8, MYC_I8, MYC_I64, MYC_I128, MYC_STRING, MYC_U256,
    myc_fault, myc_field, myc_spec,
)

from mycelium_fast.errors import DecodeError, EncodeError, ValidationError

KIND_NAMES = (
    "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "u128", "i128", "f32", "f64", "bool",
    "bytes", "U256", "String", "array", "Vec",
)
INT_BITS = (8, 16, 32, 64, 8, 16, 32, 64, 128, 128)


# --- values to be encoded ------------------------------------------------------------------------------------

cdef object place(const myc_field *field, Py_ssize_t index):
    """Where the value was to go: `TradeTick.price`, or `BatchOperation.items[3]` for an element."""
    where = f"{field.spec.name.decode()}.{field.name.decode()}"
    return where if index < 0 else f"{where}[{index}]"


cdef object type_name(value):
    """The name of a value's type, with its module where it is not a builtin: `numpy.bool` is no `bool`."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


cdef int wrong_type(const myc_field *field, Py_ssize_t index, expected, value) except -1:
    raise TypeError(f"{place(field, index)}: expected {expected}, got {type_name(value)}")


cdef int out_of_range(const myc_field *field, Py_ssize_t index, int kind, value) except -1:
    if MYC_F32 <= kind <= MYC_F64:
        bounds = "out of range"
    elif kind == MYC_U256:
        bounds = "out of range 0..2**256-1"
    else:
        bits = INT_BITS[kind]
        signed = MYC_I8 <= kind <= MYC_I64 or kind == MYC_I128
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        bounds = f"out of range {low}..{high}"
    if field.spec.confidential:
        shown = "the value"
    elif isinstance(value, int) and value.bit_length() > 300:
        shown = f"an int of {value.bit_length()} bits"  # too many digits to print, or to be of help
    elif isinstance(value, (int, float)):
        shown = repr(value)
    else:
        shown = f"a {type_name(value)}"
    raise EncodeError(f"{place(field, index)}: {shown} is {bounds} for {KIND_NAMES[kind]}")


cdef int wrong_size(const myc_field *field, Py_ssize_t index, Py_ssize_t given, expected, unit) except -1:
    shown = "the value does not fit" if field.spec.confidential else f"{given} {unit} given"
    raise EncodeError(f"{place(field, index)}: {shown}, the field takes {expected} {unit}")


# --- payloads received, and rules of the contract ------------------------------------------------------------

cdef object rule_error(const myc_spec *spec, int index, int number, value, Py_ssize_t offset):
    cdef myc_field *field = &spec.fields[index]
    name, limit = (<object>spec.definition).fields[index].rules[number - 1]
    if spec.confidential:
        shown = "the value"
    elif field.kind < MYC_BYTES:
        shown = repr(value)
    elif field.kind <= MYC_U256:
        shown = f"a value of {field.size} bytes"
    elif field.kind == MYC_STRING:
        shown = f"a value of {len(value.encode())} bytes"
    else:
        shown = f"a value of {len(value)} elements"
    text = f"{spec.name.decode()}.{field.name.decode()}: {shown} breaks the rule {name}"
    if limit is not True:
        text += f": {limit}"
    if offset >= 0:
        offset += field.offset
        text += f", at offset {offset}"
    return ValidationError(
        text, spec.name.decode(), field.name.decode(), name, limit, offset if offset >= 0 else None
    )


cdef object decode_error(const myc_spec *spec, int index, offset, reason):
    message = spec.name.decode()
    field = spec.fields[index].name.decode() if index >= 0 else None
    place = message if field is None else f"{message}.{field}"
    return DecodeError(f"{place}: {reason}, at offset {offset}", message, field, offset, reason)


cdef object fault_error(const myc_spec *spec, const myc_fault *fault, Py_ssize_t offset):
    cdef myc_field *field = &spec.fields[fault.field]
    if fault.reason == MYC_FAULT_COUNT:
        reason = f"a count over the capacity of {field.count}"
    elif fault.reason == MYC_FAULT_UTF8:
        reason = "text that is not UTF-8"
    else:
        reason = "a bool that is neither 0 nor 1"
    return decode_error(spec, fault.field, offset + fault.offset, reason)
