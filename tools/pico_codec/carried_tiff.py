"""What a TIFF file carries: EXIF, made of the tags that describe the picture; and what of its tags has to stay behind.

Values are copied as they are, in the byte order of the file, so that text in any encoding and values of unusual types
survive, which Pillow would rewrite. Only their places are new.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from PIL import TiffTags

from pico_core.container import Metadata

_EXIF, _GPS, _INTEROPERABILITY, _MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
_XMP, _ICC = 700, 34675
#: The tags that EXIF 2.32 gives to its first directory, but for those that say how pixels are stored; names of the
#: document, the page and the computer; and what Windows shows and edits. No orientation: Pillow turns the pixels of a
#: TIFF file upright when it loads them, as it does with no other format.
_DESCRIPTIVE = frozenset(
    {269, 270, 271, 272, 282, 283, 285, 296, 301, 305, 306, 315, 316, 318, 319, 18246, 18249, 33432}
) | frozenset(range(40091, 40096))
#: How pixels are stored, and where.
_CODING = (
    frozenset({254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284})
    | frozenset(
        {288, 289, 290, 291, 292, 293, 297, 317, 320, 322, 323, 324, 325, 332, 334, 338, 339, 340, 341}
    )
    | frozenset({326, 327, 328, 347, *range(512, 522), 529, 530, 531, 532, 559})
)
_BYTES_OF_TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_LONG8_TYPES = (16, 17, 18)  # in files with offsets of 64 bits, and seldom but in the tags of the layout
_LONG = 4


class _Entry(NamedTuple):
    tag: int
    type: int
    number: int  # of values of that type
    value: bytes | list[_Entry]  # a list is another directory


def from_tiff(data: bytes, known: Metadata) -> tuple[Metadata, str | None]:
    """Read the tags of a TIFF file; `known` is the XMP and ICC profile that Pillow found in them.

    Returns the metadata and names of what stays behind, as `Source` has them. Damaged entries are left out.
    """
    reader = _Reader(data)
    main = reader.directory(reader.first)
    chosen = [entry for tag, entry in main.items() if tag in _DESCRIPTIVE]
    inner = reader.below(main, _EXIF)
    if inner and (interoperability := reader.below(inner, _INTEROPERABILITY)):
        inner[_INTEROPERABILITY] = _pointer(_INTEROPERABILITY, interoperability)
    else:
        inner.pop(_INTEROPERABILITY, None)
    for tag, entries in ((_EXIF, inner), (_GPS, reader.below(main, _GPS))):
        if entries:
            chosen.append(_pointer(tag, entries))
    exif = reader.start + _written(reader.order, chosen, 8) if chosen else None
    carried = _DESCRIPTIVE | _CODING | {_EXIF, _GPS, _XMP, _ICC}
    names = sorted(_name(tag) for tag in main if tag not in carried)
    left = [f"{', '.join(names)} of a TIFF file"] if names else []
    if _MAKER_NOTE in inner:
        left.append("the places that maker notes refer to")
    return replace(known, exif=exif), "; ".join(left) or None


def without_pixels(data: bytes) -> bytes:
    """A TIFF file but for the strips or tiles of its picture: all that `from_tiff` leaves behind is in it.

    Its tags say still where the pixels were, and so where to put others.
    """
    reader = _Reader(data)
    main = reader.directory(reader.first)
    rest, position = b"", 0
    for start, length in sorted(
        zip(reader.numbers(main, 273, 324), reader.numbers(main, 279, 325), strict=False)
    ):
        rest += data[position:start]
        position = max(position, start + length)
    return rest + data[position:]


def _pointer(tag: int, entries: dict[int, _Entry]) -> _Entry:
    return _Entry(tag, _LONG, 1, list(entries.values()))


def _name(tag: int) -> str:
    name = TiffTags.lookup(tag).name
    return f"tag {tag}" if name == "unknown" else name


class _Reader:
    """Directories of a TIFF file, also of one with offsets of 64 bits (BigTIFF)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self._wide = data[2:4] in (b"\x2b\0", b"\0\x2b")
        self.first = self._number(data[8:16] if self._wide else data[4:8])
        self.start = struct.pack(f"{self.order}2sHI", data[:2], 42, 8)
        # Values that overlap could take any memory; all of a sound file's take less than the file has bytes.
        self._left = len(data)

    def below(self, entries: dict[int, _Entry], tag: int) -> dict[int, _Entry]:
        """The directory that an entry points to; empty if there is none."""
        value = entries[tag].value if tag in entries else b""
        return self.directory(self._number(value)) if isinstance(value, bytes) and value else {}

    def directory(self, start: int) -> dict[int, _Entry]:
        """The entries of the directory at `start`, by their tags, up to the damage."""
        head, size = (8, 20) if self._wide else (2, 12)
        count = self._number(self._data[start : start + head])
        found: dict[int, _Entry] = {}
        for place in range(start + head, min(start + head + count * size, len(self._data) - size + 1), size):
            entry = self._entry(self._data[place : place + size])
            if entry is not None:
                found.setdefault(entry.tag, entry)
        return found

    def numbers(self, entries: dict[int, _Entry], *tags: int) -> list[int]:
        """The values, whole numbers, of the first of some tags that is there."""
        entry = next((entries[tag] for tag in tags if tag in entries), None)
        if entry is None or not isinstance(entry.value, bytes):
            return []
        width = len(entry.value) // entry.number
        return [
            self._number(entry.value[start : start + width]) for start in range(0, len(entry.value), width)
        ]

    def _entry(self, row: bytes) -> _Entry | None:
        tag, kind = struct.unpack_from(f"{self.order}HH", row)
        middle = 12 if self._wide else 8
        count, field = self._number(row[4:middle]), row[middle:]
        length = count * _BYTES_OF_TYPES.get(kind, 8 if self._wide and kind in _LONG8_TYPES else 0)
        start = self._number(field)
        value = field[:length] if length <= len(field) else self._data[start : start + length]
        self._left -= len(value)
        if not value or len(value) != length or self._left < 0:
            return None
        return _Entry(tag, kind, count, value)

    def _number(self, field: bytes) -> int:
        return int.from_bytes(field, "little" if self.order == "<" else "big")


def _written(order: str, entries: Iterable[_Entry], start: int) -> bytes:
    """A directory for the place `start` of a file, with its values and the directories in it behind it."""
    rows = sorted((entry for entry in entries if entry.type in _BYTES_OF_TYPES), key=lambda entry: entry.tag)
    values_start = start + 2 + 12 * len(rows) + 4
    table, values = [], bytearray()
    for tag, kind, count, value in rows:
        place = values_start + len(values)
        if isinstance(value, list):
            field = struct.pack(f"{order}I", place)
            values += _written(order, value, place)
        elif len(value) > 4:
            field = struct.pack(f"{order}I", place)
            values += value + bytes(len(value) % 2)
        else:
            field = value.ljust(4, b"\0")
        table.append(struct.pack(f"{order}HHI4s", tag, kind, count, field))
    return struct.pack(f"{order}H", len(rows)) + b"".join(table) + bytes(4) + values
