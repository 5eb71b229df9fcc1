"""What the steps of a photo hand on to each other: the job, what was published, and the record that is made of it."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pico_library.check.checking import Checked
from pico_library.model.photo import Photo
from pico_library.model.reasons import SkipError
from pico_library.model.records import Identity, Outcome, Record
from pico_library.store.storage import Content

if TYPE_CHECKING:
    from pico_look import Look


@dataclass(frozen=True)
class Result:
    """What became of a photo; `error` is what made it fail."""

    record: Record
    error: Exception | None = None

    @property
    def disk_is_full(self) -> bool:
        """Whether the photo failed for want of room, as the next one would."""
        codes = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        error: BaseException | None = self.error
        while error is not None:
            if isinstance(error, OSError) and error.errno in codes:
                return True
            error = error.__cause__
        return False


@dataclass(frozen=True)
class Job:
    """A photo at work, and what was read of it; `digest` is the SHA-256 of its bytes."""

    photo: Photo
    content: Content
    digest: bytes
    previous: Record | None = None


@dataclass(frozen=True)
class Published:
    """A .pico file in its place that is to be judged, with the SHA-256 of the bytes read and of those written.

    `identity` is None if it was found there and not written.
    """

    original_digest: bytes = b""
    digest: bytes = b""
    quality: int | None = None
    identity: Identity | None = None


@dataclass(frozen=True)
class Tried:
    """What a step came to; `error` is what made it fail."""

    made: Record | Published
    error: Exception | None = None


def parted(tried: Tried) -> tuple[Record, Exception | None]:
    """The record of a photo that is done with, and what made it fail."""
    assert isinstance(tried.made, Record)
    return tried.made, tried.error


def saved(record: Record, size: int, checked: Checked, quality: int | None) -> Record:
    """The record of a photo whose .pico file of `size` bytes was checked and accepted."""
    record = replace(record, after=size, quality=quality, target_digest=checked.target_digest, wrote=True)
    return with_look(record, checked.look)


def skipped(record: Record, skip: SkipError) -> Record:
    """The record of a photo that is left alone, with how it looked if that was the reason."""
    return with_look(replace(record, outcome=Outcome.SKIPPED, reason=skip.reason), skip.look)


def with_look(record: Record, look: Look | None) -> Record:
    """The record with how the .pico file looks beside its original; as it is if nobody looked."""
    if look is None:
        return record
    worst = look.places[0] if look.places else None
    return replace(
        record,
        score=look.strength,
        similarity=look.score,
        kind=worst.kind if worst else None,
        crop=worst.box if worst else look.crop,
    )
