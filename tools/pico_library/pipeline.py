"""One photo, from file to verified .pico file, and only then its original out of the way.

The order is the promise: encode, write beside the final place, bring to the disk, have another process read it
back and compare it with the original, give it its name, note it in the journal, and only then touch the original.
Wherever this is cut off, the original or a verified .pico file exists.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pico_codec.cli import explain
from pico_codec.files import OutputError, PartialFile, partial_file
from pico_codec.source import Source
from pico_library import originals, trash
from pico_library.checking import Checked, CheckError
from pico_library.faults import Step, reach
from pico_library.journal import Journal, JournalError
from pico_library.memory import Budget, needed
from pico_library.reasons import Reason, SkipError
from pico_library.records import Identity, Original, Outcome, Record
from pico_library.scan import Photo, is_live
from pico_library.settings import Mode, Settings
from pico_library.shrinking import (
    adopted,
    encode_alike,
    is_accepted,
    is_anothers,
    is_ours,
    known_again,
    reason_against,
    saved,
    skipped,
    to_source,
    tried_out,
    untouched,
)
from pico_library.sidecars import SidecarError, copy_sidecars

if TYPE_CHECKING:
    from pico_library.verifier import Verifier


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
class _Job:
    """A photo at work: its bytes, and the file they came from as it was then."""

    photo: Photo
    status: os.stat_result
    content: bytes
    digest: bytes
    previous: Record | None

    def record(self, settings: Settings, run: int) -> Record:
        return Record(
            path=self.photo.path,
            identity=Identity.of(self.status),
            outcome=Outcome.SAVED,
            settings=settings.decisive,
            digest=self.digest,
            before=len(self.content),
            target=self.photo.target,
            run=run,
        )


class Pipeline:
    """Shrinks photos one at a time; may be used by several threads. `run` is the journal's number."""

    def __init__(self, settings: Settings, journal: Journal, verifier: Verifier, run: int) -> None:
        self._settings = settings
        self._journal = journal
        self._verifier = verifier
        self._run = run
        self._budget = Budget(settings.max_memory)

    def process(self, photo: Photo) -> Result:
        """Shrink a photo and note in the journal what became of it.

        No error of the photo's is raised: it is in the result. JournalError is raised.
        """
        record, error = self._attempt(photo, self._journal.newest_made(photo.path))
        if self._settings.dry_run:
            return Result(record, error)
        if record.outcome is Outcome.SAVED and self._settings.mode.lets_go:
            record, error = self._let_go(record)
        self._journal.record(record)
        return Result(record, error)

    def _attempt(self, photo: Photo, previous: Record | None) -> tuple[Record, Exception | None]:
        """Write the .pico file, or find out why not. The original is only read."""
        record = Record(
            path=photo.path,
            identity=Identity.of(photo.status),
            outcome=Outcome.SKIPPED,
            settings=self._settings.decisive,
            before=photo.status.st_size,
            run=self._run,
        )
        record = untouched(record, previous)
        try:
            made = self._shrink(photo, previous)
        except SkipError as skip:
            return skipped(record, skip), None
        except JournalError:
            raise
        except Exception as error:  # whatever one photo does, the others are still to be shrunk
            return replace(record, outcome=Outcome.FAILED, reason=explain(error)), error
        return self._with_sidecars(photo, made)

    def _with_sidecars(self, photo: Photo, made: Record) -> tuple[Record, Exception | None]:
        """The record of a photo whose .pico file is made. Without its sidecars it failed, and is tried again."""
        if self._settings.mode is Mode.OUTPUT and not self._settings.dry_run:
            try:
                copy_sidecars(photo)
            except SidecarError as error:
                return replace(made, outcome=Outcome.FAILED, reason=explain(error)), error
        return made, None

    def _shrink(self, photo: Photo, previous: Record | None) -> Record:
        need = needed(photo)
        if not self._budget.fits(need):
            raise SkipError(Reason.NO_MEMORY)
        with self._budget.take(need):
            job = self._read(photo, previous)
            record = self._known_already(job)
            if record is None:
                source = to_source(job.content, self._settings)
                record = self._adopt(job) or self._write(job, source)
        return record

    def _read(self, photo: Photo, previous: Record | None) -> _Job:
        try:
            status, content = read_whole(photo.path)
        except OSError as error:
            msg = f"cannot be read ({error.strerror}); see that you may read it and that its disk is in order"
            raise originals.OriginalError(msg) from error
        return _Job(photo, status, content, hashlib.sha256(content).digest(), previous)

    def _known_already(self, job: _Job) -> Record | None:
        """The record of an earlier run, if original and .pico file are what that run had verified."""
        earlier = job.previous
        if earlier is None or earlier.digest != job.digest or earlier.after is None or not self._is_ours(job):
            return None
        record = known_again(earlier, Identity.of(job.status), self._settings, self._run)
        self._check_again(job)
        self._take_over_anew(job)
        return record

    def _check_again(self, job: _Job) -> None:
        """Have a .pico file that is soon to be all there is read once more: the weights it needs may be gone since.

        Raises UnknownModelError if they are, CheckError.
        """
        if not self._settings.mode.lets_go or self._settings.dry_run:
            return
        try:
            self._check(job, job.photo.target)
        except CheckError:
            if self._settings.keep_extras:
                raise
            self._check(job, job.photo.target, keep_extras=True)  # made so by an earlier run

    def _is_ours(self, job: _Job) -> bool:
        """Whether the target holds, byte for byte, what a run of ours had written there."""
        target = job.photo.target
        return is_ours(
            job.previous, target, lambda: originals.digest_of(target) if target.is_file() else None
        )

    def _adopt(self, job: _Job) -> Record | None:
        """A record for a .pico file that is there already, if it is this photo's; None if there is none.

        So nothing is lost when a run dies before its journal knows, or when the journal itself is lost.
        """
        target = job.photo.target
        if not _is_taken(target):
            return None
        if not originals.is_named_exactly(target):
            raise SkipError(Reason.NAME_TAKEN)
        if self._is_ours(job):
            # An edited photo, or another one that was given the name: then the .pico file may be all that is left
            # of the first, and must not be replaced.
            raise SkipError(Reason.CHANGED_SINCE)
        try:
            checked = self._check(job, target)
        except CheckError as error:
            raise SkipError(Reason.NAME_TAKEN) from error
        other = self._journal.by_target(target)
        if not is_accepted(checked, self._settings) or is_anothers(other, job.photo.path, job.digest):
            raise SkipError(Reason.NAME_TAKEN)
        reason = reason_against(checked, Identity.of(job.status), Identity.of(target.stat()))
        if reason is not None:
            raise SkipError(reason)
        self._take_over_anew(job)
        record = job.record(self._settings, self._run)
        return adopted(record, target.stat().st_size, checked)

    def _write(self, job: _Job, source: Source) -> Record:
        if self._settings.dry_run:
            return tried_out(job.record(self._settings, self._run), source, job.digest, self._settings)
        target = job.photo.target
        with open_partial(target.parent, job.photo.path.parent) as partial:
            reach(Step.OPENED)
            alike = encode_alike(
                source,
                len(job.content),
                self._settings,
                lambda data: self._write_and_check(job, partial, data),
            )
            self._take_over(job, partial.path)
            if Identity.of(job.photo.path.lstat()) != Identity.of(job.status):
                raise SkipError(Reason.CHANGING)
            try:
                partial.take_name(target)
            except FileExistsError as error:
                raise SkipError(Reason.NAME_TAKEN) from error
        reach(Step.PUBLISHED)
        record = saved(job.record(self._settings, self._run), len(alike.data), alike.checked, alike.quality)
        self._journal.record(record)
        return record

    def _write_and_check(self, job: _Job, partial: PartialFile, data: bytes) -> Checked:
        """Bring the bytes to the disk and have the verifier read them back."""
        reach(Step.ENCODED)
        partial.stream.seek(0)
        partial.stream.truncate()
        partial.stream.write(data)
        reach(Step.WRITTEN)
        partial.sync()
        reach(Step.SYNCED)
        checked = self._check(job, partial.path)
        if checked.target_digest != hashlib.sha256(data).digest():
            msg = "what was written is not what lies on the disk; the disk or its cable may be failing"
            raise CheckError(msg)
        reach(Step.VERIFIED)
        return checked

    def _check(self, job: _Job, target: Path, *, keep_extras: bool = False) -> Checked:
        extras = keep_extras or self._settings.keep_extras
        checked = self._verifier.check_against(target, job.photo.path, keep_extras=extras)
        if checked.original_digest != job.digest:
            raise SkipError(Reason.CHANGING)
        return checked

    def _take_over_anew(self, job: _Job) -> None:
        """Give a .pico file that was there what the original has by now, if soon it alone will have that."""
        if self._settings.mode.lets_go and not self._settings.dry_run:
            self._take_over(job, job.photo.target)

    def _take_over(self, job: _Job, target: Path) -> None:
        """Give the file the times of the original, by which libraries sort, and let no one else read it."""
        try:
            originals.take_over(job.photo.path, target, job.status)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            if self._settings.mode.lets_go:
                raise SkipError(Reason.ATTRIBUTES) from error

    def _let_go(self, record: Record) -> tuple[Record, Exception | None]:
        """Move the original away; the journal knows before and after. If that fails it stays, and so says the record.

        An error in between leaves the record "leaving": the next run finds out where the original is.
        """
        path, mode = record.path, self._settings.mode
        at = None
        if mode is Mode.ARCHIVE and self._settings.archive is not None:
            at = originals.free_name(self._settings.archive, path)
        current = record
        try:
            if not _may_leave(record, alone=not self._settings.keep_extras):
                return record, None
            current = record.with_original(Original.LEAVING, at)
            self._journal.record(current)
            reach(Step.RECORDED)
            if Identity.of(path.lstat()) != record.identity:
                return record, None  # saved anew while the .pico file was read and the journal written
            done = _moved(path, current, mode)
            reach(Step.MOVED)
        except JournalError:
            raise
        except originals.OriginalError as error:
            return replace(record, outcome=Outcome.FAILED, reason=explain(error)), error
        except Exception as error:
            return replace(current, outcome=Outcome.FAILED, reason=explain(error)), error
        return done, None


def _is_taken(target: Path) -> bool:
    """Whether something has the name. Raises SkipError if nothing can have it."""
    try:
        target.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SkipError(Reason.LONG_NAME) from error
        return False
    return True


def _may_leave(record: Record, *, alone: bool) -> bool:
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


def _moved(path: Path, record: Record, mode: Mode) -> Record:
    if mode is Mode.REPLACE:
        return record.with_original(Original.TRASHED, trash.to_trash(path))
    if mode is Mode.ARCHIVE and record.original_at is not None:
        return record.with_original(Original.ARCHIVED, originals.to_archive(path, record.original_at))
    if originals.digest_of(path) != record.digest:  # edited meanwhile, by something that keeps size and time
        msg = "changed while it was about to be removed, and stays; close what edits it, and run again"
        raise originals.OriginalError(msg)
    originals.delete(path)
    return record.with_original(Original.DELETED)


def read_whole(path: Path) -> tuple[os.stat_result, bytes]:
    """A photo's bytes, and the status of the file they came from. Raises SkipError, OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SkipError(Reason.NOT_A_FILE)
        content = stream.read()
    if len(content) != status.st_size:
        raise SkipError(Reason.CHANGING)
    return status, content


@contextlib.contextmanager
def open_partial(folder: Path, source: Path | None) -> Iterator[PartialFile]:
    """Open a partial file in a folder, which is created, as the `source` folder is, if need be. Raises OutputError.

    That is done before anything is encoded, so that a folder without access costs no time.
    """
    with contextlib.ExitStack() as stack:
        try:
            originals.make_folder(folder, source)
            partial = stack.enter_context(partial_file(folder))
        except OSError as error:
            msg = f"cannot write in {folder} ({error.strerror}); choose another folder with --output"
            raise OutputError(msg) from error
        yield partial
