"""Pictures and metadata for the tests of the Pillow plug-in, saved and opened again."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

NATIVE = ("L", "LA", "RGB", "RGBA")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><about>hills</about></x:xmpmeta>'
RGB_PROFILE = b"\0" * 16 + b"RGB " + bytes(200)
CMYK_PROFILE = b"\0" * 16 + b"CMYK" + bytes(200)


def random_picture(mode: str = "RGB", size: tuple[int, int] = (60, 44), seed: int = 0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    return Image.frombytes(mode, size, values.tobytes())


def saved(im: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    im.save(stream, "PICO", **{"lossless": True, **options})
    return stream.getvalue()


def reopened(im: Image.Image, **options: Any) -> Image.Image:
    opened = Image.open(io.BytesIO(saved(im, **options)))
    opened.load()
    return opened


def exif(orientation: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "Maker of cameras"
    return tags


def camera_exif() -> bytes:
    """EXIF with a thumbnail directory, which Pillow's own rewriting loses."""
    first = b"\x01\x00" + b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + b"\x1a\x00\x00\x00"
    second = b"\x01\x00" + b"\x03\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + b"\x00\x00\x00\x00"
    return b"Exif\0\0II\x2a\x00\x08\x00\x00\x00" + first + second
