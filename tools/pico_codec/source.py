"""A picture file of any format -> pixels, and every byte of metadata that it carries."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

import pillow_pico  # noqa: F401  (makes .pico files sources too)
from pico_codec import carried, carried_seldom, carried_tiff, heif
from pico_codec.depth import bits_a_sample
from pico_core.container import Metadata
from pico_core.errors import CorruptError, PicoError

#: What Pillow may raise on a damaged file, and what the codec may.
FILE_ERRORS = (
    PicoError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    SyntaxError,
    OverflowError,
    struct.error,
    MemoryError,
    Image.DecompressionBombError,
)

_STORED_MODES = {
    "1": ("L", "LA"),
    "L": ("L", "LA"),
    "LA": ("L", "LA"),
    "La": ("L", "LA"),
    "P": ("RGB", "RGBA"),
    "PA": ("RGB", "RGBA"),
    "RGB": ("RGB", "RGBA"),
    "RGBA": ("RGB", "RGBA"),
    "RGBa": ("RGB", "RGBA"),
    "RGBX": ("RGB", "RGB"),
    "YCbCr": ("RGB", "RGB"),
}
_READERS = {
    "JPEG": carried.from_jpeg,
    "MPO": carried.from_jpeg,
    "PNG": carried.from_png,
    "WEBP": carried.from_webp,
}


class Unsuitable(StrEnum):
    """Why a file cannot become a .pico file."""

    NOT_A_PICTURE = "not a picture in a format that Pillow reads"
    SEVERAL_PICTURES = "animation or several pages"
    DEEP = "more than 8 bits a sample"
    COLOUR_SPACE = "CMYK or another colour space that is not RGB or grey"


class UnsuitableError(PicoError):
    """The file is in order, but a .pico file cannot hold what it shows; `reason` says why."""

    def __init__(self, reason: Unsuitable, hint: str) -> None:
        super().__init__(f"{reason}; {hint}")
        self.reason = reason


class EmptyError(PicoError):
    """The file holds no bytes at all, as after a copy or a download that failed."""


@dataclass(frozen=True)
class Source:
    """A picture file, read whole.

    `pixels` is uint8 (height, width, 1..4): grey, grey and alpha, RGB, or RGBA, not turned upright.
    `left_behind` names what the file holds that `metadata` does not; None if that is nothing.
    """

    format: str
    pixels: NDArray[np.uint8]
    metadata: Metadata
    left_behind: str | None


def read_source(data: bytes) -> Source:
    """Read the bytes of a picture file. Raises UnsuitableError, or one of FILE_ERRORS if they are damaged."""
    if not data:
        msg = "the file is empty; restore it from a copy"
        raise EmptyError(msg)
    with _opened(data) as im:
        kind = im.format or "?"
        _check_frames(kind, im)
        _check_depth(kind, data, im)
        _mend_transparency(kind, data, im)
        exif = _bytes(im, "exif") or carried.exif_in_text(im.info)
        known = Metadata(exif=exif, xmp=_bytes(im, "xmp"), icc=_bytes(im, "icc_profile"))
        metadata, left_behind = _everything(kind, data, known, dict(im.info))
        pixels = _pixels(heif.turned_back(im, metadata) if kind == heif.FORMAT else im)
    return Source(kind, pixels, metadata, left_behind)


def read_source_file(path: Path) -> Source:
    """Read a picture file; see `read_source`. Raises OSError too."""
    return read_source(path.read_bytes())


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a picture file states; None where Pillow cannot open it."""
    try:
        with _opened(data) as im:
            return im.size
    except FILE_ERRORS:
        return None


def _opened(data: bytes) -> Image.Image:
    try:
        if heif.is_heif(data):
            heif.let_pillow_read()
        if data.startswith(carried.PNG_SIGNATURE):
            data = carried.without_long_texts(data)
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        if heif.is_heif(data):
            msg = "the file is a damaged HEIC picture; restore it from a copy"
            raise CorruptError(msg) from error
        raise UnsuitableError(Unsuitable.NOT_A_PICTURE, "convert it to JPEG or PNG first") from error


def _everything(kind: str, data: bytes, known: Metadata, info: dict[Any, Any]) -> tuple[Metadata, str | None]:
    """The metadata that a file carries, beside what is known of it, and what has to stay behind. `info` is Pillow's."""
    if kind in _READERS:
        extras, left_behind = _READERS[kind](data, known)
        return replace(known, extras=extras), left_behind
    if kind == "GIF":
        return carried_seldom.from_gif(data)
    if kind == "JPEG2000":
        return carried_seldom.from_jpeg2000(data)
    if kind == "TIFF":
        return carried_tiff.from_tiff(data, known)
    if kind == heif.FORMAT:
        return heif.from_heif(data, known), None
    if kind == "PICO":
        return replace(known, extras=carried.from_pico(data)), None
    return known, carried_seldom.left_of(kind, data, info)


def _check_frames(kind: str, im: Image.Image) -> None:
    # An MPO file is a photo with previews or a gain map behind it: `left_behind` tells of them.
    if kind != "MPO" and getattr(im, "n_frames", 1) > 1:
        raise UnsuitableError(Unsuitable.SEVERAL_PICTURES, "save each picture to a file of its own")


def _check_depth(kind: str, data: bytes, im: Image.Image) -> None:
    if bits_a_sample(kind, data, im) > 8 or im.mode.startswith(("I", "F")):
        raise UnsuitableError(Unsuitable.DEEP, "save it with 8 bits a sample first")
    if im.mode not in _STORED_MODES or (kind == heif.FORMAT and heif.has_unknown_colours(im.info)):
        raise UnsuitableError(Unsuitable.COLOUR_SPACE, "convert it to RGB first")


def _mend_transparency(kind: str, data: bytes, im: Image.Image) -> None:
    """Pillow spreads grey samples of 2 and 4 bits over 0 to 255, but not the one that a PNG makes transparent."""
    transparent = im.info.get("transparency")
    if kind == "PNG" and data[24] in (2, 4) and data[25] == 0 and isinstance(transparent, int):
        largest = 2 ** data[24] - 1
        im.info["transparency"] = (transparent & largest) * (255 // largest)


def _pixels(im: Image.Image) -> NDArray[np.uint8]:
    opaque, transparent = _STORED_MODES[im.mode]
    mode = transparent if im.has_transparency_data else opaque
    pixels = np.asarray(im if im.mode == mode else im.convert(mode))
    return pixels.reshape(im.height, im.width, -1)


def _bytes(im: Image.Image, key: str) -> bytes | None:
    value = im.info.get(key)
    if isinstance(value, str):
        value = value.encode()
    return value or None
