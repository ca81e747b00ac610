"""What users hold: transports, clients, publishers, subscribers and the message bus.

The classes here decide what is published and what is kept for whom; moving the bytes is `transport/`'s work.
"""
