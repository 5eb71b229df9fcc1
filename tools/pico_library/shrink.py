"""Turns one photograph into a .pico file beside it, safely: the original is only ever read.

The .pico file gets its name after its bytes lie on the disk, were read back, decoded in full and compared.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pico_codec.files import OutputError, PartialFile, partial_file
from pico_codec.source import Source, UnsuitableError, read_source
from pico_core import PicoFile, encode
from pico_core.errors import PicoError
from pico_library.scan import ALREADY, NOT_A_PHOTO, Photo, Skipped

LEAST_SAVING = 0.10
SMALL_SAVING = f"would save under {LEAST_SAVING:.0%}".replace("%", " %")
MORE_INSIDE = "holds more than a photo (a video, preview, gain map or depth map)"
UNLIKE = "would not look like the original (drawings and lettering in strong colours, mostly)"
LARGEST_BLOCK_ERROR = 24.0  # levels; 7 is the largest of the photos in samples/, at quality 5

_FORMATS = frozenset({"JPEG", "MPO", "PNG", "WEBP"})
_BLOCK = 16


class CheckError(PicoError):
    """The .pico file just written does not give back what went in; it was discarded."""


class ChangedError(PicoError):
    """The original changed while it was being read; nothing was kept."""


@dataclass(frozen=True)
class Saved:
    """A photograph that has its .pico file now; sizes in bytes."""

    photo: Photo
    before: int
    after: int


def shrink(photo: Photo, quality: int) -> Saved | Skipped:
    """Write the .pico file of a photograph, with the same times and access rights.

    Raises CheckError, ChangedError and `pico_codec.source.FILE_ERRORS`; then nothing has changed on the disk.
    """
    with _partial_file(photo.target.parent) as partial:
        before = photo.path.stat()
        encoded = _encode(photo, quality)
        if isinstance(encoded, Skipped):
            return encoded
        source, data = encoded
        partial.stream.write(data)
        partial.sync()
        if largest_block_error(check(partial.path, source), source.pixels) > LARGEST_BLOCK_ERROR:
            return Skipped(photo.path, UNLIKE)
        _take_over(partial, before)
        if _identity(photo.path.stat()) != _identity(before):
            msg = "the file changed while it was being read; run again when nothing writes to it"
            raise ChangedError(msg)
        try:
            partial.publish(photo.target, overwrite=False)
        except FileExistsError:
            return Skipped(photo.path, ALREADY)
    return Saved(photo, before.st_size, len(data))


@contextlib.contextmanager
def _partial_file(folder: Path) -> Iterator[PartialFile]:
    """Open the partial file before anything is encoded, so that a folder without access costs no time."""
    with contextlib.ExitStack() as stack:
        try:
            partial = stack.enter_context(partial_file(folder))
        except OSError as error:
            msg = f"cannot write in {folder} ({error.strerror}); choose another folder with --output"
            raise OutputError(msg) from error
        yield partial


def estimate(photo: Photo, quality: int) -> Saved | Skipped:
    """Do all that `shrink` does but write: the sizes are those that it would give. Raises FILE_ERRORS."""
    encoded = _encode(photo, quality)
    if isinstance(encoded, Skipped):
        return encoded
    return Saved(photo, photo.path.stat().st_size, len(encoded[1]))


def _encode(photo: Photo, quality: int) -> tuple[Source, bytes] | Skipped:
    original = photo.path.read_bytes()
    try:
        source = read_source(original)
    except UnsuitableError as error:
        return Skipped(photo.path, error.reason)
    if source.format not in _FORMATS:
        return Skipped(photo.path, NOT_A_PHOTO)
    if source.left_behind is not None:
        return Skipped(photo.path, MORE_INSIDE)
    data = encode(source.pixels, quality=quality, metadata=source.metadata)
    if len(data) > (1 - LEAST_SAVING) * len(original):
        return Skipped(photo.path, SMALL_SAVING)
    return source, data


def check(path: Path, source: Source) -> NDArray[np.uint8]:
    """Read a .pico file back, compare metadata and size with what went in, and return the decoded pixels.

    Raises CheckError, FormatError.
    """
    with PicoFile(path, max_pixels=None) as file:
        file.verify()
        if file.metadata != source.metadata:
            msg = "the metadata read back differ from the original's; the .pico file was discarded"
            raise CheckError(msg)
        pixels = file.decode()
    if pixels.shape != source.pixels.shape:
        msg = f"decoded to {pixels.shape} instead of {source.pixels.shape}; the .pico file was discarded"
        raise CheckError(msg)
    return pixels


def largest_block_error(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Largest difference (0..255) between the means of 16 x 16 pixels; both (height, width, channels).

    A learned codec redraws fine detail, but never moves the mean of a block by much: a wrong tile does.
    """
    return float(np.abs(_block_means(one) - _block_means(other)).max())


def _block_means(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    height, width = pixels.shape[:2]
    # The last block of a row or column takes in the rest: means of slivers would say little.
    rows = np.arange(0, max(height - _BLOCK + 1, 1), _BLOCK)
    columns = np.arange(0, max(width - _BLOCK + 1, 1), _BLOCK)
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0, dtype=np.uint32), columns, axis=1)
    heights = np.diff(rows, append=height)
    widths = np.diff(columns, append=width)
    areas = heights[:, None, None] * widths[None, :, None]
    means: NDArray[np.float64] = sums / areas
    return means


def _take_over(partial: PartialFile, original: os.stat_result) -> None:
    """Give the file the times of the original, by which libraries sort, and let no one else read it."""
    os.utime(partial.path, ns=(original.st_atime_ns, original.st_mtime_ns))
    Path(partial.path).chmod(stat.S_IMODE(original.st_mode))


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
