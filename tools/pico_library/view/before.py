"""The original of a .pico file, where it still exists: beside it, or where the journal says it went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pico_codec.source import FILE_ERRORS
from pico_core.errors import PicoError
from pico_library import places
from pico_library.journal import Journal
from pico_library.records import Original, Record
from pico_library.scan import PHOTO_EXTENSIONS
from pico_library.thumbnail import orientation_of
from pico_library.view.catalogue import Entry

_CONTENT_TYPES = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


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
    """The original, if it is there and has as many pixels a side as the .pico file."""
    for path in _candidates(entry.path):
        if not path.is_symlink() and path.is_file() and (before := _examined(path, entry)) is not None:
            return before
    return None


def record_of(pico: Path) -> Record | None:
    """What the journal knows of the photo that became this .pico file; None also where there is no journal."""
    try:
        file = places.journal_file()
        if not file.exists():
            return None
        with Journal(file) as journal:
            return journal.by_target(pico)
    except PicoError:
        return None


def _candidates(pico: Path) -> list[Path]:
    beside = pico.with_suffix("")
    paths = [beside] if beside.suffix.lower() in PHOTO_EXTENSIONS else []
    record = record_of(pico)
    if record is not None:
        where = record.path if record.original is Original.KEPT else record.original_at
        paths += [where] if where is not None else []
    return paths


def _examined(path: Path, entry: Entry) -> Before | None:
    try:
        with Image.open(path) as im:
            content_type = _CONTENT_TYPES.get(im.format or "")
            orientation = orientation_of(im.info.get("exif"))
            size = (im.height, im.width) if orientation > 4 else im.size
        if content_type is None or size != (entry.width, entry.height):
            return None
        as_it_is = orientation == 1 or content_type == "image/jpeg"
        return Before(path, path.stat().st_size, content_type, as_it_is)
    except FILE_ERRORS:
        return None
