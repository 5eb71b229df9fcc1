"""The last look at an original before it leaves its place, and its way out."""

from __future__ import annotations

from pico_library.model.records import Identity, Original, Record
from pico_library.model.settings import Mode
from pico_library.store import originals, trash
from pico_library.store.scan import is_live


def may_leave(record: Record, *, alone: bool) -> bool:
    """Whether the original is still the file that was verified and, if it is to be `alone`, no part of a Live Photo.

    Raises OriginalError if the .pico file is not what was verified any more.
    """
    if record.target is None or Identity.of(record.path.lstat()) != record.identity:
        return False
    if alone and is_live(record.path):
        return False  # phones bring the video later than the photo
    if originals.digest_of(record.target) != record.target_digest:
        msg = "its .pico file is no longer what was verified, so its original stays; see that the disk is in order"
        raise originals.OriginalError(msg)
    return True


def moved_away(record: Record, mode: Mode) -> Record:
    """Move or remove an original as a mode asks for; return its record. Raises OriginalError."""
    path = record.path
    if mode is Mode.REPLACE:
        return record.with_original(Original.TRASHED, trash.to_trash(path))
    if mode is Mode.ARCHIVE and record.original_at is not None:
        return record.with_original(Original.ARCHIVED, originals.to_archive(path, record.original_at))
    if originals.digest_of(path) != record.digest:  # edited meanwhile, by something that keeps size and time
        msg = "changed while it was about to be removed, and stays; close what edits it, and run again"
        raise originals.OriginalError(msg)
    originals.delete(path)
    return record.with_original(Original.DELETED)
