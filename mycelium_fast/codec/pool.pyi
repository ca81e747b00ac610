from typing import Literal, final

from mycelium_fast.codec.batching import PoolStats

@final
class Block:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    @property
    def size(self) -> int: ...
    @staticmethod
    def own(size: int) -> Block: ...

@final
class BufferPool:
    def __init__(
        self,
        block_size: int = 65536,
        blocks: int = 8,
        *,
        max_blocks: int = 1024,
        on_exhausted: Literal["wait", "grow", "error"] = "grow",
        timeout: float = 5.0,
    ) -> None: ...
    @property
    def block_size(self) -> int: ...
    @property
    def on_exhausted(self) -> Literal["wait", "grow", "error"]: ...
    def acquire(self) -> Block: ...
    def acquire_large(self, size: int) -> Block: ...
    def stats(self) -> PoolStats: ...
