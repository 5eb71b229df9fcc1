"""The lossless tile coder (WebP lossless, through Pillow), and the rule that says when it is worth trying.

The networks are trained on photographs; screenshots, drawings and flat colour cost them bits and still come
out blurred. See docs/decisions/0003-lossless-tiles.md for the measurements behind the rule.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import CorruptError, ImageTooLargeError

GRAPHIC_SHARE = 0.35  # share of flat pixels from which a tile counts as graphic
ACCEPTED_FACTOR = 3.0  # a graphic tile is stored losslessly up to this many times the networks' bytes
ROW_STEP = 4  # every fourth row is enough to tell
CHEAP_BITS_PER_PIXEL = 0.15  # below this a lossless tile is taken without asking the networks


def flat_share(pixels: NDArray[np.uint8]) -> float:
    """Share of pixels (height, width, channels) that equal their left and their upper neighbour, 0..1.

    Sensor noise and JPEG ringing keep it low in photographs (clipped skies apart); in graphics it is high.
    """
    inner = pixels[1::ROW_STEP, 1:]
    if not inner.size:
        return 1.0
    same = (inner == pixels[1::ROW_STEP, :-1]) & (inner == pixels[:-1:ROW_STEP, 1:])
    return float(np.logical_and.reduce([same[..., c] for c in range(same.shape[2])]).mean())


def is_graphic(pixels: NDArray[np.uint8]) -> bool:
    """Whether a tile is likely a screenshot, a drawing or flat colour."""
    return flat_share(pixels) >= GRAPHIC_SHARE


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
        msg = (
            f"a tile of {width}x{height} pixels exceeds PIL.Image.MAX_IMAGE_PIXELS, which is {Image.MAX_IMAGE_PIXELS}; "
            "set it to the pixels of the largest picture that you trust, or to None"
        )
        raise ImageTooLargeError(msg) from error
    except (OSError, SyntaxError, ValueError) as error:
        msg = f"a lossless tile cannot be decoded: {error}; the file is damaged"
        raise CorruptError(msg) from error
    return pixels[..., :channels]
