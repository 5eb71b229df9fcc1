"""The preview inside a .pico file as a JPEG that a browser shows upright and in the right colours, not decoded here."""

from __future__ import annotations

import io

from PIL import JpegImagePlugin

from pico_core.container import Container
from pico_library.thumbnail import shows_all

_PROFILE_CHUNK = 65_000
_MOST_CHUNKS = 255


def preview_jpeg(container: Container, orientation: int) -> bytes | None:
    """The preview, with the picture's orientation and ICC profile put into it; None if there is none to show.

    Raises CorruptError or TruncatedError.
    """
    data = container.preview
    if data is None or not _shows_the_picture(container, data):
        return None
    return dressed(data, orientation, container.icc)


def dressed(jpeg: bytes, orientation: int, profile: bytes | None) -> bytes:
    """A JPEG with this EXIF orientation (1 to 8) and ICC profile in place of its own."""
    kept, position = [], 2
    while jpeg[position : position + 1] == b"\xff" and 0xE0 <= jpeg[position + 1] <= 0xEF:
        end = position + 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if jpeg[position + 1] not in (0xE1, 0xE2):
            kept.append(jpeg[position:end])
        position = end
    if orientation != 1:
        entry = b"\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation]) + b"\0\0"
        kept.append(_segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + bytes(4)))
    if profile:
        chunks = [profile[at : at + _PROFILE_CHUNK] for at in range(0, len(profile), _PROFILE_CHUNK)]
        if len(chunks) <= _MOST_CHUNKS:
            kept += [
                _segment(0xE2, b"ICC_PROFILE\0" + bytes([number, len(chunks)]) + chunk)
                for number, chunk in enumerate(chunks, 1)
            ]
    return b"".join([jpeg[:2], *kept, jpeg[position:]])


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def _shows_the_picture(container: Container, data: bytes) -> bool:
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as im:
            return shows_all((container.picture.width, container.picture.height), im.size)
    except (OSError, SyntaxError, ValueError):
        return False
