"""What becomes of a photo's bytes, wherever they lie: reasons to leave them alone, and the encoding that looks right.

Both engines, the one on this machine and the one over a cluster, decide here; how they read, write and check is theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pico_codec import origin
from pico_codec.source import Source, Unsuitable, UnsuitableError, read_source
from pico_core import encode
from pico_core.errors import OptionError
from pico_library import extras
from pico_library.checking import Checked, Expected, check_data
from pico_library.reasons import Reason, SkipError
from pico_library.records import Identity, Original, Outcome, Record
from pico_library.settings import Settings

if TYPE_CHECKING:
    from pico_library.likeness import Likeness

#: Why a photo counts as saved whose .pico file a run found in its place, and did not write.
ADOPTED = "its .pico file was there already"

_FORMATS = frozenset({"JPEG", "MPO", "PNG", "WEBP"})
_REASONS = {
    Unsuitable.NOT_A_PICTURE: Reason.NOT_A_PICTURE,
    Unsuitable.SEVERAL_PICTURES: Reason.ANIMATION,
    Unsuitable.DEEP: Reason.DEEP,
    Unsuitable.COLOUR_SPACE: Reason.COLOUR_SPACE,
}
_QUALITY_STEP = 15
_QUALITY_STEPS = 2
_COARSEST_TIME_NS = 2 * 10**9  # FAT knows times to two seconds


@dataclass(frozen=True)
class Alike:
    """The bytes of a .pico file that looks like its original; `quality` is None if a size was asked for."""

    data: bytes
    quality: int | None
    checked: Checked


def to_source(content: bytes, settings: Settings) -> Source:
    """Read a photo's bytes, and mark its metadata with what they were.

    Raises SkipError if they are to be left alone, FILE_ERRORS if they are damaged.
    """
    from PIL import Image

    try:
        source = read_source(content)
    except UnsuitableError as error:
        raise SkipError(_REASONS[error.reason]) from error
    except Image.DecompressionBombError as error:
        raise SkipError(Reason.TOO_LARGE) from error
    if source.format not in _FORMATS:
        raise SkipError(Reason.NOT_A_PHOTO)
    if settings.keep_extras:
        source = extras.with_everything(source, content)
    reason = extras.reason_to_skip(source, content)
    if reason is not None:
        raise SkipError(reason)
    return replace(source, metadata=origin.marked(source.metadata, hashlib.sha256(content).digest()))


def encode_within(source: Source, before: int, quality: int, settings: Settings) -> bytes:
    """Encode a photo whose file takes `before` bytes. Raises SkipError if too little is saved, or nothing fits."""
    if settings.target_size is None:
        data = encode(source.pixels, quality=quality, metadata=source.metadata)
    else:
        wanted = settings.target_size.of(before)
        try:
            data = encode(source.pixels, target_bytes=wanted, metadata=source.metadata)
        except OptionError as error:
            raise SkipError(Reason.NO_FIT) from error
    if len(data) > int((1 - settings.min_saving) * before):
        raise SkipError(Reason.SMALL_SAVING)
    return data


def encode_alike(source: Source, before: int, settings: Settings, check: Callable[[bytes], Checked]) -> Alike:
    """Encode at the first quality that looks like the original, as `check` finds. Raises SkipError, or what it does."""
    likeness: Likeness | None = None
    for quality in _qualities(settings):
        try:
            data = encode_within(source, before, quality, settings)
        except SkipError as error:
            if likeness is None:
                raise
            # What would look alike would save too little.
            raise SkipError(Reason.UNLIKE, likeness) from error
        checked = check(data)
        if is_accepted(checked, settings):
            return Alike(data, None if settings.target_size else quality, checked)
        likeness = checked.likeness
    raise SkipError(Reason.UNLIKE, likeness)


def tried_out(record: Record, source: Source, digest: bytes, settings: Settings) -> Record:
    """The record that a photo would get, found out in memory. Raises SkipError, CheckError and FILE_ERRORS."""
    assert record.before is not None
    expected = Expected(source, digest)
    alike = encode_alike(source, record.before, settings, lambda data: check_data(data, expected))
    record = saved(record, len(alike.data), alike.checked, alike.quality)
    return replace(record, target_digest=None, wrote=None)


def is_accepted(checked: Checked, settings: Settings) -> bool:
    """Whether the .pico file may stand for the original."""
    return checked.likeness is not None and checked.likeness.accepted(settings.max_difference)


def is_ours(previous: Record | None, target: Path, digest: Callable[[], bytes | None]) -> bool:
    """Whether a target holds, byte for byte, what the run before had written there; `digest` is that of the target."""
    if previous is None or previous.target_digest is None or previous.target != target:
        return False
    return digest() == previous.target_digest


def is_anothers(other: Record | None, path: Path, digest: bytes) -> bool:
    """Whether a .pico file is that of another photo than this one; `other` is what the journal knows of the file.

    Two photos of a burst may look so much alike that only the journal can tell.
    """
    return other is not None and other.path != path and other.digest != digest


def reason_against(checked: Checked, original: Identity, target: Identity) -> Reason | None:
    """Why a .pico file that looks like a photo is not to be taken for that photo's; None if it is.

    Its mark tells. One without a mark has only its time, which is that of the photo as it was.
    """
    if checked.marked_digest is not None and checked.marked_digest == checked.original_digest:
        return None
    if original.mtime_ns > target.mtime_ns + _COARSEST_TIME_NS:
        return Reason.CHANGED_SINCE
    return None if checked.marked_digest is None else Reason.NAME_TAKEN


def known_again(earlier: Record, identity: Identity, settings: Settings, run: int) -> Record:
    """The record of an earlier run for this one: original and .pico file are what that run had verified.

    Raises SkipError if the original is to go and the .pico file does not look enough like it for this run.
    """
    if settings.mode.lets_go and earlier.score is not None and earlier.score > settings.max_difference:
        raise SkipError(Reason.TOO_UNLIKE)
    return replace(
        earlier,
        outcome=Outcome.SAVED,
        reason=None,
        wrote=False,
        original=Original.KEPT,
        original_at=None,
        identity=identity,
        settings=settings.decisive,
        run=run,
    )


def saved(record: Record, size: int, checked: Checked, quality: int | None) -> Record:
    """The record of a photo whose .pico file of `size` bytes was written, checked and accepted."""
    likeness = checked.likeness
    assert likeness is not None
    return replace(
        record,
        after=size,
        quality=quality,
        score=likeness.difference,
        similarity=likeness.similarity,
        crop=likeness.crop,
        target_digest=checked.target_digest,
        wrote=True,
    )


def adopted(record: Record, size: int, checked: Checked) -> Record:
    """The record of a photo whose .pico file of `size` bytes was there already, was checked and accepted."""
    return replace(saved(record, size, checked, None), reason=ADOPTED, wrote=False)


def skipped(record: Record, skip: SkipError) -> Record:
    """The record of a photo that is left alone, with how it looked if that was the reason."""
    record = replace(record, outcome=Outcome.SKIPPED, reason=skip.reason)
    likeness = skip.likeness
    if likeness is None:
        return record
    return replace(record, score=likeness.difference, similarity=likeness.similarity, crop=likeness.crop)


def untouched(record: Record, previous: Record | None) -> Record:
    """The record to begin with: a .pico file of ours must not be forgotten because a run could not go on from it."""
    if previous is None:
        return record
    return replace(record, target=previous.target, target_digest=previous.target_digest)


def _qualities(settings: Settings) -> Iterator[int]:
    quality = settings.quality
    yield quality
    if settings.target_size is None:
        for step in range(1, _QUALITY_STEPS + 1):
            if quality + step * _QUALITY_STEP <= 100:
                yield quality + step * _QUALITY_STEP
