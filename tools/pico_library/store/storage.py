"""What the steps of a photo ask of a place: the same few questions of a disk as of an object store.

A file or object appears whole or not at all, never in place of another, and is removed only while it is the very
one that was written. `Identity` tells whether it is.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pico_core.errors import PicoError
from pico_library.model.records import Identity

_SECOND = 10**9


class StorageError(PicoError):
    """A disk or an object store does not answer, or refuses."""


@dataclass(frozen=True)
class Content:
    """The bytes of a photo and what they were read from; `status` is that of a file, None for an object."""

    data: bytes
    identity: Identity
    status: os.stat_result | None = None

    @property
    def changed_ns(self) -> int:
        """When the photo was last changed, in nanoseconds since 1970; of an object only the second is known."""
        return self.identity.mtime_ns - (self.identity.mtime_ns % _SECOND if self.status is None else 0)


class Draft(Protocol):
    """A file or object in the making. It is gone at the end of its context, unless it was published."""

    @property
    def name(self) -> str:
        """Where others find what was written so far; empty where nobody else can."""

    def write(self, data: bytes) -> None:
        """Write these bytes, in place of what was written before."""

    def sync(self) -> None:
        """Bring what was written to the disk."""

    def publish(self) -> Identity:
        """Give it its name, and return what has it then. Raises FileExistsError if the name is taken."""


class Storage(Protocol):
    """What the steps of a photo need; names are paths or URLs. Everything raises OSError, StorageError."""

    def read(self, name: str) -> Content:
        """Read a photo once. Raises SkipError if it is no plain file, or changes meanwhile."""

    def read_afresh(self, name: str) -> bytes:
        """Read what lies there now, past every memory of what was written."""

    def digest(self, name: str) -> bytes | None:
        """SHA-256 of what lies there now; None if there is no plain file or object."""

    def identity(self, name: str) -> Identity | None:
        """What lies there now; None if nothing does. Raises SkipError if nothing can have such a name."""

    def is_exactly(self, name: str) -> bool:
        """Whether a plain file or object has this very name, and no link or pipe, and in no other spelling."""

    def draft(self, name: str, source: str, content: Content) -> AbstractContextManager[Draft]:
        """Begin what is to get a name; it is made of the `content` of another file or object, the source.

        Folders that are missing are made, as far as that has any. Raises OutputError.
        """

    def take_over(self, name: str, source: str, content: Content) -> None:
        """Give a file the times, owner, rights and attributes of its source, as far as the place has such.

        Raises OSError with ENOTSUP if only the attributes could not be given.
        """

    def remove(self, name: str, identity: Identity) -> bool:
        """Remove what was published, if it is that still; return whether it went."""


def same(one: Identity, other: Identity) -> bool:
    """Whether both are one unchanged file or object; the number of a device differs from machine to machine."""
    return (one.inode, one.size, one.mtime_ns) == (other.inode, other.size, other.mtime_ns)
