"""Writing a .pico file: laying its items out, and describing them in the headers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from itertools import chain
from typing import IO, Final, NamedTuple

from pico_core import boxes
from pico_core.boxes import Extent, ItemInfo, Reference
from pico_core.container_format import (
    ALPHA_URN,
    CHECKSUM_BYTES,
    CODEC_CONFIGURATION,
    CODEC_VERSION,
    FORMAT_MAJOR,
    FORMAT_MINOR,
    LEVELS_PER_UNIT,
    MAX_HEADER_BYTES,
    MAX_ITEMS,
    MAX_RISE,
    MAX_SIDE,
    MAX_TILE_BYTES,
    NO_MODEL,
    NO_QUALITY,
    OVERLAP,
    TILE_ENTRY,
    WINDOW,
    XMP_TYPE,
    Coder,
    Extra,
    Metadata,
    Picture,
    Tile,
    checksum,
    storable_level,
    tile_count,
)
from pico_core.errors import OptionError

_EXIF_PREFIX: Final = b"Exif\0\0"
_SRGB: Final = boxes.box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 0, 0x80))
# Says that the file has offsets in it, in the one way that stops exiftool. It would otherwise edit the file
# as if it were a video, insert a box before `mdat`, and so break the checksum of the headers.
_DO_NOT_EDIT: Final = boxes.full_box(b"saio", bytes(4))
_NO_METADATA: Final = Metadata()


class _Place(IntEnum):
    """The order of the items in `mdat`: what a reader of the beginning can use comes first."""

    PREVIEW = 0
    EXIF = 1
    XMP = 2
    ALPHA = 3
    PICTURE = 4
    EXTRA = 5


class _PlannedItem(NamedTuple):
    """An item as the headers describe it; its bytes are needed only to be checked and copied."""

    kind: bytes
    length: int
    checks: bytes  # its entry in `pidx`, after the id
    place: _Place
    parts: Sequence[bytes] = ()
    properties: Sequence[tuple[bool, bytes]] = ()
    refers_to_picture: bytes | None = None
    name: str = ""
    content_type: str = ""


def write(
    stream: IO[bytes],
    picture: Picture,
    tiles: Sequence[Tile],
    *,
    alpha_tiles: Sequence[Tile] = (),
    metadata: Metadata = _NO_METADATA,
    preview: bytes | None = None,
) -> int:
    """Write a whole .pico file from the stream's position on, front to back; return its length in bytes.

    `tiles` and, if the picture has alpha, `alpha_tiles` are in raster order; `preview` is a JPEG file.
    Raises OptionError, before the first byte is written, for anything that the format cannot hold.
    """
    _check_picture(picture, tiles, alpha_tiles)
    items = _plan(picture, tiles, alpha_tiles, metadata, preview)
    written = 0
    in_file_order = sorted(items, key=lambda item: item.place)
    for part in chain([_headers(items)], *(item.parts for item in in_file_order)):
        written += _write_fully(stream, part)
    return written


def _write_fully(stream: IO[bytes], data: bytes) -> int:
    """Unbuffered streams may take less than they are given."""
    done = stream.write(data)
    while done is not None and done < len(data):
        done += stream.write(data[done:])
    return len(data)


def _check_picture(picture: Picture, tiles: Sequence[Tile], alpha_tiles: Sequence[Tile]) -> None:
    sides = f"a picture of {picture.width} x {picture.height}: sides must be 1 to {MAX_SIDE}"
    _require(1 <= picture.width <= MAX_SIDE and 1 <= picture.height <= MAX_SIDE, sides)
    _require(picture.channels in (1, 3), f"{picture.channels} colour channels: must be 1 or 3")
    _require(
        picture.quality is None or 0 <= picture.quality <= 100,
        f"quality {picture.quality}: must be 0 to 100, or None",
    )
    _require(
        picture.level == storable_level(picture.level),
        f"level {picture.level} cannot be stored; encode with storable_level({picture.level})",
    )
    _require(
        picture.model_id is None or (len(picture.model_id) == len(NO_MODEL) and picture.model_id != NO_MODEL),
        f"a model id must be {len(NO_MODEL)} bytes, not all of them zero",
    )
    count = tile_count(picture.width, picture.height)
    _require(len(tiles) == count, f"{len(tiles)} tiles for a picture that takes {count}")
    alpha_count = count if picture.has_alpha else 0
    _require(len(alpha_tiles) == alpha_count, f"{len(alpha_tiles)} alpha tiles where {alpha_count} belong")
    for tile in chain(tiles, alpha_tiles):
        length = len(tile.payload)
        _require(1 <= length <= MAX_TILE_BYTES, f"a tile of {length} bytes: must be 1 to {MAX_TILE_BYTES}")
        most = MAX_RISE if tile.coder == Coder.LEARNED else 0
        _require(0 <= tile.rise <= most, f"a tile with a rise of {tile.rise}: must be 0 to {most}")
    exact = all(tile.coder == Coder.WEBP_LOSSLESS for tile in alpha_tiles)
    _require(exact, "alpha is stored exactly: all of its tiles must be lossless")
    learned = any(tile.coder == Coder.LEARNED for tile in tiles)
    _require(
        (picture.model_id is not None) == learned,
        "a model id must be given if any tile is learned, and must not be if none is",
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise OptionError(otherwise)


def _plan(
    picture: Picture,
    tiles: Sequence[Tile],
    alpha_tiles: Sequence[Tile],
    metadata: Metadata,
    preview: bytes | None,
) -> list[_PlannedItem]:
    """The items in the order of their ids: the picture first, and Exif and XMP last.

    exiv2 0.27 takes the last item named like Exif for the Exif, and the last `mime` item for the XMP.
    """
    colour = (
        _SRGB if metadata.icc is None else boxes.box(b"colr", b"prof", _present(metadata.icc, "ICC profile"))
    )
    items = [_tiled_item(picture, tiles, _Place.PICTURE, (False, colour))]
    if picture.has_alpha:
        auxiliary = (False, boxes.full_box(b"auxC", ALPHA_URN.encode() + b"\0"))
        alpha = _tiled_item(replace(picture, channels=1), alpha_tiles, _Place.ALPHA, auxiliary)
        items.append(alpha._replace(refers_to_picture=b"auxl"))
    if preview is not None:
        extents = boxes.full_box(b"ispe", struct.pack(">II", *_jpeg_size(preview)))
        item = _plain_item(b"jpeg", _Place.PREVIEW, preview)
        items.append(item._replace(properties=[(False, extents)], refers_to_picture=b"thmb"))
    for extra in metadata.extras:
        _check_extra(extra)
        item = _plain_item(b"mime", _Place.EXTRA, extra.data)
        items.append(item._replace(name=extra.name, content_type=extra.content_type))
    if metadata.exif is not None:
        offset = len(_EXIF_PREFIX) if metadata.exif.startswith(_EXIF_PREFIX) else 0
        item = _plain_item(b"Exif", _Place.EXIF, struct.pack(">I", offset), _present(metadata.exif, "Exif"))
        items.append(item._replace(refers_to_picture=b"cdsc"))
    if metadata.xmp is not None:
        item = _plain_item(b"mime", _Place.XMP, _present(metadata.xmp, "XMP"))
        items.append(item._replace(content_type=XMP_TYPE, refers_to_picture=b"cdsc"))
    return items


def _tiled_item(
    picture: Picture, tiles: Sequence[Tile], place: _Place, special: tuple[bool, bytes]
) -> _PlannedItem:
    configuration = CODEC_CONFIGURATION.pack(
        CODEC_VERSION,
        picture.channels,
        NO_QUALITY if picture.quality is None else picture.quality,
        int(picture.level * LEVELS_PER_UNIT),
        WINDOW,
        OVERLAP,
        picture.model_id or NO_MODEL,
    )
    properties = (
        (True, boxes.box(b"picC", configuration)),
        (False, boxes.full_box(b"ispe", struct.pack(">II", picture.width, picture.height))),
        (False, boxes.full_box(b"pixi", bytes([picture.channels]) + b"\x08" * picture.channels)),
        special,
    )
    entries = (
        TILE_ENTRY.pack(tile.coder, tile.rise, len(tile.payload), checksum(tile.payload)) for tile in tiles
    )
    return _PlannedItem(
        kind=b"pico",
        length=sum(len(tile.payload) for tile in tiles),
        checks=struct.pack(">H", len(tiles)) + b"".join(entries),
        place=place,
        parts=[tile.payload for tile in tiles],
        properties=properties,
    )


def _plain_item(kind: bytes, place: _Place, *parts: bytes) -> _PlannedItem:
    checks = struct.pack(">H", 0) + checksum(*parts)
    return _PlannedItem(kind, sum(map(len, parts)), checks, place, parts)


def _present(data: bytes, what: str) -> bytes:
    """ISO 14496-12 reads a length of 0 as "the whole file", so an item has at least one byte."""
    if not data:
        msg = f"{what} of no bytes cannot be stored; pass None"
        raise OptionError(msg)
    return data


def _check_extra(extra: Extra) -> None:
    _present(extra.data, f"extra {extra.name!r}")
    for text in (extra.name, extra.content_type):
        try:
            storable = b"\0" not in text.encode()
        except UnicodeEncodeError:
            storable = False
        if not storable:
            msg = f"extra {extra.name!r}: its name and content type must be Unicode text without NUL"
            raise OptionError(msg)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG file, which HEIF wants told of every image item."""
    position = 2
    while data[:2] == b"\xff\xd8" and data[position : position + 1] == b"\xff" and position + 9 <= len(data):
        marker, length = struct.unpack_from(">xBH", data, position)
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        position += 2 + length
    msg = "the preview is not a JPEG file"
    raise OptionError(msg)


def _headers(items: Sequence[_PlannedItem]) -> bytes:
    """Everything up to the first byte of the first item, in 64 bits only where 32 cannot do."""
    if len(items) > MAX_ITEMS:
        msg = f"{len(items)} items cannot be stored; {MAX_ITEMS} can"
        raise OptionError(msg)
    front = boxes.box(b"ftyp", b"pico", struct.pack(">HH", FORMAT_MAJOR, FORMAT_MINOR), b"pico", b"mif1")
    entries = [struct.pack(">H", item_id) + item.checks for item_id, item in enumerate(items, 1)]
    checks = boxes.full_box(b"pidx", struct.pack(">H", len(items)), *entries, bytes(CHECKSUM_BYTES))
    total = sum(item.length for item in items)
    back = boxes.box_header(b"mdat", total)
    nowhere = dict.fromkeys(range(1, len(items) + 1), Extent(0, 0))

    def start_of_items(*, wide: bool) -> int:
        """The length of the headers without a name, which does not depend on the offsets in them."""
        return sum(map(len, (front, _meta(items, nowhere, wide=wide), _DO_NOT_EDIT, checks, back)))

    wide = start_of_items(wide=False) + total > boxes.UINT32_MAX
    start = start_of_items(wide=wide)
    name = _name_that_makes_odd(_tiff_position(items, start))
    start += len(name)
    if start > MAX_HEADER_BYTES:
        msg = f"the headers, with the ICC profile, take {start} bytes; {MAX_HEADER_BYTES} are allowed"
        raise OptionError(msg)
    meta = _meta(items, _extents(items, start), name=name, wide=wide)
    covered = front + meta + _DO_NOT_EDIT + checks[:-CHECKSUM_BYTES]
    return covered + checksum(covered) + back


def _tiff_position(items: Sequence[_PlannedItem], start: int) -> int | None:
    """Where the TIFF header of the Exif lies in the file when the first item starts at `start`."""
    for item_id, extent in _extents(items, start).items():
        item = items[item_id - 1]
        if item.place == _Place.EXIF:
            (skipped,) = struct.unpack(">I", item.parts[0])
            return extent.offset + len(item.parts[0]) + int(skipped)
    return None


def _name_that_makes_odd(position: int | None) -> bytes:
    """The name in `hdlr`, which shifts all items by its length.

    exiftool 12.57 takes a directory of the Exif for a loop, and leaves it out, if its offset from the TIFF
    header is the position of the TIFF header in the file. These offsets are even (TIFF 6.0, section 2).
    """
    return b"" if position is None or position % 2 else b"p"


def _extents(items: Sequence[_PlannedItem], start: int) -> dict[int, Extent]:
    """Where each item lies, by id, when the first one in file order starts at `start`."""
    extents = {}
    for item_id in sorted(range(1, len(items) + 1), key=lambda number: items[number - 1].place):
        extents[item_id] = Extent(start, items[item_id - 1].length)
        start += extents[item_id].length
    return dict(sorted(extents.items()))


def _meta(
    items: Sequence[_PlannedItem], extents: dict[int, Extent], *, wide: bool, name: bytes = b""
) -> bytes:
    numbered = list(enumerate(items, 1))
    infos = [ItemInfo(item_id, item.kind, item.name, item.content_type) for item_id, item in numbered]
    references = [
        Reference(item.refers_to_picture, n, (1,)) for n, item in numbered if item.refers_to_picture
    ]
    return boxes.full_box(
        b"meta",
        boxes.full_box(b"hdlr", bytes(4), b"pict", bytes(12), name, b"\0"),
        boxes.full_box(b"pitm", struct.pack(">H", 1)),
        boxes.item_info_box(infos),
        boxes.item_reference_box(references) if references else b"",
        boxes.item_properties_box({n: list(item.properties) for n, item in numbered if item.properties}),
        boxes.item_location_box(extents, wide=wide),
    )
