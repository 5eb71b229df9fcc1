"""Takes a run back: originals return from the Trash or the archive, and the .pico files it wrote go."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pico_codec.cli import explain
from pico_codec.files import remove_leftovers, sync_folder
from pico_library.model.faults import Step, reach
from pico_library.model.records import Original, Outcome, Record
from pico_library.store import originals
from pico_library.store.journal import Journal
from pico_library.store.originals import OriginalError

_RESTORE = "`pico-library restore` makes a picture from the .pico file"


@dataclass(frozen=True)
class Undone:
    """What became of a photo: `back` if its original was brought back, `problem` if something is left to do."""

    back: bool = False
    problem: str | None = None


def to_undo(journal: Journal, run: int) -> list[Record]:
    """The photos of a run with which it did something that is not undone yet."""
    return [
        record
        for record in journal.photos(run)
        if record.target is not None
        and record.outcome in (Outcome.SAVED, Outcome.FAILED)
        and record.digest is not None  # else the run failed before it had read the photo
    ]


def undo(journal: Journal, record: Record) -> Undone:
    """Take back what a run did with a photo. It is noted at once: cut off between two photos, the rest can follow.

    No .pico file goes before its original is in its place and has the bytes it had.
    """
    try:
        return _undo(journal, record)
    except OriginalError as error:
        return Undone(problem=str(error))
    except OSError as error:
        return Undone(problem=_in_words(error))


def _undo(journal: Journal, record: Record) -> Undone:
    problem = _obstacle(journal, record)
    if problem is not None:
        return Undone(problem=problem)
    back = record.original is not Original.KEPT
    if back:
        _bring_back(record)
        reach(Step.RESTORED)
        _give_back_date_and_tags(record)
    if record.wrote:
        _remove_pico(record)
    journal.record(replace(record.with_original(Original.KEPT), outcome=Outcome.UNDONE))
    return Undone(back)


def _in_words(error: OSError) -> str:
    where = "" if error.filename is None else f" at {os.fsdecode(error.filename)}"
    return f"{explain(error)}{where}; see that its disk is connected and that you may read it, and run undo again"


def _bring_back(record: Record) -> None:
    """Have the original in its place, and there only, as far as an undo that was cut off has not seen to that."""
    where = record.original_at
    if not os.path.lexists(record.path):
        assert where is not None
        remove_leftovers(record.path.parent)
        originals.bring_back(where, record.path, record.original)
    elif where is not None and where.is_file():
        # Both are there, byte for byte the same.
        originals.remove_second(where, record.original)


def _give_back_date_and_tags(record: Record) -> None:
    """Give an original what the disk of the archive may not have held. Raises OriginalError."""
    target = record.target
    try:
        if target is not None and target.is_file() and originals.digest_of(target) == record.target_digest:
            originals.add_attributes(target, record.path)
        status = record.path.stat()
        if status.st_mtime_ns != record.identity.mtime_ns:
            os.utime(record.path, ns=(status.st_atime_ns, record.identity.mtime_ns))
    except OSError as error:
        msg = (
            f"is back, but its date and tags cannot be given to it ({error.strerror or error}), so its .pico file "
            "stays; see that it may be written to, and run undo again"
        )
        raise OriginalError(msg) from error


def _obstacle(journal: Journal, record: Record) -> str | None:
    """Why a photo cannot be undone; None if it can."""
    if record.original is Original.DELETED:
        return "its original was removed for good; `pico-library restore` makes a picture from the .pico file"
    if record.original is Original.KEPT:
        if not record.path.is_file():
            return _why_not_in_place(journal, record)
        same = originals.digest_of(record.path) == record.digest
        return (
            None
            if same
            else "is not the photo that it was: the .pico file may be all that is left of that one"
        )
    where = record.original_at
    if where is None or not where.is_file():
        # An undo that was cut off has brought it back, or its owner has.
        return (
            None
            if originals.is_in_place(record.path, record.digest)
            else _why_not_found(where, record.original)
        )
    if originals.digest_of(where) != record.digest:
        return f"{where} is not the file that it was; look at it yourself"
    if not os.path.lexists(record.path):
        return _why_no_place(record)
    in_place = originals.is_in_place(record.path, record.digest)
    if record.path.is_symlink() or (in_place and not originals.stands_alone(record.path, where)):
        return f"its name, or a folder of it, only leads to another place; remove that link (its original is {where})"
    return None if in_place else "another file has taken its name; move that one away"


def _why_no_place(record: Record) -> str | None:
    """Why an original must not go back yet; None if it may.

    Where a disk is away, its photos' folder is missing or, if it is the disk's own, empty. What went there would be
    hidden as soon as the disk is back, and a folder that was renamed would be left with .pico files only.
    """
    folder = record.path.parent
    if not folder.is_dir():
        return (
            f"its folder {folder} is not there; is its disk connected, or was it renamed? "
            "If it was removed, make it again, and run undo again"
        )
    beside = record.target is not None and record.target.parent == folder
    if beside and not any(folder.iterdir()):
        return (
            f"its folder {folder} is empty, also of its .pico file; is its disk connected? "
            "If it is, put any file there, and run undo again"
        )
    return None


def _why_not_found(where: Path | None, kind: Original) -> str:
    if where is None:
        return "the system does not tell where in the Trash its original is; put it back by hand"
    if kind is Original.TRASHED or where.parent.is_dir():
        return f"its original is no longer at {where}: it was deleted, or the Trash emptied; {_RESTORE}"
    return f"its original is not at {where}: that folder is not there; connect its disk, or {_RESTORE}"


def _why_not_in_place(journal: Journal, record: Record) -> str:
    newest = journal.newest(record.path)
    if newest is not None and newest.run > record.run and newest.original is not Original.KEPT:
        return f"its original left with run {newest.run}; first say: pico-library undo {newest.run}"
    if not record.path.parent.is_dir():
        return f"its folder {record.path.parent} is not there; connect its disk, or {_RESTORE}"
    return f"its original is no longer in its place: it was moved or deleted since; {_RESTORE}"


def _remove_pico(record: Record) -> None:
    target = record.target
    if target is None or not target.is_file() or originals.digest_of(target) != record.target_digest:
        return
    try:
        target.unlink()
    except OSError as error:
        msg = (
            f"its original is in its place, but its .pico file cannot be removed ({error.strerror or error}); "
            "see that its folder may be written to, and run undo again"
        )
        raise OriginalError(msg) from error
    sync_folder(target.parent)
