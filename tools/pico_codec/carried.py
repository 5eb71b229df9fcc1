"""What JPEG, PNG and WebP files carry beside pixels, EXIF, XMP and ICC, as opaque items of a .pico file.

Each item holds the payload of one segment or chunk, byte for byte, in the order of the file. Left out are
those that only say how the source coded its pixels.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

from pico_core.container import Container, Extra, Metadata

Carried = tuple[tuple[Extra, ...], str | None]

_OPAQUE = "application/octet-stream"
_LARGEST_TRAILER = 1 << 16
_TRAILER = "bytes after the picture (a motion photo's video, or another picture)"
_MULTI_PICTURE = "further pictures (a preview, a gain map or a depth map)"

_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_JPEG_TRAILER = "JPEG trailer"
_LARGEST_SEGMENT = 65_533
_SOS, _EOI, _APP0, _APP1, _APP2, _APP14, _COM = 0xDA, 0xD9, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_JPEG_MARKERS = {"JPEG COM": _COM, **{f"JPEG APP{n}": _APP0 + n for n in range(16)}}
_JPEG_NAMES = {marker: name for name, marker in _JPEG_MARKERS.items()}

_JFIF, _EXIF, _XMP = b"JFIF\0", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
#: More XMP than this does not fit into a JPEG file: it has to be in one segment.
LARGEST_JPEG_XMP = _LARGEST_SEGMENT - len(_XMP)

_PNG_HEADER = 8
_PNG_CODING = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_PNG_XMP = b"XML:com.adobe.xmp\0"

_WEBP_CODING = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})


def from_jpeg(data: bytes, known: Metadata) -> Carried:
    """Read the segments of a JPEG file; `known` is the EXIF, XMP and ICC profile that Pillow found in them."""
    extras = []
    left_behind = None
    end = len(data)
    for marker, start, stop in jpeg_segments(data):
        payload = data[start:stop]
        if marker == _EOI:
            end = stop
        elif marker == _APP2 and payload.startswith(b"MPF\0"):
            left_behind = _MULTI_PICTURE
        elif not _jpeg_elsewhere(marker, payload, known):
            extras.append(Extra(_JPEG_NAMES[marker], _OPAQUE, payload))
    trailer, too_long = _trailer(_JPEG_TRAILER, data[end:])
    return (*extras, *trailer), left_behind or too_long


def from_png(data: bytes, known: Metadata) -> Carried:
    """Read the chunks of a PNG file; `known` as in `from_jpeg`."""
    extras = []
    position = _PNG_HEADER
    kind = b""
    while kind != b"IEND" and position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        payload = data[position + 8 : position + 8 + length]
        if payload and not _png_elsewhere(kind, payload, known):
            extras.append(Extra(f"PNG {kind.decode('latin-1')}", _OPAQUE, payload))
        position += 12 + length
    trailer, too_long = _trailer("PNG trailer", data[position:])
    return (*extras, *trailer), too_long


def from_webp(data: bytes, known: Metadata) -> Carried:
    """Read the chunks of a WebP file; `known` as in `from_jpeg`."""
    extras = []
    position = 12
    end = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        payload = data[position + 8 : position + 8 + length]
        if payload and not _webp_elsewhere(kind, payload, known):
            extras.append(Extra(f"WebP {kind.decode('latin-1')}", _OPAQUE, payload))
        position += 8 + length + length % 2
    trailer, too_long = _trailer("WebP trailer", data[end:])
    return (*extras, *trailer), too_long


def into_jpeg(data: bytes, extras: Sequence[Extra], exif: bytes | None = None) -> tuple[bytes, list[Extra]]:
    """Put EXIF, and what came from a JPEG file, into one; return the file, and the extras that do not fit."""
    jfif = trailer = late = b""
    early = b"" if exif is None else _exif_segments(exif)
    others = []
    for extra in extras:
        marker = _JPEG_MARKERS.get(extra.name)
        if extra.name == _JPEG_TRAILER:
            trailer += extra.data
        elif marker is None or len(extra.data) > _LARGEST_SEGMENT:
            others.append(extra)
        elif marker == _APP0 and extra.data.startswith(_JFIF) and not jfif:
            jfif = _segment(marker, extra.data)
        elif marker == _APP1 and extra.data.startswith(_XMP):
            # Of several XMP segments readers take the last, which is to be the file's own.
            early += _segment(marker, extra.data)
        else:
            late += _segment(marker, extra.data)
    # JFIF, EXIF and XMP want to come first; everything else may come in any order before the tables.
    first, place = _ends_of_heads(data)
    head = data[:2] + (jfif or data[2:first]) + early + data[first:place] + late
    return head + data[place:] + trailer, others


def from_pico(data: bytes) -> Carried:
    """Take over the extras of a .pico file."""
    return Container(io.BytesIO(data)).metadata.extras, None


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


def _ends_of_heads(data: bytes) -> tuple[int, int]:
    """Where the first segment of a JPEG file ends if it is an APP0, and where the last of APP0 to APP2 does."""
    heads = [(marker, stop) for marker, _, stop in jpeg_segments(data) if _APP0 <= marker <= _APP2]
    first = heads[0][1] if heads and heads[0][0] == _APP0 else 2
    return first, max((stop for _, stop in heads), default=2)


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _exif_segments(exif: bytes) -> bytes:
    """EXIF too long for a segment goes on in further ones with the same prefix, as ExifTool and Pillow read it."""
    bare = exif.removeprefix(_EXIF)
    room = _LARGEST_SEGMENT - len(_EXIF)
    starts = range(0, max(1, len(bare)), room)
    return b"".join(_segment(_APP1, _EXIF + bare[start : start + room]) for start in starts)


def _jpeg_elsewhere(marker: int, payload: bytes, known: Metadata) -> bool:
    """Whether a segment is coding only, or its very bytes travel as EXIF, XMP or ICC, or it holds nothing."""
    if not payload or marker not in _JPEG_NAMES:
        return True
    if marker == _APP0:
        return payload.startswith(_JFIF) and _is_plain(payload)
    if marker == _APP1:
        if payload.startswith(_EXIF):
            return payload.removeprefix(_EXIF) in (known.exif or b"")
        return known.xmp is not None and payload == _XMP + known.xmp
    if marker == _APP2:
        return known.icc is not None and payload.startswith(b"ICC_PROFILE\0")
    return marker == _APP14 and payload.startswith(b"Adobe")


def _png_elsewhere(kind: bytes, payload: bytes, known: Metadata) -> bool:
    if kind == b"iTXt" and payload.startswith(_PNG_XMP):
        return known.xmp is not None and _png_text(payload, len(known.xmp)) == known.xmp
    if kind == b"eXIf":
        return known.exif is not None and payload == known.exif.removeprefix(_EXIF)
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
        return known.exif is not None and payload.removeprefix(_EXIF) == known.exif.removeprefix(_EXIF)
    return kind in _WEBP_CODING or (kind, payload) in ((b"XMP ", known.xmp), (b"ICCP", known.icc))


def _is_plain(jfif: bytes) -> bool:
    """Whether a JFIF segment tells nothing: no density, square pixels, and no thumbnail."""
    return jfif[7:8] == b"\0" and jfif[8:10] == jfif[10:12] and jfif[12:] == b"\0\0"


def _trailer(name: str, data: bytes) -> Carried:
    """Zeros are padding; a few bytes are a maker's notes and are carried; many are a video or a picture."""
    if not data.strip(b"\0"):
        return (), None
    if len(data) > _LARGEST_TRAILER:
        return (), _TRAILER
    return (Extra(name, _OPAQUE, data),), None
