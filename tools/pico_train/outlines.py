"""Outlines of text and of faces in a pack's pictures, kept beside its parts, and soft-edged masks drawn from them.

Outlines are in pixels of the packed pictures. A mask is drawn when a crop is cut, so it costs no memory and follows the
crop's scale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pico_core.errors import PicoError

from .files import write_whole

Outline: TypeAlias = list[list[float]]  # corners (x, y)
Outlines: TypeAlias = dict[str, list[Outline]]  # by the name of a picture

KINDS: Mapping[str, str] = {"text": "text-masks", "faces": "face-masks"}  # and the command that finds them

GROWTH = 3.0  # pixels that a mask reaches beyond the detector's outline, which hugs the letters
SOFTNESS = 3.0  # standard deviation of the Gaussian that softens the edge, in pixels


class OutlinesError(PicoError):
    """The outlines of a pack are damaged, or not there."""


def place_of(folder: Path, kind: str) -> Path:
    """The file in a pack's folder that holds its outlines of a kind."""
    return folder / f"{kind}.json"


def read_outlines(folder: Path, kind: str) -> Outlines | None:
    """Outlines by picture, as a command cached them in a pack's folder; None if it did not. Raises OutlinesError."""
    path = place_of(folder, kind)
    if not path.is_file():
        return None
    try:
        outlines: Outlines = json.loads(path.read_text("utf-8"))["outlines"]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is damaged; remove it and run pico-train {KINDS[kind]} again"
        raise OutlinesError(msg) from error
    return outlines


def write_outlines(folder: Path, kind: str, outlines: Outlines) -> None:
    """Cache outlines beside a pack's parts."""
    write_whole(place_of(folder, kind), [json.dumps({"outlines": outlines}, sort_keys=True).encode()])


def outlines_of(folder: Path, kind: str, names: Sequence[str]) -> Outlines:
    """The cached outlines. Raises OutlinesError if some of the named pictures were not looked at yet."""
    outlines = read_outlines(folder, kind)
    missing = None if outlines is None else [name for name in names if name not in outlines]
    if outlines is None or missing:
        what = f"lacks {len(missing)} pictures" if missing else f"has no {place_of(folder, kind).name}"
        msg = f"the pack {folder} {what}, which a loss needs; run: pico-train {KINDS[kind]} {folder}"
        raise OutlinesError(msg)
    return outlines


def draw_mask(outlines: Sequence[Outline], width: int, height: int) -> NDArray[np.float32] | None:
    """A soft-edged mask (height, width) in [0, 1], or None where no outline comes near.

    Outlines are grown by `GROWTH` pixels and blurred with a Gaussian of `SOFTNESS` pixels, so that the weight of
    the loss fades out over about six pixels.
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
