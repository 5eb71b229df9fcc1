"""Takes a run back: originals return from the Trash or the archive, and the .pico files it wrote go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pico_codec.files import remove_leftovers, sync_folder
from pico_library import originals
from pico_library.faults import Step, reach
from pico_library.journal import Journal, Original, Outcome, Record
from pico_library.originals import OriginalError
from pico_library.shrinking import ADOPTED


@dataclass(frozen=True)
class Undone:
    """What became of a photo: `back` if its original was brought back, `problem` if something is left to do."""

    record: Record
    back: bool = False
    problem: str | None = None


def undo(journal: Journal, run: int) -> Iterator[Undone]:
    """Take back what a run did, photo by photo; what was undone is noted at once, so that it can be gone on with.

    No .pico file goes before its original is in its place and has the bytes it had.
    """
    for record in journal.photos(run):
        if record.target is None or record.outcome not in (Outcome.SAVED, Outcome.FAILED):
            continue
        try:
            yield _undo_one(journal, record)
        except (OriginalError, OSError) as error:
            yield Undone(record, problem=str(error))


def _undo_one(journal: Journal, record: Record) -> Undone:
    problem = _obstacle(journal, record)
    if problem is not None:
        return Undone(record, problem=problem)
    back = False
    if record.original is not Original.KEPT and record.original_at is not None:
        if os.path.lexists(record.path):
            # Both are there, byte for byte the same: an undo that was cut off.
            originals.remove_second(record.original_at, record.original)
        else:
            remove_leftovers(record.path.parent)
            originals.bring_back(record.original_at, record.path, record.original)
        back = True
        reach(Step.RESTORED)
    if _was_written_by(journal, record):
        _remove_pico(record)
    journal.record(replace(record.with_original(Original.KEPT), outcome=Outcome.UNDONE))
    return Undone(record, back)


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
    if record.original_at is None:
        return "the system does not tell where in the Trash its original is; put it back by hand"
    if not record.original_at.is_file():
        return f"its original is no longer at {record.original_at}; is its disk connected?"
    if originals.digest_of(record.original_at) != record.digest:
        return f"{record.original_at} is not the file that it was; look at it yourself"
    if os.path.lexists(record.path) and originals.digest_of(record.path) != record.digest:
        return "another file has taken its name; move that one away"
    return None


def _why_not_in_place(journal: Journal, record: Record) -> str:
    newest = journal.newest(record.path)
    if newest is not None and newest.run > record.run and newest.original is not Original.KEPT:
        return f"its original left with run {newest.run}; first say: pico-library undo {newest.run}"
    return "its original is not in its place; is its disk connected?"


def _was_written_by(journal: Journal, record: Record) -> bool:
    """Whether the .pico file came into being in this run, not in an earlier one."""
    if record.reason == ADOPTED:
        return False
    earlier = journal.before(record.path, record.run)
    return (
        earlier is None or earlier.outcome is Outcome.UNDONE or earlier.target_digest != record.target_digest
    )


def _remove_pico(record: Record) -> None:
    target = record.target
    if target is not None and target.is_file() and originals.digest_of(target) == record.target_digest:
        target.unlink()
        sync_folder(target.parent)
