"""Pictures of text whose words are known: drawn, then turned, blurred and made noisy as by a camera."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, features

from pico_core.errors import OptionError
from pico_metrics.pictures import Pixels
from pico_metrics.text_regions import Outline, Region

TRUTH = "truth.json"
WIDTH, HEIGHT = 768, 512
_OVERSAMPLING = 2
_INKS = ((28, 28, 32), (20, 40, 96), (196, 24, 32), (16, 84, 48), (250, 248, 240))
_PAPERS = ((246, 243, 234), (226, 232, 238), (240, 226, 180), (236, 236, 232), (36, 54, 76))
_SIZES = (11, 13, 15, 18, 22, 28, 40)  # of the letters, in pixels, from small print to a sign
_WORDS = (
    "amber anchor basket bridge candle canyon carpet castle cellar circle copper cotton desert dinner dragon engine "
    "fabric falcon forest garden glacier hammer harbour island jacket kettle ladder lantern marble meadow mirror "
    "needle orchard oxygen pebble pencil pepper planet pocket quarry rabbit ribbon river saddle salmon shadow silver "
    "spider summer tailor temple timber tunnel valley velvet violin walnut whistle window winter zebra zipper"
)
_MOST_WORDS = 10  # in a line


@dataclass(frozen=True)
class Page:
    """A picture of text and its lines, in its own pixels."""

    pixels: Pixels
    regions: tuple[Region, ...]


def page(number: int, seed: int = 0) -> Page:
    """One page, the same for the same numbers and version of Pillow. Raises OptionError without FreeType."""
    if not features.check("freetype2"):
        msg = "this Pillow was built without FreeType, so it cannot draw letters of a size; install Pillow from PyPI"
        raise OptionError(msg)
    random = np.random.default_rng((seed, number))
    colours = number % len(_INKS)
    canvas = _paper(_PAPERS[colours], random)
    lines = list(_write(canvas, _INKS[colours], _SIZES[number % len(_SIZES)], random))
    angle = float(random.uniform(-4, 4))
    turned = canvas.rotate(angle, Image.Resampling.BICUBIC, fillcolor=_PAPERS[colours])
    small = turned.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    blurred = small.filter(ImageFilter.GaussianBlur(float(random.uniform(0.2, 0.6))))
    pixels = _photographed(np.asarray(blurred, np.float64), random)
    return Page(pixels, tuple(Region(_turned(outline, angle), text) for outline, text in lines))


def write_pages(folder: Path, count: int, seed: int = 0) -> None:
    """Write `page00.png` and so on, and their words as `truth.json`. Raises OptionError."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for number in range(count):
        made = page(number, seed)
        name = f"page{number:02d}.png"
        Image.fromarray(made.pixels).save(folder / name)
        truth[name] = [
            {"outline": [[round(x, 1), round(y, 1)] for x, y in region.outline], "text": region.text}
            for region in made.regions
        ]
    (folder / TRUTH).write_text(json.dumps(truth, indent=1), "utf-8")


def _paper(colour: tuple[int, int, int], random: np.random.Generator) -> Image.Image:
    """A sheet with the uneven grain of paper or plaster."""
    grain = Image.fromarray(random.normal(0, 6, (HEIGHT // 4, WIDTH // 4)).astype(np.float32))
    size = (_OVERSAMPLING * WIDTH, _OVERSAMPLING * HEIGHT)
    uneven = np.asarray(grain.resize(size, Image.Resampling.BICUBIC))[..., None]
    return Image.fromarray(np.clip(np.array(colour) + uneven, 0, 255).astype(np.uint8))


def _write(
    canvas: Image.Image, ink: tuple[int, int, int], size: int, random: np.random.Generator
) -> Iterator[tuple[Outline, str]]:
    """Fill the sheet with lines of words and numbers, and return where each came to lie, in pixels of the canvas."""
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(_OVERSAMPLING * size)
    margin, step = 0.12 * canvas.width, 2.1 * _OVERSAMPLING * size
    top = 0.14 * canvas.height
    while top + step < 0.88 * canvas.height:
        text = _line(random, lambda words: draw.textlength(words, font) < canvas.width - 2 * margin)
        draw.text((margin, top), text, ink, font)
        left, upper, right, lower = draw.textbbox((margin, top), text, font)
        pad = 0.2 * _OVERSAMPLING * size
        left, upper, right, lower = left - pad, upper - pad, right + pad, lower + pad
        yield ((left, upper), (right, upper), (right, lower), (left, lower)), text
        top += step


def _line(random: np.random.Generator, fits: Callable[[str], bool]) -> str:
    """Words and numbers drawn by lot, as many as fit, at most ten."""
    words: list[str] = []
    for _ in range(_MOST_WORDS):
        number = str(random.integers(10, 9999))
        word = number if random.random() < 0.2 else str(random.choice(_WORDS.split()))
        if words and not fits(" ".join([*words, word])):
            break
        words.append(word.capitalize() if not words else word)
    return " ".join(words)


def _turned(outline: Outline, angle: float) -> Outline:
    """Corners on the canvas as they lie in the picture after `rotate` about the middle."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = []
    for x, y in outline:
        across, down = x / _OVERSAMPLING - WIDTH / 2, y / _OVERSAMPLING - HEIGHT / 2
        corners.append(
            (WIDTH / 2 + cosine * across + sine * down, HEIGHT / 2 - sine * across + cosine * down)
        )
    return tuple(corners)


def _photographed(light: NDArray[np.float64], random: np.random.Generator) -> Pixels:
    """Uneven light from one side, and noise."""
    slope = np.linspace(float(random.uniform(0.7, 0.9)), 1.05, WIDTH)[:: random.choice((-1, 1))]
    noise = random.normal(0, float(random.uniform(1.5, 4)), light.shape)
    return np.clip(np.round(light * slope[None, :, None] + noise), 0, 255).astype(np.uint8)
