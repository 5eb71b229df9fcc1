"""What a run is asked to do with each photo, as one value that the journal can keep."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pico_core import registry
from pico_core.errors import OptionError

DEFAULT_QUALITY = 60
#: Which way of judging the look is at work: another number has photos that it refused tried again.
CHECK = 2
DEFAULT_SAVING = 0.10
DEFAULT_DIFFERENCE = 1.0  # in units of the limit for the quality asked for; see `pico_look.limit_at`

_SMALLEST_BARE = 1000  # bytes: who writes a smaller number without a unit means another one
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"k": 10**3, "m": 10**6, "g": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Mode(StrEnum):
    """Where .pico files go and what becomes of the originals."""

    BESIDE = "beside"
    OUTPUT = "output"
    REPLACE = "replace"  # originals to the Trash
    ARCHIVE = "archive"  # originals to a folder
    DELETE = "delete"

    @property
    def lets_go(self) -> bool:
        """Whether originals leave their place."""
        return self in (Mode.REPLACE, Mode.ARCHIVE, Mode.DELETE)


@dataclass(frozen=True)
class TargetSize:
    """How large a .pico file may be: a number of bytes, or a share of the original."""

    count: int | None = None
    share: float | None = None

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{100 * (self.share or 0):g}%"

    def of(self, original: int) -> int:
        """The limit in bytes for an original of that size."""
        return self.count if self.count is not None else max(1, int(original * (self.share or 0)))


@dataclass(frozen=True)
class Settings:
    """How photos are shrunk. `min_saving` is a share. `max_difference` is how strong the worst place may be.

    Its unit is what passes at the quality that was asked for: 1.0 is that limit, 0.5 is twice as strict.
    With `update` the .pico file of a photo that was edited since is made anew.
    """

    mode: Mode = Mode.BESIDE
    quality: int = DEFAULT_QUALITY
    target_size: TargetSize | None = None
    min_saving: float = DEFAULT_SAVING
    max_difference: float = DEFAULT_DIFFERENCE
    skip_extras: bool = False
    update: bool = False
    archive: Path | None = None
    dry_run: bool = False
    max_memory: int | None = None

    @property
    def asked_quality(self) -> int:
        """The quality by which the look is judged: who asks for a size gets the default."""
        return self.quality if self.target_size is None else DEFAULT_QUALITY

    @property
    def decisive(self) -> str:
        """What a decision to skip a photo depended on: with other settings, weights or check it is looked at again."""
        size = self.target_size and (self.target_size.count or self.target_size.share)
        memory = self.max_memory or ""
        parts = (
            self.quality,
            size or "",
            self.min_saving,
            self.max_difference,
            int(self.skip_extras),
            memory,
            CHECK,
            registry.default_id().hex()[:8],
        )
        return "/".join(f"{part}" for part in parts)


def parse_size(text: str) -> int:
    """Bytes, from `500kB`, `1.5 GB` or `2MiB`. Raises OptionError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if (
        found is None
        or found[2].lower() not in _UNITS
        or (size := int(float(found[1]) * _UNITS[found[2].lower()])) < 1
    ):
        msg = f"{text!r} is not a size; write 500kB, 1.5GB or a number of bytes"
        raise OptionError(msg)
    return size


def parse_share(text: str) -> float:
    """A share of 0 to 1, from `20%` or `0.2`. Raises OptionError."""
    try:
        value = float(text.strip().removesuffix("%")) / (100 if "%" in text else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        msg = f"{text!r} is not a share; write 20% or 0.2"
        raise OptionError(msg)
    return value


def parse_target(text: str) -> TargetSize:
    """A largest size of .pico files, from `500kB` or `25%`. Raises OptionError."""
    if "%" in text:
        share = parse_share(text)
        if share > 0:
            return TargetSize(share=share)
    count = parse_size(text)
    if text.strip().isdecimal() and count < _SMALLEST_BARE:
        msg = f"{text!r} would be {count} bytes, in which no photo fits; write {count}kB or {count}%"
        raise OptionError(msg)
    return TargetSize(count=count)
