"""Codecs behind one small interface: a picture and a quality in, the bytes of a real file and its pixels out."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, features

import pico_core
from pico_bench.originals import UNREADABLE, Original
from pico_core.errors import PicoError
from pico_metrics.pictures import Pixels

PICO = ".pico"
INSTALL = "pip install 'pillow-pico[bench]'"


class CodecFailedError(PicoError):
    """A codec could not code a picture, or its file could not be decoded."""


@dataclass(frozen=True)
class Coded:
    """A picture after coding: its pixels, and the bytes that it took."""

    pixels: Pixels
    size: float  # bytes; not whole where only a rate was published
    content: bytes | None = None  # the file, where there is one


class Codec(Protocol):
    """What every codec here can do. Qualities are labels; only the codec knows what they mean."""

    @property
    def name(self) -> str:
        """Title of its curve."""

    def qualities(self, original: Original) -> Sequence[str]:
        """The qualities to code this picture at."""

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """Everything but the picture that decides the file and its pixels: settings and versions."""

    def code(self, original: Original, quality: str, stored: bytes | None = None) -> Coded:
        """Code the picture, or decode the file `stored` from an earlier call. Raises CodecFailedError."""


class FileCodec:
    """A codec that writes files: what PillowCodec, PicoCodec and CommandCodec share."""

    name: str
    ladder: tuple[str, ...]

    def qualities(self, original: Original) -> Sequence[str]:
        """The same ladder for every picture."""
        return self.ladder

    def code(self, original: Original, quality: str, stored: bytes | None = None) -> Coded:
        """Encode, unless there is a file already, and decode."""
        content = self.encode(original.pixels, quality) if stored is None else stored
        pixels = self.decode(content, original.pixels.shape)
        if pixels.shape != original.pixels.shape:
            sizes = f"{pixels.shape[1]}x{pixels.shape[0]} instead of {original.pixels.shape[1]}x"
            msg = f"{self.name} gave back {sizes}{original.pixels.shape[0]} pixels of {original.name}"
            raise CodecFailedError(msg)
        return Coded(pixels, len(content), content)

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """The file's bytes. Raises CodecFailedError."""
        raise NotImplementedError

    def decode(self, content: bytes, shape: tuple[int, ...]) -> Pixels:
        """The file's pixels; `shape` is that of the original. Raises CodecFailedError."""
        return decode_with_pillow(content, self.name)


def decode_with_pillow(content: bytes, name: str) -> Pixels:
    """The pixels, as RGB, of any file that Pillow reads. Raises CodecFailedError."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except UNREADABLE as error:
        msg = f"Pillow cannot read the file that {name} wrote: {error}"
        raise CodecFailedError(msg) from error


@dataclass(frozen=True)
class PillowCodec(FileCodec):
    """A codec of Pillow or of one of its plug-ins. `options` turns a quality into the options of `save`."""

    name: str
    format: str
    ladder: tuple[str, ...]
    options: Callable[[float], dict[str, Any]]
    feature: str | None = None  # of Pillow, that must be compiled in
    package: str | None = None  # distribution of the plug-in
    module: str | None = None  # the plug-in itself

    def missing(self) -> str | None:
        """Why this codec cannot run here, in one line; None if it can."""
        if self.feature is not None and not features.check(self.feature):
            return f"{self.name} left out: this Pillow was built without it"
        if self.module is not None and importlib.util.find_spec(self.module) is None:
            return f"{self.name} left out: the package {self.package} is not installed ({INSTALL})"
        return None

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """Settings, and the versions of Pillow, the library behind it and the plug-in."""
        library = features.version(self.feature) if self.feature else version(self.package or "pillow")
        settings = {key: str(value) for key, value in self.options(float(quality)).items()}
        return {"codec": self.name, "pillow": version("pillow"), "library": str(library), **settings}

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """Save with Pillow. Raises CodecFailedError."""
        _register(self.module)
        stream = io.BytesIO()
        try:
            Image.fromarray(pixels).save(stream, self.format, **self.options(float(quality)))
        except (OSError, ValueError, RuntimeError) as error:
            msg = f"{self.name} cannot code this picture at quality {quality}: {error}"
            raise CodecFailedError(msg) from error
        return stream.getvalue()

    def decode(self, content: bytes, shape: tuple[int, ...]) -> Pixels:
        """Open with Pillow."""
        _register(self.module)
        return decode_with_pillow(content, self.name)


@cache
def _register(module: str | None) -> None:
    """Import a Pillow plug-in, and tell it to register if it does not do so by itself."""
    if module is not None:
        plugin = importlib.import_module(module)
        getattr(plugin, "register_heif_opener", lambda: None)()


class PicoCodec(FileCodec):
    """The project's codec with its default weights: whole files, without the JPEG preview."""

    name = PICO

    def __init__(self, ladder: tuple[str, ...] = ("0", "10", "20", "40", "60", "80", "100")) -> None:
        self.ladder = ladder

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """Model, version and a hash of the code, so that no number outlives a change to it."""
        return {"codec": self.name, "quality": quality, **self._build}

    @cached_property
    def _build(self) -> dict[str, str]:
        from pico_core import registry

        return {
            "model": registry.default_id().hex(),
            "pico": pico_core.__version__,
            "code": hash_of_sources(Path(pico_core.__file__).parent),
        }

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """A .pico file."""
        return pico_core.encode(pixels, quality=int(quality), preview=False)

    def decode(self, content: bytes, shape: tuple[int, ...]) -> Pixels:
        """Its pixels, as RGB."""
        with pico_core.PicoFile(content) as file:
            return file.decode()


def hash_of_sources(folder: Path) -> str:
    """Short hash of every Python file below a folder."""
    content = b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*.py")))
    return hashlib.sha256(content).hexdigest()[:16]


def _jpeg(quality: float) -> dict[str, Any]:
    return {"quality": round(quality), "subsampling": "4:2:0", "optimize": True, "progressive": True}


def _jpeg_2000(quality: float) -> dict[str, Any]:
    # without mct, Pillow codes R, G and B one by one: the same PSNR then takes about 1.6 times the bytes
    return {"quality_mode": "dB", "quality_layers": [quality], "irreversible": True, "mct": 1}


def _webp(quality: float) -> dict[str, Any]:
    return {"quality": round(quality), "method": 6}


def _avif(quality: float) -> dict[str, Any]:
    # Pillow cuts large pictures into tiles unless told otherwise: that makes them decode faster, and larger.
    return {"quality": round(quality), "subsampling": "4:2:0", "speed": 4, "autotiling": False}


def _heic(quality: float) -> dict[str, Any]:
    return {"quality": round(quality), "chroma": 420}


def _jpeg_xl(quality: float) -> dict[str, Any]:
    return {"quality": round(quality), "effort": 7}


PILLOW_CODECS: dict[str, PillowCodec] = {
    "jpeg": PillowCodec("JPEG", "JPEG", ("5", "10", "20", "30", "45", "60", "75"), _jpeg, feature="jpg"),
    "jpeg2000": PillowCodec(
        "JPEG 2000", "JPEG2000", ("26", "28", "30", "32", "34", "36"), _jpeg_2000, feature="jpg_2000"
    ),
    "webp": PillowCodec("WebP", "WEBP", ("2", "10", "25", "45", "65", "85"), _webp, feature="webp"),
    "avif": PillowCodec("AVIF", "AVIF", ("10", "20", "30", "40", "50", "60", "75"), _avif, feature="avif"),
    "heic": PillowCodec(
        "HEIC",
        "HEIF",
        ("10", "20", "27", "34", "41", "50"),
        _heic,
        package="pillow-heif",
        module="pillow_heif",
    ),
    "jxl": PillowCodec(
        "JPEG XL",
        "JXL",
        ("1", "10", "25", "40", "55", "70", "85"),
        _jpeg_xl,
        package="pillow-jxl-plugin",
        module="pillow_jxl",
    ),
}
