"""Picture files of kinds that other programs stumbled over: what they hold goes there and comes back as it was."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import piexif
import pytest
from PIL import Image

import pillow_pico
from pico_codec import carried, returned
from pico_codec.source import read_source
from pico_core import PicoFile


def picture(kind: str, **options: object) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def with_chunks(*chunks: bytes) -> bytes:
    data = picture("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def exif_block(thumbnail: bytes | None = None, orientation: int = 6) -> bytes:
    tags = {"0th": {piexif.ImageIFD.Model: b"CAM", piexif.ImageIFD.Orientation: orientation}}
    if thumbnail is not None:
        tags |= {"1st": {piexif.ImageIFD.Compression: 6}, "thumbnail": thumbnail}
    block: bytes = piexif.dump(tags)
    return block


@pytest.mark.parametrize("kind", [b"iDOT", b"teST", b"abCD"])
def test_chunk_that_is_true_of_other_data_is_left_out(kind: bytes) -> None:
    source = read_source(
        with_chunks(chunk(kind, b"1234"), chunk(b"tEXt", b"Key\0value"), chunk(b"teSt", b"5"))
    )
    data, left = returned.into_png(picture("PNG"), source.metadata.extras)
    assert [extra.name for extra in left] == [f"PNG {kind.decode()}"]
    assert kind not in data
    assert b"Key\0value" in data
    assert b"teSt5" in data, "whoever copies may copy this one"


@pytest.mark.parametrize("name", ["exif", "APP1"])
@pytest.mark.parametrize("packed", [True, False])
def test_exif_is_found_where_it_is_written_as_text(name: str, packed: bool) -> None:
    block = exif_block()
    text = f"\nexif\n{len(block):8}\n" + "\n".join(
        block.hex()[start : start + 72] for start in range(0, 2 * len(block), 72)
    )
    key = f"Raw profile type {name}".encode() + b"\0"
    content = (
        chunk(b"zTXt", key + b"\0" + zlib.compress(text.encode()))
        if packed
        else chunk(b"tEXt", key + text.encode())
    )
    assert read_source(with_chunks(content)).metadata.exif == block


@pytest.mark.parametrize("kind", ["zTXt", "iTXt"])
def test_long_text_is_carried_as_it_is_packed(kind: str) -> None:
    packed = zlib.compress(b"a word " * 300_000)
    payload = b"Key\0\0" + packed if kind == "zTXt" else b"Key\0\1\0\0\0" + packed
    source = read_source(with_chunks(chunk(kind.encode(), payload)))
    assert [extra.data for extra in source.metadata.extras] == [payload]
    data, left = returned.into_png(picture("PNG"), source.metadata.extras)
    assert not left
    assert payload in data


def test_every_exif_segment_of_a_jpeg_comes_back_as_it_was() -> None:
    first, second = exif_block(), b"Exif\0\0" + b"more of it" * 9
    plain = picture("JPEG")
    segments = b"".join(struct.pack(">BBH", 0xFF, 0xE1, len(one) + 2) + one for one in (first, second))
    source = read_source(plain[:2] + segments + plain[2:])
    data, left = returned.into_jpeg(plain, source.metadata.extras, source.metadata.exif)
    assert not left
    assert segments in data
    assert read_source(data).metadata == source.metadata


def test_long_exif_of_one_piece_is_no_exif_of_several() -> None:
    block = exif_block() + bytes(70_000)
    data, _ = returned.into_jpeg(picture("JPEG"), (), block)
    source = read_source(data)
    assert source.metadata.exif == block
    again, left = returned.into_jpeg(picture("JPEG"), source.metadata.extras, source.metadata.exif)
    assert not left
    assert list(carried.jpeg_segments(again)) == list(carried.jpeg_segments(data))


def saved(im: Image.Image, **options: object) -> PicoFile:
    return PicoFile(pillow_pico.to_bytes(im, lossless=True, **options))


@pytest.mark.parametrize("name", ["icc_profile", "exif", "xmp"])
@pytest.mark.parametrize("nothing", ["", b"", None])
def test_nothing_is_nothing_in_whatever_form(name: str, nothing: object) -> None:
    metadata = saved(Image.new("RGB", (8, 8)), **{name: nothing}).metadata
    assert (metadata.icc, metadata.exif, metadata.xmp) == (None, None, None)
