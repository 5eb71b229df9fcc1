"""What the watcher and its worker say to each other through pipes: each message is its length, then its pickle.

A process that is killed while it sends leaves half a message. By the length that is known before anything is unpickled.
"""

from __future__ import annotations

import pickle
import struct
from typing import IO, Any

_LENGTH = struct.Struct("<Q")


def packed(message: object) -> bytes:
    """The bytes of a message."""
    content = pickle.dumps(message)
    return _LENGTH.pack(len(content)) + content


def send(stream: IO[bytes], message: object) -> None:
    """Write a message. Raises OSError if nobody is left to read it."""
    stream.write(packed(message))
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Wait for the next message. Raises EOFError at the end, amid a message too, and OSError."""
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return pickle.loads(_exactly(stream, length))


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
