"""Small .pico files for the tests of the container, ways to spoil them, and the dump in docs/format.md.

`python tests/container_samples.py` prints that dump.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping

from pico_core import boxes
from pico_core.container import Coder, Container, Extra, Metadata, Picture, Tile, tile_count, write
from pico_core.container_format import checksum
from pico_core.errors import PicoError

MODEL_ID = bytes(range(16))
EMPTY_TIFF = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
ICC = b"an ICC profile, taken as it is"
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
EXTRAS = (Extra("trailer.mp4", "video/mp4", b"moving"), Extra("Tiefe \u00fc", "", b"\0depth"))
METADATA = Metadata(b"Exif\0\0" + EMPTY_TIFF, XMP, ICC, EXTRAS)
# The first bytes of a JPEG file of 160 x 120 pixels: start, an APP0 segment, a baseline frame header, end.
PREVIEW = bytes.fromhex("ffd8 ffe0 0004 0000 ffc0 000b 08 0078 00a0 01 01 11 00 ffd9")
# One red and one blue pixel, as Pillow writes them with lossless=True
WEBP = bytes.fromhex("52494646 1e000000 57454250 5650384c 11000000 2f010000 000f10f3 bffff31f 0e32a2ff 0100")

Edit = Callable[[bytes], bytes]


def picture(
    width: int = 2, height: int = 1, *, channels: int = 3, alpha: bool = False, learned: bool = True
) -> Picture:
    """A picture header; its level and quality are of no importance."""
    return Picture(width, height, channels, alpha, 4.25, 60, MODEL_ID if learned else None)


def tiles_for(header: Picture) -> list[Tile]:
    """As many tiles as the picture takes, all with different payloads."""
    coder = Coder.WEBP_LOSSLESS if header.model_id is None else Coder.LEARNED
    count = tile_count(header.width, header.height)
    return [Tile(coder, b"tile %d" % number * (1 + number % 3)) for number in range(count)]


def alpha_tiles_for(header: Picture) -> list[Tile]:
    """The alpha tiles that go with `tiles_for`."""
    count = tile_count(header.width, header.height) if header.has_alpha else 0
    return [Tile(Coder.WEBP_LOSSLESS, b"alpha %d" % number) for number in range(count)]


def file_of(header: Picture, metadata: Metadata = METADATA, preview: bytes | None = PREVIEW) -> bytes:
    """A whole file with `tiles_for` and `alpha_tiles_for` in it."""
    stream = io.BytesIO()
    alpha_tiles = alpha_tiles_for(header)
    write(stream, header, tiles_for(header), alpha_tiles=alpha_tiles, metadata=metadata, preview=preview)
    return stream.getvalue()


def full_file() -> bytes:
    """A small file that has everything a file can have, in two tiles."""
    return file_of(picture(600, 20, alpha=True))


def plain_file() -> bytes:
    """The smallest kind of file: one tile, nothing else."""
    return file_of(picture(), Metadata(), None)


def open_file(data: bytes, *, allow_truncated: bool = False) -> Container:
    """A container over bytes."""
    return Container(io.BytesIO(data), allow_truncated=allow_truncated)


def content_of(container: Container) -> object:
    """Everything that a container gives out."""
    count = range(container.tile_count)
    return (
        container.picture,
        container.metadata,
        container.preview,
        [container.read_tile(index) for index in count],
        [container.read_alpha_tile(index) for index in count if container.picture.has_alpha],
    )


def error_of(data: bytes) -> PicoError | None:
    """What opening and verifying the bytes raises, None if nothing."""
    try:
        open_file(data).verify()
    except PicoError as error:
        return error
    return None


# Spoiling a file so that its checksums still match


def spoil(data: bytes, edits: Mapping[bytes, Edit], *, top: Edit = bytes) -> bytes:
    """The file with boxes changed, its checksum made right again, and `iloc` following the shift.

    `edits` has for types of box directly in `meta`, and for the top-level boxes, a function from the box to
    what takes its place: b"" removes it. `top` changes all that lies between `meta` and `pidx`.
    """
    outer = boxes.children(data, 0, len(data))
    old_start = outer[-1].start
    shift = 0
    while True:
        headers = b""
        for box in outer[:-1]:
            whole = data[box.start : box.end]
            if box.kind == b"meta":
                whole = _spoil_meta(whole, edits, shift)
            if box.kind == b"pidx":
                headers = top(headers)
            headers += edits.get(box.kind, bytes)(whole)
        if len(headers) - old_start == shift:
            break
        shift = len(headers) - old_start
    media = data[old_start:]
    return seal(headers) + edits.get(b"mdat", bytes)(media)


def seal(headers: bytes) -> bytes:
    """Headers whose last 8 bytes are the right checksum."""
    return headers[:-8] + checksum(headers[:-8])


def _spoil_meta(meta: bytes, edits: Mapping[bytes, Edit], shift: int) -> bytes:
    inner = boxes.children(meta, 12, len(meta))
    parts = []
    for box in inner:
        whole = meta[box.start : box.end]
        if box.kind == b"iloc":
            whole = _shift_locations(whole, shift)
        parts.append(edits.get(box.kind, bytes)(whole))
    return boxes.full_box(b"meta", *parts)


def _shift_locations(iloc: bytes, shift: int) -> bytes:
    fields = list(struct.iter_unpack(">HHHII", iloc[16:]))
    return iloc[:16] + b"".join(struct.pack(">HHHII", *f[:3], f[3] + shift, f[4]) for f in fields)


def rebox(whole: bytes, body: bytes) -> bytes:
    """The box with another body."""
    return boxes.box(whole[4:8], body)


def put(offset: int, value: bytes) -> Edit:
    """An edit that overwrites bytes of a box; offset 8 is the first byte after the header."""
    return lambda whole: whole[:offset] + value + whole[offset + len(value) :]


def twice(whole: bytes) -> bytes:
    """An edit that repeats a box."""
    return whole + whole


def gone(_: bytes) -> bytes:
    """An edit that removes a box."""
    return b""


def property_edit(kind: bytes, edit: Edit, *, number: int = 0) -> Mapping[bytes, Edit]:
    """Edits that change the property box of type `kind`, the `number`th of those of that type."""

    def edit_properties(iprp: bytes) -> bytes:
        container, associations = boxes.children(iprp, 8, len(iprp))
        parts = []
        seen = 0
        for box in boxes.children(iprp, container.body, container.end):
            whole = iprp[box.start : box.end]
            if box.kind == kind:
                whole = edit(whole) if seen == number else whole
                seen += 1
            parts.append(whole)
        return boxes.box(b"iprp", boxes.box(b"ipco", *parts), iprp[associations.start : associations.end])

    return {b"iprp": edit_properties}


def entry_edit(edit: Callable[[list[bytes]], list[bytes]]) -> Edit:
    """An edit of the entries of `iinf` or `iref`, with the count of `iinf` following."""

    def edit_box(whole: bytes) -> bytes:
        start = 14 if whole[4:8] == b"iinf" else 12
        entries = edit([whole[box.start : box.end] for box in boxes.children(whole, start, len(whole))])
        count = struct.pack(">H", len(entries)) if start == 14 else b""
        return boxes.full_box(whole[4:8], count, *entries)

    return edit_box


def location_edit(edit: Callable[[list[list[int]]], None]) -> Edit:
    """An edit of the rows (id, data reference, extents, offset, length) of `iloc`."""

    def edit_box(whole: bytes) -> bytes:
        rows = [list(row) for row in struct.iter_unpack(">HHHII", whole[16:])]
        edit(rows)
        packed = b"".join(struct.pack(">HHHII", *row) for row in rows)
        return boxes.full_box(b"iloc", whole[12:14], struct.pack(">H", len(rows)), packed)

    return edit_box


# The dump in docs/format.md


def documented_file() -> bytes:
    """Two pixels in one lossless tile, with an Exif block that has no entries."""
    header = Picture(2, 1, 3, False, 0.0, None, None)
    stream = io.BytesIO()
    write(stream, header, [Tile(Coder.WEBP_LOSSLESS, WEBP)], metadata=Metadata(exif=EMPTY_TIFF))
    return stream.getvalue()


def dump(data: bytes) -> str:
    """Offset, depth, and bytes of every box, one line for up to 24 bytes."""
    lines: list[str] = []
    _dump_boxes(data, 0, len(data), 0, lines)
    return "\n".join(lines)


_BODIES_BEFORE_BOXES = {b"meta": 4, b"iinf": 6, b"iref": 4, b"iprp": 0, b"ipco": 0}


def _dump_boxes(data: bytes, start: int, end: int, depth: int, lines: list[str]) -> None:
    for box in boxes.children(data, start, end):
        fields = _BODIES_BEFORE_BOXES.get(box.kind)
        stop = box.end if fields is None else box.body + fields
        title = "  " * depth + box.kind.decode()
        for offset in range(box.start, stop, 24):
            chunk = data[offset : min(offset + 24, stop)]
            lines.append(f"{offset:04x}  {title if offset == box.start else '':<13}{chunk.hex(' ', -4)}")
        if fields is not None:
            _dump_boxes(data, stop, box.end, depth + 1, lines)


if __name__ == "__main__":
    print(dump(documented_file()))
