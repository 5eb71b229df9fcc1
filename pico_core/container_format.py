"""Constants and types of a .pico file, shared by its reader and its writer; see docs/format.md."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pico_core.errors import OptionError

MAGIC: Final = b"ftyppico"  # at byte 4 of every file
FORMAT_MAJOR: Final = 1  # readers refuse a later one
FORMAT_MINOR: Final = 0  # readers ignore it
CODEC_VERSION: Final = 1  # how tiles lie, and what their payloads mean

MAX_SIDE: Final = 65_535
WINDOW: Final = 512
OVERLAP: Final = 8
LEVELS_PER_UNIT: Final = 4096
RISES_PER_LEVEL: Final = 16  # steps in which a tile's level may lie above the picture's
MAX_RISE: Final = 255
NO_QUALITY: Final = 255
NO_MODEL: Final = bytes(16)

CHECKSUM_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 1 << 24
MAX_TILE_BYTES: Final = 1 << 24
MAX_ITEMS: Final = 65_535

CODEC_CONFIGURATION: Final = struct.Struct(">BBBHHH16s")
TILE_ENTRY: Final = struct.Struct(">BBI8s")
ALPHA_URN: Final = "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
XMP_TYPE: Final = "application/rdf+xml"


class Coder(IntEnum):
    """What made the payload of a tile."""

    LEARNED = 0
    WEBP_LOSSLESS = 1
    AVIF = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """What a decoder must know of the picture before it sees a tile.

    `width` and `height` are 1..65535 pixels; `channels` counts the colours only: 1 (grey) or 3 (RGB).
    `level` is the rate level, in [0, 16) and a multiple of 1/4096 (see `storable_level`); `quality` is the
    0..100 that was asked for. `model_id` (16 bytes) names the weights; None when no tile is learned.
    """

    width: int
    height: int
    channels: int
    has_alpha: bool
    level: float
    quality: int | None
    model_id: bytes | None


@dataclass(frozen=True, slots=True)
class Tile:
    """One coded tile; `payload` is 1 byte to 16 MiB long.

    `rise` says how far the level of a learned tile lies above the picture's, in sixteenths of a level, 0 to 255. It is
    0 for all other tiles.
    """

    coder: Coder
    payload: bytes
    rise: int = 0

    def level(self, of_picture: float) -> float:
        """The level that the tile was coded at, given that of the picture."""
        return of_picture + self.rise / RISES_PER_LEVEL


@dataclass(frozen=True, slots=True)
class Extra:
    """Bytes carried along without being understood: a name, a MIME type, and at least one byte of data."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Metadata:
    r"""What came with the picture, byte for byte; `exif` may start with b"Exif\0\0" or not."""

    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    extras: tuple[Extra, ...] = ()


def storable_level(level: float) -> float:
    """The level nearest to `level` that a file can hold: encode with it. OptionError outside [0, 16)."""
    if not 0 <= level < 16:
        msg = f"level {level} is outside [0, 16)"
        raise OptionError(msg)
    return min(round(level * LEVELS_PER_UNIT), 0xFFFF) / LEVELS_PER_UNIT


def tile_count(width: int, height: int) -> int:
    """Tiles of a picture, by the rule of the format: windows of 512 pixels, 504 apart."""
    across, down = (
        1 if side <= WINDOW else -(-(side - OVERLAP) // (WINDOW - OVERLAP)) for side in (width, height)
    )
    return across * down


def checksum(*parts: bytes) -> bytes:
    """BLAKE2b of 8 bytes over the parts in a row."""
    digest = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()
