"""The pictures that codecs are compared on, read once and known by their pixels rather than their names."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from pico_codec.depth import bits_a_sample
from pico_core.errors import InvalidImageError, OptionError
from pico_metrics.pictures import Pixels

DEEP_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # raised by Pillow
SUFFIXES = frozenset({".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".ppm", ".bmp"})


@dataclass(frozen=True)
class Original:
    """One picture; `name` is that of its file, without extension."""

    path: Path

    @property
    def name(self) -> str:
        """What tables and reconstruction folders call the picture."""
        return self.path.stem

    @cached_property
    def pixels(self) -> Pixels:
        """(height, width, 3) of uint8. Raises InvalidImageError if Pillow cannot read the file."""
        return read_rgb(self.path)

    @cached_property
    def sha256(self) -> str:
        """Hash of the size and the pixels: the same picture in another file is the same picture."""
        return hash_of_pixels(self.pixels)


def require_8_bits(path: Path, content: bytes, image: Image.Image) -> None:
    """Raise InvalidImageError for a file with deeper pixels, `image` as Pillow opened it."""
    # Pillow would clip these modes to white, and has cut colours to 8 bits already
    if image.mode in DEEP_MODES or bits_a_sample(image.format or "", content, image) > 8:
        msg = f"{path} has more than 8 bits per channel; convert it to 8-bit sRGB first"
        raise InvalidImageError(msg)


def read_rgb(path: Path) -> Pixels:
    """Read a picture as RGB, without transparency. Raises InvalidImageError if Pillow cannot, or for deep pixels."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            require_8_bits(path, content, image)
            return np.asarray(image.convert("RGB"))
    except UNREADABLE as error:
        msg = f"{path} cannot be read as a picture: {error}; remove it or name other pictures"
        raise InvalidImageError(msg) from error


def hash_of_pixels(pixels: Pixels) -> str:
    """SHA-256 of a picture's size and content."""
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def find_originals(folder: Path, only: Sequence[str] = ()) -> list[Original]:
    """The pictures of a folder in order of name, or only those named. Raises OptionError if there are none."""
    if not folder.is_dir():
        msg = f"{folder} is not a folder; name the folder of the original pictures"
        raise OptionError(msg)
    found = [Original(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    names = {original.name for original in found}
    missing = [name for name in only if name not in names]
    if missing:
        msg = (
            f"{folder} has no picture named {', '.join(missing)}; it has {', '.join(sorted(names)) or 'none'}"
        )
        raise OptionError(msg)
    chosen = [original for original in found if not only or original.name in only]
    if not chosen:
        msg = f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))}); name another folder"
        raise OptionError(msg)
    if len(names) < len(found):
        msg = f"{folder} holds two pictures of one name that differ in extension; rename one"
        raise OptionError(msg)
    return chosen
