"""Every error that this project raises on purpose, in one tree under PicoError."""

from __future__ import annotations


class PicoError(Exception):
    """Base of every error raised on purpose; catch this to catch them all."""


class FormatError(PicoError):
    """The bytes are not a readable .pico file."""


class NotPicoError(FormatError):
    """The bytes do not start as a .pico file does."""


class TruncatedError(FormatError):
    """The file ends before its own headers say it does."""


class CorruptError(FormatError):
    """The file contradicts itself: a checksum, a size, or a field out of its range."""


class TrailingDataError(FormatError):
    """Bytes follow the end of the file that its headers describe."""


class UnsupportedVersionError(FormatError):
    """The file was written by a later version of the format."""


class MissingCoderError(FormatError):
    """The file has tiles in a coder that this installation of Pillow lacks."""


class UnknownModelError(PicoError):
    """The file needs network weights that are not installed here."""


class WeightsError(PicoError):
    """A weights file is damaged or does not fit this version of the networks."""


class EngineError(PicoError):
    """The engine that runs the networks is missing, or cannot run on this machine."""


class ImageTooLargeError(PicoError):
    """The picture has more pixels, or more along a side, than the limit in force."""


class InvalidImageError(PicoError):
    """The pixels handed to the encoder have a shape or type that it cannot take."""


class OptionError(PicoError):
    """An option is unknown, out of range, or contradicts another."""
