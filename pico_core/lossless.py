"""The lossless tile coder: WebP lossless, through Pillow. docs/decisions/0003-lossless-tiles.md says when it serves."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import CorruptError, ImageTooLargeError

ACCEPTED_FACTOR = 3.0  # a flat tile is stored losslessly up to this many times the networks' bytes
CHEAP_BITS_PER_PIXEL = 0.15  # below this a lossless tile is taken without asking the networks


def encode(pixels: NDArray[np.uint8], effort: int) -> bytes:
    """Pixels (height, width, 1 or 3) -> a complete WebP lossless file; effort 0..2 trades time for bytes."""
    grey = pixels.shape[2] == 1
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels))
    stream = io.BytesIO()
    method, thoroughness = ((0, 20), (4, 75), (6, 100))[effort]
    image.convert("RGB").save(stream, "WEBP", lossless=True, method=method, quality=thoroughness)
    return stream.getvalue()


def _stated_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height from the header of a simple WebP lossless file, None for anything else.

    Checked before a decoder sees the file, which would allocate what the header asks for.
    """
    if payload[:4] != b"RIFF" or payload[8:16] != b"WEBPVP8L" or payload[20:21] != b"\x2f":
        return None
    packed = int.from_bytes(payload[21:25], "little")
    return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1


def decode(payload: bytes, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """The pixels (height, width, channels) of a WebP lossless file.

    Raises CorruptError if it is not that, ImageTooLargeError if Pillow was told to refuse pictures of this size.
    """
    if _stated_size(payload) != (width, height):
        msg = f"a lossless tile is not WebP lossless of {width}x{height} pixels; the file is damaged"
        raise CorruptError(msg)
    try:
        with Image.open(io.BytesIO(payload), formats=["WEBP"]) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(too_large(width, height)) from error
    except (OSError, SyntaxError, ValueError) as error:
        msg = f"a lossless tile cannot be decoded: {error}; the file is damaged"
        raise CorruptError(msg) from error
    return pixels[..., :channels]


def too_large(width: int, height: int) -> str:
    """What to say where Pillow refuses a tile for its size."""
    return (
        f"a tile of {width}x{height} pixels exceeds PIL.Image.MAX_IMAGE_PIXELS, which is {Image.MAX_IMAGE_PIXELS}; "
        "set it to the pixels of the largest picture that you trust, or to None"
    )
