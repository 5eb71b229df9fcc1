"""What the journal holds: a record for every photo in every run, and a summary of each run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple


class Outcome(StrEnum):
    """What became of a photo in a run."""

    SAVED = "saved"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNDONE = "undone"


class Original(StrEnum):
    """Where the original of a photo is."""

    KEPT = "kept"
    LEAVING = "leaving"  # the .pico file is verified, and the original was about to leave
    TRASHED = "trashed"
    ARCHIVED = "archived"
    DELETED = "deleted"


_INODE_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a file is known to be the same, unchanged one. Disks that come and go may change device and inode."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """The identity of the file with this status."""
        inode = status.st_ino & _INODE_BITS  # of ReFS it may have 128 bits, more than a database holds
        return cls(status.st_dev, inode, status.st_size, status.st_mtime_ns)

    def same_content(self, other: Identity) -> bool:
        """Whether size and modification time agree."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


@dataclass(frozen=True, slots=True)
class Record:
    """One photo in one run. Sizes in bytes; digests are SHA-256.

    `score` is the strength of the worst place by `pico_look` (lower is better, 1 is the limit at quality 60 and above).
    `kind` is what differs there, one of `pico_look.Kind`, and `crop` the place's box. `similarity` is the SSIMULACRA2
    of the worst crop (100 is equal). They are None where nobody compared, or by another measure. `wrote` tells whether
    it was this run that wrote the .pico file; None where there is none, or nobody noted it.
    """

    path: Path
    identity: Identity
    outcome: Outcome
    reason: str | None = None
    settings: str = ""
    digest: bytes | None = None
    before: int | None = None
    after: int | None = None
    quality: int | None = None
    score: float | None = None
    similarity: float | None = None
    kind: str | None = None
    crop: tuple[int, int, int, int] | None = None
    target: Path | None = None
    target_digest: bytes | None = None
    wrote: bool | None = None
    original: Original = Original.KEPT
    original_at: Path | None = None
    run: int = 0
    recorded: float = 0.0

    def with_original(self, original: Original, at: Path | None = None) -> Record:
        """The same record with the original elsewhere."""
        return replace(self, original=original, original_at=at)


class Seen(NamedTuple):
    """As much of a photo's newest record as tells whether there is anything to do."""

    outcome: str
    reason: str | None
    settings: str
    size: int
    mtime_ns: int
    target: str | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run: times in seconds since 1970, `state` is running, finished, interrupted or undone."""

    number: int
    started: float
    finished: float | None
    state: str
    mode: str
    roots: tuple[Path, ...]
    settings: Mapping[str, Any]
    counts: Mapping[Outcome, int]
    before: int
    after: int
