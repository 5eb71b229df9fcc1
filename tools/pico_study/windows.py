"""The part of a picture that raters see: originals as sRGB, windows of one size, lossless files of one length."""

from __future__ import annotations

import csv
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from pico_bench.originals import UNREADABLE, Original, require_8_bits
from pico_core.errors import InvalidImageError, OptionError
from pico_core.tiling import Box
from pico_metrics.pictures import Pixels

LEAST_SIDE = 64
_END_OF_PNG = 12  # bytes of its last chunk, IEND


def as_srgb(path: Path, folder: Path) -> Original:
    """The original as the browsers of all raters will show it: upright, 8-bit sRGB, without a profile.

    A file that is so already is used where it lies; another one is written into `folder` as PNG under its name.
    Raises InvalidImageError.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            require_8_bits(path, content, image)
            profile = image.info.get("icc_profile")
            upright = ImageOps.exif_transpose(image)
            if profile is None and image.getexif().get(0x0112, 1) == 1:
                return Original(path)
            if profile is not None:
                source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
                if source.profile.xcolor_space.strip() == "RGB":
                    upright = upright.convert("RGB")  # grey and palette pictures may carry one of RGB
                converted = ImageCms.profileToProfile(
                    upright, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
                upright = converted or upright
            upright = upright.convert("RGB")
    except (*UNREADABLE, ImageCms.PyCMSError) as error:
        msg = f"{path} cannot be read as a picture: {error}; remove it or convert it to sRGB"
        raise InvalidImageError(msg) from error
    folder.mkdir(exist_ok=True)
    target = folder / f"{path.stem}.png"
    Image.fromarray(np.asarray(upright)).save(target)
    return Original(target)


def read_boxes(path: Path) -> dict[str, tuple[int, int]]:
    """Left and top of the windows that a CSV file chooses (name, left, top). Raises OptionError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return {row["name"]: (int(row["left"]), int(row["top"])) for row in csv.DictReader(stream)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} cannot be read: {error}; it must be a CSV file with the columns name, left and top"
        raise OptionError(msg) from error


def window_of(original: Original, size: tuple[int, int], corner: tuple[int, int] | None) -> Box:
    """The window of (long side, short side), lying as the picture lies: at its corner, or in the middle.

    A smaller picture is shown whole. Raises OptionError for a corner that the picture does not have, and
    InvalidImageError for a picture with a side under LEAST_SIDE.
    """
    height, width = original.pixels.shape[:2]
    if min(height, width) < LEAST_SIDE:
        msg = f"{original.path} is {width}x{height} pixels; a study needs {LEAST_SIDE} or more a side"
        raise InvalidImageError(msg)
    wide, high = (max(size), min(size)) if width >= height else (min(size), max(size))
    wide, high = min(wide, width), min(high, height)
    left, top = corner or ((width - wide) // 2, (height - high) // 2)
    if not (0 <= left <= width - wide and 0 <= top <= height - high):
        msg = (
            f"the window {wide}x{high} at {left},{top} does not lie within {original.name}, {width}x{height}"
        )
        raise OptionError(msg)
    return Box(left, top, left + wide, top + high)


def cut(pixels: Pixels, box: Box) -> Pixels:
    """The pixels of a window."""
    left, top, right, bottom = box
    return pixels[top:bottom, left:right]


def as_png(pixels: Pixels) -> bytes:
    """A PNG file of nothing but the pixels: no profile, no gamma, no text, no time."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def as_long_as(content: bytes, length: int) -> bytes:
    """The PNG file with a private chunk that readers pass over, `length` bytes long in all.

    A lossless file of a smooth, heavily compressed picture is short, so that lengths would tell rates. `length` must be
    at least 12 more than that of the file.
    """
    filling = bytes(length - len(content) - 12)
    chunk = b"pdDg" + filling
    padding = struct.pack(">I", len(filling)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:-_END_OF_PNG] + padding + content[-_END_OF_PNG:]
