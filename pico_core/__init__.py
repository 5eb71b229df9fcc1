"""PICO: a learned image codec. Pixels in, `.pico` bytes out, and back; no plug-ins, no command lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .container import Extra, Metadata, accept
from .errors import (
    CorruptError,
    EngineError,
    FormatError,
    ImageTooLargeError,
    InvalidImageError,
    NotPicoError,
    OptionError,
    PicoError,
    TrailingDataError,
    TruncatedError,
    UnknownModelError,
    UnsupportedVersionError,
    WeightsError,
)

if TYPE_CHECKING:
    from .image import DEFAULT_QUALITY, MAX_PIXELS, PicoFile, decode, encode

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_QUALITY",
    "MAX_PIXELS",
    "CorruptError",
    "EngineError",
    "Extra",
    "FormatError",
    "ImageTooLargeError",
    "InvalidImageError",
    "Metadata",
    "NotPicoError",
    "OptionError",
    "PicoError",
    "PicoFile",
    "TrailingDataError",
    "TruncatedError",
    "UnknownModelError",
    "UnsupportedVersionError",
    "WeightsError",
    "accept",
    "decode",
    "encode",
]


def __getattr__(name: str) -> object:
    # Reading headers needs no numpy, whose import takes longer than all the rest: import it on demand.
    if name in __all__:
        from . import image

        return getattr(image, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
