"""Colour-vision plates made of dots: a figure that only eyes with three kinds of cones tell from its ground.

Figure and ground differ along a line on which colours look the same to people who lack one kind of cone (L: protan,
M: deutan, S: tritan): only that cone's response is changed. Lightness and size of the dots vary at random, so that
the figure shows by hue alone. The control plate differs in lightness, and everybody reads it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pico_metrics.pictures import Pixels

Floats = NDArray[np.float64]

SIDE = 480
CONTROL = "control"
KINDS = (CONTROL, "protan", "deutan", "tritan")
FIGURES = "2345689"  # no 1 and no 7, which are easily taken for each other
_OVERSAMPLING = 2
_GAP = 1.2  # pixels between dots, at least
_RADII = (15, 12, 9, 6, 4)
_TRIES = (700, 1500, 3000, 5000, 6000)
_PAPER = (238, 237, 234)

# Linear sRGB to cone responses: sRGB to XYZ (IEC 61966-2-1), then Hunt-Pointer-Estevez cones normalised to D65.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_TO_CONES = np.array([[0.4002, 0.7076, -0.0808], [-0.2263, 1.1653, 0.0457], [0.0, 0.0, 0.9182]])
CONES_OF_RGB: Floats = _TO_CONES @ _TO_XYZ
_RGB_OF_CONES: Floats = np.linalg.inv(CONES_OF_RGB).astype(np.float64)
_CONE = {"protan": 0, "deutan": 1, "tritan": 2}
_GREY = 0.26  # linear light of the middle colour
_CONTRAST = {"protan": 0.17, "deutan": 0.19, "tritan": 0.55}  # of the changed cone, each way


def plate(kind: str, figure: str, seed: int) -> Pixels:
    """A plate of SIDE x SIDE pixels, sRGB, on which `figure` (one character) is to be read."""
    rng = np.random.default_rng(seed)
    inside = _mask_of(figure)
    size = SIDE * _OVERSAMPLING
    canvas = Image.new("RGB", (size, size), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for x, y, radius in _pack(rng):
        is_figure = bool(inside[min(int(y), SIDE - 1), min(int(x), SIDE - 1)])
        fill = tuple(colour(kind, is_figure, rng).tolist())
        box = [(value * _OVERSAMPLING) for value in (x - radius, y - radius, x + radius, y + radius)]
        draw.ellipse(box, fill=fill)
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX))


def colour(kind: str, is_figure: bool, rng: np.random.Generator) -> Pixels:
    """The colour of one dot: (3,) sRGB. Its lightness is random, so that it tells nothing."""
    lightness = rng.uniform(0.68, 1.28)
    if kind == CONTROL:
        linear = np.array([1.25, 0.95, 0.6]) * _GREY * (0.28 if is_figure else 1.3) * lightness**0.4
    else:
        cones = CONES_OF_RGB @ np.full(3, _GREY)
        cones[_CONE[kind]] *= 1 + _CONTRAST[kind] * (1 if is_figure else -1) * rng.uniform(0.85, 1.0)
        linear = _RGB_OF_CONES @ cones * lightness
    linear = np.clip(linear, 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rounded: Pixels = np.round(255 * coded).astype(np.uint8)
    return rounded


def _mask_of(figure: str) -> NDArray[np.bool_]:
    canvas = Image.new("L", (SIDE, SIDE))
    font = ImageFont.load_default(SIDE * 0.92)
    ImageDraw.Draw(canvas).text(
        (SIDE / 2, SIDE / 2), figure, fill=255, font=font, anchor="mm", stroke_width=SIDE // 40
    )
    return np.asarray(canvas) > 127


def _pack(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Discs (x, y, radius) that do not touch, inside a disc as large as the plate; large ones first."""
    placed = np.zeros((0, 3))
    for radius, tries in zip(_RADII, _TRIES, strict=True):
        tried = rng.uniform(radius, SIDE - radius, (tries, 2))
        inside = np.hypot(*(tried - SIDE / 2).T) <= SIDE / 2 - radius - 2
        for x, y in tried[inside & _is_free(tried, placed, radius)]:
            if _is_free(np.array([[x, y]]), placed[placed[:, 2] == radius], radius)[0]:
                placed = np.vstack([placed, [x, y, radius]])
    return [(float(x), float(y), float(radius)) for x, y, radius in placed]


def _is_free(places: Floats, placed: Floats, radius: float) -> NDArray[np.bool_]:
    """Which of these places (number, 2) a disc could take among those placed (number, 3)."""
    distance = np.hypot(*(places[:, None, :] - placed[None, :, :2]).transpose(2, 0, 1))
    free: NDArray[np.bool_] = (distance >= placed[:, 2] + radius + _GAP).all(axis=1)
    return free
