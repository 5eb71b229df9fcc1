"""PICO: a learned image codec. Pixels in, `.pico` bytes out, and back; no plug-ins, no command lines."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .container import Extra, Metadata, accept
from .errors import (
    CorruptError,
    FormatError,
    ImageTooLargeError,
    InvalidImageError,
    NotPicoError,
    OptionError,
    PicoError,
    ShutdownError,
    TrailingDataError,
    TruncatedError,
    UnknownModelError,
    UnsupportedVersionError,
    WeightsError,
)

# Once the main thread has ended this module can no longer be imported, and without it torch cannot: threads that are
# still at work then, and exit handlers, may be the first to need it.
with contextlib.suppress(RuntimeError):
    import concurrent.futures.thread  # noqa: F401

if TYPE_CHECKING:
    from .image import DEFAULT_QUALITY, MAX_PIXELS, PicoFile, decode, encode

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_QUALITY",
    "MAX_PIXELS",
    "CorruptError",
    "Extra",
    "FormatError",
    "ImageTooLargeError",
    "InvalidImageError",
    "Metadata",
    "NotPicoError",
    "OptionError",
    "PicoError",
    "PicoFile",
    "ShutdownError",
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
