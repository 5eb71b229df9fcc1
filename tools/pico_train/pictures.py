"""A picture file as training sees it: upright, RGB, 8 bits a sample, nothing transparent."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image, ImageOps

from pico_codec.depth import bits_a_sample

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp"}


class Picture(NamedTuple):
    """`image` is RGB; `unchanged` tells whether any reader sees the same in the file itself."""

    image: Image.Image
    unchanged: bool


def read_picture(content: bytes) -> Picture:
    """Decode a picture file, transparent parts on white.

    Raises ValueError for more than 8 bits a sample, and what Pillow raises on damaged files.
    """
    with Image.open(io.BytesIO(content)) as image:
        if bits_a_sample(image.format or "", content, image) > 8 or image.mode.startswith(("I", "F")):
            msg = "more than 8 bits a sample; save it with 8 first"
            raise ValueError(msg)
        upright = ImageOps.exif_transpose(image)
        unchanged = upright.size == image.size and image.mode == "RGB" and image.format in ("WEBP", "JPEG")
        return Picture(_on_white(upright), unchanged)


def _on_white(image: Image.Image) -> Image.Image:
    """What lies under full transparency is nothing that anybody saw."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
