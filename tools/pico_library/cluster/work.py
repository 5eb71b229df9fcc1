"""What the workers do with a photo: one task makes and publishes its .pico file, another reads both back and judges.

Every task can be run again, anywhere, after it was cut off anywhere: a .pico file that is there already is judged
and adopted, never written over. Nothing here touches the journal or an original. The steps are those of `photo`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

from pico_codec.cli import explain
from pico_codec.source import Source
from pico_core.errors import UnknownModelError
from pico_library.check.checking import Checked, CheckError, Expected, check_data
from pico_library.cluster.agreement import Installed, require_same
from pico_library.cluster.workers import keep_to_own_threads
from pico_library.model.photo import Photo
from pico_library.model.reasons import Reason, SkipError
from pico_library.model.records import Identity, Outcome, Record
from pico_library.model.settings import Settings
from pico_library.outcomes import Job, Published
from pico_library.photo import Steps
from pico_library.store.storage import Draft, StorageError, same
from pico_library.store.which import storage_of


@dataclass(frozen=True)
class Task:
    """A photo to shrink and all that a worker must know; `room` is the memory in bytes that it may take.

    `owner` is the photo that became the .pico file of this name, as far as the journal knows one.
    """

    photo: Photo
    settings: Settings
    run: int
    previous: Record | None
    installed: Installed
    room: int | None = None
    owner: Record | None = None


@dataclass(frozen=True)
class Report:
    """What a task has to say: the record, where it is final, or else what was published and is to be judged."""

    record: Record
    published: Published | None = None
    failed: bool = False
    error_number: int | None = None  # errno of what the failure came from, if the system had one
    worker: str = ""


def make(task: Task) -> Report:
    """Read, encode, look and publish. Whatever goes wrong with the photo is in the report. Raises ClusterError."""
    return _report(task, lambda steps: steps.make(task.photo, task.previous))


def judge(task: Task, published: Published) -> Report:
    """Read original and .pico file anew and compare them; remove what was published if it is not right."""
    return _report(task, lambda steps: steps.judge(task.photo, published), published)


def withdraw(task: Task, published: Published) -> None:
    """Remove what was published, if this run wrote it and it is that still. Raises OSError, StorageError."""
    if published.identity is not None:
        target = task.photo.key_of_target
        storage_of(target).remove(target, published.identity)


def failure(task: Task, reason: str) -> Record:
    """The record of a photo that failed."""
    record = _OnWorker(task).first_record(task.photo, task.previous)
    return replace(record, outcome=Outcome.FAILED, reason=reason)


class _OnWorker(Steps):
    """The steps as a worker takes them: it looks in memory at what it made, and judges what another one stored."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.settings, task.run, task.room)
        self._owner = task.owner

    def _read(self, photo: Photo, previous: Record | None) -> Job:
        job = super()._read(photo, previous)
        if not Identity.of(photo.status).same_content(job.content.identity):
            # It changed since the scan, or this worker has another disk under the name than the client.
            raise SkipError(Reason.CHANGING)
        return job

    def _owner_of(self, photo: Photo) -> Record | None:
        return self._owner

    def _compare_draft(self, job: Job, draft: Draft, data: bytes, source: Source) -> Checked:
        return check_data(data, Expected(source, job.digest))

    def _compare(self, job: Job, published: Published) -> Checked:
        try:
            expected = Expected.of(job.content.data, keep_extras=True)
            return check_data(_read_published(job.photo.key_of_target, published), expected)
        except (StorageError, UnknownModelError, CheckError):
            raise
        except Exception as error:  # whatever it is, it is no .pico file of this photo
            raise CheckError(explain(error)) from error


def _read_published(target: str, published: Published) -> bytes:
    """Read what was published. Raises CheckError if something else lies there than what was written."""
    storage = storage_of(target)
    try:
        data = storage.read_afresh(target)
    except FileNotFoundError as error:
        msg = f"another worker does not see {target}; all workers must have the same storage under the same name"
        raise CheckError(msg) from error
    if published.identity is None or hashlib.sha256(data).digest() == published.digest:
        return data
    now = storage.identity(target)
    if now is not None and same(now, published.identity):
        msg = "what was written is not what was stored; the storage or the way to it may be failing"
    else:
        msg = f"something else has written {target} meanwhile, and it is left alone; see what that is"
    raise CheckError(msg)


def _report(
    task: Task, step: Callable[[Steps], Record | Published], judged: Published | None = None
) -> Report:
    require_same(task.installed)
    worker = keep_to_own_threads()
    steps = _OnWorker(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on sloppy EXIF are no help here
        tried = steps.tried(task.photo, task.previous, lambda: step(steps))
    if isinstance(tried.made, Published):
        return Report(steps.first_record(task.photo, task.previous), tried.made, worker=worker)
    record = tried.made
    if record.outcome is Outcome.SAVED:
        tried = steps.with_sidecars(task.photo, record)
    elif judged is not None:
        try:
            withdraw(task, judged)
        except (OSError, StorageError) as error:
            reason = f"{record.reason}; and its .pico file could not be removed: {explain(error)}"
            return Report(failure(task, reason), failed=True, worker=worker)
    assert isinstance(tried.made, Record)
    failed = tried.error is not None
    return Report(tried.made, failed=failed, error_number=_error_number(tried.error), worker=worker)


def _error_number(error: BaseException | None) -> int | None:
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__
    return None
