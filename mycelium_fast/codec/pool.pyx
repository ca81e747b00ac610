"""Memory for sending and receiving: equal blocks, allocated once and used again and again.

    BufferPool   spare blocks in a chain, each with the next one's address in its first bytes
    Block        one of them in use: an object that whatever shows its memory refers to

There is no release(): a block goes back when the last reference to it goes (a reader's, a writer's, that of a run, a
view or an array), in whichever thread that happens. What is in a block is the business of frames.pyx and writer.pyx.
"""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.string cimport memcpy

from _thread import TIMEOUT_MAX, allocate_lock
from collections import deque
from operator import index
from time import monotonic

from mycelium_fast.codec.batching import PoolStats
from mycelium_fast.errors import PoolExhausted

cdef extern from *:
    """
    /* In sanitizer builds, spare blocks are out of bounds but for their link: who still looks at one is found. */
    #if defined(__SANITIZE_ADDRESS__)
    #include <sanitizer/asan_interface.h>
    #define MYC_HIDE(memory, size) ASAN_POISON_MEMORY_REGION((memory) + sizeof(void *), (size) - sizeof(void *))
    #define MYC_SHOW(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
    #else
    #define MYC_HIDE(memory, size) ((void)0)
    #define MYC_SHOW(memory, size) ((void)0)
    #endif
    """
    void MYC_HIDE(uint8_t *, Py_ssize_t) noexcept
    void MYC_SHOW(uint8_t *, Py_ssize_t) noexcept

cdef Py_ssize_t SMALLEST_BLOCK = 64
cdef Py_ssize_t LARGEST_BLOCK = 1 << 30


@cython.final
@cython.no_gc  # it refers to nothing but its pool, which does not refer to blocks in use
@cython.freelist(64)
cdef class Block:
    """Memory of `size` bytes, writable through the buffer protocol; not initialised.

    Blocks come from a `BufferPool`, or from `Block.own()`. This object is not made twice for one piece of memory:
    whatever shows a part of it has to hold a reference to it.
    """

    def __init__(self):
        raise TypeError("blocks come from BufferPool.acquire() or Block.own()")

    def __dealloc__(self):
        if self.memory == NULL:
            return
        if self.pooled:
            self.pool._release(self.memory)
        else:
            if self.pool is not None:
                self.pool._large -= 1
            PyMem_RawFree(self.memory)

    @staticmethod
    def own(size):
        """A block of `size` bytes outside of any pool, freed at its end.

        Raises:
            MemoryError, TypeError, ValueError: `size` is no int, or negative.
        """
        return own_block(checked("size", size, 0, PY_SSIZE_T_MAX), None)

    def __getbuffer__(self, Py_buffer *view, int flags):
        # (Not PyBuffer_FillInfo, which would overwrite what Cython has put into view.obj.)
        view.obj = self
        view.buf = self.memory
        view.len = self.size
        view.readonly = False
        view.itemsize = 1
        view.format = <char *>b"B" if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = &view.len if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    def __repr__(self):
        return f"Block(size={self.size})"


cdef Block own_block(Py_ssize_t size, BufferPool pool):
    cdef Block block = Block.__new__(Block)
    block.memory = <uint8_t *>PyMem_RawMalloc(size)
    if block.memory == NULL:
        raise MemoryError(f"no memory for a block of {size} bytes")
    block.size = size
    block.pool = pool
    if pool is not None:
        pool._large += 1
    return block


@cython.final
@cython.no_gc  # it refers to locks and text alone
cdef class BufferPool:
    """Equal blocks of memory, within a budget.

    Args:
        block_size: bytes of a block, 64 to 2^30.
        blocks: how many to allocate now.
        max_blocks: how many there may be, with `on_exhausted="grow"`.
        on_exhausted: what `acquire()` does when no block is free. "wait": waits until another thread lets go of one,
            `timeout` seconds at most. "grow": allocates another, up to `max_blocks`; spare ones are freed again when
            there are more of them than in use. "error": raises at once.
        timeout: seconds.

    Any thread may acquire and let go. Blocks for frames larger than `block_size` are outside the budget: a scanner
    or a writer has one at a time, bounded by the largest frame.

    Raises:
        TypeError, ValueError: an argument of another type, or out of range.
        MemoryError: there is none for so many blocks.
    """

    def __cinit__(self, block_size=65536, blocks=8, *, max_blocks=1024, on_exhausted="grow", timeout=5.0):
        cdef Py_ssize_t count = checked("blocks", blocks, 0, PY_SSIZE_T_MAX)
        if not isinstance(on_exhausted, str):
            raise TypeError(f"BufferPool: on_exhausted is a str, got {type(on_exhausted).__name__}")
        if on_exhausted not in ("wait", "grow", "error"):
            raise ValueError(f"BufferPool: on_exhausted is 'wait', 'grow' or 'error', got {on_exhausted!r}")
        self.block_size = checked("block_size", block_size, SMALLEST_BLOCK, LARGEST_BLOCK)
        if on_exhausted == "grow":
            self._max_blocks = checked("max_blocks", max_blocks, max(count, 1), PY_SSIZE_T_MAX)
        else:
            self._max_blocks = checked("blocks", count, 1, PY_SSIZE_T_MAX)
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"BufferPool: timeout is in seconds, got {type(timeout).__name__}")
        if not 0 <= timeout <= TIMEOUT_MAX:
            raise ValueError(f"BufferPool: timeout is 0 to {TIMEOUT_MAX:.0f} seconds, got {timeout}")
        self._timeout_s = timeout
        self._waiting = deque()
        self.on_exhausted = on_exhausted
        while self._blocks < count:
            self._blocks += 1
            self._keep(new_memory(self.block_size))

    def __dealloc__(self):
        while self._spare:
            PyMem_RawFree(self._unchain())

    cpdef Block acquire(self):
        """A block, whose contents are whatever was there before.

        Raises:
            PoolExhausted: every block is in use and stayed so, as `on_exhausted` has it.
            MemoryError: there is none for another block.
        """
        return self.acquire_within(self._timeout_s)

    cpdef Block acquire_large(self, Py_ssize_t size):
        """A block of another size, freed at its end; counted in `stats().large` and outside the budget.

        Raises:
            MemoryError, ValueError: `size` is negative.
        """
        return own_block(checked("size", size, 0, PY_SSIZE_T_MAX), self)

    def stats(self):
        """The pool's figures now, as a `PoolStats`."""
        return PoolStats(
            block_size=self.block_size,
            blocks=self._in_use + self._spare,
            max_blocks=self._max_blocks,
            in_use=self._in_use,
            high_water=self._high_water,
            misses=self._misses,
            large=self._large,
        )

    def __repr__(self):
        return (
            f"BufferPool(block_size={self.block_size}, blocks={self._blocks}, max_blocks={self._max_blocks}, "
            f"on_exhausted={self.on_exhausted!r}; in use: {self._in_use})"
        )

    cdef Block acquire_now(self):
        if self._spare == 0:
            self._misses += 1
            if self._in_use >= self._max_blocks or self.on_exhausted != "grow":
                return None
            self._keep(new_memory(self.block_size))
        return self._hand_out()

    cdef Block _hand_out(self):
        # The object first: nothing may fail once the memory is out of the chain.
        cdef Block block = Block.__new__(Block)
        block.memory = self._unchain()
        block.size = self.block_size
        block.pool = self
        block.pooled = True
        self._in_use += 1
        self._high_water = max(self._high_water, self._in_use)
        return block

    cdef Block acquire_within(self, double limit_s):
        cdef Block block = self.acquire_now()
        cdef double patience = min(self._timeout_s, limit_s)
        if block is not None:
            return block
        text = ""
        if self.on_exhausted == "wait" and patience > 0:
            deadline = monotonic() + patience
            while (left := deadline - monotonic()) > 0:
                self._sleep(left)
                if self._spare:
                    return self._hand_out()
            text = f" and stayed so for {patience:g} s"
        raise PoolExhausted(
            f"all {self._in_use} blocks of {self.block_size} bytes of a buffer pool are in use{text}: let go of "
            "runs, views and arrays that are no longer needed, or allow the pool more "
            f"({'max_blocks' if self.on_exhausted == 'grow' else 'blocks'}=)"
        )

    cdef int _sleep(self, timeout_s) except -1:
        """Wait until a block was let go of, or the time is over; the GIL is free meanwhile."""
        lock = allocate_lock()
        lock.acquire()
        self._waiting.append(lock)
        try:
            lock.acquire(True, timeout_s)
        except BaseException:
            if lock not in self._waiting and self._spare:
                self._wake()  # this one was woken and takes nothing
            raise
        finally:
            if lock in self._waiting:
                self._waiting.remove(lock)
        return 0

    cdef void _wake(self) noexcept:
        if self._waiting:
            self._waiting.popleft().release()

    cdef void _release(self, uint8_t *memory) noexcept:
        """A block's end. Nothing here waits or allocates."""
        self._in_use -= 1
        self._keep(memory)
        while self._spare > max(self._blocks, self._in_use):
            PyMem_RawFree(self._unchain())
        self._wake()

    cdef inline void _keep(self, uint8_t *memory) noexcept:
        memcpy(memory, &self._free, sizeof(self._free))
        self._free = memory
        self._spare += 1
        MYC_HIDE(memory, self.block_size)

    cdef inline uint8_t *_unchain(self) noexcept:
        cdef uint8_t *memory = self._free
        memcpy(&self._free, memory, sizeof(self._free))
        self._spare -= 1
        MYC_SHOW(memory, self.block_size)
        return memory


cdef uint8_t *new_memory(Py_ssize_t size) except NULL:
    cdef uint8_t *memory = <uint8_t *>PyMem_RawMalloc(size)
    if memory == NULL:
        raise MemoryError(f"no memory for another block of {size} bytes")
    return memory


cdef Py_ssize_t checked(str name, value, Py_ssize_t least, Py_ssize_t most) except -1:
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"BufferPool: {name} is an int, got {type(value).__name__}")
    value = index(value)
    if not least <= value <= most:
        raise ValueError(f"BufferPool: {name} is {least} to {most}, got {value}")
    return value
