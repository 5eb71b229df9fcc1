"""Picture files made by hand, down to their segments and chunks, for the tests of pico-codec."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

from PIL import Image

from pico_codec.cli import main

EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"


def jpeg(im: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    im.save(stream, "JPEG", **options)
    return stream.getvalue()


def app1(payload: bytes) -> bytes:
    return struct.pack(">HH", 0xFFE1, len(payload) + 2) + payload


def with_heads(*heads: bytes, **options: object) -> bytes:
    """A JPEG file with these segments behind its first."""
    plain = jpeg(Image.new("RGB", (9, 8)), **options)
    return plain[:20] + b"".join(heads) + plain[20:]


def there_and_back(path: Path) -> bytes:
    """What the command makes of a JPEG file by way of a .pico file."""
    pico, again = path.with_suffix(".pico"), path.with_name("again.jpg")
    assert main(["encode", "--lossless", str(path), str(pico)]) == 0
    assert main(["decode", str(pico), str(again), "--force"]) == 0
    return again.read_bytes()


def png(header: tuple[int, int], row: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of two pixels; `header` is its depth and colour type."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, *header, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    lengths = ((struct.pack(">I", len(data)), kind + data) for kind, data in parts)
    whole = (length + body + struct.pack(">I", zlib.crc32(body)) for length, body in lengths)
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def itxt(text: bytes, compressed: int = 0) -> tuple[bytes, bytes]:
    return b"iTXt", b"XML:com.adobe.xmp\0" + bytes([compressed, 0]) + b"\0\0" + text


TIFFS = (EXIF.removeprefix(b"Exif\0\0"), b"II*\0\x08\0\0\0\0\0\0\0\0\0")


def webp(*more: tuple[bytes, bytes], flags: int = 0xFF) -> bytes:
    """A WebP file with EXIF and XMP and further chunks; `flags` clears bits of its VP8X."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "WEBP", lossless=True, exif=TIFFS[0], xmp=b"<own/>")
    body = bytearray(stream.getvalue()[8:])
    body[12] &= flags
    for kind, data in more:
        body += kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + bytes(body)
