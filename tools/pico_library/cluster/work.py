"""What the workers do with a photo: one task makes and publishes its .pico file, another reads both back and judges.

Every task can be run again, anywhere, after it was cut off anywhere: a .pico file that is there already is judged
and adopted, never written over. Nothing here touches the journal or an original.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

from pico_codec.cli import explain
from pico_core.errors import UnknownModelError
from pico_library import sidecars
from pico_library.checking import Checked, CheckError, Expected, check_data
from pico_library.cluster.agreement import ClusterError, Installed, require_same
from pico_library.cluster.storage import Content, StorageError, same, storage_of
from pico_library.cluster.urls import location
from pico_library.faults import Step, reach
from pico_library.memory import needed_by
from pico_library.reasons import Reason, SkipError
from pico_library.records import Identity, Outcome, Record
from pico_library.scan import Photo
from pico_library.settings import Mode, Settings
from pico_library.shrinking import (
    adopted,
    encode_alike,
    is_accepted,
    is_ours,
    known_again,
    reason_against,
    saved,
    skipped,
    to_source,
    tried_out,
    untouched,
)


@dataclass(frozen=True)
class Task:
    """A photo to shrink and all that a worker must know; `room` is the memory in bytes that it may take."""

    photo: Photo
    settings: Settings
    run: int
    previous: Record | None
    installed: Installed
    room: int | None = None


@dataclass(frozen=True)
class Published:
    """A .pico file that waits to be judged, and the SHA-256 of the bytes that were read and of those written.

    `identity` is None if this task found it there and did not write it.
    """

    original_digest: bytes = b""
    digest: bytes = b""
    quality: int | None = None
    identity: Identity | None = None


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
    return _guarded(task, lambda: _make(task), None)


def judge(task: Task, published: Published) -> Report:
    """Read original and .pico file anew and compare them; remove what was published if it is not right."""
    return _guarded(task, lambda: _judge(task, published), published)


def withdraw(task: Task, published: Published) -> None:
    """Remove what was published, if this run wrote it and it is that still. Raises OSError, StorageError."""
    if published.identity is not None:
        target = task.photo.key_of_target
        storage_of(target).remove(target, published.identity)


def first_record(task: Task) -> Record:
    """What is known of a photo before anything was done with it."""
    record = Record(
        path=location(task.photo.key),
        identity=Identity.of(task.photo.status),
        outcome=Outcome.SKIPPED,
        settings=task.settings.decisive,
        before=task.photo.status.st_size,
        run=task.run,
    )
    return untouched(record, task.previous)


def failure(task: Task, reason: str) -> Record:
    """The record of a photo that failed."""
    return replace(first_record(task), outcome=Outcome.FAILED, reason=reason)


def _guarded(task: Task, work: Callable[[], Report], published: Published | None) -> Report:
    require_same(task.installed)
    worker = _prepare_worker()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on sloppy EXIF are no help here
            return replace(work(), worker=worker)
    except SkipError as skip:
        report = Report(skipped(first_record(task), skip), worker=worker)
    except ClusterError:
        raise
    except Exception as error:  # whatever one photo does, the others are still to be shrunk
        number = _error_number(error)
        report = Report(failure(task, explain(error)), failed=True, error_number=number, worker=worker)
    if published is None:
        return report
    try:
        withdraw(task, published)
    except (OSError, StorageError) as error:
        reason = f"{report.record.reason}; and its .pico file could not be removed: {explain(error)}"
        return replace(report, record=failure(task, reason), failed=True)
    return report


def _make(task: Task) -> Report:
    name = task.photo.key
    content = storage_of(name).read(name)
    found = Identity.of(task.photo.status)
    if not found.same_content(content.identity):
        # It changed since the scan, or this worker has another disk under the name than the client.
        raise SkipError(Reason.CHANGING)
    _require_room(task, content)
    digest = hashlib.sha256(content.data).digest()
    there = _there_already(task, content, digest)
    if isinstance(there, Record):
        _bring_sidecars(task)
        return Report(there)
    source = to_source(content.data, task.settings)
    if there:
        return _adopted(task)
    settings = task.settings
    if settings.dry_run:
        return Report(tried_out(_record(task, content, digest), source, digest, settings))
    expected = Expected(source, digest)
    alike = encode_alike(source, len(content.data), settings, lambda data: _look_at(data, expected))
    if storage_of(name).identity(name) != content.identity:
        raise SkipError(Reason.CHANGING)
    target = task.photo.key_of_target
    try:
        identity = storage_of(target).put(target, alike.data, name, content)
    except FileExistsError:
        return _adopted(
            task
        )  # another worker that counted as dead has finished the photo, or it is a stranger's
    reach(Step.PUBLISHED)
    published = Published(digest, alike.checked.target_digest, alike.quality, identity)
    return Report(first_record(task), published)


def _there_already(task: Task, content: Content, digest: bytes) -> Record | bool:
    """Whether something has the target's name; the record of an earlier run if that run had verified it."""
    target = task.photo.key_of_target
    storage = storage_of(target)
    if storage.identity(target) is None:
        return False

    def digest_there() -> bytes:
        return hashlib.sha256(storage.read_afresh(target)).digest()

    if not is_ours(task.previous, location(target), digest_there):
        return True
    earlier = task.previous
    assert earlier is not None
    if earlier.digest == digest and earlier.after is not None:
        return known_again(earlier, content.identity, task.settings, task.run)
    raise SkipError(Reason.CHANGED_SINCE)


def _adopted(task: Task) -> Report:
    """Leave what has the name to be judged: it is this photo's, or a stranger's that stays."""
    return Report(first_record(task), Published())


def _look_at(data: bytes, expected: Expected) -> Checked:
    reach(Step.ENCODED)
    return check_data(data, expected)


def _judge(task: Task, published: Published) -> Report:
    content = storage_of(task.photo.key).read(task.photo.key)
    digest = hashlib.sha256(content.data).digest()
    adopting = published.identity is None
    unchanged = Identity.of(task.photo.status).same_content(content.identity)
    if not unchanged or not (adopting or digest == published.original_digest):
        raise SkipError(Reason.CHANGING)
    expected = Expected.of(content.data, keep_extras=task.settings.keep_extras)
    try:
        data = _read_published(task, published)
        checked = check_data(data, expected)
    except (StorageError, UnknownModelError):
        raise
    except Exception as error:  # whatever it is, it is no .pico file of this photo
        if adopting:
            raise SkipError(Reason.NAME_TAKEN) from error
        raise
    if not is_accepted(checked, task.settings):
        raise SkipError(
            Reason.NAME_TAKEN if adopting else Reason.UNLIKE, None if adopting else checked.likeness
        )
    if adopting and (reason := _reason_against(task, content, checked)) is not None:
        raise SkipError(reason)
    reach(Step.VERIFIED)
    record = _record(task, content, digest)
    size = len(data)
    record = adopted(record, size, checked) if adopting else saved(record, size, checked, published.quality)
    _bring_sidecars(task)
    return Report(record)


def _reason_against(task: Task, content: Content, checked: Checked) -> Reason | None:
    """Why the .pico file that is there is not to be taken for the photo's; None if it is."""
    target = task.photo.key_of_target
    there = storage_of(target).identity(target)
    return None if there is None else reason_against(checked, content.identity, there)


def _read_published(task: Task, published: Published) -> bytes:
    """Read what was published. Raises CheckError if something else lies there than what was written."""
    target = task.photo.key_of_target
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


def _record(task: Task, content: Content, digest: bytes) -> Record:
    return Record(
        path=location(task.photo.key),
        identity=content.identity,
        outcome=Outcome.SAVED,
        settings=task.settings.decisive,
        digest=digest,
        before=len(content.data),
        target=location(task.photo.key_of_target),
        run=task.run,
    )


def _bring_sidecars(task: Task) -> None:
    """Copy what says more about the photo beside its .pico file; what lies there under the name already stays."""
    photo = task.photo
    if task.settings.mode is not Mode.OUTPUT or task.settings.dry_run:
        return
    for name in photo.sidecars:
        source, target = f"{photo.folder}/{name}", f"{photo.target_folder}/{name}"
        storage = storage_of(target)
        with sidecars.named(source, target):
            if storage.identity(target) is not None:
                continue
            content = storage_of(source).read(source)
            with contextlib.suppress(FileExistsError):
                storage.put(target, content.data, source, content)


def _require_room(task: Task, content: Content) -> None:
    if task.room is not None and needed_by(io.BytesIO(content.data), len(content.data)) > task.room:
        raise SkipError(Reason.NO_MEMORY)


def _error_number(error: BaseException | None) -> int | None:
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__
    return None


def _prepare_worker() -> str:
    """Keep torch to the threads that this worker was given; return the worker's address, empty outside of one."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return ""
    threads = worker.state.nthreads
    if "torch" in sys.modules:
        import torch

        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
    else:  # it asks these when it is imported
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
    return str(worker.address)
