"""Whether the thumbnail inside an EXIF block still shows a picture, and the block without it.

A block is edited in place: nothing else in it moves, for maker notes hold positions that nobody can correct. The layout
is that of TIFF 6.0 and Exif 2.32: the second directory of the block describes the thumbnail.
"""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

from PIL import Image

_PREFIX = b"Exif\0\0"
_ENTRY_BYTES = 12
_MOST_ENTRIES = 4096
_WIDTH, _HEIGHT = 0x100, 0x101
_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005  # where these directories lie
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003  # in the Exif directory
_JPEG, _JPEG_LENGTH = 0x201, 0x202
_STRIPS, _STRIP_LENGTHS = 0x111, 0x117
_FORMATS = {3: "H", 4: "I"}  # SHORT and LONG: sizes and positions are of no other type
_BYTES_OF_A_TYPE = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
_ROUNDING = 2  # pixels by which a reduced side may differ
_LARGEST = 4096  # pixels a side; what claims more is no thumbnail
_FLAT = 2.0  # levels: standard deviation of luma in which there is nothing to compare
_LEAST_CORRELATION = 0.85


class _BlockError(Exception):
    """The block is not laid out as EXIF is."""


class _Directory(NamedTuple):
    place: range  # up to and with the position of the next directory
    parts: list[range]  # where values lie that have no room in it
    values: dict[int, tuple[int, ...]]
    next: int


def without_stale_thumbnail(exif: bytes, im: Image.Image) -> bytes:
    """The block, less its thumbnail if that shows another picture than the image, such as one that it was cut out of.

    It does, if the block says that the picture has another size, or if the thumbnail has other proportions or looks
    otherwise. A block that is damaged, or has no thumbnail, comes back as it is.
    """
    block = _Block(exif)
    try:
        first = block.directory(block.number(4, "I"))
        second = block.directory(first.next) if first.next else None
        if second is None or not _is_stale(block, first, second, im):
            return exif
        return block.without(first, second)
    except (_BlockError, struct.error):
        return exif


class _Block:
    """A TIFF structure that EXIF is, with the prefix or without. Positions count from the TIFF header."""

    def __init__(self, exif: bytes) -> None:
        self.prefix = _PREFIX if exif.startswith(_PREFIX) else b""
        self.data = exif[len(self.prefix) :]
        self.order = "<" if self.data.startswith(b"II") else ">"

    def number(self, at: int, kind: str) -> int:
        value: int
        (value,) = struct.unpack_from(self.order + kind, self.data, at)
        return value

    def directory(self, start: int) -> _Directory:
        count = self.number(start, "H")
        place = range(start, start + 2 + _ENTRY_BYTES * count + 4)
        if start < 8 or count > _MOST_ENTRIES or place.stop > len(self.data):
            raise _BlockError
        values: dict[int, tuple[int, ...]] = {}
        parts = []
        for at in range(start + 2, place.stop - 4, _ENTRY_BYTES):
            kind, length = self.number(at + 2, "H"), self.number(at + 4, "I")
            if kind >= len(_BYTES_OF_A_TYPE):
                continue
            size, position = _BYTES_OF_A_TYPE[kind] * length, at + 8
            if size > 4:
                position = self.number(at + 8, "I")
                parts.append(range(position, position + size))
            if kind in _FORMATS and length <= _MOST_ENTRIES and position + size <= len(self.data):
                form = f"{self.order}{length}{_FORMATS[kind]}"
                values[self.number(at, "H")] = struct.unpack_from(form, self.data, position)
        return _Directory(place, parts, values, self.number(place.stop - 4, "I"))

    def inner(self, outer: _Directory, tag: int) -> _Directory | None:
        """The directory whose position another one tells."""
        pointer = outer.values.get(tag)
        return self.directory(pointer[0]) if pointer else None

    def in_use(self, first: _Directory) -> list[range]:
        """Where all that the block holds lies, but for its thumbnail."""
        exif = self.inner(first, _EXIF)
        others = (exif, self.inner(first, _GPS), exif and self.inner(exif, _INTEROPERABILITY))
        return [part for one in (first, *others) if one for part in (one.place, *one.parts)]

    def thumbnail(self, second: _Directory) -> list[range]:
        """Where the data of the thumbnail lie: a JPEG file, or strips of pixels."""
        starts, lengths = second.values.get(_JPEG), second.values.get(_JPEG_LENGTH)
        if starts is None or lengths is None:
            starts, lengths = second.values.get(_STRIPS, ()), second.values.get(_STRIP_LENGTHS, ())
        return [range(start, start + length) for start, length in zip(starts, lengths, strict=False)]

    def without(self, first: _Directory, second: _Directory) -> bytes:
        """The block whose second directory and thumbnail are blank, and cut off if they are last."""
        in_use = self.in_use(first)

        def is_shared(part: range) -> bool:
            return part.start < 8 or any(part.start < one.stop and part.stop > one.start for one in in_use)

        parts = [second.place, *self.thumbnail(second)]
        if any(map(is_shared, parts)):
            raise _BlockError  # it is damaged, and nothing else may be lost
        parts += [part for part in second.parts if not is_shared(part)]
        data = bytearray(self.data)
        data[first.place.stop - 4 : first.place.stop] = bytes(4)
        for part in parts:
            stop = min(part.stop, len(data))
            data[part.start : stop] = bytes(max(0, stop - part.start))
        for part in sorted(parts, key=lambda part: -part.stop):
            if part.stop >= len(data) > part.start:
                del data[part.start :]
        return self.prefix + bytes(data)


def _is_stale(block: _Block, first: _Directory, second: _Directory, im: Image.Image) -> bool:
    exif = block.inner(first, _EXIF)
    places = [(first, (_WIDTH, _HEIGHT))] + ([(exif, (_PIXEL_WIDTH, _PIXEL_HEIGHT))] if exif else [])
    for directory, names in places:
        recorded = tuple((directory.values.get(name) or (0,))[0] for name in names)
        if all(recorded) and recorded != im.size:
            return True
    thumbnail = _opened(block, second)
    if thumbnail is not None:
        return not (_same_proportions(im.size, thumbnail.size) and _alike(thumbnail, im))
    width, height = ((second.values.get(name) or (0,))[0] for name in (_WIDTH, _HEIGHT))
    return bool(width and height) and not _same_proportions(im.size, (width, height))


def _opened(block: _Block, second: _Directory) -> Image.Image | None:
    """The thumbnail if it is a JPEG file, and not damaged."""
    from PIL import JpegImagePlugin

    parts = block.thumbnail(second)
    try:
        im = JpegImagePlugin.JpegImageFile(io.BytesIO(block.data[parts[0].start : parts[0].stop]))
        if max(im.size) > _LARGEST:
            return None
        im.load()
    except (IndexError, OSError, SyntaxError, ValueError):
        return None
    return im


def _same_proportions(full: tuple[int, int], reduced: tuple[int, int]) -> bool:
    """Whether a reduced picture has the proportions of the full one, up to rounding."""
    long, short = (0, 1) if full[0] >= full[1] else (1, 0)
    return abs(reduced[short] - full[short] * reduced[long] / full[long]) <= _ROUNDING


def _alike(thumbnail: Image.Image, im: Image.Image) -> bool:
    """Whether light and dark are in the same places. Other colours and a filter leave them there."""
    import numpy as np

    small = im.convert("L").resize(thumbnail.size, Image.Resampling.BOX)
    one, other = (np.asarray(picture.convert("L"), np.float32) for picture in (thumbnail, small))
    one, other = one - one.mean(), other - other.mean()
    contrasts = float(one.std()), float(other.std())
    if min(contrasts) < _FLAT:
        return max(contrasts) < 2 * _FLAT
    return float((one * other).mean()) >= _LEAST_CORRELATION * contrasts[0] * contrasts[1]
