"""The codec: message objects whose memory is the frame, and frames as bytes.

definition.py   what a class says of itself at run time
message.pyx     Message: building, decoding, encoding
values.pyx      the value of one field, to memory and back
faults.pyx      what is said of what is refused
frames.pyx      a stream of bytes into frames
message.h       the tables that a generated module fills; wire.h, the wire in plain C
"""
