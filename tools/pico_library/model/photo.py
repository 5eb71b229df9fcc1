"""A photo of a library: the file, the .pico file that it becomes, and which kinds of files are photos."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

#: The formats that become .pico files, by the extensions of their names. Others either hold more than a .pico file
#: can (RAW, GIF) or are small already (AVIF, JPEG XL).
FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".png": "PNG",
    ".webp": "WEBP",
}
PHOTO_EXTENSIONS = frozenset(FORMATS)


def _extensions(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


#: Pictures of other kinds, videos; what is neither is no picture.
PICTURE_EXTENSIONS = _extensions(
    "avif avifs bmp dib eps gif heics heifs ico icns j2k jp2 jpf jpx jxl jxr pbm pcx pgm pnm ppm psb psd svg tga xcf"
)
VIDEO_EXTENSIONS = _extensions(
    "3g2 3gp avi flv insv lrv m2ts m4v mkv mov mp4 mpeg mpg mts ogv thm vob webm wmv"
)
RAW_EXTENSIONS = _extensions(
    "3fr arw cr2 cr3 crw dng erf gpr iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
)
PICO_EXTENSION = ".pico"


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to shrink, and the .pico file that it becomes; `status` is as it was when it was found.

    Of most photos of a large library only the names are ever needed: paths are made when they are asked for.
    """

    folder: str
    name: str
    target_folder: str
    status: os.stat_result
    target_exists: bool = False
    sidecars: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The original."""
        return Path(self.folder, self.name)

    @property
    def target(self) -> Path:
        """The .pico file."""
        return Path(self.target_folder, self.name + PICO_EXTENSION)

    @property
    def key(self) -> str:
        """The original's path as the journal has it."""
        return os.path.join(self.folder, self.name)  # noqa: PTH118 (a hundred thousand times)

    @property
    def key_of_target(self) -> str:
        """The .pico file's path as the journal has it."""
        return os.path.join(self.target_folder, self.name) + PICO_EXTENSION  # noqa: PTH118


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file left alone; `reason` is the code under which the summary counts it, `size` in bytes if it is a file."""

    path: Path
    reason: str
    size: int | None = None
