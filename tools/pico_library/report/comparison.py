"""The place of a photo that differs most, before and after, as small pictures for a page."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pico_codec.source import FILE_ERRORS, read_source
from pico_core import PicoFile
from pico_library.model.orientation import orientation_of, upright
from pico_library.model.records import Original, Record

WIDTH, HEIGHT = 480, 320


@dataclass(frozen=True)
class Comparison:
    """Two pictures of one place, as data URLs, and their size in pixels."""

    record: Record
    before: str
    after: str
    width: int
    height: int


def compare_worst_place(record: Record) -> Comparison | None:
    """Cut the worst place out of original and .pico file; None where one of them is gone, or another than it was."""
    original = record.path if record.original is Original.KEPT else record.original_at
    if original is None or record.target is None or record.crop is None:
        return None
    try:
        content, data = original.read_bytes(), record.target.read_bytes()
        if (_digest(content), _digest(data)) != (record.digest, record.target_digest):
            return None
        source = read_source(content)
        pixels, orientation = source.pixels, orientation_of(source.metadata.exif)
        # Photos that are shown turned by a quarter get a window that lies on its side.
        sides = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
        box = _around(record.crop, sides, pixels.shape[1], pixels.shape[0])
        left, top, right, bottom = box
        before = _picture(pixels[top:bottom, left:right], orientation)
        with PicoFile(data, max_pixels=None) as file:
            after = _picture(file.decode_region(box), orientation)
    except FILE_ERRORS:
        return None
    return Comparison(record, _url(before), _url(after), before.width, before.height)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _around(
    crop: tuple[int, int, int, int], sides: tuple[int, int], width: int, height: int
) -> tuple[int, int, int, int]:
    """A box with these sides (width, height), or as much as there is, with the crop in its middle."""
    wide, high = min(sides[0], width), min(sides[1], height)
    left = min(max((crop[0] + crop[2] - wide) // 2, 0), width - wide)
    top = min(max((crop[1] + crop[3] - high) // 2, 0), height - high)
    return left, top, left + wide, top + high


def _picture(pixels: NDArray[np.uint8], orientation: int) -> Image.Image:
    colours = pixels[..., : 1 if pixels.shape[2] < 3 else 3]
    im = Image.fromarray(np.ascontiguousarray(colours[..., 0] if colours.shape[2] == 1 else colours))
    return upright(im, orientation)


def _url(im: Image.Image) -> str:
    stream = io.BytesIO()
    im.save(stream, "WEBP", quality=92)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
