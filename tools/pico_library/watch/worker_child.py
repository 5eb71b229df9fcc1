"""The worker's own process: shrinks one batch after the other, until its standard input ends."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from pico_core.errors import PicoError
from pico_library.check.verifier import Verifier
from pico_library.model.photo import Photo
from pico_library.model.records import Record
from pico_library.outcomes import Result
from pico_library.photo import Pipeline
from pico_library.report.words import reason_in_words
from pico_library.run.plan import Plan
from pico_library.run.session import Session
from pico_library.store import places
from pico_library.store.free_space import full_place
from pico_library.store.journal import Journal
from pico_library.store.run_lock import BusyError, alone
from pico_library.store.scan import Choice, Found
from pico_library.watch import look, messages
from pico_library.watch.settle import Look
from pico_library.watch.worker import Answer, Batch, Begun, Done, Ended

_one_at_a_time = threading.Lock()  # for answers: photos at work tell of themselves


class BatchSession(Session):
    """A run over some photos of a library: it looks into their folders only, and at photos that are as they were."""

    leave_undone = True

    def __init__(
        self, batch: Batch, journal: Journal, verifier: Verifier, send: Callable[[Answer], None]
    ) -> None:
        super().__init__(batch.settings, journal, verifier)
        self._batch = batch
        self._send = send

    def _look(self, roots: Sequence[Path], choice: Choice) -> Found:
        photos = self._batch.photos
        found = look.into({os.path.dirname(path) for path in photos})(roots, choice)  # noqa: PTH120
        found.photos = [photo for photo in found.photos if photos.get(photo.key) == Look.of(photo.status)]
        return found

    def _pipeline(self, plan: Plan) -> Pipeline:
        send = self._send

        class Telling(Pipeline):
            def process(self, photo: Photo) -> Result:
                send(Begun(photo.key))
                return super().process(photo)

        return Telling(self.settings, self.journal, self._verifier, self._begin(plan))


class Task:
    """A batch, which may be told to stop before, while and after its session is open."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._lock = threading.Lock()
        self._is_stopped = False
        self._session: Session | None = None

    def stop(self) -> None:
        """Let the photos at work be finished, and begin no more."""
        with self._lock:
            self._is_stopped = True
            if self._session is not None:
                self._session.stop()

    def do(self, verifier: Verifier, send: Callable[[Answer], None]) -> Ended:
        """Shrink the photos, and send what becomes of each."""
        batch = self.batch
        with (
            alone(),
            Journal(places.journal_file()) as journal,
            BatchSession(batch, journal, verifier, send) as session,
        ):
            plan = session.plan(batch.roots, batch.choice)
            with self._lock:
                self._session = session
                if self._is_stopped:
                    return Ended()
            for result in session.process(plan, batch.jobs):
                full = full_place(result.record, batch.settings, plan.photos) if result.disk_is_full else None
                send(_done(result.record, full))
            return Ended(session.run)


def main() -> int:
    """Work off what standard input asks for, and answer on standard output."""
    # Both are for the watcher to hear, and to decide what is finished; the verifier inherits it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    # Whatever a library prints must not end up between the answers. Closing them writes what a watcher that has died
    # could not be told.
    with contextlib.suppress(BrokenPipeError), os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        threading.Thread(target=_listen, args=(sys.stdin.buffer, tasks), daemon=True).start()
        with Verifier() as verifier:
            while (task := tasks.get()) is not None:
                _send(answers, _ended(task, verifier, answers))
    return 0


def _listen(questions: IO[bytes], tasks: queue.SimpleQueue[Task | None]) -> None:
    """Take questions as they come; their end, which is the watcher's, stops the work after the photo at work."""
    task = None
    try:
        while True:
            question = messages.receive(questions)
            if isinstance(question, Batch):
                task = Task(question)
                tasks.put(task)
            elif task is not None:
                task.stop()
    except (EOFError, OSError):
        pass  # the watcher has let go, or died, perhaps amid a question
    finally:  # whatever it was: without this, the process would wait for ever
        if task is not None:
            task.stop()
        tasks.put(None)


def _ended(task: Task, verifier: Verifier, answers: IO[bytes]) -> Ended:
    try:
        return task.do(verifier, lambda answer: _send(answers, answer))
    except BusyError:
        return Ended(is_busy=True)
    except PicoError as error:
        return Ended(problem=str(error))


def _done(record: Record, full: str | None) -> Done:
    return Done(
        path=str(record.path),
        outcome=record.outcome,
        reason=record.reason,
        before=record.before or 0,
        after=record.after or 0,
        why=reason_in_words(record) if record.reason else None,
        full=full,
    )


def _send(answers: IO[bytes], answer: Answer) -> None:
    # If the watcher has died, the journal knows what was done.
    with _one_at_a_time, contextlib.suppress(OSError):
        messages.send(answers, answer)


if __name__ == "__main__":
    sys.exit(main())
