"""What GIF and JPEG 2000 files carry beside pixels, and what of other formats has to stay behind.

Pillow finds little of it: XMP, ICC profiles and EXIF are read here, and go where those of other formats do. The
rest of a GIF or JPEG 2000 file becomes opaque items, as in `carried`. Of every other format a phrase says what
does not go along.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pico_codec.carried import MULTI_PICTURE, OPAQUE, trailer_of
from pico_core.container import Extra, Metadata

Found = tuple[Metadata, str | None]

_GIF_HEADER = 13
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_GIF_CONTROL, _GIF_APPLICATION = 0xF9, 0xFF
_GIF_NAMES = {0x01: "GIF text", 0xFE: "GIF comment", _GIF_APPLICATION: "GIF application"}
_GIF_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_GIF_XMP, _GIF_ICC = b"XMP DataXMP", b"ICCRGBG1012"
#: XMP lies in a GIF file as it is, not in blocks; whatever block a reader takes it for ends within these bytes.
_GIF_XMP_END = bytes([1, *range(255, -1, -1), 0])

_JP2_CODING = frozenset(
    {b"jP  ", b"ftyp", b"ihdr", b"bpcc", b"pclr", b"cmap", b"cdef", b"rreq", b"free", b"skip"}
)
_JP2_XMP, _JP2_EXIF = bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), b"JpgTiffExif->JP2"
_JP2_ICC_METHODS = (b"\2", b"\3")
_CODESTREAM, _TILE, _CODESTREAM_COMMENT = b"\xff\x4f", 0x90, 0x64

#: What Pillow's `info` has that says how pixels are to be read, or that is carried.
_NOT_LEFT = frozenset(
    {"exif", "xmp", "icc_profile", "transparency", "background", "compression", "orientation"}
)
_NOT_LEFT |= {"interlace", "gamma", "scale", "sizes", "duration", "timestamp", "loop", "version"}
_PPM_COMMENT = re.compile(rb"P\d\s+(\d+\s+){0,2}#")
_SGI_NAME = slice(24, 104)
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"
_BMP_COLOUR_SPACE, _BMP_PROFILES = slice(70, 74), (b"DEBM", b"KNIL")


def from_gif(data: bytes) -> Found:
    """Read the extensions of a GIF file."""
    metadata = Metadata()
    extras = []
    end = len(data)
    for label, start, stop in _gif_blocks(data):
        raw = data[start:stop]
        if label == _GIF_END:
            end = stop
        elif label == _GIF_APPLICATION and raw[1:12] == _GIF_XMP and raw.endswith(_GIF_XMP_END):
            metadata = replace(metadata, xmp=raw[12 : -len(_GIF_XMP_END)] or None)
        elif label == _GIF_APPLICATION and raw[1:12] == _GIF_ICC:
            metadata = replace(metadata, icc=_joined(raw[12:]) or None)
        elif label != _GIF_CONTROL and raw[1:12] not in _GIF_LOOPS and (content := _joined(raw)):
            extras.append(Extra(_GIF_NAMES.get(label, "GIF extension"), OPAQUE, content))
    trailer, too_long = trailer_of("GIF trailer", data[end:])
    return replace(metadata, extras=(*extras, *trailer)), too_long


def from_jpeg2000(data: bytes) -> Found:
    """Read the boxes of a JPEG 2000 file, or a bare codestream."""
    metadata = Metadata()
    extras = []
    streams = 0
    coloured = False
    for kind, start, stop in _jp2_boxes(data):
        payload = data[start:stop]
        if kind == b"jp2c":
            streams += 1
            extras += _codestream_comments(payload) if streams == 1 else []
        elif kind == b"colr" and not coloured:  # readers take the first
            coloured = True
            if payload[:1] in _JP2_ICC_METHODS:
                metadata = replace(metadata, icc=payload[3:] or None)
        elif kind == b"uuid" and payload[:16] == _JP2_XMP and metadata.xmp is None:
            metadata = replace(metadata, xmp=payload[16:] or None)
        elif kind == b"uuid" and payload[:16] == _JP2_EXIF and metadata.exif is None:
            metadata = replace(metadata, exif=payload[16:] or None)
        elif kind not in _JP2_CODING and payload:
            extras.append(Extra(_jp2_name(kind), OPAQUE, payload))
    return replace(metadata, extras=tuple(extras)), MULTI_PICTURE if streams > 1 else None


def jpeg2000_codestream(data: bytes) -> int:
    """Where the first codestream of a JPEG 2000 file begins; its end if there is none."""
    return next((start for kind, start, _ in _jp2_boxes(data) if kind == b"jp2c"), len(data))


def left_of(kind: str, data: bytes, info: dict[Any, Any]) -> str | None:
    """What a file of another format holds beside its pixels, EXIF, XMP and ICC profile; None if that is nothing.

    `info` is Pillow's.
    """
    if kind == "PSD":
        return "layers and resources of a PSD file other than its ICC profile"
    if len(tuple(info.get("sizes") or ())) > 1:
        return "further pictures (the same in other sizes)"
    if kind == "AVIF" and _has_gain_or_depth_map(data):
        return MULTI_PICTURE
    names = [str(key) for key in info if key not in _NOT_LEFT]
    if (look := _UNREAD.get(kind)) is not None and (name := look(data)) is not None:
        names.append(name)
    return f"{', '.join(sorted(names))} of a {kind} file" if names else None


def _gif_blocks(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Label, start and end of the blocks of each extension, and the place behind the end; up to the damage."""
    position = _GIF_HEADER + _palette_size(data, 10)
    while position + 2 < len(data) or data[position : position + 1] == bytes([_GIF_END]):
        if data[position] == _GIF_END:
            yield _GIF_END, position + 1, position + 1
            return
        if data[position] == _GIF_EXTENSION:
            start = position + 2
            position = _end_of_blocks(data, start)
            yield data[start - 1], start, position
        elif data[position] == _GIF_IMAGE:
            position = _end_of_blocks(data, position + 11 + _palette_size(data, position + 9))
        else:
            return


def _palette_size(data: bytes, flags_at: int) -> int:
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _end_of_blocks(data: bytes, position: int) -> int:
    while position < len(data) and data[position]:
        position += 1 + data[position]
    return min(position + 1, len(data))


def _joined(raw: bytes) -> bytes:
    """The content of GIF blocks, each of which begins with its length."""
    content = b""
    position = 0
    while position < len(raw) and raw[position]:
        content += raw[position + 1 : position + 1 + raw[position]]
        position += 1 + raw[position]
    return content


def _jp2_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the payload of each box, with those in the header box; up to the damage."""
    if data.startswith(_CODESTREAM):
        yield b"jp2c", 0, len(data)
        return
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        stop = position + length if length else len(data)
        if kind == b"jp2h":
            position = start  # its boxes follow one another as all others do
            continue
        if not start <= stop <= len(data):
            return
        yield kind, start, stop
        position = stop


def _jp2_name(kind: bytes) -> str:
    return f"JP2 {kind.replace(bytes(1), b'?').decode('latin-1').strip()}"


def _codestream_comments(stream: bytes) -> list[Extra]:
    comments = []
    position = len(_CODESTREAM)
    while position + 4 <= len(stream) and stream[position] == 0xFF and stream[position + 1] != _TILE:
        (length,) = struct.unpack_from(">H", stream, position + 2)
        if stream[position + 1] == _CODESTREAM_COMMENT and length > 2:
            comments.append(Extra("JP2 COM", OPAQUE, stream[position + 4 : position + 2 + length]))
        position += 2 + length
    return comments


def _has_gain_or_depth_map(data: bytes) -> bool:
    """Whether an AVIF file describes, before its pixels, another picture than the photo and its alpha."""
    described = data.partition(b"mdat")[0]
    return b"tmap" in described or b"auxiliary:depth" in described


def _ppm(data: bytes) -> str | None:
    return "comments" if _PPM_COMMENT.match(data) else None


def _sgi(data: bytes) -> str | None:
    return "the name" if data[_SGI_NAME].strip(b"\0 ") else None


def _tga(data: bytes) -> str | None:
    if not data.endswith(_TGA_FOOTER):
        return None
    areas = struct.unpack_from("<II", data, len(data) - 26) if len(data) >= 26 else (0, 0)
    return "author, comments and other areas" if any(areas) else None


def _bmp(data: bytes) -> str | None:
    return (
        "the colour profile" if data[_BMP_COLOUR_SPACE] in _BMP_PROFILES and data[14:15] == b"\x7c" else None
    )


_UNREAD: dict[str, Callable[[bytes], str | None]] = {"BMP": _bmp, "PPM": _ppm, "SGI": _sgi, "TGA": _tga}
