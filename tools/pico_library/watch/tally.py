"""What the watcher has done so far, and what it says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pico_library.console import plural
from pico_library.model.reasons import NO_PHOTOS
from pico_library.model.records import Outcome
from pico_library.report.table import size
from pico_library.report.words import in_words
from pico_library.run.plan import Plan
from pico_library.watch.folders import WatchedFolder
from pico_library.watch.photos import Photos
from pico_library.watch.reporter import Reporter
from pico_library.watch.worker import Done


class Tally:
    """Counts and tells. `problems` is how many things went wrong, `total` how many photos were at work."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.problems = 0
        self._counts: Counter[Outcome] = Counter()
        self._before = self._after = 0
        self._done = self._batch = 0
        self._told: set[object] = set()
        self._left_alone: dict[str, str] = {}  # photos that were at work, and why
        self._passed: Counter[str] = Counter()  # reasons of those that never are

    @property
    def total(self) -> int:
        """How many photos were at work."""
        return self._counts.total()

    @property
    def summary(self) -> str:
        """What was done, in a line."""
        counts = self._counts
        text = f"{plural(counts[Outcome.SAVED], 'photo')} shrunk, {self._sizes}"
        if reasons := self._reasons:
            named = ", ".join(f"{count:,} {in_words(reason)}" for reason, count in reasons.most_common())
            text += f"; {reasons.total():,} left alone ({named})"
        if counts[Outcome.FAILED]:
            text += f"; {counts[Outcome.FAILED]:,} failed"
        return text

    @property
    def _reasons(self) -> Counter[str]:
        """Why photos are left alone: those of the last look over everything, and those that were at work since."""
        return self._passed + Counter(self._left_alone.values())

    @property
    def _sizes(self) -> str:
        return f"originals {size(self._before)}, .pico {size(self._after)}"

    def event(self, about: Path | str, what: str) -> None:
        """Tell of something that went as it should."""
        self.reporter.event(about, what)

    def problem(self, about: Path | str, what: str) -> None:
        """Tell of something that did not."""
        self.problems += 1
        self.reporter.problem(about, what)

    def begin(self, count: int) -> None:
        """So many photos are put to work."""
        self._done, self._batch = 0, count

    def add(self, done: Done) -> None:
        """Tell what became of a photo."""
        self._done += 1
        self._counts[done.outcome] += 1
        self._left_alone.pop(done.path, None)
        if done.outcome is Outcome.SAVED:
            self._before, self._after = self._before + done.before, self._after + done.after
            why = f" ({in_words(done.reason)})" if done.reason else ""
            self.event(done.path, f"shrunk, {size(done.before)} to {size(done.after)}{why}")
        elif done.outcome is Outcome.FAILED:
            self.problem(done.path, done.reason or "failed")
        else:
            self._left_alone[done.path] = done.reason or "unknown"
            self.event(done.path, f"left alone: {done.why or in_words(done.reason)}")

    def died(self, path: str) -> None:
        """Tell that the worker died over a photo."""
        self._counts[Outcome.FAILED] += 1
        self.problem(
            path,
            "the process that shrinks photos died over this one, or was ended; it is put off for an hour",
        )

    def paused(self, why: str | None, *, is_problem: bool, is_the_end: bool) -> None:
        """Tell why no photo is begun for now, or none any more; without a reason, that it goes on."""
        if why is None:
            self.event("going on", "after a pause")
        elif is_problem:
            self.problem("stopping" if is_the_end else "paused", why)
        else:
            self.event("paused", why)

    def stopping(self) -> None:
        """Tell that the end has been asked for, and has to wait."""
        self.event("stopping", "the photos at work are finished first")
        self.reporter.idle("Finishing the photos at work; Ctrl-C ends at once")

    def unsettled(self, count: int) -> None:
        """Tell of photos that did not settle."""
        are = "is" if count == 1 else "are"
        self.reporter.problem(
            plural(count, "photo"), f"{are} still being written, and left alone; run again when that is done"
        )

    def found(self, plan: Plan, fresh: int, *, everything: bool) -> None:
        """Tell what a look has found; what could not be looked into only once."""
        for path, error in plan.found.problems:
            if (path, error.errno) not in self._told:
                self._told.add((path, error.errno))
                self.problem(path, f"cannot be looked into ({error.strerror}); see that you may read it")
        if plan.absent and everything:
            where = ", ".join(str(root) for root in plan.absent)
            known = f"the journal knows {plural(sum(plan.absent.values()), 'photo')} here"
            self._once("nothing found", f"{where}: {known}; is a disk missing? Nothing is forgotten")
        if everything:
            self._passed = Counter(one.reason for one in plan.found.skipped if one.reason not in NO_PHOTOS)
        text = f"{plural(fresh, 'photo')} to shrink"
        if everything:
            text += (
                f"; {plan.unchanged:,} as an earlier run left them, {len(plan.found.skipped):,} left alone"
            )
            self._once("found", text)
        elif fresh:
            self.event("found", text)

    def show(self, folders: Sequence[WatchedFolder], photos: Photos, why_waiting: str) -> None:
        """Keep the line in the terminal up to date."""
        saved = self._sizes
        if photos.at_work is not None:
            self.reporter.working(self._done, self._batch, saved)
            return
        text = f"Watching {plural(sum(folder.is_there for folder in folders), 'folder')}"
        if gone := sum(not folder.is_there for folder in folders):
            text += f" ({gone:,} not there)"
        text += f": {plural(self._counts[Outcome.SAVED], 'photo')} shrunk, {saved}"
        if reasons := self._reasons:
            ((reason, _), *others) = reasons.most_common()
            more = ", and others" if others else ""
            text += f"; {reasons.total():,} left alone ({in_words(reason)}{more})"
        if failed := self._counts[Outcome.FAILED]:
            text += f"; {failed:,} failed"
        if photos.ready:
            text += f"; {len(photos.ready):,} wait: {why_waiting}"
        elif photos.settling:
            text += f"; {len(photos.settling):,} settling"
        self.reporter.idle(text)

    def _once(self, about: str, text: str) -> None:
        """Tell an event that would come with every look over everything, when it is news."""
        if (about, text) not in self._told:
            self._told = {told for told in self._told if not isinstance(told, tuple) or told[0] != about}
            self._told.add((about, text))
            self.event(about, text)
