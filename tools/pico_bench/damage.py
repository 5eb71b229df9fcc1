"""Pictures in which something is gone, new or other, and where: what a check of content is measured with.

Marks (lines, wires, roads, dots, words) are drawn into a picture. The picture with them is the original, and a .pico
file of the picture without them is the damage: nothing that fills the hole could be more natural than what the codec
makes of the place itself. The other way round the marks are new. Of a word there is a second spelling.
Every mark can be seen: its contrast is at least 16 levels of luma and three times the fine texture around it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pico_core.tiling import Box
from pico_metrics.pictures import Pixels

SIDE = 512  # pixels of a scene
KINDS = ("line", "wire", "road", "dots", "letters", "word")
_PLACES = 3  # a row
_MARGIN = 12
_FINE = 4  # drawn so many times larger
_LEAST_CONTRAST = 16.0
_LEAST_LETTERS = 60.0  # contrast at which small print can be read
_OVER_TEXTURE = 3.0
_BUSY = 25.0  # standard deviation of fine texture in which no mark would be noticed
_TEXT = (
    "Station Harbour Mill Lane Church Road River Street North Gate Museum Library Castle Green Park Settings Account "
    "Search Messages Invoice Total Delete Cancel Report Draft Archive Status Pending exit open 1482 30.75 2026 page"
)
_WORDS = tuple(_TEXT.split())
_LIKE = {
    "a": "o",
    "e": "c",
    "i": "l",
    "o": "e",
    "n": "r",
    "r": "n",
    "t": "f",
    "l": "t",
    "s": "a",
    "d": "o",
    "u": "n",
}
_LIKE |= {
    "h": "b",
    "c": "e",
    "m": "n",
    "p": "g",
    "g": "y",
    "0": "8",
    "1": "7",
    "2": "3",
    "4": "9",
    "8": "3",
    "7": "1",
}


@dataclass(frozen=True)
class Mark:
    """What was drawn, and the box it lies in. A "letters" mark is spelled another way, a "word" is one that goes."""

    kind: str
    box: Box
    contrast: float


@dataclass(frozen=True)
class Scene:
    """Three pictures of one place: with all marks, without, and with words spelled another way."""

    marked: Pixels
    plain: Pixels
    respelled: Pixels
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class _Stroke:
    """The shape of a mark within its place: opacity 0..1, and that of its other spelling."""

    shape: NDArray[np.float64]
    other: NDArray[np.float64] | None = None


def scene(picture: Pixels, random: np.random.Generator) -> Scene:
    """Draw a mark into each of nine places of a picture (512, 512, 3), where it can be seen."""
    marked, respelled = picture.astype(np.float64), picture.astype(np.float64)
    fine = _fine_texture(picture)
    marks = []
    side = SIDE // _PLACES
    kinds = [*KINDS, *random.choice(("wire", "dots", "letters"), 3, replace=False)]
    for place, kind in enumerate(random.permutation(kinds)):
        top, left = (side * v + _MARGIN for v in divmod(place, _PLACES))
        box = Box(left, top, left + side - 2 * _MARGIN, top + side - 2 * _MARGIN)
        inside = slice(box.top, box.bottom), slice(box.left, box.right)
        stroke = _STROKES[kind](random, side - 2 * _MARGIN)
        under = stroke.shape > 0.3
        least = _LEAST_LETTERS if stroke.other is not None else _LEAST_CONTRAST
        texture = float(fine[inside][under].mean())
        if texture > _BUSY:
            continue
        contrast = max(least, _OVER_TEXTURE * texture) * random.uniform(1, 2.2)
        colour = _colour(marked[inside][under].mean(0), contrast, random)
        for canvas, shape in ((marked, stroke.shape), (respelled, stroke.other)):
            alpha = (stroke.shape if shape is None else shape)[..., None]
            canvas[inside] += alpha * (colour - canvas[inside])
        marks.append(Mark(str(kind), _around(stroke, box), contrast))
    return Scene(_rounded(marked), picture, _rounded(respelled), tuple(marks))


def map_scene(random: np.random.Generator) -> Scene:
    """A map that had once been a JPEG, with roads, paths, dots and names that may be missing."""
    ground = _map_ground(random)
    found = scene(np.asarray(ground), random)
    quality = int(random.integers(70, 93))
    return Scene(
        _once_compressed(found.marked, quality),
        _once_compressed(found.plain, quality),
        _once_compressed(found.respelled, quality),
        found.marks,
    )


def page_scene(random: np.random.Generator) -> Scene:
    """A page of print, here and there with a word or a line that may be missing."""
    paper = random.integers(215, 250, 3)
    grain = random.normal(0, random.uniform(0, 2.5), (SIDE, SIDE, 1))
    image = Image.fromarray(np.clip(paper + grain, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    size = int(random.integers(11, 17))
    for top in (0, 168, 339):
        for row in range(2):
            text = " ".join(random.choice(_WORDS, 12))
            draw.text((10, top - 8 + row * (size + 3)), text, (30, 30, 36), ImageFont.load_default(size))
    return scene(np.asarray(image), random)


def _map_ground(random: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in random.integers(232, 248, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y = random.uniform(0, SIDE, 2)
        corners = [(x + random.normal(0, 80), y + random.normal(0, 60)) for _corner in range(5)]
        draw.polygon(corners, fill=((205, 235, 176), (170, 211, 223))[int(random.integers(2))])
    for _ in range(3):
        ends = [tuple(random.uniform(0, SIDE, 2)) for _end in range(2)]
        draw.line(ends, (180, 150, 130), 8)
        draw.line(ends, (255, 255, 255), 6)
    for _ in range(6):
        x, y = random.uniform(0, SIDE, 2)
        draw.text((x, y), str(random.choice(_WORDS)), (70, 70, 80), ImageFont.load_default(11))
    return image


def _once_compressed(pixels: Pixels, quality: int) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def _fine_texture(picture: Pixels) -> NDArray[np.float64]:
    """Standard deviation of luma within 9 x 9 pixels, after what is larger is taken off."""
    luma = picture @ np.array((0.299, 0.587, 0.114))
    detail = luma - _box(luma, 9)
    deviation: NDArray[np.float64] = np.sqrt(np.maximum(_box(detail**2, 9), 0))
    return deviation


def _box(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    image = Image.fromarray(plane.astype(np.float32))
    padded = np.pad(np.asarray(image), side // 2, "edge").astype(np.float64)
    sums = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    means: NDArray[np.float64] = total / side**2
    return means


def _colour(ground: NDArray[np.float64], contrast: float, random: np.random.Generator) -> NDArray[np.float64]:
    """A colour that differs from the ground by so much luma, lighter or darker as there is room."""
    luma = float(ground @ np.array((0.299, 0.587, 0.114)))
    lighter = random.random() < 0.5
    if luma + contrast > 250:
        lighter = False
    elif luma - contrast < 5:
        lighter = True
    tint = random.normal(0, 12, 3)
    tint -= tint @ np.array((0.299, 0.587, 0.114))
    return np.clip(ground + (contrast if lighter else -contrast) + tint, 0, 255)


def _around(stroke: _Stroke, place: Box) -> Box:
    """The box of what differs: of the whole mark, or of the letters that are spelled another way."""
    changed = stroke.shape if stroke.other is None else np.abs(stroke.shape - stroke.other)
    rows, columns = np.nonzero(changed > 0.2)
    return Box(
        place.left + int(columns.min()),
        place.top + int(rows.min()),
        place.left + int(columns.max()) + 1,
        place.top + int(rows.max()) + 1,
    )


def _rounded(pixels: NDArray[np.float64]) -> Pixels:
    return pixels.round().clip(0, 255).astype(np.uint8)


def _drawn(side: int, draw: Callable[[ImageDraw.ImageDraw], None], soft: float) -> NDArray[np.float64]:
    """Opacity of what is drawn on a canvas four times as large, softened as by a lens."""
    canvas = Image.new("L", (side * _FINE, side * _FINE))
    draw(ImageDraw.Draw(canvas))
    small = canvas.filter(ImageFilter.GaussianBlur(soft * _FINE)).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small) / 255.0


def _bent(random: np.random.Generator, side: int, bend: float) -> list[tuple[float, float]]:
    """Points of an arc through the place, 60 % to 100 % of its side long."""
    angle, length = random.uniform(0, math.pi), random.uniform(0.6, 1.0) * side * _FINE
    along, across = (
        np.array((math.cos(angle), math.sin(angle))),
        np.array((-math.sin(angle), math.cos(angle))),
    )
    sag = random.uniform(-bend, bend) * side * _FINE
    steps = np.linspace(-1, 1, 30)
    points = side * _FINE / 2 + np.outer(steps * length / 2, along) + np.outer(sag * (1 - steps**2), across)
    return [(float(x), float(y)) for x, y in points]


def _line(random: np.random.Generator, side: int, width: float, bend: float, soft: float) -> _Stroke:
    points = _bent(random, side, bend)
    return _Stroke(_drawn(side, lambda draw: draw.line(points, 255, round(width * _FINE), "curve"), soft))


def _plain_line(random: np.random.Generator, side: int) -> _Stroke:
    return _line(random, side, random.uniform(1, 3), 0.15, random.uniform(0, 0.4))


def _wire(random: np.random.Generator, side: int) -> _Stroke:
    return _line(random, side, random.uniform(0.8, 1.5), 0.06, random.uniform(0, 0.4))


def _road(random: np.random.Generator, side: int) -> _Stroke:
    """A band, or two casings with the ground between them."""
    width, points = random.uniform(3, 7), _bent(random, side, 0.2)
    band = _drawn(side, lambda draw: draw.line(points, 255, round(width * _FINE), "curve"), 0.2)
    if width < 5 or random.random() < 0.5:
        return _Stroke(band)
    inner = _drawn(side, lambda draw: draw.line(points, 255, round((width - 2.4) * _FINE), "curve"), 0.2)
    return _Stroke(np.clip(band - inner, 0, 1))


def _dots(random: np.random.Generator, side: int) -> _Stroke:
    """A row, or a grid, of small dots."""
    radius, spacing = random.uniform(0.8, 1.5), random.uniform(6, 11)
    rows = 1 if random.random() < 0.4 else int(random.integers(3, 7))
    columns = int(random.integers(8, 11))
    turn = random.uniform(-0.5, 0.5)

    def draw(canvas: ImageDraw.ImageDraw) -> None:
        for row in range(rows):
            for column in range(columns):
                u, v = (column - (columns - 1) / 2) * spacing, (row - (rows - 1) / 2) * spacing
                x = side / 2 + u * math.cos(turn) - v * math.sin(turn)
                y = side / 2 + u * math.sin(turn) + v * math.cos(turn)
                canvas.ellipse([_FINE * t for t in (x - radius, y - radius, x + radius, y + radius)], 255)

    return _Stroke(_drawn(side, draw, random.uniform(0, 0.3)))


def _written(text: str, size: int, side: int, soft: float) -> NDArray[np.float64]:
    font = ImageFont.load_default(size * _FINE)
    return _drawn(side, lambda draw: draw.text((4 * _FINE, (side - size) * _FINE / 2), text, 255, font), soft)


def _letters(random: np.random.Generator, side: int) -> _Stroke:
    """A word, and the same with one or two letters that look alike at a glance."""
    size, soft = int(random.integers(12, 25)), random.uniform(0, 0.35)
    text = str(random.choice([word for word in _WORDS if sum(letter in _LIKE for letter in word) >= 2]))
    candidates = [place for place, letter in enumerate(text) if letter in _LIKE]
    places: Sequence[int] = random.choice(candidates, int(random.integers(1, 3)), replace=False).tolist()
    other = "".join(_LIKE[letter] if at in places else letter for at, letter in enumerate(text))
    return _Stroke(_written(text, size, side, soft), _written(other, size, side, soft))


def _word(random: np.random.Generator, side: int) -> _Stroke:
    size, soft = int(random.integers(12, 25)), random.uniform(0, 0.35)
    shape = _written(str(random.choice(_WORDS)), size, side, soft)
    return _Stroke(shape, np.zeros_like(shape))


_STROKES: dict[str, Callable[[np.random.Generator, int], _Stroke]] = {
    "line": _plain_line,
    "wire": _wire,
    "road": _road,
    "dots": _dots,
    "letters": _letters,
    "word": _word,
}
