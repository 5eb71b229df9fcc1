"""Draws letters of many colours and sizes into training crops.

Photographs hold few letters, and hardly any in strong colours on strong colours, which suffer most. These are drawn as
captions and signs are: with and without a ground of their own, with and without an outline.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .outlines import Outline

_SIZES = (9, 44)  # pixels, of the font; small ones are drawn more often
_MOST_LINES = 4
_ON_GROUND, _OUTLINED = 0.5, 0.3  # shares of the lines
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def draw_letters(pixels: Tensor, random: np.random.Generator) -> tuple[Tensor, list[Outline]]:
    """Pixels (1, 3, H, W) in [0, 1], rounded to 8 bits and with up to four lines of letters, and where these lie."""
    array = (pixels[0].permute(1, 2, 0).cpu().numpy() * 255).round().clip(0, 255).astype(np.uint8)
    image = Image.fromarray(array)
    draw = ImageDraw.Draw(image)
    outlines = [_line(draw, image.size, random) for _ in range(int(random.integers(1, _MOST_LINES + 1)))]
    lettered = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(pixels) / 255
    return lettered, outlines


def _line(draw: ImageDraw.ImageDraw, size: tuple[int, int], random: np.random.Generator) -> Outline:
    """One line of words, and the rectangle around it."""
    low, high = _SIZES
    font = ImageFont.load_default(low * (high / low) ** float(random.random()))
    words = (
        "".join(random.choice(list(_LETTERS), int(random.integers(2, 9))))
        for _ in range(random.integers(1, 5))
    )
    text = " ".join(words)
    place = (float(random.uniform(-10, 0.6 * size[0])), float(random.uniform(-4, size[1] - 8)))
    stroke = int(random.random() < _OUTLINED)
    box = draw.textbbox(place, text, font, stroke_width=stroke)
    left, top, right, bottom = box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2
    if random.random() < _ON_GROUND:
        draw.rectangle((left, top, right, bottom), fill=_colour(random))
    draw.text(place, text, _colour(random), font, stroke_width=stroke, stroke_fill=_colour(random))
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def _colour(random: np.random.Generator) -> tuple[int, int, int]:
    """Any colour, a pure one as often as a mixed one."""
    mixed = random.integers(0, 256, 3)
    pure = 255 * random.integers(0, 2, 3)
    red, green, blue = (int(value) for value in (pure if random.random() < 0.5 else mixed))
    return red, green, blue
