"""What a run has to do: the photos that were found, less those that the journal knows to be done."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pico_codec.files import remove_leftovers
from pico_library.console import complain
from pico_library.model.photo import Photo
from pico_library.model.reasons import TRANSIENT
from pico_library.model.records import Identity, Original, Outcome, Record, Seen
from pico_library.model.settings import Mode, Settings
from pico_library.store import originals, trash
from pico_library.store.journal import Journal
from pico_library.store.scan import Choice, Found, scan


@dataclass
class Plan:
    """What is to be done. `unchanged` photos are as an earlier run left them; of `absent` ones none is to be found."""

    photos: list[Photo]
    found: Found
    unchanged: int = 0
    absent: Mapping[Path, int] = field(default_factory=dict)  # by the path that was asked for
    new_skips: list[Record] = field(default_factory=list)


def make_plan(
    roots: Sequence[Path],
    choice: Choice,
    settings: Settings,
    journal: Journal,
    look: Callable[[Sequence[Path], Choice], Found] = scan,
    *,
    leave_undone: bool = False,
) -> Plan:
    """Look through the library, in the way of `look`, and the journal. Nothing is changed.

    With `leave_undone`, photos that are as `undo` left them are not to be done.
    """
    known = journal.seen()
    found = look(roots, choice)
    plan = Plan([], found)
    decisive = settings.decisive  # once: it reads which weights there are
    for photo in found.photos:
        record = known.get(photo.key)
        if record is not None and _is_done(photo, record, settings, decisive, leave_undone=leave_undone):
            plan.unchanged += 1
        else:
            plan.photos.append(photo)
    nowhere = Identity(0, 0, 0, 0)
    for skipped in found.skipped:
        record = known.get(str(skipped.path))
        if record is None or (record.outcome != Outcome.SAVED and record.reason != skipped.reason):
            plan.new_skips.append(
                Record(skipped.path, nowhere, Outcome.SKIPPED, skipped.reason, before=skipped.size)
            )
    plan.absent = _count_absent(roots, found, known)
    return plan


def finish_interrupted(journal: Journal) -> None:
    """Find out what became of originals that were leaving when a run was cut off, and note it.

    An original that is still there counts as kept, and the half-made copy of it goes. One whose disk is away or
    in trouble is left for later. No other run may be at work.
    """
    leaving = journal.leaving()
    modes = {run.number: run.mode for run in journal.runs()} if leaving else {}
    for record in leaving:
        if record.original_at is not None:
            remove_leftovers(record.original_at.parent)
        try:
            if record.path.parent.is_dir():
                journal.record(_settled(record, modes.get(record.run, "")))
        except OSError as error:
            why = error.strerror or str(error)
            what = f"where its original is cannot be settled now ({why}); the next run tries again"
            complain(record.path, what)


def _is_done(photo: Photo, record: Seen, settings: Settings, decisive: str, *, leave_undone: bool) -> bool:
    status = photo.status
    if (record.size, record.mtime_ns) != (status.st_size, status.st_mtime_ns):
        return False
    if record.outcome == Outcome.SAVED:
        return photo.target_exists and record.target == photo.key_of_target and not settings.mode.lets_go
    if record.outcome == Outcome.SKIPPED:
        return record.reason not in TRANSIENT and record.settings == decisive
    return leave_undone and record.outcome == Outcome.UNDONE


def _count_absent(roots: Sequence[Path], found: Found, known: Mapping[str, Seen]) -> dict[Path, int]:
    """Roots where nothing at all was found, and how many photos were shrunk there."""
    there = {photo.key for photo in found.photos} | {str(skipped.path) for skipped in found.skipped}
    absent = {}
    for root in roots:
        base = str(root.resolve()) + os.sep
        if not any(path.startswith(base) for path in there):
            absent[root] = sum(
                record.outcome == Outcome.SAVED and path.startswith(base) for path, record in known.items()
            )
    return {root: count for root, count in absent.items() if count}


def _settled(record: Record, mode: str) -> Record:
    """The record of an original that was leaving, with where it is now. Raises OSError."""
    gone = _where_it_went(replace(record, outcome=Outcome.SAVED, reason=None), mode)
    if not record.path.is_file():
        return gone
    if gone.original_at is not None:
        if not originals.stands_alone(record.path, gone.original_at):
            return gone  # a link leads from its place to where it went
        if not Identity.of(record.path.stat()).same_content(record.identity):
            return gone  # another file has taken the name since
    _remove_second_copy(gone)
    return record.with_original(Original.KEPT)


def _remove_second_copy(record: Record) -> None:
    """Remove what lies, of an original that is still in its place, where it was going to."""
    copy = record.original_at
    if copy is None or not copy.is_file() or record.digest is None:
        return
    if not originals.stands_alone(record.path, copy):
        return
    if record.original is Original.TRASHED and not copy.samefile(record.path):
        return  # its owner may have put it there
    if originals.digest_of(copy) == record.digest == originals.digest_of(record.path):
        originals.remove_copy(copy, record.original)


def _where_it_went(record: Record, mode: str) -> Record:
    if mode == Mode.DELETE:
        return record.with_original(Original.DELETED)
    if record.original_at is not None:
        there = record.original_at.is_file()
        return record.with_original(Original.ARCHIVED, record.original_at) if there else record
    return record.with_original(Original.TRASHED, trash.find_in_trash(record.path, record.identity))
