"""Pictures that no camera takes: `python -m pico_bench.drawings FOLDER` writes them.

Maps, screenshots, diagrams, comics, scans, and lettering over photographs. Each is drawn from a seed, the same for the
same numbers and version of Pillow. It comes as a program makes it (`clean`), or as people pass it on: once compressed
as JPEG, or reduced and compressed.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pico_metrics.pictures import Pixels

SIZE = (768, 576)
_WORDS = (
    "Station Harbour Mill Lane Church Road River Street North Gate Museum Library Hill Top Old Town Castle Green Park "
    "Settings Account Search Messages Calendar Invoice Total Delete Cancel Save Report Draft Archive Status Pending"
)
CONDITIONS = ("clean", "compressed", "passed-on")

Draw = Callable[[np.random.Generator, Image.Image | None], Image.Image]


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _colour(random: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in random.integers(low, high, 3))
    return red, green, blue


def _words(random: np.random.Generator, count: int) -> str:
    return " ".join(str(word) for word in random.choice(_WORDS.split(), count))


def _curve(random: np.random.Generator, size: tuple[int, int], bends: int) -> list[tuple[float, float]]:
    """A winding line across the picture."""
    width, height = size
    start, slope = random.uniform(0, height), random.uniform(-0.6, 0.6)
    waves = random.normal(0, 40, bends)
    points = []
    for x in range(-10, width + 20, 12):
        bend = sum(w * math.sin((k + 1) * x / width * math.pi + k) for k, w in enumerate(waves))
        points.append((float(x), start + slope * x + bend))
    return points


def map_(random: np.random.Generator, _: Image.Image | None) -> Image.Image:
    """Roads of all widths, footpaths in dots, a grid of dots, hatched parks, small names."""
    image = Image.new("RGB", SIZE, (242, 239, 233))
    draw = ImageDraw.Draw(image)
    for _index in range(6):
        x, y = random.uniform(0, SIZE[0]), random.uniform(0, SIZE[1])
        corners = [(x + random.normal(0, 90), y + random.normal(0, 70)) for _corner in range(5)]
        draw.polygon(corners, fill=(205, 235, 176) if random.random() < 0.6 else (170, 211, 223))
    for _index in range(14):
        x, y = random.uniform(0, SIZE[0]), random.uniform(0, SIZE[1])
        draw.rectangle(
            (x, y, x + random.uniform(12, 40), y + random.uniform(10, 30)), (217, 208, 201), (190, 178, 168)
        )
    for x in range(8, SIZE[0] // 3, 9):
        for y in range(8, SIZE[1] // 3, 9):
            draw.point((x, y), (150, 170, 140))
    for casing, fill, width in (((200, 120, 90), (247, 200, 160), 9), ((170, 170, 170), (255, 255, 255), 5)):
        for _index in range(4):
            points = _curve(random, SIZE, 3)
            draw.line(points, casing, width + 2, "curve")
            draw.line(points, fill, width, "curve")
    for _index in range(5):
        draw.line(_curve(random, SIZE, 4), (250, 128, 114) if random.random() < 0.5 else (120, 120, 130), 1)
    for _index in range(3):
        for point in _curve(random, SIZE, 4)[::1]:
            draw.ellipse((point[0], point[1], point[0] + 1.5, point[1] + 1.5), (110, 80, 60))
    for _index in range(16):
        place = (random.uniform(0, SIZE[0] - 120), random.uniform(0, SIZE[1] - 20))
        draw.text(place, _words(random, 2), (70, 70, 80), _font(int(random.choice((10, 11, 12, 14)))))
    return image


def screenshot(random: np.random.Generator, _: Image.Image | None) -> Image.Image:
    """A window: bars, buttons, a list of lines, icons, a shadow."""
    dark = random.random() < 0.4
    paper, ink = ((30, 32, 36), (220, 222, 226)) if dark else ((250, 250, 252), (40, 42, 46))
    image = Image.new("RGB", SIZE, paper)
    draw = ImageDraw.Draw(image)
    accent = _colour(random, 30, 230)
    for y in range(40):
        draw.line((0, y, SIZE[0], y), tuple(int(c * (0.9 + 0.1 * y / 40)) for c in accent))
    draw.text((14, 10), _words(random, 3), (255, 255, 255), _font(17))
    draw.rectangle((0, 40, 180, SIZE[1]), tuple(int(0.94 * c) for c in paper))
    for row in range(14):
        y = 56 + 34 * row
        draw.ellipse((16, y, 34, y + 18), _colour(random, 40, 240))
        draw.text((44, y + 1), _words(random, 2), ink, _font(13))
    for row in range(21):
        y = 52 + 24 * row
        draw.text((196, y), _words(random, int(random.integers(3, 8))), ink, _font(12))
        draw.line((190, y + 19, SIZE[0] - 14, y + 19), (128, 128, 128) if dark else (224, 224, 226))
        draw.text(
            (SIZE[0] - 74, y), f"{random.integers(1, 9999)}.{random.integers(10, 99)}", accent, _font(12)
        )
    draw.rounded_rectangle((SIZE[0] - 150, SIZE[1] - 54, SIZE[0] - 24, SIZE[1] - 20), 8, accent)
    draw.text((SIZE[0] - 120, SIZE[1] - 45), _words(random, 1), (255, 255, 255), _font(14))
    return image


def diagram(random: np.random.Generator, _: Image.Image | None) -> Image.Image:
    """Boxes and arrows beside a plot of thin lines."""
    scale = 2
    image = Image.new("RGB", (SIZE[0] * scale, SIZE[1] * scale), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    places = [(random.uniform(20, 320), random.uniform(20, 500)) for _index in range(7)]
    for a, b in itertools.pairwise(places):
        draw.line([(scale * (v[0] + 50), scale * (v[1] + 18)) for v in (a, b)], (60, 60, 60), 2 * scale - 1)
    for x, y in places:
        box = [scale * v for v in (x, y, x + 104, y + 36)]
        draw.rectangle(box, _colour(random, 190, 256), _colour(random, 0, 120), scale)
        draw.text((box[0] + 10, box[1] + 16), _words(random, 2), (10, 10, 10), _font(13 * scale))
    left, top, right, bottom = (scale * v for v in (460, 60, 740, 500))
    for tick in range(12):
        y = top + (bottom - top) * tick / 11
        draw.line((left, y, right, y), (222, 222, 222), 1)
        draw.text((left - 40, y - 10), f"{11 - tick}0", (60, 60, 60), _font(10 * scale))
    for _index in range(5):
        steps = np.cumsum(random.normal(0, 18, 60)) + random.uniform(top + 100, bottom - 100)
        points = [(left + (right - left) * i / 59, float(y)) for i, y in enumerate(steps)]
        draw.line(points, _colour(random, 0, 200), int(random.choice((2, 3))))
    draw.rectangle((left, top, right, bottom), outline=(0, 0, 0))
    return image.resize(SIZE, Image.Resampling.LANCZOS)


def comic(random: np.random.Generator, _: Image.Image | None) -> Image.Image:
    """Flat colours inside black outlines, speech, halftone dots, a gradient sky."""
    scale = 2
    size = (SIZE[0] * scale, SIZE[1] * scale)
    rows = np.linspace(0, 1, size[1])[:, None, None]
    sky = (1 - rows) * _colour(random, 80, 200) + rows * np.array(_colour(random, 150, 250))
    image = Image.fromarray(np.broadcast_to(sky, (size[1], size[0], 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _index in range(14):
        x, y, r = random.uniform(0, size[0]), random.uniform(size[1] / 4, size[1]), random.uniform(40, 170)
        corners = [
            (x + r * random.uniform(0.6, 1.2) * math.cos(a), y + r * random.uniform(0.6, 1.2) * math.sin(a))
            for a in np.linspace(0, 2 * math.pi, 11)[:-1]
        ]
        draw.polygon(corners, fill=_colour(random, 40, 255))
        draw.line([*corners, corners[0]], (15, 12, 20), 5, "curve")
    for x in range(0, size[0] // 3, 14):
        for y in range(size[1] * 2 // 3, size[1], 14):
            draw.ellipse((x, y, x + 7, y + 7), (200, 60, 50))
    for _index in range(2):
        x, y = random.uniform(60, size[0] - 520), random.uniform(30, size[1] / 3)
        draw.ellipse((x, y, x + 440, y + 150), (255, 255, 255), (0, 0, 0), 4)
        draw.text((x + 60, y + 56), _words(random, 3).upper(), (0, 0, 0), _font(30))
    return image.resize(SIZE, Image.Resampling.LANCZOS)


def scan(random: np.random.Generator, _: Image.Image | None) -> Image.Image:
    """A printed page on a scanner: grain, a little blur, a turned sheet, ruled lines."""
    scale = 2
    image = Image.new("L", (SIZE[0] * scale, SIZE[1] * scale), 244)
    draw = ImageDraw.Draw(image)
    for row in range(25):
        y = scale * (24 + 21 * row)
        draw.text((scale * 40, y), _words(random, int(random.integers(6, 11))), 26, _font(12 * scale))
        if row % 6 == 5:
            draw.line((scale * 40, y + 15 * scale, scale * 720, y + 15 * scale), 90, scale)
    turned = image.rotate(float(random.uniform(-1.5, 1.5)), Image.Resampling.BICUBIC, fillcolor=240)
    small = turned.resize(SIZE, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.5))
    noisy = np.asarray(small, float) + random.normal(0, 3.0, SIZE[::-1])
    tint = np.array([1.0, 0.985, 0.95])
    return Image.fromarray(np.clip(noisy[..., None] * tint, 0, 255).astype(np.uint8))


def caption(random: np.random.Generator, photo: Image.Image | None) -> Image.Image:
    """Lettering over a photograph, or over a soft gradient where there is none."""
    if photo is None:
        grid = random.integers(40, 220, (5, 6, 3), dtype=np.uint8)
        photo = Image.fromarray(grid)
    image = photo.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    draw.text(
        (30, 24), _words(random, 2).upper(), (255, 255, 255), _font(44), stroke_width=3, stroke_fill=(0, 0, 0)
    )
    draw.text((30, SIZE[1] - 60), _words(random, 6), (255, 240, 120), _font(18))
    draw.rectangle((SIZE[0] - 210, 20, SIZE[0] - 20, 58), (210, 30, 40))
    draw.text((SIZE[0] - 198, 28), _words(random, 2), (255, 255, 255), _font(17))
    return image


KINDS: Mapping[str, Draw] = {
    "map": map_,
    "screenshot": screenshot,
    "diagram": diagram,
    "comic": comic,
    "scan": scan,
    "caption": caption,
}


def drawing(kind: str, number: int, condition: str = "clean", photo: Image.Image | None = None) -> Pixels:
    """A picture of a kind, (height, width, 3). The same arguments give the same picture."""
    random = np.random.default_rng([list(KINDS).index(kind), number])
    image = KINDS[kind](random, photo)
    if condition == "passed-on":
        image = image.resize((SIZE[0] * 3 // 4, SIZE[1] * 3 // 4), Image.Resampling.BICUBIC)
    if condition != "clean":
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(random.integers(70, 93)))
        image = Image.open(stream).convert("RGB")
    return np.asarray(image)


def write_drawings(folder: Path, count: int, photos: list[Path] | None = None) -> None:
    """Write `map-0-clean.png` and so on: `count` of each kind in each condition. Captions go over `photos`, if any."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        for number in range(count):
            photo = Image.open(photos[number % len(photos)]) if photos else None
            for condition in CONDITIONS:
                pixels = drawing(kind, number, condition, photo)
                Image.fromarray(pixels).save(folder / f"{kind}-{number}-{condition}.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pictures."""
    parser = argparse.ArgumentParser(prog="python -m pico_bench.drawings", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="receives the pictures")
    parser.add_argument("--count", type=int, default=3, metavar="N", help="of each kind and condition (3)")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="photographs to put captions over")
    arguments = parser.parse_args(argv)
    photos = sorted(arguments.photos.glob("*.png")) if arguments.photos else None
    write_drawings(arguments.folder, arguments.count, photos)
    return 0


if __name__ == "__main__":
    sys.exit(main())
