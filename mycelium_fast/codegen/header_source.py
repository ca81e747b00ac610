"""What the template that renders C headers needs beyond the layout: names, types, comments.

The names of a whole schema are found together, so that no two things of its header have the same one. The
bytes themselves are the business of `codec/wire.h`, which every header holds.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..contracts.layout import FieldLayout, MessageLayout
from ..contracts.model import Field
from ..contracts.types import U256, Array, Bytes, Element, Scalar, String, Vec
from .names import capacity_text, comment_lines, rule_text, snake_case

__all__ = ["FILTERS", "FieldNames", "HeaderNames", "MessageNames", "header_names"]

#: Words that cannot be names in C or C++, macros of their libraries, and type names that are neither.
_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
        char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
        constinit continue decltype default delete do double dynamic_cast else enum explicit export extern
        false final float for friend goto if import inline int long module mutable namespace new noexcept
        noreturn not not_eq nullptr operator or or_eq override private protected public register
        reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast
        struct switch template this thread_local throw true try typedef typeid typename typeof typeof_unqual
        union unsigned using virtual void volatile wchar_t while xor xor_eq assert complex errno imaginary
        linux main major minor offsetof stderr stdin stdout std unix i386 arm mips sparc acosf addrinfo
        cmsghdr dirent flock hostent iovec itimerspec itimerval lconv linger lldiv_t msghdr netent option
        passwd group pollfd protoent rusage sched_param servent sigaction sigcontext sigevent sigstack
        sigval sockaddr sockaddr_in sockaddr_in6 sockaddr_storage sockaddr_un stat statvfs timespec timeval
        timex timezone tm tms ucred utimbuf utsname winsize termios epoll_data epoll_event in_addr in6_addr
        fd_mask fd_set memory_order once_flag u_char u_int u_long u_short uint ulong ushort va_list jmp_buf
        aiocb file_handle ifaddrs ifconf ifmap ifreq in6_pktinfo in_pktinfo inotify_event ip_mreq ip_mreqn
        ip_mreq_source ip_msfilter ip_opts ipv6_mreq mmsghdr mq_attr msgbuf random_data rlimit rpcent
        signalfd_siginfo spwd statx sysinfo tcp_info tcp_seq termio utmpx
        """,
    )
)
#: Functions and macros of two words, which a message's name and a field's could make together.
_FUNCTIONS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        aligned_alloc arc4random_buf arc4random_uniform asctime_r assert_perror at_quick_exit call_once
        canonicalize_file_name clock_adjtime clock_getcpuclockid clock_getres clock_gettime clock_nanosleep
        clock_settime close_range copy_file_range ctime_r d_fileno epoll_create epoll_create1 epoll_ctl
        epoll_pwait epoll_pwait2 epoll_wait eventfd_read eventfd_write explicit_bzero get_current_dir_name
        getc_unlocked getchar_unlocked getopt_long getopt_long_only gmtime_r group_member h_addr h_errno
        if_freenameindex if_indextoname if_nameindex if_nametoindex kill_dependency localtime_r
        math_errhandling memfd_create name_to_handle_at no_argument on_exit open_by_handle_at open_memstream
        open_wmemstream optional_argument posix_fadvise posix_fallocate posix_madvise posix_memalign
        posix_openpt posix_spawn process_madvise process_mrelease process_vm_readv process_vm_writev ptsname_r
        putc_unlocked putchar_unlocked qsort_r quick_exit rand_r random_r re_compile_pattern re_match
        re_match_2 re_search re_search_2 re_set_syntax readdir_r remap_file_pages required_argument sa_handler
        sa_sigaction sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getcpu
        sched_getparam sched_getscheduler sched_priority sched_rr_get_interval sched_setaffinity
        sched_setparam sched_setscheduler sched_yield secure_getenv sem_clockwait sem_close sem_destroy
        sem_getvalue sem_init sem_open sem_post sem_timedwait sem_trywait sem_unlink sem_wait shm_open
        shm_unlink st_atime st_ctime st_mtime static_assert strerror_l strerror_r strtok_r sync_file_range
        sysv_signal thread_local timer_create timer_delete timer_getoverrun timer_gettime timer_settime
        timerfd_create timerfd_gettime timerfd_settime timespec_get timespec_getres va_arg va_copy va_end
        va_start
        """,
    )
)
#: Of such functions those that have another form for threads, or for a locale, or without a lock.
_VARIANTS: Final = {
    "_r": """
        fgetgrent fgetpwent getdate getgrent getgrgid getgrnam gethostbyaddr gethostbyname gethostent
        getlogin getnetbyaddr getnetbyname getnetent getprotobyname getprotobynumber getprotoent getpwent
        getpwnam getpwuid getrpcent getservbyname getservbyport getservent initstate lgamma lgammaf lgammal
        lrand48 setstate srandom tmpnam ttyname
        """,
    "_l": """
        isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit
        strcasecmp strcoll strftime strncasecmp strptime strtod strtol strtoul strxfrm toascii tolower toupper
        towlower towupper wcscoll wctrans wctype
        """,
    "_unlocked": """
        clearerr feof ferror fflush fgetc fgets fgetwc fgetws fileno fputc fputs fputwc fputws fread fwrite
        getwc putwc
        """,
}
#: Names that belong to the C library, the compiler or what every generated header shares.
_RESERVED: Final = re.compile(
    r"_.*|(myc|atomic|pthread|builtin|cnd|mtx|thrd|tss|memory_order|inet6?|if[acr]|s6|si|sigev|pkey)(_.*)?"
)
_TYPE_NAME: Final = re.compile(r".*_t")

_MESSAGE_FUNCTIONS: Final = (
    *("init", "payload", "structure", "check", "verify", "view"),
    *("decode", "validate", "encode", "write_frame", "info"),
)
_MESSAGE_CONSTANTS: Final = ("TYPE_ID", "PAYLOAD_SIZE", "FRAME_SIZE", "BUFFER_CLASS", "CONFIDENTIAL")
_SCHEMA_FUNCTIONS: Final = ("find", "messages", "digest", "write_handshake", "check_handshake")
_SCHEMA_CONSTANTS: Final = ("DIGEST_HEX", "MESSAGE_COUNT")

_C_TYPES: Final = {
    **{f"u{bits}": f"uint{bits}_t" for bits in (8, 16, 32, 64)},
    **{f"i{bits}": f"int{bits}_t" for bits in (8, 16, 32, 64)},
    "u128": "myc_u128",
    "i128": "myc_i128",
    "f32": "float",
    "f64": "double",
    "bool": "bool",
}


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What the header calls the things of one field; `at` to `append` for those with elements alone."""

    get: str
    set: str
    at: str
    set_at: str
    count: str
    append: str
    constant: str

    @classmethod
    def of(cls, prefix: str, name: str) -> FieldNames:
        return cls(
            get=f"{prefix}_{name}",
            set=f"{prefix}_set_{name}",
            at=f"{prefix}_{name}_at",
            set_at=f"{prefix}_set_{name}_at",
            count=f"{prefix}_{name}_count",
            append=f"{prefix}_append_{name}",
            constant=f"{prefix}_{name}".upper(),
        )

    def used(self, field: Field) -> list[str]:
        """The names that a field of this type really takes."""
        type_ = field.type
        if isinstance(type_, (Scalar, U256)):
            return [self.get, self.set]
        if _has_elements(type_):
            names = [self.at, self.set_at, self.set, self.count]
            if isinstance(type_, Vec):
                return [*names, self.append, f"{self.constant}_CAPACITY"]
            return [*names, f"{self.constant}_LENGTH"]
        length = "LENGTH" if isinstance(type_, Bytes) else "CAPACITY"
        return [self.get, self.set, f"{self.constant}_{length}"]


@dataclass(frozen=True, slots=True)
class MessageNames:
    """The struct's tag, which is also what its functions begin with; that of its constants; its fields."""

    prefix: str
    constant: str
    fields: tuple[FieldNames, ...]


@dataclass(frozen=True, slots=True)
class HeaderNames:
    """What the functions and constants of the whole schema begin with, and the names of its messages."""

    prefix: str
    constant: str
    messages: tuple[MessageNames, ...]


def header_names(layouts: Sequence[MessageLayout], stem: str) -> HeaderNames:
    """Find a name for everything in the header of a schema.

    The schema's own come first, then those of messages, then those of fields; a name that a contract spells
    as C would comes before one that had to be changed. What is taken gets underscores at its end.
    """
    used = {*_WORDS, *_FUNCTIONS}
    used.update(f"{name}{end}" for end, names in _VARIANTS.items() for name in names.split())
    schema = _claim(
        _prefix(stem),
        lambda prefix: _with(prefix, _SCHEMA_FUNCTIONS, _SCHEMA_CONSTANTS),
        used,
    )
    prefixes = {}
    for message in _idiomatic_first(item.message for item in layouts):
        prefixes[message.name] = _claim(
            _prefix(message.name),
            lambda prefix: [prefix, *_with(prefix, _MESSAGE_FUNCTIONS, _MESSAGE_CONSTANTS)],
            used,
        )
    messages = []
    for item in layouts:
        prefix, fields = prefixes[item.message.name], {}
        for field in _idiomatic_first(each.field for each in item.fields):
            name = _claim(
                snake_case(field.name),
                lambda name, prefix=prefix, field=field: FieldNames.of(prefix, name).used(field),  # type: ignore[misc]
                used,
            )
            fields[field.name] = FieldNames.of(prefix, name)
        in_order = tuple(fields[each.field.name] for each in item.fields)
        messages.append(MessageNames(prefix, prefix.upper(), in_order))
    return HeaderNames(schema, schema.upper(), tuple(messages))


def _prefix(name: str) -> str:
    prefix = snake_case(name)
    return f"m_{prefix.lstrip('_')}" if _RESERVED.fullmatch(prefix) else prefix


def _claim(name: str, identifiers: Callable[[str], Iterable[str]], used: set[str]) -> str:
    """The name, with as many underscores at its end as it takes for all that is made from it to be free."""
    while any(each in used or _TYPE_NAME.fullmatch(each) for each in identifiers(name)):
        name += "_"
    used.update(identifiers(name))
    return name


def _with(prefix: str, functions: Iterable[str], constants: Iterable[str]) -> list[str]:
    return [f"{prefix}_{name}" for name in functions] + [f"{prefix.upper()}_{name}" for name in constants]


def _idiomatic_first(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: item.name != snake_case(item.name))


def _has_elements(type_: object) -> bool:
    """Whether accessors go by index: not for bytes, which are handed out together."""
    return isinstance(type_, Array) or (isinstance(type_, Vec) and type_.element != Scalar("u8"))


def has_elements(field: FieldLayout) -> bool:
    """Whether the accessors of a field go by index."""
    return _has_elements(field.field.type)


def element(field: FieldLayout) -> Element | None:
    """What an array or Vec consists of, or the field itself where it is a scalar, bytes or U256."""
    type_ = field.field.type
    if isinstance(type_, String):
        return None
    return type_.element if isinstance(type_, (Array, Vec)) else type_


def scalar_name(field: FieldLayout) -> str:
    """The scalar that a field is, or that its elements are: `"u32"`; empty where they are bytes."""
    type_ = element(field)
    return type_.name if isinstance(type_, Scalar) else ""


def c_type(field: FieldLayout) -> str:
    """The C type of a scalar, or of the elements of an array or Vec of scalars."""
    return _C_TYPES[scalar_name(field)]


def doc(text: str) -> str:
    """Free text for a Doxygen comment: lines that begin with an asterisk, in which nothing is a command."""
    return "\n * ".join(comment_lines(inert(text), 105))


def inert(text: str) -> str:
    """Text that ends no comment, begins none, and holds no trigraph and no command or markup of Doxygen."""
    text = re.sub(r"([\\@<>&`])", r"\\\1", text)
    text = re.sub(r"\?(?=\?)", "? ", text)
    return re.sub(r"\*(?=/)|/(?=[*/])", r"\g<0> ", text)


def message_doc(item: MessageLayout) -> str:
    """The comment above a message's struct."""
    message = item.message
    text = f"{message.name}: {message.description}" if message.description.strip() else message.name
    facts = f"Topic {message.topic}, type id {message.type_id}, {item.size} bytes of payload."
    if message.confidential:
        facts += " Confidential: no value may show in a log."
    return f"/** {doc(text)}\n *\n * {doc(facts)}\n */"


def field_doc(field: FieldLayout) -> str:
    """The comment above a field's accessors."""
    what = f"{field.field.name}: {field.field.type}{capacity_text(field.field)}"
    lines = [doc(f"{what}, at offset {field.offset}.")]
    if field.field.description.strip():
        lines.append(doc(field.field.description))
    for title, rules in (("Rules", field.field.rules), ("Not checked here", field.field.context_rules)):
        if rules:
            lines.append(doc(f"{title}: {', '.join(rule_text(rule) for rule in rules)}."))
    return "/** " + "\n * ".join(lines) + "\n */"


def rule_reason(name: str) -> str:
    """The constant of the generated header for a rule."""
    return f"MYC_RULE_{name.upper()}"


def checksum(text: str) -> str:
    """A number that stands for what headers have in common, as a C literal."""
    return f"0x{zlib.crc32(text.encode()):08x}"


def by_type_id(layouts: Sequence[MessageLayout]) -> list[int]:
    """The indexes of messages, in the order of their type ids."""
    return sorted(range(len(layouts)), key=lambda index: layouts[index].message.type_id)


#: Under these names, after the language's and a dot, the template has them.
FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "by_type_id": by_type_id,
    "checksum": checksum,
    "element": element,
    "field_doc": field_doc,
    "has_elements": has_elements,
    "message_doc": message_doc,
    "names": header_names,
    "rule_reason": rule_reason,
    "rule_text": rule_text,
    "scalar": scalar_name,
    "type": c_type,
}
