"""Where text is: outlines found once by an off-the-shelf detector, and soft-edged masks drawn from them.

The detector is PP-OCR's (PaddleOCR, Apache-2.0), as the package `rapidocr-onnxruntime` ships it. On photographs it
also outlines faces, stars and fences; so only what PP-OCR's recogniser can read counts as text. Outlines are
cached as `text.json` in the pack's folder, in pixels of the packed pictures. A mask is drawn when a crop is cut, so
it costs no memory and follows the crop's scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from tqdm import tqdm

from pico_core.errors import OptionError

from .packs import MASKS, Pack, read_outlines, write_outlines

Outline = list[list[float]]  # corners (x, y)

GROWTH = 3.0  # pixels that a mask reaches beyond the detector's outline, which hugs the letters
SOFTNESS = 3.0  # standard deviation of the Gaussian that softens the edge, in pixels
LEAST_CONFIDENCE = 0.6  # of the recogniser in what it reads
LEAST_CHARACTERS = 2
_SAVE_EVERY = 200  # pictures


def find_text(folder: Path, threads: int = 1, restart: bool = False) -> tuple[int, int]:
    """Detect text in every picture of a pack and cache the outlines beside it.

    Returns how many pictures there are and how many of them hold text. A stopped call goes on where it was.
    Raises OptionError if the detector is not installed, PackError.
    """
    detect = _detector(threads)
    pack = Pack(folder)
    known = {} if restart else read_outlines(folder) or {}
    outlines = {
        photo.entry.name: known[photo.entry.name] for photo in pack.photos if photo.entry.name in known
    }
    missing = [photo for photo in pack.photos if photo.entry.name not in outlines]
    for count, photo in enumerate(tqdm(missing, desc="looking for text", unit="picture"), 1):
        outlines[photo.entry.name] = detect(photo.pixels())
        if count % _SAVE_EVERY == 0:
            write_outlines(folder, outlines)
    write_outlines(folder, outlines)
    return len(outlines), sum(bool(found) for found in outlines.values())


def _detector(threads: int) -> Any:
    """A function from RGB pixels to outlines."""
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:
        msg = f"text masks need a text detector ({error}); install it with: pip install 'pillow-pico[text]'"
        raise OptionError(msg) from error
    engine = RapidOCR(intra_op_num_threads=threads, inter_op_num_threads=1, text_score=LEAST_CONFIDENCE)

    def detect(pixels: NDArray[np.uint8]) -> list[Outline]:
        found, _ = engine(np.ascontiguousarray(pixels[..., ::-1]), use_det=True, use_cls=False, use_rec=True)
        read = [box for box, text, _ in found or [] if len(text.strip()) >= LEAST_CHARACTERS]
        return [[[round(float(x), 1), round(float(y), 1)] for x, y in box] for box in read]

    return detect


def outlines_of(pack: Pack) -> dict[str, list[Outline]]:
    """The cached outlines. Raises OptionError if some pictures were not looked at yet."""
    outlines = read_outlines(pack.folder)
    missing = (
        None if outlines is None else [p.entry.name for p in pack.photos if p.entry.name not in outlines]
    )
    if outlines is None or missing:
        what = f"lacks {len(missing)} pictures" if missing else f"has no {MASKS}"
        msg = f"the pack {pack.folder} {what}, which the text loss needs; run: pico-train text-masks {pack.folder}"
        raise OptionError(msg)
    return outlines


def draw_mask(outlines: Sequence[Outline], width: int, height: int) -> NDArray[np.float32] | None:
    """A soft-edged mask (height, width) in [0, 1], or None where no outline comes near.

    Outlines are grown by `GROWTH` pixels and blurred with a Gaussian of `SOFTNESS` pixels, so that the weight of
    the text loss fades out over about six pixels.
    """
    margin = GROWTH + 3 * SOFTNESS
    near = [o for o in outlines if _touches(o, width, height, margin)]
    if not near:
        return None
    pad = int(np.ceil(3 * SOFTNESS))
    canvas = Image.new("L", (width + 2 * pad, height + 2 * pad))
    draw = ImageDraw.Draw(canvas)
    for outline in near:
        corners = [(x + pad, y + pad) for x, y in outline]
        draw.polygon(corners, fill=255)
        draw.line([*corners, *corners[:2]], fill=255, width=round(2 * GROWTH), joint="curve")
    soft = canvas.filter(ImageFilter.GaussianBlur(SOFTNESS)).crop((pad, pad, pad + width, pad + height))
    return np.asarray(np.asarray(soft, np.float32) / 255, np.float32)


def _touches(outline: Outline, width: int, height: int, margin: float) -> bool:
    xs, ys = [x for x, _ in outline], [y for _, y in outline]
    return max(xs) > -margin and min(xs) < width + margin and max(ys) > -margin and min(ys) < height + margin
