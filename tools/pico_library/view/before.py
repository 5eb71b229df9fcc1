"""The original of a .pico file, where it still exists: beside it, or where the journal says it went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pico_codec import heif, origin
from pico_codec.source import FILE_ERRORS
from pico_core.container import Container
from pico_core.errors import PicoError
from pico_library.model.orientation import orientation_of
from pico_library.model.photo import FORMATS, PHOTO_EXTENSIONS
from pico_library.model.records import Identity, Original, Record
from pico_library.store import originals, places
from pico_library.store.journal import Journal
from pico_library.view.catalogue import Entry

_CONTENT_TYPES = {
    **dict.fromkeys(("JPEG", "MPO"), "image/jpeg"),
    **{kind: f"image/{kind.lower()}" for kind in ("PNG", "WEBP", "HEIF", "TIFF")},
}
_NOT_IN_BROWSERS = frozenset({"image/heif", "image/tiff"})


@dataclass(frozen=True, slots=True)
class Before:
    """An original that shows the same as the .pico file.

    `as_it_is` tells whether browsers show it upright; they follow the orientation of JPEG files only.
    """

    path: Path
    size: int
    content_type: str
    as_it_is: bool


def find_before(entry: Entry) -> Before | None:
    """The file that the .pico file was made from, if it is there.

    Where neither the .pico file nor the journal tells which that was, one of its name with as many pixels a side.
    """
    record = record_of(entry.path)
    digest = _digest_in(entry.path) if record is None else record.digest
    for path in _candidates(entry.path, record):
        if path.is_symlink() or not path.is_file() or not _has_bytes(path, digest, record):
            continue
        if (before := _examined(path, entry)) is not None:
            return before
    return None


def record_of(pico: Path) -> Record | None:
    """What the journal knows of the photo that became this .pico file.

    None also where there is no journal, or the file says that it was made from another photo than the journal's.
    """
    try:
        file = places.journal_to_read()
        if file is None:
            return None
        with Journal(file, read_only=True) as journal:
            record = journal.by_target(pico)
    except PicoError:
        return None
    return record if record is None or _digest_in(pico) in (None, record.digest) else None


def _digest_in(pico: Path) -> bytes | None:
    """The SHA-256 of the file that a .pico file was made from, if it says so and can be read."""
    try:
        with pico.open("rb") as stream:
            return origin.parted(Container(stream, allow_truncated=True).metadata)[1]
    except FILE_ERRORS:
        return None


def _has_bytes(path: Path, digest: bytes | None, record: Record | None) -> bool:
    """Whether a file has that SHA-256, or size and time that the journal noted with it; True if none is known."""
    try:
        if digest is None or (record is not None and Identity.of(path.stat()).same_content(record.identity)):
            return True
        return originals.digest_of(path) == digest
    except OSError:
        return False


def _candidates(pico: Path, record: Record | None) -> list[Path]:
    beside = pico.with_suffix("")
    paths = [beside] if beside.suffix.lower() in PHOTO_EXTENSIONS else []
    if record is not None:
        where = record.path if record.original is Original.KEPT else record.original_at
        paths += [where] if where is not None else []
    return paths


def _examined(path: Path, entry: Entry) -> Before | None:
    try:
        if FORMATS.get(path.suffix.lower()) == heif.FORMAT:
            heif.let_pillow_read()
        with Image.open(path) as im:
            content_type = _CONTENT_TYPES.get(im.format or "")
            orientation = orientation_of(im.info.get("exif"))
            size = (im.height, im.width) if orientation > 4 else im.size
        if content_type is None or size != (entry.width, entry.height):
            return None
        shown = content_type not in _NOT_IN_BROWSERS
        as_it_is = shown and (orientation == 1 or content_type == "image/jpeg")
        return Before(path, path.stat().st_size, content_type, as_it_is)
    except FILE_ERRORS:
        return None
