"""HEIF files put together from pictures that pillow-heif encodes: with EXIF, XMP, a gain map, a turn, as phones do."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import pytest
from PIL import Image

from pico_core import boxes
from pico_core.boxes import Extent, ItemInfo, Reference

GAIN_MAP = b"urn:com:apple:photo:2020:aux:hdrgainmap"


@dataclass(frozen=True)
class Coded:
    """An HEVC picture: its bytes, and the properties that a decoder needs."""

    data: bytes
    properties: tuple[bytes, ...]


def coded(im: Image.Image, depth: int = 8) -> Coded:
    """Encode a picture and take the file apart."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="only pillow-heif writes HEIC")
    stream = io.BytesIO()
    if depth == 8:
        made = pillow_heif.from_pillow(Image.frombytes(im.mode, im.size, im.tobytes()))  # without metadata
    else:
        made = pillow_heif.from_bytes("RGB;16", im.size, bytes(im.width * im.height * 6))
    made.save(stream, quality=90)
    data = stream.getvalue()
    top = boxes.children(data, 0, len(data))
    meta = boxes.only(top, b"meta", "sample")
    inner = boxes.children(data, meta.body + 4, meta.end)
    iprp = boxes.only(inner, b"iprp", "sample")
    pool = boxes.only(boxes.children(data, iprp.body, iprp.end), b"ipco", "sample")
    properties = [
        data[box.start : box.end]
        for box in boxes.children(data, pool.body, pool.end)
        if box.kind in (b"hvcC", b"ispe", b"pixi")
    ]
    mdat = boxes.only(top, b"mdat", "sample")
    return Coded(data[mdat.body : mdat.end], tuple(properties))


def heif(
    photo: Coded,
    *,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    icc: bytes | None = None,
    gain_map: Coded | None = None,
    quarter_turns: int = 0,
    video: bytes | None = None,
) -> bytes:
    """A file of item 1, the photo, and further ones; `quarter_turns` are anticlockwise, as `irot` has them."""
    infos, contents, references = [ItemInfo(1, b"hvc1", "", "")], {1: photo.data}, []
    properties = {1: [(True, one) for one in photo.properties]}
    if quarter_turns:
        properties[1].append((True, boxes.box(b"irot", bytes([quarter_turns]))))
    if icc is not None:
        properties[1].append((False, boxes.box(b"colr", b"prof", icc)))
    if gain_map is not None:
        infos.append(ItemInfo(2, b"hvc1", "", ""))
        contents[2] = gain_map.data
        kind = boxes.full_box(b"auxC", GAIN_MAP + b"\0")
        properties[2] = [*((True, one) for one in gain_map.properties), (True, kind)]
        references.append(Reference(b"auxl", 2, (1,)))
    if exif is not None:
        infos.append(ItemInfo(3, b"Exif", "", ""))
        contents[3] = struct.pack(">I", 6) + b"Exif\0\0" + exif
        references.append(Reference(b"cdsc", 3, (1,)))
    if xmp is not None:
        infos.append(ItemInfo(4, b"mime", "", "application/rdf+xml"))
        contents[4] = xmp
        references.append(Reference(b"cdsc", 4, (1,)))
    return _file(infos, contents, references, properties, video)


def _file(
    infos: list[ItemInfo],
    contents: dict[int, bytes],
    references: list[Reference],
    properties: dict[int, list[tuple[bool, bytes]]],
    video: bytes | None,
) -> bytes:
    start = 0
    for _ in range(2):  # the places are known when the length of what is before them is
        extents = {}
        position = start
        for number, content in contents.items():
            extents[number] = Extent(position, len(content))
            position += len(content)
        meta = boxes.full_box(
            b"meta",
            boxes.full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            boxes.full_box(b"pitm", struct.pack(">H", 1)),
            boxes.item_info_box(infos),
            boxes.item_reference_box(references) if references else b"",
            boxes.item_properties_box(properties),
            boxes.item_location_box(extents, wide=False),
        )
        head = boxes.box(b"ftyp", b"heic", bytes(4), b"mif1heic") + meta
        start = len(head) + boxes.COMPACT_HEADER
    tail = b"" if video is None else boxes.box(b"mpvd", video)
    return head + boxes.box(b"mdat", *contents.values()) + tail
