"""A run, for whoever drives it: the command `shrink` once, or a watcher for as long as it lives.

with open_session(settings, wait=False) as session:
    plan = session.plan(roots, choice)
    for result in session.process(plan, jobs=2):
        ...
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from pico_codec.files import remove_leftovers
from pico_library.check.verifier import Verifier
from pico_library.model.photo import Photo
from pico_library.model.settings import Settings
from pico_library.outcomes import Result
from pico_library.photo import Pipeline
from pico_library.run import interrupts
from pico_library.run.plan import Plan, finish_interrupted, make_plan
from pico_library.store import destinations, places
from pico_library.store.journal import Journal
from pico_library.store.run_lock import alone
from pico_library.store.scan import Choice, Found, scan


class Session:
    """A run at work. It is given a number by the journal when the first photo is processed."""

    leave_undone = False  # whether photos that are as `undo` left them are none to process
    on_interrupt: Callable[[], object] | None = None  # called before the photos at work are waited for

    def __init__(self, settings: Settings, journal: Journal, verifier: Verifier) -> None:
        self.settings = settings
        self.journal = journal
        self.run: int | None = None
        self._verifier = verifier
        self._roots: Sequence[Path] = ()
        self._state = "finished"
        self._stopping = threading.Event()

    def plan(self, roots: Sequence[Path], choice: Choice) -> Plan:
        """Find out what there is to do, after finishing what a run that was cut off had begun.

        Raises AwayError if there is something, and the disk to which it should go is not there.
        """
        self._roots = roots
        if not self.settings.dry_run:
            finish_interrupted(self.journal)
        plan = make_plan(
            roots, choice, self.settings, self.journal, self._look, leave_undone=self.leave_undone
        )
        if not self.settings.dry_run:
            if plan.photos:
                destinations.require_there((choice.output, self.settings.archive), self.journal)
            for folder in plan.found.folders:
                remove_leftovers(folder)
        return plan

    def _look(self, roots: Sequence[Path], choice: Choice) -> Found:
        return scan(roots, choice)

    def process(self, plan: Plan, jobs: int = 1) -> Iterator[Result]:
        """Shrink the photos of a plan, `jobs` at a time, and yield what became of each, in the order of finishing.

        Ends early when the disk is full. When the caller stops iterating, photos at work are finished first.
        The first photo goes alone: it has its result sooner, and those that follow do not all encode at once and
        then all wait for the verifier.
        """
        if not plan.photos:
            return
        if not self.settings.dry_run:
            self._verifier.start()
        pipeline = self._pipeline(plan)
        waiting = iter(plan.photos)
        with ThreadPoolExecutor(max(1, jobs), "photo") as pool:

            def begin(count: int) -> set[Future[Result]]:
                # Interrupted here, the pool would not know the thread that it has just started, nor wait for it.
                with interrupts.held_back():
                    return {pool.submit(pipeline.process, photo) for photo in _take(waiting, count)}

            try:
                at_work = begin(1)
                while at_work:
                    done, at_work = wait(at_work, return_when=FIRST_COMPLETED)
                    for future in done:
                        result = future.result()
                        yield result
                        if result.disk_is_full:
                            waiting = iter(())
                    if self._stopping.is_set():
                        waiting, self._state = iter(()), "interrupted"
                    at_work |= begin(jobs - len(at_work))
            except BaseException as error:
                self._state = "interrupted"
                self._tell_of(error)
                raise

    def _tell_of(self, error: BaseException) -> None:
        # Where the caller was at work when Ctrl-C came, this generator is closed.
        if self.on_interrupt is not None and isinstance(error, KeyboardInterrupt | GeneratorExit):
            self.on_interrupt()

    def stop(self) -> None:
        """Let the photos at work be finished, and begin no more. May be called from another thread."""
        self._stopping.set()

    def _pipeline(self, plan: Plan) -> Pipeline:
        return Pipeline(self.settings, self.journal, self._verifier, self._begin(plan))

    def _begin(self, plan: Plan) -> int:
        """Have the journal begin the run, if it has not yet; return the run's number, 0 if nothing is written."""
        if self.settings.dry_run:
            return 0
        if self.run is None:
            kept = {name: str(value) for name, value in asdict(self.settings).items() if value is not None}
            self.run = self.journal.start_run(self.settings.mode, self._roots, kept)
        self.journal.record(*(replace(record, run=self.run) for record in plan.new_skips))
        return self.run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._state = "interrupted"
        self.finish()

    def finish(self) -> None:
        """Note in the journal that the run has ended."""
        if self.run is not None:
            self.journal.finish_run(self.run, self._state)


@contextlib.contextmanager
def open_session(settings: Settings, *, wait: bool = False) -> Iterator[Session]:
    """Begin a run; with `wait`, after any other run has ended. Raises BusyError, PlaceError, JournalError."""
    with (
        alone(wait=wait),
        Journal(places.journal_file()) as journal,
        Verifier() as verifier,
        Session(settings, journal, verifier) as session,
    ):
        yield session


def _take(photos: Iterator[Photo], count: int) -> Iterator[Photo]:
    for _, photo in zip(range(count), photos, strict=False):
        yield photo
