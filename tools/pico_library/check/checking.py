"""The check of one .pico file against its original, as the verifier's process makes it.

Both files are read from the disk anew: nothing that the encoder had in its memory is trusted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pico_codec import origin
from pico_codec.source import EmptyError, Source, UnsuitableError, read_source
from pico_core import PicoFile
from pico_core.errors import PicoError
from pico_library.model import extras
from pico_library.model.faults import Step, reach
from pico_look import Look, look


class CheckError(PicoError):
    """A .pico file does not give back what went in."""


@dataclass(frozen=True)
class Checked:
    """A .pico file that is whole and carries all metadata; digests are SHA-256 of the files' bytes.

    `look` is how it looks beside its original, if it was compared with one. `marked_digest` is that of the file it was
    made from, if it says so.
    """

    target_digest: bytes
    original_digest: bytes | None
    look: Look | None
    marked_digest: bytes | None = None


def check_whole(target: Path) -> Checked:
    """Check a .pico file by itself: checksums, and that every tile decodes. Raises FILE_ERRORS."""
    data = read_from_disk(target)
    with PicoFile(data, max_pixels=None) as file:
        file.verify()
        file.decode()
    return Checked(hashlib.sha256(data).digest(), None, None)


def check_against(target: Path, original: Path, *, keep_extras: bool = False) -> Checked:
    """Check a .pico file against its original: checksums, size, metadata byte for byte, alpha, and the look.

    Whether the look is good enough is left to the caller. Raises CheckError and FILE_ERRORS.
    """
    expected = Expected.of(read_from_disk(original), keep_extras=keep_extras)
    return check_data(read_from_disk(target), expected)


@dataclass(frozen=True)
class Expected:
    """What a .pico file has to give back, and the SHA-256 of the original that it was made from."""

    source: Source
    digest: bytes

    @classmethod
    def of(cls, content: bytes, *, keep_extras: bool) -> Expected:
        """What an original of these bytes holds. Raises CheckError and FILE_ERRORS."""
        try:
            source = read_source(content)
        except EmptyError as error:
            msg = "the original is empty; keep the .pico file"
            raise CheckError(msg) from error
        except UnsuitableError as error:
            msg = f"the original cannot be read again ({error.reason}); see that nothing else changes it"
            raise CheckError(msg) from error
        if keep_extras:
            source = extras.with_everything(source, content)
        return cls(source, hashlib.sha256(content).digest())


def check_data(data: bytes, expected: Expected) -> Checked:
    """Check the bytes of a .pico file, as `check_against` does. Raises CheckError and FILE_ERRORS."""
    looked, marked_digest = _compare(data, expected.source)
    return Checked(hashlib.sha256(data).digest(), expected.digest, looked, marked_digest)


def _compare(data: bytes, source: Source) -> tuple[Look, bytes | None]:
    with PicoFile(data, max_pixels=None) as file:
        file.verify()
        metadata, marked_digest = origin.parted(file.metadata)
        if metadata != origin.parted(source.metadata)[0]:
            msg = "the metadata in the .pico file differ from the original's"
            raise CheckError(msg)
        if (file.height, file.width, file.channels) != source.pixels.shape:
            size = f"{file.width}x{file.height}x{file.channels}"
            height, width, channels = source.pixels.shape
            msg = f"the .pico file holds {size} pixels and channels instead of {width}x{height}x{channels}"
            raise CheckError(msg)
        reach(Step.DECODING)
        pixels = file.decode()
    if pixels.shape[2] in (2, 4) and not np.array_equal(pixels[..., -1], source.pixels[..., -1]):
        msg = "the transparency in the .pico file differs from the original's"
        raise CheckError(msg)
    return look(source.pixels, pixels), marked_digest


def read_from_disk(path: Path) -> bytes:
    """The bytes of a file, from the disk itself where the system can be asked not to answer from memory.

    Raises OSError, also for pipes, which would be waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Is a pipe, socket or device and no file; move it away")
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return stream.read()
