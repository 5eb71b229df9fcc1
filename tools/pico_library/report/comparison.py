"""The place of a photo that differs most, before and after, as small pictures for a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pico_codec.source import FILE_ERRORS, read_source
from pico_core import PicoFile
from pico_library.journal import Original, Record

WIDTH, HEIGHT = 480, 320
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTERS = frozenset(_TURNS[number] for number in (5, 6, 7, 8))


@dataclass(frozen=True)
class Comparison:
    """Two pictures of one place, as data URLs, and their size in pixels."""

    record: Record
    before: str
    after: str
    width: int
    height: int


def compare_worst_place(record: Record) -> Comparison | None:
    """Cut the worst place out of original and .pico file; None where one of them cannot be read any more."""
    original = record.path if record.original is Original.KEPT else record.original_at
    if original is None or record.target is None or record.crop is None:
        return None
    try:
        content = original.read_bytes()
        pixels = read_source(content).pixels
        with Image.open(io.BytesIO(content)) as im:
            turn = _TURNS.get(im.getexif().get(_ORIENTATION, 1))
        # Photos that are shown turned by a quarter get a window that lies on its side.
        sides = (HEIGHT, WIDTH) if turn in _QUARTERS else (WIDTH, HEIGHT)
        box = _around(record.crop, sides, pixels.shape[1], pixels.shape[0])
        left, top, right, bottom = box
        before = _picture(pixels[top:bottom, left:right], turn)
        with PicoFile(Path(record.target), max_pixels=None) as file:
            after = _picture(file.decode_region(box), turn)
    except FILE_ERRORS:
        return None
    return Comparison(record, _url(before), _url(after), before.width, before.height)


def _around(
    crop: tuple[int, int, int, int], sides: tuple[int, int], width: int, height: int
) -> tuple[int, int, int, int]:
    """A box with these sides (width, height), or as much as there is, with the crop in its middle."""
    wide, high = min(sides[0], width), min(sides[1], height)
    left = min(max((crop[0] + crop[2] - wide) // 2, 0), width - wide)
    top = min(max((crop[1] + crop[3] - high) // 2, 0), height - high)
    return left, top, left + wide, top + high


def _picture(pixels: NDArray[np.uint8], turn: Image.Transpose | None) -> Image.Image:
    colours = pixels[..., : 1 if pixels.shape[2] < 3 else 3]
    im = Image.fromarray(np.ascontiguousarray(colours[..., 0] if colours.shape[2] == 1 else colours))
    return im.transpose(turn) if turn is not None else im


def _url(im: Image.Image) -> str:
    stream = io.BytesIO()
    im.save(stream, "WEBP", quality=92)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
