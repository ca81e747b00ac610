"""Moving bytes: sockets driven by the protocol's states of `session/`.

`stream` is the blocking driver, `aio` that for asyncio, `sink` what both hand frames to; `dial` and
`addresses` find the peer, `local` delivers within the process, `frames` has the single-frame reader of the
older SDK. Publishers, subscribers and the transports that users hold are in `bus/`.
"""
