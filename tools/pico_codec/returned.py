"""What a .pico file took over from a JPEG, PNG or WebP file as opaque items (see `carried`), put into one again."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Sequence

from pico_codec import carried
from pico_core.container import Extra

_LARGEST_SEGMENT = 65_533
#: More XMP than this does not fit into a JPEG file: it has to be in one segment.
LARGEST_JPEG_XMP = _LARGEST_SEGMENT - len(carried.XMP)
_APP0, _APP1, _APP2 = 0xE0, 0xE1, 0xE2

_PNG_SIGNATURE_AND_HEADER = 8 + 25
_PNG_SIZE = slice(16, 24)  # of the picture, in a PNG file
_FRAME_SIZE = slice(4, 12)  # in an fcTL chunk
#: Chunks that are "unsafe to copy", but hold for the picture and not for the way it is coded.
_PNG_KNOWN = frozenset(
    {
        b"cHRM",
        b"gAMA",
        b"sBIT",
        b"sRGB",
        b"iCCP",
        b"cICP",
        b"mDCV",
        b"cLLI",
        b"mDCv",
        b"cLLi",
        b"tIME",
        b"eXIf",
    }
) | frozenset({b"bKGD", b"acTL", b"fcTL", b"fdAT"})
_PNG_DENSITY = "PNG pHYs"
_FOR_A_METRE = {
    0: 1.0,
    1: 1 / 0.0254,
    2: 100.0,
}  # of the units of JFIF: none (a ratio only), inch, centimetre


def into(kind: str, data: bytes, extras: Sequence[Extra], exif: bytes | None) -> tuple[bytes, list[Extra]]:
    """Put what a picture file of one of Pillow's formats can take back into it.

    Returns the file, and the extras that do not fit. `exif` goes into JPEG files only: to others Pillow writes it.
    """
    if kind in ("JPEG", "MPO"):
        return into_jpeg(data, extras, exif)
    if kind == "PNG":
        return into_png(data, suited(extras, kind))
    if kind == "WEBP":
        return into_webp(data, extras)
    return data, list(extras)


def suited(extras: Sequence[Extra], kind: str) -> tuple[Extra, ...]:
    """The extras as a format can have them: into a PNG file the density of a JPEG file goes as its `pHYs` chunk.

    The JFIF segment that tells the density is replaced if there is nothing more in it, and otherwise follows.
    """
    first = next((n for n, extra in enumerate(extras) if _is_jfif(extra)), None)
    if kind != "PNG" or first is None or any(extra.name == _PNG_DENSITY for extra in extras):
        return tuple(extras)
    jfif = extras[first].data
    density = _density(jfif)
    if density is None:
        return tuple(extras)
    rest = first + 1 if jfif[12:] == b"\0\0" else first  # else there is a thumbnail, which no chunk can hold
    return (*extras[:first], density, *extras[rest:])


def into_jpeg(data: bytes, extras: Sequence[Extra], exif: bytes | None = None) -> tuple[bytes, list[Extra]]:
    """Put EXIF, and what came from a JPEG file, into one; return the file, and the extras that do not fit."""
    jfif = trailer = late = b""
    parts = next((extra.data for extra in extras if extra.name == carried.EXIF_PARTS), b"")
    early = b"" if exif is None else _exif_segments(exif, parts)
    others = []
    for extra in extras:
        marker = carried.JPEG_MARKERS.get(extra.name)
        if extra.name == carried.JPEG_TRAILER:
            trailer += extra.data
        elif extra.name == carried.EXIF_PARTS and exif is not None:
            continue  # done above
        elif marker is None or len(extra.data) > _LARGEST_SEGMENT:
            others.append(extra)
        elif marker == _APP0 and extra.data.startswith(carried.JFIF) and not jfif:
            jfif = _segment(marker, extra.data)
        elif marker == _APP1 and extra.data.startswith(carried.XMP):
            # Of several XMP segments readers take the last, which is to be the file's own.
            early += _segment(marker, extra.data)
        else:
            late += _segment(marker, extra.data)
    # JFIF, EXIF and XMP want to come first; everything else may come in any order before the tables.
    first, place = _ends_of_heads(data)
    head = data[:2] + (jfif or data[2:first]) + early + data[first:place] + late
    return head + data[place:] + trailer, others


def into_png(data: bytes, extras: Sequence[Extra]) -> tuple[bytes, list[Extra]]:
    """Put what came from a PNG file back into one; return the file, and the extras that do not fit."""
    chunks, trailer, others = b"", b"", []
    for extra in extras:
        kind = extra.name.removeprefix("PNG ").encode("latin-1", "replace")
        if extra.name == "PNG trailer":
            trailer += extra.data
        elif not _is_true_of_other_data(kind):
            others.append(extra)
        elif kind == b"fcTL" and extra.data[_FRAME_SIZE] != data[_PNG_SIZE]:
            others.append(extra)  # of a picture of which this is a part: readers would refuse the file
        elif extra.name.startswith("PNG ") and len(kind) == 4:
            checked = kind + extra.data
            chunks += struct.pack(">I", len(extra.data)) + checked + struct.pack(">I", zlib.crc32(checked))
        else:
            others.append(extra)
    place = _PNG_SIGNATURE_AND_HEADER
    return data[:place] + chunks + data[place:] + trailer, others


def _is_true_of_other_data(kind: bytes) -> bool:
    """Whether a PNG chunk may stand beside pixels that were coded anew, as its name tells (PNG 3rd edition, 5.4).

    The fourth letter of one that may is small; of those with a large one only the known ones tell nothing of the data.
    """
    return len(kind) != 4 or kind in _PNG_KNOWN or bool(kind[3] & 0x20)


def into_webp(data: bytes, extras: Sequence[Extra]) -> tuple[bytes, list[Extra]]:
    """Put what came from a WebP file back into one; return the file, and the extras that do not fit."""
    chunks, trailer, others = b"", b"", []
    for extra in extras:
        kind = extra.name.removeprefix("WebP ").encode("latin-1", "replace")
        if extra.name == "WebP trailer":
            trailer += extra.data
        elif extra.name.startswith("WebP ") and len(kind) == 4 and data[12:16] == b"VP8X":
            chunks += kind + struct.pack("<I", len(extra.data)) + extra.data + b"\0" * (len(extra.data) % 2)
        else:
            others.append(extra)
    whole = data + chunks
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:] + trailer, others


def _is_jfif(extra: Extra) -> bool:
    return extra.name == "JPEG APP0" and extra.data.startswith(carried.JFIF)


def _density(jfif: bytes) -> Extra | None:
    """The `pHYs` chunk that says what a JFIF segment does of the density; None if that says nothing sensible."""
    if len(jfif) < 14:
        return None
    unit, across, down = struct.unpack_from(">BHH", jfif, 7)
    if unit not in _FOR_A_METRE or not across or not down:
        return None
    numbers = (round(number * _FOR_A_METRE[unit]) for number in (across, down))
    return Extra(_PNG_DENSITY, carried.OPAQUE, struct.pack(">IIB", *numbers, min(unit, 1)))


def _ends_of_heads(data: bytes) -> tuple[int, int]:
    """Where the first segment of a JPEG file ends if it is an APP0, and where the last of APP0 to APP2 does."""
    heads = [(marker, stop) for marker, _, stop in carried.jpeg_segments(data) if _APP0 <= marker <= _APP2]
    first = heads[0][1] if heads and heads[0][0] == _APP0 else 2
    return first, max((stop for _, stop in heads), default=2)


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _exif_segments(exif: bytes, parts: bytes = b"") -> bytes:
    """EXIF too long for a segment goes on in further ones with the same prefix, as ExifTool and Pillow read it.

    `parts` are the lengths of the segments that it came in, if it did in several.
    """
    bare = exif.removeprefix(carried.EXIF)
    room = _LARGEST_SEGMENT - len(carried.EXIF)
    lengths = [int(length) for (length,) in struct.iter_unpack(">I", parts)] if len(parts) % 4 == 0 else []
    if sum(lengths) != len(bare) or max(lengths, default=room + 1) > room:
        lengths = [min(room, len(bare) - start) for start in range(0, max(1, len(bare)), room)]
    starts = itertools.accumulate(lengths, initial=0)
    return b"".join(
        _segment(_APP1, carried.EXIF + bare[start : start + length])
        for start, length in zip(starts, lengths, strict=False)
    )
