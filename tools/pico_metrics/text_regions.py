"""Lines of text in a picture: where they are, and what an off-the-shelf recogniser reads in them.

Detector and recogniser are PP-OCR's (PaddleOCR, Apache-2.0), as the package `rapidocr-onnxruntime` ships them. On
photographs the detector also outlines faces, stars and fences; so only what the recogniser reads with some
confidence counts as text.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pico_core.errors import InvalidImageError, OptionError

from .pictures import Pixels, check_picture

Outline: TypeAlias = tuple[tuple[float, float], ...]

PACKAGE = "rapidocr-onnxruntime"
INSTALL = "pip install 'pillow-pico[text]'"
LEAST_CONFIDENCE = 0.6  # of the recogniser in what it reads
LEAST_CHARACTERS = 2
_UPRIGHT = 1.5  # height over width from which a line is taken to be turned by a quarter


@dataclass(frozen=True)
class Region:
    """A line of text: its four corners (x, y), clockwise from where the text begins, and what it says."""

    outline: Outline
    text: str


def missing_package() -> str | None:
    """Why text cannot be read here, in one line; None if it can."""
    if importlib.util.find_spec(PACKAGE.replace("-", "_")) is None:
        return f"the package {PACKAGE} is not installed ({INSTALL})"
    return None


def find_regions(pixels: Pixels) -> tuple[Region, ...]:
    """The lines of text that PP-OCR finds; their text is what it reads. Raises InvalidImageError, OptionError."""
    check_picture(pixels, "original")
    found, _ = _engine()(_bgr(pixels), use_det=True, use_cls=False, use_rec=True)
    outlines = [tuple((float(x), float(y)) for x, y in box) for box, text, _ in found or [] if _counts(text)]
    read = (Region(outline, text) for outline, text in zip(outlines, readings(pixels, outlines), strict=True))
    return tuple(region for region in read if _counts(region.text))


def readings(pixels: Pixels, outlines: Iterable[Outline]) -> list[str]:
    """What the recogniser reads inside each outline, "" where it reads nothing. Raises OptionError."""
    picture = Image.fromarray(pixels)
    texts = []
    for outline in outlines:
        found, _ = _engine()(_bgr(_cut(picture, outline)), use_det=False, use_cls=False, use_rec=True)
        texts.append(str(found[0][0]) if found else "")
    return texts


def mask_of(regions: Sequence[Region], height: int, width: int) -> NDArray[np.bool_]:
    """Where the outlines lie, (height, width). Raises InvalidImageError if that is nowhere in the picture."""
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for region in regions:
        draw.polygon(list(region.outline), fill=1)
    mask = np.array(canvas, bool)
    if not mask.any():
        msg = f"none of the {len(regions)} outlines of text lies in the picture of {width}x{height} pixels"
        raise InvalidImageError(msg)
    return mask


def _cut(picture: Image.Image, outline: Outline) -> Pixels:
    """The quadrilateral as a rectangle, lying."""
    first, second, third, fourth = outline
    width = max(1, round(max(math.dist(first, second), math.dist(fourth, third))))
    height = max(1, round(max(math.dist(first, fourth), math.dist(second, third))))
    corners = [value for corner in (first, fourth, third, second) for value in corner]
    cut = picture.transform((width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    if height >= _UPRIGHT * width:
        cut = cut.transpose(Image.Transpose.ROTATE_90)
    return np.asarray(cut)


def _bgr(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[..., ::-1])


def _counts(text: str) -> bool:
    return len("".join(text.split())) >= LEAST_CHARACTERS


@functools.cache
def _engine() -> Any:
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:
        msg = f"text cannot be read: {error}; install the reader with {INSTALL}"
        raise OptionError(msg) from error
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, text_score=LEAST_CONFIDENCE)
