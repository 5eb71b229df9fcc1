"""The tile coder for drawings and the highest qualities: AVIF, through Pillow; and how much of a drawing is kept.

AVIF keeps thin lines and letters that the networks blur, in fewer bytes. Pillow's wheels have it since release 11.3.
What the AV1 decoder makes of a tile is exact; turning it into RGB may differ by one level between builds of libavif.
"""

from __future__ import annotations

import functools
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from .errors import CorruptError, ImageTooLargeError, MissingCoderError
from .lossless import too_large

SPEED, _SPEED_IF_UNSURE = 6, 7  # of libaom; 6 is Pillow's default, 7 takes half the time
# To find out whether a tile in doubt is worth it: a tenth of the time, and so much more of bytes and error at least.
_SPEED_IN_DOUBT, _SLACK = 9, 1.15
# AVIF's quality for qualities of .pico: drawings then have about the SSIMULACRA2 that photographs have, or more.
_QUALITIES = ((0, 22), (30, 40), (60, 56), (80, 70), (100, 90))
# Photographs are coded in AVIF from this quality of .pico on, with these qualities of AVIF: the networks end at a
# SSIMULACRA2 of about 80, and AVIF needs no more bytes for 87 (`python -m pico_bench.highest`).
FIRST_FOR_PHOTOGRAPHS, _LEAST, _MOST = 96, 84, 92
HEADER_BYTES = 320  # about, of an AVIF file without metadata
_GROWTH = 0.047  # of the logarithm of bytes with every step of quality, on drawings
_TRIES = 3
# AVIF is chosen where the error at edges is at most this part of that of the networks: by how much a tile looks like a
# drawing, from a tile in doubt to one that surely is.
_ACCEPTED_IN_DOUBT, _ACCEPTED = 0.65, 0.97


@functools.cache
def is_available() -> bool:
    """Whether this installation of Pillow reads and writes AVIF."""
    return bool(features.check("avif"))


def quality_for(quality: float) -> int:
    """AVIF's quality for a quality of .pico, 0 to 100."""
    known, wanted = zip(*_QUALITIES, strict=True)
    return round(float(np.interp(quality, known, wanted)))


def quality_for_photographs(quality: float) -> int | None:
    """AVIF's quality where a quality of .pico is beyond what the networks give; None below."""
    if quality < FIRST_FOR_PHOTOGRAPHS:
        return None
    share = (quality - FIRST_FOR_PHOTOGRAPHS) / (100 - FIRST_FOR_PHOTOGRAPHS)
    return round(_LEAST + (_MOST - _LEAST) * share)


def accepted_error(score: float) -> float:
    """The part of the networks' error at edges up to which AVIF is chosen, for a `content.drawing_score` above 0."""
    return _ACCEPTED_IN_DOUBT + (_ACCEPTED - _ACCEPTED_IN_DOUBT) * min(1.0, score)


def encode(pixels: NDArray[np.uint8], quality: int, speed: int = SPEED) -> bytes:
    """Pixels (height, width, 1 or 3) -> a complete AVIF file, without subsampling of colours. Needs `is_available`."""
    grey = pixels.shape[2] == 1
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels))
    stream = io.BytesIO()
    sampling = "4:0:0" if grey else "4:4:4"
    image.save(stream, "AVIF", quality=quality, subsampling=sampling, speed=speed, max_threads=1)
    return stream.getvalue()


def encode_drawing(
    pixels: NDArray[np.uint8], quality: int, score: float, most_bytes: int, others_error: float
) -> bytes | None:
    """As `encode`, for a tile with a `content.drawing_score` above 0, or None where another coder should have it.

    That is where AVIF needs more than `most_bytes`, or where its error at edges is not so much less than the others'
    as the score asks for. Tries `quality` first. If that takes too many bytes, or its error is too large, then what
    should take `most_bytes`.
    """
    height, width, channels = pixels.shape
    most_error = accepted_error(score) * others_error

    def is_better(payload: bytes, slack: float = 1.0) -> bool:
        if len(payload) > slack * most_bytes:
            return False
        return edge_error(pixels, decode(payload, height, width, channels)) <= slack * most_error

    if score < 1 and not is_better(_sketch(pixels, quality, int(_SLACK**0.5 * most_bytes)), _SLACK):
        return None
    for _ in range(_TRIES):
        payload = encode(pixels, quality, SPEED if score >= 1 else _SPEED_IF_UNSURE)
        if is_better(payload):
            return payload
        steps = _steps_to(most_bytes, payload)
        if steps == 0:
            return None
        quality = min(100, max(0, quality + steps))
    return None


def _sketch(pixels: NDArray[np.uint8], quality: int, bytes_wanted: int) -> bytes:
    """A file of about the wanted size, made quickly."""
    payload = encode(pixels, quality, _SPEED_IN_DOUBT)
    wanted = quality + _steps_to(bytes_wanted, payload)
    return payload if wanted == quality else encode(pixels, min(100, max(0, wanted)), _SPEED_IN_DOUBT)


def _steps_to(wanted: int, payload: bytes) -> int:
    """By how many steps of quality a file of `wanted` bytes should differ from this one."""
    return math.floor(math.log(wanted / len(payload)) / _GROWTH)


def decode(payload: bytes, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """The pixels (height, width, channels) of an AVIF file.

    Raises CorruptError if it is not one picture of that size, MissingCoderError if Pillow cannot read AVIF,
    ImageTooLargeError if Pillow was told to refuse pictures of this size.
    """
    if not is_available():
        msg = "the file has tiles in AVIF, and this Pillow was built without it; install Pillow 11.3 or later from PyPI"
        raise MissingCoderError(msg)
    try:
        with Image.open(io.BytesIO(payload), formats=["AVIF"]) as image:
            if image.size != (width, height) or getattr(image, "n_frames", 1) != 1:
                msg = f"an AVIF tile is not one picture of {width}x{height} pixels; the file is damaged"
                raise CorruptError(msg)
            pixels = np.asarray(image.convert("RGB"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(too_large(width, height)) from error
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:
        msg = f"an AVIF tile cannot be decoded: {error}; the file is damaged"
        raise CorruptError(msg) from error
    return pixels[..., :channels]


def edge_error(original: NDArray[np.uint8], coded: NDArray[np.uint8]) -> float:
    """Mean absolute difference where the original has edges, in steps of a byte, weighed by their strength.

    Both are (height, width, channels). Lines, letters and the borders of flat parts count, texture hardly does.
    """
    luma = original.mean(2, dtype=np.float32)
    strength = np.zeros_like(luma)
    strength[:, 1:-1] = np.abs(luma[:, 2:] - luma[:, :-2])
    strength[1:-1] = np.maximum(strength[1:-1], np.abs(luma[2:] - luma[:-2]))
    np.minimum(strength, 128, out=strength)
    differences = np.abs(original.astype(np.int16) - coded).mean(2, dtype=np.float32)
    total = float(strength.sum())
    return float((strength * differences).sum()) / total if total else 0.0
