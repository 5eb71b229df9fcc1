"""A photo of a library: the file, the .pico file that it becomes, and which kinds of files are photos."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

#: Other formats either hold more than a .pico file can (TIFF, RAW, GIF) or are small already (HEIC, AVIF).
PHOTO_EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"})
RAW_EXTENSIONS = frozenset(
    f".{name}"
    for name in re.findall(
        r"\w+",
        "3fr arw cr2 cr3 crw dng erf gpr iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f",
    )
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
    """A file left alone; `reason` is the phrase under which the summary counts it."""

    path: Path
    reason: str
