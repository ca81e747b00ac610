"""A connected socket, plain or TLS, as the blocking driver uses it: system calls that forget nothing.

The GIL is let go within them, and a signal's handler runs between them and nowhere else: the exception of one (Ctrl-C)
never strikes while bytes that the kernel took or gave are not accounted for. Who calls what, and when, is `stream.pyx`'s
affair.
"""

from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.exc cimport PyErr_CheckSignals
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t

import fcntl
import os
import socket
import struct
import sys
import termios
from _thread import _count as thread_count
from _thread import allocate_lock

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() nogil

cdef extern from *:
    """
    #include <poll.h>
    #include <sys/socket.h>
    #include <time.h>
    #include <unistd.h>
    #ifdef MSG_NOSIGNAL
    #define MYC_SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)
    #else
    #define MYC_SEND_FLAGS MSG_DONTWAIT
    #endif
    static double myc_monotonic(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    /* Puts a byte into a pipe that does not block; one that is full is set already. */
    static void myc_wake(int fd) {
        ssize_t ignored = write(fd, "", 1);
        (void)ignored;
    }
    /* Which events came for the socket (0: none), or -1 with errno; empties the wake-up pipe. */
    static int myc_poll(int fd, int events, int wake, int timeout_ms) {
        struct pollfd polled[2] = {{fd, (short)events, 0}, {wake, POLLIN, 0}};
        char waste[64];
        if (poll(polled, 2, timeout_ms) < 0) return -1;
        if (polled[1].revents & POLLIN)
            while (read(wake, waste, sizeof waste) == (ssize_t)sizeof waste) {}
        return polled[0].revents;
    }
    """
    const int MYC_SEND_FLAGS, MSG_DONTWAIT
    double myc_monotonic() noexcept nogil
    void myc_wake(int) noexcept
    int myc_poll(int, int, int, int) noexcept nogil
    ssize_t c_recv "recv"(int, void *, size_t, int) noexcept nogil
    ssize_t c_send "send"(int, const void *, size_t, int) noexcept nogil

cdef enum:
    # Milliseconds that a blocking receive waits in recv() itself, before the driver waits in poll(), which can be
    # woken: a system call less for whoever is answered quickly. Set as SO_RCVTIMEO.
    TICK_MS = 20
    # Milliseconds of the longest single wait: the system's calls do not take any number.
    LONGEST_MS = 86_400_000
    DISCARD_SIZE = 64 * 1024
    TLS_RECORD_SIZE = 16 * 1024

#: Seconds that a blocking receive waits at most, unless this is the only thread: then none but a signal could wake it,
#: and the kernel need not set a timer, which is a twentieth of a round trip.
TICK_S = TICK_MS / 1000.0
# Threads of our own that never wake a reader.
cdef Py_ssize_t _quiet_threads = 0


def count_quiet_thread(Py_ssize_t change):
    """A thread that never wakes a reader starts (1), or ends (-1)."""
    global _quiet_threads
    _quiet_threads += change


def _forked():
    global _quiet_threads
    _quiet_threads = 0  # the child has one thread


os.register_at_fork(after_in_child=_forked)


cdef double monotonic() noexcept nogil:
    """Seconds on the clock of time.monotonic()."""
    return myc_monotonic()


cdef class Wakeup:
    """What makes a poll() return: the one that runs, or else the next one."""

    def __cinit__(self):
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    cdef int set(self) except -1:
        # (Without giving up the GIL: meanwhile the number could become another file's.)
        if self._write >= 0:
            myc_wake(self._write)
        return 0

    def close(self):
        """Give the descriptors back."""
        read, write, self._read, self._write = self._read, self._write, -1, -1
        if write >= 0:
            os.close(read)
            os.close(write)


cdef class Wire:
    """Owns a connected socket: a plain one, or an `ssl.SSLSocket` after its handshake."""

    def __init__(self, sock):
        self.sock = sock
        self._fd = sock.fileno()
        self._tls = _is_tls(sock)
        if self._tls:
            # OpenSSL must not be entered by two threads for one connection.
            self._tls_lock = allocate_lock()
            sock.setblocking(False)
        else:
            sock.settimeout(None)
            self._limit_waits(True)

    cdef Py_ssize_t receive(self, uint8_t *memory, Py_ssize_t size, int block) except -2:
        cdef int flags = 0 if block else MSG_DONTWAIT, fd = self._fd, code
        cdef Py_ssize_t got, others
        if self._tls:
            return self._call_tls(self.sock.recv_into, PyMemoryView_FromMemory(<char *>memory, size, PyBUF_WRITE), -1)
        if block:
            others = thread_count()
            if self._limited == (block == FOR_EVER and others <= _quiet_threads):
                self._limit_waits(not self._limited)
        with nogil:
            got = c_recv(fd, memory, size, flags)
            code = errno
        if got >= 0:
            return got
        if code == EINTR:
            PyErr_CheckSignals()  # and no second try: the handler may have read, or closed
        elif code != EAGAIN:
            raise OSError(code, os.strerror(code))
        return -1

    cdef int _limit_waits(self, bint limited) except -1:
        self._limited = limited
        limit = struct.pack("ll", 0, TICK_MS * 1000 if limited else 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        return 0

    cdef Py_ssize_t send(self, const uint8_t *data, Py_ssize_t size) except -2:
        cdef int fd = self._fd, code
        cdef Py_ssize_t sent
        if self._tls:
            size = min(size, TLS_RECORD_SIZE)  # the other direction has to wait meanwhile
            return self._call_tls(self.sock.send, PyMemoryView_FromMemory(<char *>data, size, PyBUF_READ), 0)
        with nogil:
            sent = c_send(fd, data, size, MYC_SEND_FLAGS)
            code = errno
        if sent >= 0:
            return sent
        if code == EINTR:
            PyErr_CheckSignals()
        elif code != EAGAIN:
            raise OSError(code, os.strerror(code))
        return 0

    def _call_tls(self, operation, view, nothing):
        """recv_into() or send() of a TLS socket.

        A signal handler's exception may strike within, in Python code, and nobody knows whether bytes were taken
        before: it comes out as InterruptedTls, and the stream cannot go on.
        """
        import ssl

        cdef unsigned long me = PyThread_get_thread_ident()
        if self._tls_owner == me:
            raise RuntimeError(
                "a signal handler interrupted this connection's TLS, and cannot use the connection before it returns: "
                "set an event in the handler, and publish, receive or close elsewhere"
            )
        with self._tls_lock:
            self._tls_owner = me
            try:
                return operation(view)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return nothing
            except ssl.SSLEOFError:
                if nothing == -1:
                    return 0
                raise
            except OSError:
                raise
            except BaseException as error:
                raise InterruptedTls(f"interrupted by {type(error).__name__} within TLS") from error
            finally:
                self._tls_owner = 0

    cdef int poll(self, int events, Wakeup wakeup, double deadline) except -1:
        cdef int fd = self._fd, wake = wakeup._read, limit = -1, got, code
        cdef double left
        if deadline >= 0:
            left = (deadline - myc_monotonic()) * 1000.0
            limit = 0 if left <= 0 else LONGEST_MS if left >= LONGEST_MS else <int>left + 1
        with nogil:
            got = myc_poll(fd, events, wake, limit)
            code = errno
        if got >= 0:
            return got
        if code != EINTR:
            raise OSError(code, os.strerror(code))
        PyErr_CheckSignals()
        return 0

    cdef bint discard(self) except -1:
        cdef bytes waste
        try:
            waste = socket.socket.recv(self.sock, DISCARD_SIZE, MSG_DONTWAIT)  # past TLS, of a TLS socket
        except BlockingIOError:
            return True
        return len(waste) > 0

    def half_close(self):
        """Say that nothing more comes from this side."""
        if self._tls:
            try:
                self.sock.unwrap()  # says so within TLS as well; whether the peer answers does not matter
            except (OSError, ValueError):
                pass
        self.sock.shutdown(socket.SHUT_WR)

    def all_read(self):
        """Whether the peer's side has everything, as far as the kernel knows."""
        try:
            count = fcntl.ioctl(self._fd, termios.TIOCOUTQ, struct.pack("i", 0))
        except OSError:  # not every system tells for every kind of socket
            return False
        return count == bytes(len(count))

    def interrupt(self):
        """Have whoever is in a system call come back: there is nothing more to send, nor to receive."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # the peer was quicker
            pass

    def close(self):
        """Give the descriptor back."""
        self.closed = True
        self._fd = -1  # the number may soon be another file's
        self.sock.close()


cdef bint _is_tls(sock) except -1:
    """Whether it is an `ssl.SSLSocket`; only whoever has one pays for importing the module."""
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(sock, ssl.SSLSocket)


class InterruptedTls(Exception):
    """See `Wire._call_tls`; its cause is what interrupted."""
