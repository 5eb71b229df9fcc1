"""What can go wrong while pages are made; all under PicoError."""

from __future__ import annotations

from pico_core.errors import PicoError


class DecoderMissingError(PicoError):
    """The installation was built without the decoder for browsers."""


class AlbumError(PicoError):
    """An album cannot be written where it should be, or there is nothing to put into it."""
