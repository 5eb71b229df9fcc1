"""The watcher itself: one thread that is told of events, signals and results, and that rests in between.

    hint -> look (what the journal does not know) -> settle (two looks) -> worker (shrinks) -> journal

Hints say only where to look. What there is to do is found by looking, so that lost, doubled and late events do no
harm; a look over everything comes from time to time whether there are hints or not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pico_codec.files import remove_leftovers
from pico_core.errors import PicoError
from pico_library.console import FAILED, FINE, INTERRUPTED, NOTHING
from pico_library.model.reasons import Reason
from pico_library.model.records import Outcome
from pico_library.model.settings import Settings
from pico_library.run.plan import Plan, finish_interrupted, make_plan
from pico_library.store import places
from pico_library.store.journal import Journal
from pico_library.store.run_lock import BusyError, alone
from pico_library.store.scan import Choice, scan
from pico_library.watch import look, power
from pico_library.watch.events import Hints, LostEvents
from pico_library.watch.folders import Destination, WatchedFolder
from pico_library.watch.photos import Photos
from pico_library.watch.presence import announced
from pico_library.watch.reporter import Reporter
from pico_library.watch.tally import Tally
from pico_library.watch.worker import Answer, Batch, Begun, Died, Done, Ended, Worker

_AWAKE = "awake"
_ON_BATTERY = "on battery"


@dataclass(frozen=True)
class Rhythm:
    """How often and how long, in seconds."""

    settle: float = 10.0  # between the two looks at a photo
    rescan: float = 1800.0  # between looks over everything
    poll: float = 60.0  # between looks for changes where nobody tells of them
    idle: float = 300.0  # until the worker is let go
    quiet: float = 1.0  # without events, before a look
    folders: float = 5.0  # between looks whether the folders are there
    power: float = 20.0  # between looks at the battery
    busy: float = 5.0  # until the next try, while another run is at work
    trouble: float = 60.0  # until the next try, while the journal is in trouble
    full_disk: float = 600.0  # until the next try, when a disk was full
    retry: float = 3600.0  # until the next try of a photo that failed


@dataclass(frozen=True)
class Order:
    """What to watch, and what to do with the photos; `on_battery` says to work on battery too."""

    roots: tuple[Path, ...]
    choice: Choice
    settings: Settings
    jobs: int = 1
    always_poll: bool = False
    on_battery: bool = False


class Watcher:
    """Watches folders until it is stopped; with `once`, until what is there now has been shrunk."""

    def __init__(self, order: Order, rhythm: Rhythm, reporter: Reporter, *, once: bool = False) -> None:
        self.looks = 0  # how often folders were looked into
        self.batches = 0
        self.photos = Photos(rhythm.settle, rhythm.retry)
        self._order = order
        self._rhythm = rhythm
        self._once = once
        self._tally = Tally(reporter)
        self._inbox: queue.SimpleQueue[Answer | int | str] = queue.SimpleQueue()
        self._hints = Hints(lambda: self._inbox.put(_AWAKE))
        self._worker = Worker(self._inbox.put)
        self._folders = [
            WatchedFolder(root, self._hints, self._tally.problem, rhythm.poll, always_poll=order.always_poll)
            for root in order.roots
        ]
        outside = (order.choice.output, order.settings.archive)
        self._needed = [Destination(path) for path in outside if path is not None]
        self._has_no_folder = False
        self._stopped_by: int | None = None
        self._paused: str | None = None
        self._is_on_battery = False
        self._waits_for_lock = False
        self._trouble = ""
        now = time.monotonic()
        self._next_check = self._next_rescan = self._next_power = now
        self._not_before = self._not_look_before = self._let_go = now

    def run(self) -> int:
        """Watch, and return the exit code. Raises PicoError if the journal cannot be used at first."""
        with contextlib.ExitStack() as ending:  # each is ended, whatever happens to the others
            if not self._once:
                ending.enter_context(announced(self._order.roots))
            ending.callback(self._worker.close)
            for folder in self._folders:
                ending.callback(folder.close)
            ending.callback(lambda: self._tally.reporter.close(self._tally.summary))
            with self._hearing_of_lost_events(), self._hearing_signals():
                while not self._is_over():
                    self._turn(time.monotonic())
                    self._wait(time.monotonic())
        return self._exit_code()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Have the watcher end when the photos at work are finished; the second time, at once. For any thread."""
        self._inbox.put(number)

    @property
    def worker_id(self) -> int | None:
        """The number of the worker's process; None while there is none."""
        return self._worker.process_id

    # One turn: every step does what is due, and nothing else.

    def _turn(self, now: float) -> None:
        if self._stopped_by is None:
            self._check_folders(now)
            self._look(now)
            self._settle(now)
            self._work(now)
        if self.photos.at_work is None and self._worker.process_id is not None and now >= self._let_go:
            self._worker.close()
        if self._stopped_by is None:
            self._tally.show(self._folders, self.photos, self._why_waiting())

    def _check_folders(self, now: float) -> None:
        if now < self._next_check:
            return
        self._next_check = now + self._rhythm.folders
        for folder in self._folders:
            if not folder.check(observe=not self._once):
                continue
            self.photos.forget(folder.holds)
            if folder.is_there:
                self._hints.look_everywhere()
                self._tally.event(folder.path, "looking once" if self._once else folder.manner)
                continue
            then = "connect its disk, and run again" if self._once else "waiting until its disk is connected"
            self._tally.problem(folder.path, f"is not there; {then}. Nothing is forgotten")
            if self.photos.at_work is not None:
                self._worker.stop()
        self._has_no_folder = not self._roots()

    def _look(self, now: float) -> None:
        if now >= self._next_rescan:
            self._hints.look_everywhere()
            self._next_rescan = now + self._rhythm.rescan
        due = self._hints.due(self._rhythm.quiet if self.looks else 0.0)
        if due is None or now < max(due, self._not_look_before):
            return
        if not any(folder.is_there for folder in self._folders):
            return
        folders = self._hints.take()
        try:
            plan = self._plan(folders)
        except PicoError as error:
            if self._once or not self.looks:
                raise
            self._hints.look_everywhere()
            self._not_look_before = now + self._rhythm.trouble
            self._tell_of_trouble(str(error), self._rhythm.trouble)
            return
        self.looks += 1
        self._trouble = ""
        fresh = sum(self.photos.offer(photo, now) for photo in plan.photos)
        self._tally.found(plan, fresh, everything=folders is None)

    def _plan(self, folders: set[str] | None) -> Plan:
        way = scan if folders is None else look.into(folders)
        order = self._order
        with Journal(places.journal_file()) as journal:
            if folders is None and journal.leaving():  # what is in trouble is not told of at every event
                with contextlib.suppress(BusyError), alone():
                    finish_interrupted(journal)
            # Whoever says `undo` wants the photo to stay, and nobody asked for this look.
            plan = make_plan(self._roots(), order.choice, order.settings, journal, way, leave_undone=True)
        for folder in plan.found.folders:
            remove_leftovers(folder)
        return plan

    def _settle(self, now: float) -> None:
        settling = self.photos.settling
        due = settling.due()
        if due is None or now < due:
            return
        self.photos.settle(now)
        if self._once and (count := settling.forget(lambda _: True)):
            self._tally.unsettled(count)

    def _work(self, now: float) -> None:
        photos = self.photos
        if photos.at_work is None and not photos.ready:
            return
        pause = self._reason_to_pause(now)
        if pause != self._paused:
            self._paused = pause
            self._tally.paused(pause, is_problem=pause != _ON_BATTERY, is_the_end=self._once)
        if photos.at_work is not None:
            if pause is not None:
                self._worker.stop()
        elif pause is None and now >= self._not_before:
            self.batches += 1
            order, batch = self._order, photos.begin()
            self._tally.begin(len(batch))
            self._worker.begin(Batch(self._roots(), order.choice, order.settings, order.jobs, batch))

    def _reason_to_pause(self, now: float) -> str | None:
        try:
            for destination in self._needed:
                if (why := destination.why_away()) is not None:
                    return why
        except PicoError as error:
            return str(error)
        if self._order.on_battery or self._once:
            return None
        if now >= self._next_power:
            self._next_power = now + self._rhythm.power
            self._is_on_battery = power.is_on_battery()
        return _ON_BATTERY if self._is_on_battery else None

    def _why_waiting(self) -> str:
        if self._paused is not None:
            return self._paused
        return "another run is at work" if self._waits_for_lock else "trying again soon"

    # What is told from outside.

    def _wait(self, now: float) -> None:
        if self._is_over():
            return
        due = self._next_due()
        with contextlib.suppress(queue.Empty):
            self._hear(self._inbox.get(timeout=None if due is None else max(0.0, due - now)))
            while True:
                self._hear(self._inbox.get_nowait())

    def _next_due(self) -> float | None:
        if self._stopped_by is not None:
            return None  # until the worker answers, or another signal comes
        dues = [self._next_check]
        if (hint := self._hints.due(self._rhythm.quiet)) is not None and any(self._roots()):
            dues.append(max(hint, self._not_look_before))
        if (settle := self.photos.settling.due()) is not None:
            dues.append(settle)
        if self.photos.at_work is None:
            if self.photos.ready and self._paused is None:
                dues.append(self._not_before)
            if self._worker.process_id is not None:
                dues.append(self._let_go)
        return min(dues)

    def _hear(self, message: Answer | int | str) -> None:
        now = time.monotonic()
        if isinstance(message, int):
            self._hear_signal(message)
        elif isinstance(message, Begun):
            self.photos.begun.add(message.path)
        elif isinstance(message, Done):
            self._hear_of_photo(message, now)
        elif isinstance(message, Ended):
            self._hear_of_end(message, now)
        elif isinstance(message, Died) and message.process_id == self._worker.process_id:
            self._hear_of_death(now)

    def _hear_signal(self, number: int) -> None:
        if self._stopped_by is not None:
            self._worker.kill()
            return
        self._stopped_by = number
        if self.photos.at_work is not None:
            self._tally.stopping()
            self._worker.stop()

    def _hear_of_photo(self, done: Done, now: float) -> None:
        self._waits_for_lock = False
        self.photos.finish(done, now)
        self._tally.add(done)
        if done.outcome is Outcome.FAILED:
            self._next_check = now  # its disk may be gone
        if done.reason == Reason.CHANGING:
            self._hints.look_in(os.path.dirname(done.path))  # noqa: PTH120
        if done.full is not None:
            self._not_before = now + self._rhythm.full_disk
            self._tell_of_trouble(f"the disk of {done.full} is full", self._rhythm.full_disk)
            if not self._once:
                self._hints.look_in(os.path.dirname(done.path))  # noqa: PTH120

    def _hear_of_end(self, ended: Ended, now: float) -> None:
        left = self.photos.end()
        self._let_go = now + self._rhythm.idle
        if ended.is_busy:
            self._not_before = now + self._rhythm.busy
            if not self._waits_for_lock:
                self._tally.event("waiting", "another run is at work")
            self._waits_for_lock = True
            self.photos.ready = left | self.photos.ready
            return
        if ended.problem is not None:
            self._not_before = now + self._rhythm.trouble
            self._tell_of_trouble(ended.problem, self._rhythm.trouble)
        # Those that were not begun were stopped, have changed meanwhile, or another run has done them.
        for path in () if self._once else left:
            self._hints.look_in(os.path.dirname(path))  # noqa: PTH120

    def _hear_of_death(self, now: float) -> None:
        left = self.photos.end()
        self._worker.close()
        for path, seen in left.items():
            if path not in self.photos.begun:
                self.photos.ready.setdefault(path, seen)
            elif self._stopped_by is None:
                self.photos.put_off(path, seen, now)
                self._tally.died(path)
        if not self.photos.begun and self._stopped_by is None:
            self._not_before = now + self._rhythm.trouble
            what = "the process that shrinks photos died while it had none at work, or was ended"
            self._tell_of_trouble(what, self._rhythm.trouble)
            if self._once:
                self.photos.ready.clear()
        for folder in {Path(path).parent for path in left}:
            remove_leftovers(folder)

    def _tell_of_trouble(self, what: str, seconds: float) -> None:
        if what == self._trouble:
            return  # it was told when it began
        self._trouble = what
        again = "" if self._once else f"; trying again in {seconds:g} s"
        self._tally.problem("trouble", what + again)

    @contextlib.contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        wanted = [
            number for number in numbers if signal.getsignal(number) != signal.SIG_IGN
        ]  # as under nohup
        before = {number: signal.signal(number, lambda n, _: self._inbox.put(n)) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _hearing_of_lost_events(self) -> Iterator[None]:
        log = logging.getLogger("watchdog")
        handler = LostEvents(self._hints, lambda text: self._tally.event("watchdog", text))
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)

    def _roots(self) -> tuple[Path, ...]:
        return tuple(folder.path for folder in self._folders if folder.is_there)

    # How it ends.

    def _is_over(self) -> bool:
        if self.photos.at_work is not None:
            return False
        if self._stopped_by is not None:
            return True
        if self._once and (self._has_no_folder or self._paused is not None):
            return True
        return self._once and self.looks > 0 and not self.photos.settling and not self.photos.ready

    def _exit_code(self) -> int:
        if self._stopped_by is not None:
            return INTERRUPTED if self._once or self._stopped_by == signal.SIGINT else FINE
        if self._tally.problems:
            return FAILED
        return FINE if self._tally.total else NOTHING
