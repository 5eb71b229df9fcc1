"""What JPEG, PNG and WebP files carry beside pixels, EXIF, XMP and ICC, as opaque items of a .pico file.

Each item holds the payload of one segment or chunk, byte for byte, in the order of the file. Left out are
those that only say how the source coded its pixels.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence

from pico_core.container import Container, Extra

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

_PNG_HEADER = 8
_PNG_ELSEWHERE = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf"})
_PNG_XMP = b"XML:com.adobe.xmp\0"

_WEBP_ELSEWHERE = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "})


def from_jpeg(data: bytes, *, has_icc: bool) -> Carried:
    """Read the segments of a JPEG file; `has_icc` tells whether its ICC segments made up a profile."""
    extras = []
    left_behind = None
    end = len(data)
    for marker, start, stop in jpeg_segments(data):
        payload = data[start:stop]
        if marker == _EOI:
            end = stop
        elif marker == _APP2 and payload.startswith(b"MPF\0"):
            left_behind = _MULTI_PICTURE
        elif not _jpeg_elsewhere(marker, payload, has_icc=has_icc):
            extras.append(Extra(_JPEG_NAMES[marker], _OPAQUE, payload))
    trailer, too_long = _trailer(_JPEG_TRAILER, data[end:])
    return (*extras, *trailer), left_behind or too_long


def from_png(data: bytes) -> Carried:
    """Read the chunks of a PNG file."""
    extras = []
    position = _PNG_HEADER
    kind = b""
    while kind != b"IEND" and position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        payload = data[position + 8 : position + 8 + length]
        if payload and kind not in _PNG_ELSEWHERE and not (kind == b"iTXt" and payload.startswith(_PNG_XMP)):
            extras.append(Extra(f"PNG {kind.decode('latin-1')}", _OPAQUE, payload))
        position += 12 + length
    trailer, too_long = _trailer("PNG trailer", data[position:])
    return (*extras, *trailer), too_long


def from_webp(data: bytes) -> Carried:
    """Read the chunks of a WebP file."""
    extras = []
    position = 12
    end = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        payload = data[position + 8 : position + 8 + length]
        if payload and kind not in _WEBP_ELSEWHERE:
            extras.append(Extra(f"WebP {kind.decode('latin-1')}", _OPAQUE, payload))
        position += 8 + length + length % 2
    trailer, too_long = _trailer("WebP trailer", data[end:])
    return (*extras, *trailer), too_long


def into_jpeg(data: bytes, extras: Sequence[Extra]) -> tuple[bytes, list[Extra]]:
    """Put what came from a JPEG file back into one; return the file, and the extras that do not fit."""
    segments = b""
    trailer = b""
    others = []
    for extra in extras:
        marker = _JPEG_MARKERS.get(extra.name)
        if marker is not None and len(extra.data) <= _LARGEST_SEGMENT:
            segments += struct.pack(">BBH", 0xFF, marker, len(extra.data) + 2) + extra.data
        elif extra.name == _JPEG_TRAILER:
            trailer += extra.data
        else:
            others.append(extra)
    # JFIF, EXIF and XMP want to come first; everything else may come in any order before the tables.
    heads = (stop for marker, _, stop in jpeg_segments(data) if _APP0 <= marker <= _APP2)
    place = max(heads, default=2)
    return data[:place] + segments + data[place:] + trailer, others


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


def _jpeg_elsewhere(marker: int, payload: bytes, *, has_icc: bool) -> bool:
    """Whether a segment is coding only, or travels as EXIF, XMP or ICC, or holds nothing."""
    if not payload or marker not in _JPEG_NAMES:
        return True
    if marker == _APP0:
        return payload.startswith(b"JFIF\0")
    if marker == _APP1:
        return payload.startswith((b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0"))
    if marker == _APP2:
        return has_icc and payload.startswith(b"ICC_PROFILE\0")
    return marker == _APP14 and payload.startswith(b"Adobe")


def _trailer(name: str, data: bytes) -> Carried:
    """Zeros are padding; a few bytes are a maker's notes and are carried; many are a video or a picture."""
    if not data.strip(b"\0"):
        return (), None
    if len(data) > _LARGEST_TRAILER:
        return (), _TRAILER
    return (Extra(name, _OPAQUE, data),), None
