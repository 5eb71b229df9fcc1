"""Where an original is now: the disk is looked at, for the journal only knows where it was put."""

from __future__ import annotations

import stat
from enum import StrEnum
from pathlib import Path

from pico_library.model.records import Identity, Original, Record
from pico_library.model.url import Url


class Now(StrEnum):
    """Where the original of a photo is; short codes, as JSON has them."""

    IN_PLACE = "in-place"
    CHANGED = "changed"  # another file has its name, or it was edited
    IN_TRASH = "in-trash"
    IN_ARCHIVE = "in-archive"
    REMOVED = "removed"  # for good, by a run
    GONE = "gone"  # by others: deleted, or the Trash was emptied
    AWAY = "away"  # its folder is not there; the disk may not be connected
    UNSEEN = "unseen"  # nobody here can look: an object store, or a Trash that tells nothing


def where_now(record: Record) -> Now:
    """Look for the original of a photo that was shrunk, by its size and date; its bytes are not read."""
    if isinstance(record.path, Url):
        return Now.UNSEEN
    if record.original is Original.DELETED:
        return Now.REMOVED
    here = _is_it(record.path, record.identity)
    if record.original is Original.KEPT:
        return _named(here, Now.IN_PLACE, record.path)
    if record.original_at is None:
        return Now.IN_PLACE if here else Now.UNSEEN
    there = _is_it(record.original_at, record.identity, moved=True)  # other disks may have other dates
    if not there and here:
        return Now.IN_PLACE  # its owner has put it back, or it never left
    kept = Now.IN_TRASH if record.original is Original.TRASHED else Now.IN_ARCHIVE
    return _named(there, kept, record.original_at)


def _is_it(path: Path, identity: Identity, *, moved: bool = False) -> bool | None:
    """Whether a file is the original, by size and, unless `moved`, date; None if there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    same = status.st_size == identity.size if moved else Identity.of(status).same_content(identity)
    return stat.S_ISREG(status.st_mode) and same


def _named(found: bool | None, place: Now, path: Path) -> Now:
    if found is not None:
        return place if found else Now.CHANGED
    if place is Now.IN_TRASH:
        return Now.GONE  # emptying it may take its folders too
    return Now.GONE if path.parent.is_dir() else Now.AWAY
