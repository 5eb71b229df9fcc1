"""One photo: read -> encode -> look -> publish -> judge -> let go. Only this module knows that order.

The order is the promise: what is encoded is written beside its final place, brought to the disk, read back and
compared with the original by somebody else, and only then is the original touched. Wherever this is cut off, the
original or a verified .pico file exists. `Pipeline` takes a photo through all of it on this machine; over a cluster
one worker makes and another one judges (`cluster/work.py`), and no original is let go.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pico_codec.cli import explain
from pico_codec.source import Source
from pico_library.check.checking import Checked, CheckError, Expected, check_data
from pico_library.encoding import encode_alike, is_accepted, largest_strength, to_source
from pico_library.model.faults import Step, reach
from pico_library.model.photo import Photo
from pico_library.model.reasons import Reason, SkipError
from pico_library.model.records import Identity, Original, Outcome, Record
from pico_library.model.settings import Mode, Settings
from pico_library.model.url import location
from pico_library.outcomes import Job, Published, Result, Tried, parted, saved, skipped, with_look
from pico_library.store import originals, trash
from pico_library.store.journal import Journal, JournalError
from pico_library.store.leaving import may_leave, moved_away
from pico_library.store.memory import BASE_BYTES, BYTES_PER_BYTE, Budget, needed
from pico_library.store.sidecars import SidecarError, copy_sidecars
from pico_library.store.storage import Draft
from pico_library.store.which import storage_of

if TYPE_CHECKING:
    from pico_library.check.verifier import Verifier

_COARSEST_TIME_NS = 2 * 10**9  # FAT knows times to two seconds


class Steps(abc.ABC):
    """The steps of one photo, but for letting go. `run` is the journal's number, `room` the memory in bytes.

    Who compares .pico files with originals is left to those who inherit.
    """

    def __init__(self, settings: Settings, run: int, room: int | None) -> None:
        self._settings = settings
        self._run = run
        self._budget = Budget(room)

    @abc.abstractmethod
    def _compare_draft(self, job: Job, draft: Draft, data: bytes, source: Source) -> Checked:
        """Compare what was written, and has no name yet, with its original. Raises CheckError and SkipError."""

    @abc.abstractmethod
    def _compare(self, job: Job, published: Published) -> Checked:
        """Compare what has its name, reading it from where it lies. Raises CheckError and SkipError."""

    def _after(self, job: Job, published: Published, checked: Checked) -> Record | Published:
        """What follows when a .pico file has got its name: somebody else has to judge it."""
        return published

    def make(self, photo: Photo, previous: Record | None) -> Record | Published:
        """Read, encode, look and publish. `previous` is what an earlier run that had made it knows of the photo.

        A record is final; what is published, or was there already, is to be judged. Raises SkipError and others.
        """
        with self._at_work(photo, previous) as job:
            return self._made(job)

    def _made(self, job: Job) -> Record | Published:
        target, previous = job.photo.key_of_target, job.previous
        store = storage_of(target)
        is_taken = store.identity(target) is not None
        is_ours = is_taken and self._is_ours(job)
        if is_ours and previous is not None and previous.after is not None and previous.digest == job.digest:
            return self._known_again(job, previous)
        source = to_source(job.content.data, self._settings)
        if is_taken and not store.is_exactly(target):
            raise SkipError(Reason.NAME_TAKEN)
        if is_ours and not self._may_be_made_anew(job):
            # An edited photo, or another one that was given the name: then the .pico file may be all that is left
            # of the first, and must not be replaced.
            raise SkipError(Reason.CHANGED_SINCE)
        if is_taken and not is_ours:
            return Published()
        if self._settings.dry_run:
            return self._try_out(job, source)
        return self._followed(job) or self._write(job, source)

    def _may_be_made_anew(self, job: Job) -> bool:
        """Whether the .pico file of an earlier run is to give way: its original never left, so that nothing is lost."""
        previous = job.previous
        return self._settings.update and previous is not None and previous.original is Original.KEPT

    def _followed(self, job: Job) -> Record | None:
        """The record of a photo that was renamed or moved, whose .pico file has followed it; None if it was not."""
        return None

    def judge(self, photo: Photo, published: Published) -> Record:
        """The record of a photo whose .pico file has its name, if that is right. Raises SkipError, CheckError."""
        with self._at_work(photo, None) as job:
            return self._judged(job, published)

    def _judged(self, job: Job, published: Published) -> Record:
        is_found = published.identity is None
        if not is_found and job.digest != published.original_digest:
            raise SkipError(Reason.CHANGING)
        try:
            checked = self._compare(job, published)
        except CheckError as error:
            if is_found:
                raise SkipError(Reason.NAME_TAKEN) from error
            raise
        if not is_accepted(checked, self._settings):
            raise SkipError(Reason.NAME_TAKEN) if is_found else SkipError(Reason.UNLIKE, checked.look)
        target = job.photo.key_of_target
        now = published.identity or storage_of(target).identity(target)
        if now is None:
            raise SkipError(Reason.CHANGING)
        record = saved(self._record(job), now.size, checked, published.quality)
        if not is_found:
            return record
        reason = self._reason_against(job, checked, now)
        if reason is not None:
            raise SkipError(reason)
        self._take_over_anew(job)
        return replace(record, reason=Reason.ADOPTED, wrote=False)

    def first_record(self, photo: Photo, previous: Record | None) -> Record:
        """What is known of a photo before anything was done with it."""
        record = Record(
            path=location(photo.key),
            identity=Identity.of(photo.status),
            outcome=Outcome.SKIPPED,
            settings=self._settings.decisive,
            before=photo.status.st_size,
            run=self._run,
        )
        if previous is None:
            return record
        # A .pico file of ours must not be forgotten because a run could not go on from it.
        return replace(record, target=previous.target, target_digest=previous.target_digest)

    def tried(self, photo: Photo, previous: Record | None, step: Callable[[], Record | Published]) -> Tried:
        """Take a step; whatever goes wrong with the photo is in what it comes to. Raises JournalError."""
        first = self.first_record(photo, previous)
        try:
            return Tried(step())
        except SkipError as skip:
            return Tried(skipped(first, skip))
        except JournalError:
            raise
        except Exception as error:  # whatever one photo does, the others are still to be shrunk
            return Tried(replace(first, outcome=Outcome.FAILED, reason=explain(error)), error)

    def with_sidecars(self, photo: Photo, made: Record) -> Tried:
        """Copy what says more about a photo beside its .pico file; what lies there under the name already stays.

        Without its sidecars the photo failed, and is tried again.
        """
        if self._settings.mode is not Mode.OUTPUT or self._settings.dry_run:
            return Tried(made)
        try:
            copy_sidecars(photo)
        except SidecarError as error:
            return Tried(replace(made, outcome=Outcome.FAILED, reason=explain(error)), error)
        return Tried(made)

    @contextlib.contextmanager
    def _at_work(self, photo: Photo, previous: Record | None) -> Iterator[Job]:
        """A photo that was read, as long as it takes memory. Raises SkipError."""
        with self._budget.hold(photo.status.st_size * BYTES_PER_BYTE):
            job = self._read(photo, previous)
        with self._budget.hold(needed(job.content.data)):
            yield job

    def _read(self, photo: Photo, previous: Record | None) -> Job:
        try:
            content = storage_of(photo.key).read(photo.key)
        except OSError as error:
            msg = f"cannot be read ({error.strerror}); see that you may read it and that its disk is in order"
            raise originals.OriginalError(msg) from error
        return Job(photo, content, hashlib.sha256(content.data).digest(), previous)

    def _record(self, job: Job) -> Record:
        return Record(
            path=location(job.photo.key),
            identity=job.content.identity,
            outcome=Outcome.SAVED,
            settings=self._settings.decisive,
            digest=job.digest,
            before=len(job.content.data),
            target=location(job.photo.key_of_target),
            run=self._run,
        )

    def _is_ours(self, job: Job) -> bool:
        """Whether the target holds, byte for byte, what a run of ours had written there."""
        target, previous = job.photo.key_of_target, job.previous
        if previous is None or previous.target_digest is None or previous.target != location(target):
            return False
        return storage_of(target).digest(target) == previous.target_digest

    def _known_again(self, job: Job, earlier: Record) -> Record:
        """The record of an earlier run for this one: original and .pico file are what that run had verified."""
        settings = self._settings
        if settings.mode.lets_go:
            if earlier.score is not None and earlier.score > largest_strength(settings):
                raise SkipError(Reason.TOO_UNLIKE)
            if not settings.dry_run:
                # It is soon to be all there is: the weights it needs may be gone since, and an earlier version may
                # have judged its look by another measure.
                checked = self._compare(job, Published())
                if not is_accepted(checked, settings):
                    raise SkipError(Reason.TOO_UNLIKE)
                earlier = with_look(earlier, checked.look)
            self._take_over_anew(job)
        return replace(
            earlier,
            outcome=Outcome.SAVED,
            reason=None,
            wrote=False,
            original=Original.KEPT,
            original_at=None,
            identity=job.content.identity,
            settings=settings.decisive,
            run=self._run,
        )

    def _try_out(self, job: Job, source: Source) -> Record:
        """The record that the photo would get, found out in memory."""
        expected = Expected(source, job.digest)
        before = len(job.content.data)
        alike = encode_alike(source, before, self._settings, lambda data: check_data(data, expected))
        record = saved(self._record(job), len(alike.data), alike.checked, alike.quality)
        return replace(record, target_digest=None, wrote=None)

    def _write(self, job: Job, source: Source) -> Record | Published:
        name, target = job.photo.key, job.photo.key_of_target
        before = len(job.content.data)
        with storage_of(target).draft(target, name, job.content) as draft:
            reach(Step.OPENED)
            alike = encode_alike(
                source, before, self._settings, lambda data: self._look(job, draft, data, source)
            )
            self._take_over(job, draft.name)
            if storage_of(name).identity(name) != job.content.identity:
                raise SkipError(Reason.CHANGING)
            try:
                if self._may_be_made_anew(job):
                    self._put_aside(job)
                identity = draft.publish()
            except FileExistsError:
                return (
                    Published()
                )  # what has taken the name meanwhile is this photo's, or a stranger's that stays
        reach(Step.PUBLISHED)
        published = Published(job.digest, alike.checked.target_digest, alike.quality, identity)
        return self._after(job, published, alike.checked)

    def _put_aside(self, job: Job) -> None:
        """Move the .pico file of an earlier run out of the way, where it can be found again."""
        if self._is_ours(job):
            trash.to_trash(job.photo.target)

    def _look(self, job: Job, draft: Draft, data: bytes, source: Source) -> Checked:
        """Bring the bytes to the disk and have them compared."""
        reach(Step.ENCODED)
        draft.write(data)
        reach(Step.WRITTEN)
        draft.sync()
        reach(Step.SYNCED)
        checked = self._compare_draft(job, draft, data, source)
        if checked.target_digest != hashlib.sha256(data).digest():
            msg = "what was written is not what lies on the disk; the disk or its cable may be failing"
            raise CheckError(msg)
        reach(Step.VERIFIED)
        return checked

    def _reason_against(self, job: Job, checked: Checked, target: Identity) -> Reason | None:
        """Why a .pico file that looks like a photo is not to be taken for that photo's; None if it is.

        Its mark tells. One without a mark has only its time, which is that of the photo as it was. Two photos of a
        burst may look so much alike that only the journal can tell.
        """
        owner = self._owner_of(job.photo)
        if owner is not None and owner.path != location(job.photo.key) and owner.digest != job.digest:
            return Reason.NAME_TAKEN
        if checked.marked_digest is not None and checked.marked_digest == checked.original_digest:
            return None
        if job.content.identity.mtime_ns > target.mtime_ns + _COARSEST_TIME_NS:
            return Reason.CHANGED_SINCE
        return None if checked.marked_digest is None else Reason.NAME_TAKEN

    def _owner_of(self, photo: Photo) -> Record | None:
        """The photo that became the .pico file, as far as anybody here knows."""
        return None

    def _take_over_anew(self, job: Job) -> None:
        """Give a .pico file that was there what the original has by now, if soon it alone will have that."""
        if self._settings.mode.lets_go and not self._settings.dry_run:
            self._take_over(job, job.photo.key_of_target)

    def _take_over(self, job: Job, name: str) -> None:
        """Give the file the times of the original, by which libraries sort, and let no one else read it."""
        try:
            storage_of(job.photo.key_of_target).take_over(name, job.photo.key, job.content)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            if self._settings.mode.lets_go:
                raise SkipError(Reason.ATTRIBUTES) from error


class Pipeline(Steps):
    """Takes photos through all steps on this machine, one at a time; may be used by several threads."""

    def __init__(self, settings: Settings, journal: Journal, verifier: Verifier, run: int) -> None:
        limit = settings.max_memory
        super().__init__(settings, run, None if limit is None else max(0, limit - BASE_BYTES))
        self._journal = journal
        self._verifier = verifier

    def process(self, photo: Photo) -> Result:
        """Shrink a photo and note in the journal what became of it.

        No error of the photo's is raised: it is in the result. JournalError is raised.
        """
        previous = self._journal.newest_made(photo.path)
        record, error = parted(self.tried(photo, previous, lambda: self._shrink(photo, previous)))
        if error is None and record.outcome is Outcome.SAVED:
            record, error = parted(self.with_sidecars(photo, record))
        if self._settings.dry_run:
            return Result(record, error)
        if record.outcome is Outcome.SAVED and self._settings.mode.lets_go:
            record, error = self._let_go(record)
        self._journal.record(record)
        return Result(record, error)

    def _shrink(self, photo: Photo, previous: Record | None) -> Record:
        """Write the .pico file, or find out why not. The original is only read."""
        made = self.make(photo, previous)
        return made if isinstance(made, Record) else self.judge(photo, made)

    def _after(self, job: Job, published: Published, checked: Checked) -> Record:
        """Note it: the verifier has judged it as a draft, from the disk and in a process of its own."""
        assert published.identity is not None
        record = saved(self._record(job), published.identity.size, checked, published.quality)
        self._journal.record(record)
        return record

    def _compare_draft(self, job: Job, draft: Draft, data: bytes, source: Source) -> Checked:
        return self._check(job, Path(draft.name))

    def _compare(self, job: Job, published: Published) -> Checked:
        return self._check(job, job.photo.target)

    def _check(self, job: Job, target: Path) -> Checked:
        checked = self._verifier.check_against(target, job.photo.path, keep_extras=True)
        if checked.original_digest != job.digest:
            raise SkipError(Reason.CHANGING)
        return checked

    def _owner_of(self, photo: Photo) -> Record | None:
        return self._journal.by_target(photo.target)

    def _followed(self, job: Job) -> Record | None:
        photo = job.photo
        earlier = self._journal.by_digest(job.digest)
        if earlier is None or earlier.path == photo.path or earlier.original is not Original.KEPT:
            return None
        if os.path.lexists(earlier.path) or not earlier.path.parent.is_dir():
            return None  # still there, or perhaps only its disk is away
        if earlier.target is None or not earlier.target.is_file():
            return None
        if originals.digest_of(earlier.target) != earlier.target_digest:
            return None
        originals.make_folder(photo.target.parent, photo.path.parent)
        originals.move(earlier.target, photo.target)
        record = replace(self._known_again(job, earlier), path=photo.path, target=photo.target)
        # Of the old name nothing is left that could be undone.
        gone = replace(earlier, outcome=Outcome.UNDONE, reason=Reason.RENAMED)
        self._journal.record(gone, record)
        return record

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
            if not may_leave(record, alone=self._settings.skip_extras):
                return record, None
            current = record.with_original(Original.LEAVING, at)
            self._journal.record(current)
            reach(Step.RECORDED)
            if Identity.of(path.lstat()) != record.identity:
                return record, None  # saved anew while the .pico file was read and the journal written
            done = moved_away(current, mode)
            reach(Step.MOVED)
        except JournalError:
            raise
        except originals.OriginalError as error:
            return replace(record, outcome=Outcome.FAILED, reason=explain(error)), error
        except Exception as error:
            return replace(current, outcome=Outcome.FAILED, reason=explain(error)), error
        return done, None
