"""A photo's bytes, and the .pico file that looks like them: what speaks against it, and which quality it takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pico_codec import origin
from pico_codec.source import Source, Unsuitable, UnsuitableError, read_source
from pico_core import encode
from pico_core.errors import CorruptError, OptionError
from pico_library.check.checking import Checked
from pico_library.model import extras
from pico_library.model.reasons import Reason, SkipError
from pico_library.model.settings import Settings
from pico_look import Look, limit_at

_FORMATS = frozenset({"JPEG", "MPO", "PNG", "WEBP", "HEIF", "TIFF"})
_REASONS = {
    Unsuitable.SEVERAL_PICTURES: Reason.ANIMATION,
    Unsuitable.DEEP: Reason.DEEP,
    Unsuitable.COLOUR_SPACE: Reason.COLOUR_SPACE,
}
_QUALITY_STEP = 15
_QUALITY_STEPS = 2


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
        if error.reason is Unsuitable.NOT_A_PICTURE:  # though it is named like one
            msg = "cannot be read as a picture: it is damaged, or none; restore it from a copy"
            raise CorruptError(msg) from error
        raise SkipError(_REASONS[error.reason]) from error
    except Image.DecompressionBombError as error:
        raise SkipError(Reason.TOO_LARGE) from error
    if source.format not in _FORMATS:
        raise SkipError(Reason.NOT_A_PHOTO)
    if settings.skip_extras and (reason := extras.reason_to_skip(source, content)) is not None:
        raise SkipError(reason)
    source = extras.with_everything(source, content)
    if source.left_behind is not None:
        raise SkipError(Reason.TRAILER)
    mark = origin.marked(source.metadata, hashlib.sha256(content).digest(), source.format)
    return replace(source, metadata=mark)


def encode_alike(source: Source, before: int, settings: Settings, check: Callable[[bytes], Checked]) -> Alike:
    """Encode at the first quality that looks like the original, as `check` finds; its file takes `before` bytes.

    Raises SkipError, or what `check` does.
    """
    look: Look | None = None
    for quality in _qualities(settings):
        try:
            data = _encode_within(source, before, quality, settings)
        except SkipError as error:
            if look is None:
                raise
            # What would look alike would save too little.
            raise SkipError(Reason.UNLIKE, look) from error
        checked = check(data)
        if is_accepted(checked, settings):
            return Alike(data, None if settings.target_size else quality, checked)
        look = checked.look
    raise SkipError(Reason.UNLIKE, look)


def size_of(content: bytes, settings: Settings) -> int:
    """How many bytes the .pico file of a photo takes at the first quality, whatever it looks like. Raises SkipError."""
    return len(_encode_within(to_source(content, settings), len(content), settings.quality, settings))


def is_accepted(checked: Checked, settings: Settings) -> bool:
    """Whether the .pico file may stand for the original."""
    return checked.look is not None and checked.look.accepted(largest_strength(settings))


def largest_strength(settings: Settings) -> float:
    """The strength of the worst place (`pico_look`) that a .pico file may have beside its original.

    What counts is the quality that was asked for, also where a photo is then encoded at a higher one.
    """
    return settings.max_difference * limit_at(settings.asked_quality)


def _encode_within(source: Source, before: int, quality: int, settings: Settings) -> bytes:
    """Raises SkipError if too little is saved, or nothing fits."""
    if settings.target_size is None:
        data = encode(source.pixels, quality=quality, metadata=source.metadata)
    else:
        wanted = settings.target_size.of(before)
        try:
            data = encode(source.pixels, target_bytes=wanted, metadata=source.metadata)
        except OptionError as error:
            raise SkipError(Reason.NO_FIT) from error
    if len(data) <= int((1 - settings.min_saving) * before):
        return data
    # What comes along as it is may be most of the file; without it the photo might have saved enough.
    carried = sum(len(extra.data) for extra in source.metadata.extras)
    alone_is_enough = len(data) - carried <= int((1 - settings.min_saving) * (before - carried))
    raise SkipError(Reason.LARGE_EXTRAS if carried and alone_is_enough else Reason.SMALL_SAVING)


def _qualities(settings: Settings) -> Iterator[int]:
    yield settings.quality
    if settings.target_size is None:
        for step in range(1, _QUALITY_STEPS + 1):
            if settings.quality + step * _QUALITY_STEP <= 100:
                yield settings.quality + step * _QUALITY_STEP
