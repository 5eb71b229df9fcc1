"""What a photo's file holds beside the photo: found, carried whole inside the .pico file, and put right again.

A .pico file carries these parts as opaque items. `pico_codec.carried` brings the small ones along always, and
`pico_codec.returned` all of them back; here are the large ones: videos, further pictures, data of unknown kinds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from pico_codec import carried, carried_tiff, heif
from pico_codec.source import Source
from pico_core.container import Extra
from pico_library.model.reasons import Reason, more_inside

MPF = b"MPF\0"
#: The name of the item that holds a TIFF file but for its pixels, where it has more tags than EXIF can.
TIFF_REST = "TIFF without its pixels"
_EOI, _APP2, _SOS = 0xD9, 0xE2, 0xDA
_MP_ENTRY_TAG, _MP_ENTRY_SIZE = 0xB002, 16


@dataclass(frozen=True)
class Parts:
    """What lies in a JPEG file: the payloads of its segments, its MPF segment, and the bytes behind the picture."""

    heads: tuple[bytes, ...]
    multi_picture: bytes | None
    behind: bytes


def parts_of(source: Source, data: bytes) -> Parts:
    """Take a picture file apart; other formats than JPEG have only what is behind the picture."""
    if source.format not in ("JPEG", "MPO"):
        known = tuple(part for part in (source.metadata.xmp, source.metadata.exif) if part)
        return Parts(known, None, b"" if source.left_behind is None else data[-(1 << 20) :])
    heads: list[bytes] = []
    index, end = None, len(data)
    for marker, start, stop in carried.jpeg_segments(data):
        payload = data[start:stop]
        if marker == _EOI:
            end = stop
        elif marker == _APP2 and payload.startswith(MPF):
            index = payload
        else:
            heads.append(payload)
    behind = data[end:]
    return Parts(tuple(heads), index, behind if behind.strip(b"\0") else b"")


def reason_to_skip(source: Source, data: bytes) -> Reason | None:
    """What would be lost if the photo alone became a .pico file; None if that is nothing."""
    if source.format == heif.FORMAT:
        return _more_in_heif(source)
    if source.left_behind is None:
        return None
    parts = parts_of(source, data)
    several = parts.multi_picture is not None or source.format == "MPO"
    return more_inside(parts.heads, parts.behind, several=several) or Reason.TRAILER


def _more_in_heif(source: Source) -> Reason | None:
    names = [extra.name for extra in source.metadata.extras]
    described = b"".join(extra.data for extra in source.metadata.extras if extra.name == heif.DESCRIPTION)
    if not names:
        return None
    found = more_inside([described], b"".join(name.encode() for name in names), several=True)
    return Reason.MOTION if any("mpvd" in name for name in names) else found


def with_everything(source: Source, data: bytes) -> Source:
    """The source with all that it holds among its extras. What no extra can hold is left behind still."""
    if source.left_behind is None:
        return source
    if source.format in carried.TRAILERS:
        name = carried.TRAILERS[source.format]
        return _with(source, Extra(name, carried.OPAQUE, data[carried.end_of_picture(source.format, data) :]))
    if source.format == "TIFF":
        return _with(source, Extra(TIFF_REST, carried.OPAQUE, carried_tiff.without_pixels(data)))
    if source.format not in ("JPEG", "MPO"):
        return source
    parts = parts_of(source, data)
    extras = [extra for extra in source.metadata.extras if extra.name != carried.JPEG_TRAILER]
    if parts.multi_picture is not None:
        extras.append(Extra("JPEG APP2", carried.OPAQUE, parts.multi_picture))
    if parts.behind:
        extras.append(Extra(carried.JPEG_TRAILER, carried.OPAQUE, parts.behind))
    metadata = replace(source.metadata, extras=tuple(extras))
    return replace(source, metadata=metadata, left_behind=None)


def _with(source: Source, extra: Extra) -> Source:
    metadata = replace(source.metadata, extras=(*source.metadata.extras, extra))
    return replace(source, metadata=metadata, left_behind=None)


def repair_multi_picture(data: bytes) -> bytes:
    """Make the index of a multi-picture JPEG point at its further pictures again, after the first was coded anew.

    The pictures behind the first keep their order and distances; the index counts from itself.
    """
    base, end = None, len(data)
    for marker, start, stop in carried.jpeg_segments(data):
        if marker == _APP2 and data.startswith(MPF, start):
            base = start + len(MPF)
        elif marker == _EOI:
            end = stop
    if base is None:
        return data
    entries = _index_entries(data, base)
    if not entries:
        return data
    byte_order, positions = entries
    offsets = [struct.unpack_from(byte_order + "II", data, at + 4)[1] for at in positions]
    further = [offset for offset in offsets if offset]
    result = bytearray(data)
    struct.pack_into(byte_order + "I", result, positions[0] + 4, end)
    if further:
        shift = end - base - min(further)
        for at, offset in zip(positions, offsets, strict=True):
            if offset:
                struct.pack_into(byte_order + "I", result, at + 8, offset + shift)
    return bytes(result)


def _index_entries(data: bytes, base: int) -> tuple[str, list[int]] | None:
    """Byte order and positions of the entries of an MP index; None if it cannot be understood."""
    byte_order = {b"II": "<", b"MM": ">"}.get(data[base : base + 2])
    if byte_order is None:
        return None
    try:
        at = base + struct.unpack_from(byte_order + "I", data, base + 4)[0]
        for number in range(struct.unpack_from(byte_order + "H", data, at)[0]):
            tag, _, count, value = struct.unpack_from(byte_order + "HHII", data, at + 2 + 12 * number)
            if tag == _MP_ENTRY_TAG:
                first = base + value
                struct.unpack_from(f"{byte_order}{count}B", data, first)
                return byte_order, [first + _MP_ENTRY_SIZE * n for n in range(count // _MP_ENTRY_SIZE)]
    except struct.error:
        return None
    return None
