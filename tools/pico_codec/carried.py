"""What JPEG, PNG and WebP files carry beside pixels, EXIF, XMP and ICC, as opaque items of a .pico file.

Each item holds the payload of one segment or chunk, byte for byte, in the order of the file. Left out are
those that only say how the source coded its pixels. `returned` puts them back.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from pico_core.container import Container, Extra, Metadata

Carried = tuple[tuple[Extra, ...], str | None]

#: The type of each item.
OPAQUE = "application/octet-stream"
#: The name of the item that holds the bytes after a JPEG picture.
JPEG_TRAILER = "JPEG trailer"
#: The name of the item that holds how long each EXIF segment of a JPEG file is, where it has several.
EXIF_PARTS = "JPEG EXIF segments"
TRAILERS = {"PNG": "PNG trailer", "WEBP": "WebP trailer"}
#: What `left_behind` says of a file of several pictures.
MULTI_PICTURE = "further pictures (a preview, a gain map or a depth map)"
_TRAILER = "bytes after the picture (a motion photo's video, or another picture)"
_LARGEST_TRAILER = 1 << 16

_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_SOS, _EOI, _APP0, _APP1, _APP2, _APP14, _COM = 0xDA, 0xD9, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
#: The segments of a JPEG file that hold metadata, by the names that their payloads have as items.
JPEG_MARKERS = {"JPEG COM": _COM, **{f"JPEG APP{n}": _APP0 + n for n in range(16)}}
_JPEG_NAMES = {marker: name for name, marker in JPEG_MARKERS.items()}
#: What the payloads of some segments begin with.
JFIF, EXIF, XMP = b"JFIF\0", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"

_PNG_HEADER = 8
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST_TEXT = 1 << 19  # half of what Pillow unpacks at most
_PNG_CODING = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_PNG_XMP = b"XML:com.adobe.xmp\0"

_WEBP_CODING = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})


def from_jpeg(data: bytes, known: Metadata) -> Carried:
    """Read the segments of a JPEG file; `known` is the EXIF, XMP and ICC profile that Pillow found in them."""
    extras = []
    left_behind = None
    end = len(data)
    parts = []
    for marker, start, stop in jpeg_segments(data):
        payload = data[start:stop]
        if marker == _APP1 and payload.startswith(EXIF) and _jpeg_elsewhere(marker, payload, known):
            parts.append(len(payload) - len(EXIF))
        if marker == _EOI:
            end = stop
        elif marker == _APP2 and payload.startswith(b"MPF\0"):
            left_behind = MULTI_PICTURE
        elif not _jpeg_elsewhere(marker, payload, known):
            extras.append(Extra(_JPEG_NAMES[marker], OPAQUE, payload))
    if len(parts) > 1 and sum(parts) == len((known.exif or b"").removeprefix(EXIF)):
        # Pillow joins them; they come back as they were.
        extras.append(Extra(EXIF_PARTS, OPAQUE, struct.pack(f">{len(parts)}I", *parts)))
    trailer, too_long = trailer_of(JPEG_TRAILER, data[end:])
    return (*extras, *trailer), left_behind or too_long


def from_png(data: bytes, known: Metadata) -> Carried:
    """Read the chunks of a PNG file; `known` as in `from_jpeg`."""
    extras = []
    for kind, start, stop in png_chunks(data):
        payload = data[start:stop]
        if payload and not _png_elsewhere(kind, payload, known):
            extras.append(Extra(f"PNG {kind.decode('latin-1')}", OPAQUE, payload))
    trailer, too_long = trailer_of(TRAILERS["PNG"], data[end_of_picture("PNG", data) :])
    return (*extras, *trailer), too_long


def from_webp(data: bytes, known: Metadata) -> Carried:
    """Read the chunks of a WebP file; `known` as in `from_jpeg`."""
    extras = []
    position = 12
    end = end_of_picture("WEBP", data)
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        payload = data[position + 8 : position + 8 + length]
        if payload and not _webp_elsewhere(kind, payload, known):
            extras.append(Extra(f"WebP {kind.decode('latin-1')}", OPAQUE, payload))
        position += 8 + length + length % 2
    trailer, too_long = trailer_of(TRAILERS["WEBP"], data[end:])
    return (*extras, *trailer), too_long


def from_pico(data: bytes) -> tuple[Extra, ...]:
    """Take over the extras of a .pico file."""
    return Container(io.BytesIO(data)).metadata.extras


def without_long_texts(data: bytes) -> bytes:
    """A PNG file without those texts that Pillow refuses to unpack, and the whole file with them.

    They are carried as they are packed.
    """
    kept = [
        data[start - 8 : stop + 4]
        for kind, start, stop in png_chunks(data)
        if kind not in (b"zTXt", b"iTXt") or not _is_long(kind, data[start:stop])
    ]
    return data[:_PNG_HEADER] + b"".join(kept) + data[end_of_picture("PNG", data) :]


def _is_long(kind: bytes, payload: bytes) -> bool:
    fields = payload.partition(b"\0")[2]
    packed = fields[1:] if kind == b"zTXt" else fields[2:].split(b"\0", 2)[-1]
    if kind == b"iTXt" and fields[:1] == b"\0":
        return len(packed) > _LONGEST_TEXT
    try:
        return len(zlib.decompressobj().decompress(packed, _LONGEST_TEXT + 1)) > _LONGEST_TEXT
    except zlib.error:
        return False


def exif_in_text(info: Mapping[Any, Any]) -> bytes | None:
    """EXIF that a PNG file holds as text, in hexadecimal, as ImageMagick and older programs write it; see ExifTool.

    `info` is Pillow's.
    """
    for name in ("Raw profile type exif", "Raw profile type APP1"):
        text = info.get(name)
        if isinstance(text, str):
            lines = text.strip("\n").split("\n")[2:]  # the first names it, the second says how long it is
            try:
                block = bytes.fromhex("".join(lines))
            except ValueError:
                continue
            if block.startswith(EXIF) or block[:4] in (b"II*\0", b"MM\0*"):
                return block
    return None


def end_of_picture(kind: str, data: bytes) -> int:
    """Where the picture of a PNG or WebP file ends, and what follows it begins."""
    if kind == "WEBP":
        return min(len(data), 8 + int(struct.unpack_from("<I", data, 4)[0]))
    return max((stop + 4 for _, _, stop in png_chunks(data)), default=_PNG_HEADER)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the payload of each chunk, up to the end of the picture or to the damage."""
    position = _PNG_HEADER
    kind = b""
    while kind != b"IEND" and position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position + 8, position + 8 + length
        position += 12 + length


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the payload of each segment up to the end of the image or to the damage."""
    position = 2
    while found := _NEXT_MARKER.search(data, position):
        marker, start = found[1][0], found.end()
        if marker == _EOI:
            yield marker, start, start
            return
        if marker == 0x01 or start + 2 > len(data):
            position = start
            continue
        position = start + max(2, struct.unpack_from(">H", data, start)[0])
        if marker != _SOS:
            yield marker, start + 2, position


def _jpeg_elsewhere(marker: int, payload: bytes, known: Metadata) -> bool:
    """Whether a segment is coding only, or its very bytes travel as EXIF, XMP or ICC, or it holds nothing."""
    if not payload or marker not in _JPEG_NAMES:
        return True
    if marker == _APP0:
        return payload.startswith(JFIF) and _is_plain(payload)
    if marker == _APP1:
        if payload.startswith(EXIF):
            return payload.removeprefix(EXIF) in (known.exif or b"")
        return known.xmp is not None and payload == XMP + known.xmp
    if marker == _APP2:
        return known.icc is not None and payload.startswith(b"ICC_PROFILE\0")
    return marker == _APP14 and payload.startswith(b"Adobe")


def _png_elsewhere(kind: bytes, payload: bytes, known: Metadata) -> bool:
    if kind == b"iTXt" and payload.startswith(_PNG_XMP):
        return known.xmp is not None and _png_text(payload, len(known.xmp)) == known.xmp
    if kind == b"eXIf":
        return known.exif is not None and payload == known.exif.removeprefix(EXIF)
    return kind in _PNG_CODING or (kind == b"iCCP" and known.icc is not None)


def _png_text(payload: bytes, length: int) -> bytes | None:
    """The text of an `iTXt` chunk, cut off soon after `length` bytes; None if it cannot be read."""
    fields = payload.partition(b"\0")[2]
    compressed, fields = fields[:1], fields[2:]
    parts = fields.split(b"\0", 2)  # language, translated keyword, text
    if len(parts) < 3 or compressed == b"\0":
        return parts[2] if len(parts) == 3 else None
    try:
        return zlib.decompressobj().decompress(parts[2], length + 1)
    except zlib.error:
        return None


def _webp_elsewhere(kind: bytes, payload: bytes, known: Metadata) -> bool:
    if kind == b"EXIF":
        return known.exif is not None and payload.removeprefix(EXIF) == known.exif.removeprefix(EXIF)
    return kind in _WEBP_CODING or (kind, payload) in ((b"XMP ", known.xmp), (b"ICCP", known.icc))


def _is_plain(jfif: bytes) -> bool:
    """Whether a JFIF segment tells nothing: no density, square pixels, and no thumbnail."""
    return jfif[7:8] == b"\0" and jfif[8:10] == jfif[10:12] and jfif[12:] == b"\0\0"


def trailer_of(name: str, data: bytes) -> Carried:
    """What follows a picture: zeros are padding; a few bytes, a maker's notes, are carried; many are a video."""
    if not data.strip(b"\0"):
        return (), None
    if len(data) > _LARGEST_TRAILER:
        return (), _TRAILER
    return (Extra(name, OPAQUE, data),), None
