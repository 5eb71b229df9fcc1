"""The photograph that speed is measured on, when none is given: a mosaic of the sample photographs."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from PIL import Image, ImageOps

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
_CELL = (384, 256)


def mosaic(megapixels: float, folder: Path = SAMPLES) -> Image.Image:
    """Build an RGB picture of 4:3 from windows of 384 x 256 pixels of the photographs in `folder`.

    Nothing that has a window is enlarged, so every pixel has the detail of a photograph. When all windows are
    used up, they come again mirrored, then upside down, then both, and from the start. `info["exif"]` is that of
    the first photograph that has one.
    FileNotFoundError if the folder holds no JPEG files.
    """
    photos = [_read(path) for path in sorted(folder.glob("*.jpg"))]
    if not photos:
        msg = f"no photographs in {folder}; name one with --image"
        raise FileNotFoundError(msg)
    width = round(math.sqrt(megapixels * 1e6 * 4 / 3))
    height = round(megapixels * 1e6 / width)
    canvas = Image.new("RGB", (width, height))
    places = itertools.product(range(0, height, _CELL[1]), range(0, width, _CELL[0]))
    windows = [window for photo in photos for window in _windows(photo)]
    for number, (top, left) in enumerate(places):
        times_used, window = divmod(number, len(windows))
        canvas.paste(_flipped(windows[window], times_used), (left, top))
    canvas.info["exif"] = next((im.info["exif"] for im in photos if "exif" in im.info), b"")
    return canvas


def _read(path: Path) -> Image.Image:
    with Image.open(path) as photo:
        return photo.convert("RGB")


def _windows(photo: Image.Image) -> list[Image.Image]:
    """All windows of a photo side by side; one that is smaller than a window is enlarged to it."""
    if photo.width < _CELL[0] or photo.height < _CELL[1]:
        return [ImageOps.fit(photo, _CELL)]
    lefts = range(0, photo.width - _CELL[0] + 1, _CELL[0])
    tops = range(0, photo.height - _CELL[1] + 1, _CELL[1])
    return [photo.crop((left, top, left + _CELL[0], top + _CELL[1])) for top in tops for left in lefts]


def _flipped(window: Image.Image, times_used: int) -> Image.Image:
    window = ImageOps.mirror(window) if times_used % 2 else window
    return ImageOps.flip(window) if times_used // 2 % 2 else window
