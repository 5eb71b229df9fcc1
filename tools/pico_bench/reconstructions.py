"""Pictures that another codec made, with their published rates, as if that codec ran here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pico_bench.codecs import CodecFailedError, Coded
from pico_bench.originals import Original, hash_of_pixels, read_rgb
from pico_core.errors import OptionError

RATES = "bpp.json"


@dataclass(frozen=True)
class Reconstructions:
    """A folder of decoded pictures whose `bpp.json` maps each file, relative to the folder, to bits per pixel.

    The folder's name is the codec's. A file stands for the original of the same name (without extension); a
    subfolder is a quality, and files that lie in none are of one quality called "published".
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @cached_property
    def _files(self) -> dict[tuple[str, str], tuple[Path, float]]:
        """By picture and quality: the file, and its bits per pixel."""
        try:
            rates = json.loads((self.folder / RATES).read_text("utf-8"))
            pairs = [(Path(file), float(rate)) for file, rate in rates.items()]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            msg = f"{self.folder / RATES} cannot be read: {error}; it must map file names to bits per pixel"
            raise OptionError(msg) from error
        files: dict[tuple[str, str], tuple[Path, float]] = {}
        for file, rate in pairs:
            if not (self.folder / file).is_file() or not rate > 0:
                msg = f"{self.folder / RATES} gives {rate} bits per pixel for {file}, "
                msg += "which is no rate" if not rate > 0 else "which is not there"
                raise OptionError(msg)
            place = file.stem, file.parent.as_posix() if file.parent.name else "published"
            if place in files:
                msg = f"{self.folder / RATES} names {place[0]} at {place[1]} twice; a picture has one file a quality"
                raise OptionError(msg)
            files[place] = (self.folder / file, rate)
        return files

    def check(self) -> None:
        """Raise OptionError if the folder or its rates cannot be used."""
        if not self._files:
            msg = f"{self.folder / RATES} names no pictures"
            raise OptionError(msg)

    def missing(self) -> None:
        """A folder needs no package."""

    def qualities(self, original: Original) -> Sequence[str]:
        """The qualities at which this picture is there."""
        return [quality for picture, quality in self._files if picture == original.name]

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """The reconstruction's pixels and rate."""
        path, rate = self._files[original.name, quality]
        pixels = hash_of_pixels(read_rgb(path))
        return {"codec": self.name, "quality": quality, "bpp": repr(rate), "reconstruction": pixels}

    def code(self, original: Original, quality: str, stored: bytes | None = None) -> Coded:
        """Read the reconstruction. Raises CodecFailedError if its size is not the original's."""
        path, rate = self._files[original.name, quality]
        pixels = read_rgb(path)
        if pixels.shape != original.pixels.shape:
            msg = f"{path} is {pixels.shape[1]}x{pixels.shape[0]} pixels, unlike the original {original.path}"
            raise CodecFailedError(msg)
        return Coded(pixels, rate * pixels.shape[0] * pixels.shape[1] / 8)
