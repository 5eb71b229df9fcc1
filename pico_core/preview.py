"""The small JPEG that a file carries so that thumbnails need no networks."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALLEST_PICTURE = 1_000_000  # pixels; below this a preview would cost more than it is worth
LARGE_PICTURE = 4_000_000  # pixels; from here a preview may be larger
SIDE, LARGE_SIDE = 192, 320  # longer side of a preview in pixels
QUALITY = 60
_STRIP = 64  # rows of the reduced picture that are made at a time


def make_preview(pixels: NDArray[np.uint8]) -> bytes | None:
    """A JPEG of the picture (height, width, 1..4), or None where the picture is too small to deserve one.

    Transparent parts are shown on white.
    """
    height, width, channels = pixels.shape
    if height * width < SMALLEST_PICTURE:
        return None
    side = LARGE_SIDE if height * width >= LARGE_PICTURE else SIDE
    scale = max(1, min(height, width) // (4 * side))  # a coarse first step: 16 pixels for one are plenty
    image = _reduced(pixels[..., 0] if channels == 1 else pixels, scale)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    if channels in (2, 4):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB" if channels == 4 else "L")
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue()


def _reduced(pixels: NDArray[np.uint8], scale: int) -> Image.Image:
    """The picture at 1/scale, made strip by strip: a whole Pillow image would take as much memory again."""
    rows = scale * _STRIP
    strips = (np.ascontiguousarray(pixels[top : top + rows]) for top in range(0, len(pixels), rows))
    return Image.fromarray(np.concatenate([np.asarray(Image.fromarray(s).reduce(scale)) for s in strips]))
