"""The same part of a picture from every codec at nearly the same number of bytes, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pico_bench.codecs import Codec, CodecFailedError, Coded, FileCodec, PillowCodec
from pico_bench.commands import CommandCodec, VvcCodec
from pico_bench.mozjpeg import MozjpegCodec
from pico_bench.originals import UNREADABLE, Original
from pico_bench.rd import Run
from pico_core.errors import OptionError, PicoError
from pico_core.tiling import Box
from pico_metrics.lpips import lpips, lpips_map, worst_crop
from pico_metrics.pictures import Pixels

CROPS = "crops"
_ORIGIN = "pico-bench"  # text of a sheet's PNG file that says what it was made of
_CAPTION, _GAP = 58, 8
_INK, _PAPER, _GREY = "#111111", "#ffffff", "#555555"


@dataclass(frozen=True)
class Choice:
    """What one codec offers at the bytes asked for."""

    codec: str
    quality: str
    coded: Coded


@dataclass(frozen=True)
class Sheet:
    """Crops side by side, the box they show, and lines about codecs without a crop: left out, or failed."""

    image: Image.Image
    box: Box
    notes: Sequence[str]
    failures: Sequence[str]
    builds: Mapping[str, Mapping[str, str]]  # by codec: what decides its files at every quality


def side_by_side(
    original: Original,
    codecs: Sequence[Codec],
    size: float,
    box: Box | None = None,
    side: int = 256,
    zoom: int = 2,
    columns: int = 4,
) -> Sheet:
    """A sheet of crops at nearly equal bytes.

    Each codec takes its best quality whose file has at most `size` bytes, or its smallest file. Without a `box`
    the sheet shows the square of `side` pixels where the first codec is worst by LPIPS (Alex). A row has at most
    `columns` crops.
    Raises OptionError for a box that leaves the picture.
    """
    choices, notes, failures = [], [], []
    for codec in codecs:
        try:
            choices.append(fit(codec, original, size))
        except OptionError as error:
            notes.append(f"{codec.name} on {original.name}: {error}")
        except PicoError as error:
            failures.append(f"{codec.name} on {original.name}: {error}")
    if box is None and choices:
        pair = original.pixels, choices[0].coded.pixels
        box = worst_crop(lpips_map(*pair, "alex"), original.pixels.shape[:2], side).box
    height, width = original.pixels.shape[:2]
    if box is None:
        raise CodecFailedError("; ".join([*failures, *notes]))
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        msg = f"the crop {tuple(box)} is empty or leaves {original.name} of {width}x{height} pixels"
        raise OptionError(msg)
    panels = [_panel(original.pixels, box, zoom, "original", f"{original.name}, {width}x{height}")]
    panels += [_panel(c.coded.pixels, box, zoom, *_captions(c, original, size)) for c in choices]
    shown = {choice.codec for choice in choices}
    builds = {codec.name: _build(codec, original) for codec in codecs if codec.name in shown}
    return Sheet(_sheet(panels, columns), box, notes, failures, builds)


def fit(codec: Codec, original: Original, size: float) -> Choice:
    """The codec's best quality of at most `size` bytes, or its smallest file; files rise with quality."""
    candidates = ladder(codec, original)
    if not candidates:
        msg = "it does not have this picture"
        raise OptionError(msg)
    low, high = 0, len(candidates) - 1
    best = Choice(codec.name, candidates[0], codec.code(original, candidates[0]))
    while low <= high:
        middle = (low + high) // 2
        choice = Choice(codec.name, candidates[middle], codec.code(original, candidates[middle]))
        if choice.coded.size <= size:
            best, low = choice, middle + 1
        else:
            high = middle - 1
    return best


def ladder(codec: Codec, original: Original) -> list[str]:
    """Qualities in order of rising rate, as finely as the codec can be set."""
    if isinstance(codec, VvcCodec):
        return [str(quantiser) for quantiser in range(55, 9, -1)]
    if isinstance(codec, PillowCodec) and codec.format == "JPEG2000":
        return [f"{20 + step / 4:g}" for step in range(121)]
    if isinstance(codec, CommandCodec):
        return list(codec.qualities(original))
    if isinstance(codec, FileCodec):
        return [
            str(quality) for quality in range(1 if isinstance(codec, PillowCodec | MozjpegCodec) else 0, 101)
        ]
    sizes = {quality: codec.code(original, quality).size for quality in codec.qualities(original)}
    return sorted(sizes, key=lambda quality: sizes[quality])


def _captions(choice: Choice, original: Original, size: float) -> tuple[str, str]:
    more = 100 * (choice.coded.size / size - 1)
    distance = lpips(original.pixels, choice.coded.pixels, "alex")
    title = f"{choice.codec}, quality {choice.quality}"
    return title, f"{choice.coded.size:,.0f} bytes ({more:+.1f} %), LPIPS {distance:.3f}"


def _panel(pixels: Pixels, box: Box, zoom: int, title: str, detail: str) -> Image.Image:
    cut = Image.fromarray(pixels[box.top : box.bottom, box.left : box.right])
    cut = cut.resize((cut.width * zoom, cut.height * zoom), Image.Resampling.NEAREST)
    panel = Image.new("RGB", (max(cut.width, 360), cut.height + _CAPTION), _PAPER)
    panel.paste(cut, (0, 0))
    draw = ImageDraw.Draw(panel)
    draw.text((2, cut.height + 4), title, _INK, ImageFont.load_default(21))
    draw.text((2, cut.height + 31), detail, _GREY, ImageFont.load_default(17))
    return panel


def _sheet(panels: Sequence[Image.Image], most: int) -> Image.Image:
    rows = -(-len(panels) // most)
    columns = -(-len(panels) // rows)  # as even as can be: nine panels are three rows of three
    width, height = panels[0].width + _GAP, panels[0].height + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), _PAPER)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        sheet.paste(panel, (_GAP + column * width, _GAP + row * height))
    return sheet


def _build(codec: Codec, original: Original) -> Mapping[str, str]:
    """The settings and versions of a codec, without those that differ by quality; none of published pictures."""
    if not isinstance(codec, FileCodec):
        return {}
    first, last = (codec.identity(original, ladder(codec, original)[at]) for at in (0, -1))
    return {key: value for key, value in first.items() if last.get(key) == value and key != "quality"}


def save_sheet(sheet: Sheet, folder: Path, original: Original) -> Path:
    """Write a sheet, and what it was made of, to the folder's `crops`."""
    target = folder / CROPS / f"{original.name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    made_of = PngImagePlugin.PngInfo()
    made_of.add_text(_ORIGIN, json.dumps({"picture": original.sha256, "codecs": sheet.builds}))
    sheet.image.save(target, pnginfo=made_of)
    return target


def find_sheets(folder: Path, run: Run) -> tuple[list[Path], list[str]]:
    """The sheets in the folder's `crops` of the run's pictures and codecs, and lines about the others."""
    found = sorted((folder / CROPS).glob("*.png"))
    sheets = [path for path in found if _is_of(path, run)]
    others = [path for path in found if path not in sheets]
    reason = "left out: they are not of this run's pictures and codecs; make them anew with pico-bench crops"
    return sheets, [f"crops of {path.stem} {reason}" for path in others]


def _is_of(sheet: Path, run: Run) -> bool:
    """Whether a sheet shows a picture of the run, and no codec that differs from the run's codec of that name."""
    try:
        with Image.open(sheet) as image:
            made_of = json.loads(image.info[_ORIGIN])
        picture, codecs = made_of["picture"], made_of["codecs"]
        if sheet.stem not in run.sizes or run.hashes.get(sheet.stem, picture) != picture:
            return False
        pairs = [(build, run.settings[name]) for name, build in codecs.items() if name in run.settings]
        return all(build.items() <= settings.items() for build, settings in pairs)
    except (*UNREADABLE, KeyError, TypeError, AttributeError):  # made by something else
        return False
