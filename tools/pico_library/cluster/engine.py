"""The client's side of a run: hands out photos a few at a time, has each judged elsewhere, and then takes it down.

Only this side writes the journal, and only what a second task has read back and found right.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from pico_codec.cli import explain
from pico_core.errors import PicoError
from pico_library.cluster.agreement import ClusterError, Installed
from pico_library.cluster.work import Report, Task, failure, judge, make, withdraw
from pico_library.console import complain
from pico_library.model.photo import Photo
from pico_library.model.records import Outcome, Record
from pico_library.model.settings import Settings
from pico_library.model.url import location
from pico_library.outcomes import Published, Result
from pico_library.store.journal import Journal, JournalError
from pico_library.store.storage import StorageError
from pico_library.store.which import is_seen

_WAITING_PER_THREAD = 2  # photos handed out for each thread of the workers: one at work, one to go on with
_SECONDS_BETWEEN_LOOKS = 3.0  # at which workers there are
_MOST_JUDGES = 8
_INTERRUPTED = object()
_URGENT = 10  # judging goes before making, so that little waits unjudged


class PhotoError(PicoError):
    """A photo failed on a worker."""


@dataclass(frozen=True)
class _Stage:
    """A photo's task at work; `published` once it is being judged, by one of the `judges` if they live."""

    task: Task
    published: Published | None = None
    maker: str = ""
    judges: frozenset[str] = frozenset()


class Engine:
    """Shrinks photos on the workers of a client. `run` is the journal's number, `room` bytes that a photo may take."""

    def __init__(
        self,
        client: Any,
        settings: Settings,
        journal: Journal,
        run: int,
        installed: Installed,
        room: int | None = None,
    ) -> None:
        self._client = client
        self._settings = settings
        self._journal = journal
        self._run = run
        self._installed = installed
        self._room = room
        self._at_work: dict[Any, _Stage] = {}
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._suspects: list[Photo] = []
        self._workers: list[str] = []
        self._threads = 1
        self._looked = -_SECONDS_BETWEEN_LOOKS
        self._broken = False
        self._interrupted = False

    def interrupt(self) -> None:
        """Have `results` raise KeyboardInterrupt while it waits, and not in the middle of taking a photo down.

        May be called by a signal handler.
        """
        if not self._interrupted:
            self._interrupted = True
            self._ended.put(_INTERRUPTED)

    def results(self, photos: Iterator[Photo]) -> Iterator[Result]:
        """Yield what became of each photo, in the order of finishing.

        Ends early when the disk is full. A photo over which workers died gets another chance when nothing else is
        at work: others may have died with it. Raises ClusterError, JournalError, KeyboardInterrupt.
        """
        yield from self._window(photos, lambda: _WAITING_PER_THREAD * self._threads, last_chance=False)
        suspects, self._suspects = self._suspects, []
        yield from self._window(iter(suspects), lambda: 1, last_chance=True)

    def drain(self) -> None:
        """Finish the photos at work, and no others; take down what became of them. Without workers nothing is done."""
        while self._at_work and not self._broken and self._client.nthreads():
            self._look_at_workers()  # what a dead one was to judge goes to others
            self._next(last_chance=True)

    def _window(
        self, photos: Iterator[Photo], size: Callable[[], int], *, last_chance: bool
    ) -> Iterator[Result]:
        while True:
            self._look_at_workers()
            while len(self._at_work) < size() and (photo := next(photos, None)) is not None:
                self._hand_out(photo)
            if not self._at_work:
                return
            result = self._next(last_chance=last_chance)
            if result is not None:
                yield result
                if result.disk_is_full:
                    photos = iter(())

    def _hand_out(self, photo: Photo) -> None:
        previous = self._known(self._journal.newest_made(location(photo.key)))
        owner = self._known(self._journal.by_target(location(photo.key_of_target)))
        task = Task(photo, self._settings, self._run, previous, self._installed, self._room, owner)
        self._submit(_Stage(task), self._client.submit(make, task, pure=False))

    def _known(self, record: Record | None) -> Record | None:
        """A record of the journal, in which URLs are URLs again."""
        if record is None:
            return None
        target = None if record.target is None else location(str(record.target))
        return replace(record, path=location(str(record.path)), target=target)

    def _submit(self, stage: _Stage, future: Any) -> None:
        self._at_work[future] = stage
        future.add_done_callback(self._ended.put)

    def _next(self, *, last_chance: bool) -> Result | None:
        """Wait a while for a task to end; return a result if a photo is done with it.

        Raises KeyboardInterrupt if `interrupt` was called, ClusterError, JournalError.
        """
        try:
            future = self._ended.get(timeout=_SECONDS_BETWEEN_LOOKS)
        except Empty:
            return None
        if future is _INTERRUPTED:
            raise KeyboardInterrupt
        stage = self._at_work.pop(future, None)
        if stage is None:  # it was given to others since
            return None
        try:
            report = self._report(future, stage, last_chance=last_chance)
        except ClusterError:
            self._broken = True
            raise
        if report is None:
            self._suspects.append(stage.task.photo)
            return None
        if report.published is not None:
            self._have_judged(stage.task, report.published, report.worker)
            return None
        return self._taken_down(self._seen_here(stage.task, report))

    def _report(self, future: Any, stage: _Stage, *, last_chance: bool) -> Report | None:
        """What a task has to say; None if workers died over it and the photo is to have another chance."""
        from distributed.scheduler import KilledWorker

        if future.status == "finished":
            report: Report = future.result()
            return report
        if future.status != "error":
            msg = "the scheduler is gone; run the same command again to go on, nothing is lost"
            raise ClusterError(msg)
        error = future.exception()
        if isinstance(error, ClusterError):
            raise error
        self._withdraw(stage)
        if not isinstance(error, KilledWorker):
            return Report(failure(stage.task, explain(error)), failed=True)
        if not last_chance:
            return None
        reason = (
            "workers died over this photo again and again; see that they have enough memory (--max-memory)"
        )
        return Report(failure(stage.task, reason), failed=True)

    def _withdraw(self, stage: _Stage) -> None:
        if stage.published is not None:
            with contextlib.suppress(OSError, StorageError):  # the next run judges it
                withdraw(stage.task, stage.published)

    def _have_judged(self, task: Task, published: Published, maker: str) -> None:
        """Have another worker judge what one has published, if there is another."""
        others = [worker for worker in self._workers if worker != maker]
        judges = random.sample(others, min(len(others), _MOST_JUDGES))
        future = self._client.submit(
            judge, task, published, pure=False, priority=_URGENT, workers=judges or None
        )
        self._submit(_Stage(task, published, maker, frozenset(judges)), future)

    def _seen_here(self, task: Task, report: Report) -> Report:
        """The report, but no photo counts as saved whose .pico file lies where only a worker sees it."""
        if self._settings.dry_run or report.record.outcome is not Outcome.SAVED:
            return report
        target = task.photo.key_of_target
        try:
            if is_seen(target, report.record.after):
                return report
            reason = (
                f"this machine does not see {target}, which a worker has written; "
                "mount the same storage on all machines under the same name"
            )
        except (OSError, StorageError) as error:
            reason = f"this machine cannot look at what a worker has written ({explain(error)})"
        return replace(report, record=failure(task, reason), failed=True)

    def _taken_down(self, report: Report) -> Result:
        if not self._settings.dry_run:
            try:
                self._journal.record(report.record)
            except JournalError:
                self._broken = True
                raise
        if not report.failed:
            return Result(report.record)
        error = PhotoError(report.record.reason or "failed")
        if report.error_number is not None:
            error.__cause__ = OSError(report.error_number, os.strerror(report.error_number))
        return Result(report.record, error)

    def _look_at_workers(self) -> None:
        if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        threads: dict[str, int] = self._client.nthreads()
        if not threads:
            if self._workers:
                complain("--engine dask", "no worker is left; start one to go on, or stop with Ctrl-C")
            self._workers = []
            return
        self._workers, self._threads = list(threads), sum(threads.values())
        for future, stage in list(self._at_work.items()):
            if stage.judges and stage.judges.isdisjoint(threads) and stage.published is not None:
                del self._at_work[future]
                future.cancel()
                self._have_judged(stage.task, stage.published, stage.maker)
