"""JPEG as mozjpeg writes it: trellis quantisation, its own tables and scans, through libvips (package pyvips)."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np

from pico_bench.codecs import INSTALL, CodecFailedError, FileCodec
from pico_bench.originals import Original
from pico_metrics.pictures import Pixels

OPTIONS: Mapping[str, Any] = {
    "interlace": True,
    "optimize_coding": True,
    "subsample_mode": "on",  # 4:2:0 at every quality
    "trellis_quant": True,
    "overshoot_deringing": True,
    "optimize_scans": True,
    "quant_table": 3,  # mozjpeg's own default table
    "keep": "none",
}


class MozjpegCodec(FileCodec):
    """mozjpeg with the options that its command `cjpeg` uses by default; the files are ordinary JPEG."""

    name = "JPEG (mozjpeg)"

    def __init__(self, ladder: tuple[str, ...] = ("5", "10", "20", "35", "50", "65", "80")) -> None:
        self.ladder = ladder

    def missing(self) -> str | None:
        """Why this codec cannot run here, in one line; None if it can."""
        if importlib.util.find_spec("pyvips") is None:
            return f"{self.name} left out: the package pyvips is not installed ({INSTALL})"
        return _unusable(self.name)

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """Settings and the version of libvips, which comes with its mozjpeg."""
        settings = {key: str(value) for key, value in OPTIONS.items()}
        return {"codec": self.name, "quality": quality, "libvips": _version(), **settings}

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """A JPEG file. Raises CodecFailedError."""
        vips = _vips()
        try:
            picture = vips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation="srgb")
            return bytes(picture.jpegsave_buffer(Q=round(float(quality)), **OPTIONS))
        except vips.Error as error:
            msg = f"{self.name} cannot code this picture at quality {quality}: {error}"
            raise CodecFailedError(msg) from error


@functools.cache
def _vips() -> Any:
    return importlib.import_module("pyvips")


def _version() -> str:
    return ".".join(str(_vips().version(part)) for part in range(3))


@functools.cache
def _unusable(name: str) -> str | None:
    """Why there is no mozjpeg: libvips ignores its options without a word where it was built with another libjpeg."""
    try:
        vips = _vips()
    except (ImportError, OSError) as error:
        return f"{name} left out: libvips cannot be loaded: {error}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    picture = vips.Image.new_from_array(noise, interpretation="srgb")
    plain, trellis = (picture.jpegsave_buffer(Q=50, trellis_quant=wanted) for wanted in (False, True))
    return f"{name} left out: this libvips was built without mozjpeg" if plain == trellis else None
