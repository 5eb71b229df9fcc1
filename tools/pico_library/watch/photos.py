"""The photos that the watcher has in hand: settling, ready, at work, or put off to a later try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pico_library.model.photo import Photo
from pico_library.model.reasons import TRANSIENT, Reason
from pico_library.model.records import Outcome
from pico_library.watch.settle import Look, Settling, look_at
from pico_library.watch.worker import Done

_DAY = 86_400.0
#: What keeps a photo back as long as its .pico file's place is taken.
_TAKEN = frozenset({Reason.NAME_TAKEN, Reason.CHANGED_SINCE})


@dataclass(frozen=True, slots=True)
class _Late:
    look: Look
    until: float
    reason: str | None

    def holds_back(self, photo: Photo, now: float) -> bool:
        if self.look != Look.of(photo.status) or now >= self.until:
            return False
        return photo.target_exists or self.reason not in _TAKEN


class Photos:
    """Photos in hand, by their paths. A photo that failed waits `retry` seconds, or until it changes.

    Times are those of one monotonic clock, in seconds.
    """

    def __init__(self, settle: float, retry: float) -> None:
        self.settling = Settling(settle)
        self.ready: dict[str, Look] = {}
        self.at_work: dict[str, Look] | None = None
        self.begun: set[str] = set()  # those at work that are not just waiting for their turn
        self._put_off: dict[str, _Late] = {}
        self._retry = retry

    def offer(self, photo: Photo, now: float) -> bool:
        """Take a photo that the journal has not done; no if it is in hand already, or put off."""
        seen = Look.of(photo.status)
        if seen in (self.ready.get(photo.key), (self.at_work or {}).get(photo.key)):
            return False
        late = self._put_off.get(photo.key)
        if late is not None and late.holds_back(photo, now):
            return False
        self._put_off.pop(photo.key, None)
        self.settling.note(photo.key, seen, now)
        return True

    def settle(self, now: float) -> None:
        """Make those ready whose second look is due, and found them as they were."""
        due = self.settling.due()
        if due is not None and now >= due:
            self.ready |= self.settling.settled(now, look_at)

    def begin(self) -> Mapping[str, Look]:
        """Put all that are ready to work, and return them."""
        self.at_work, self.ready = self.ready, {}
        self.begun.clear()
        return dict(self.at_work)

    def finish(self, done: Done, now: float) -> None:
        """One of those at work is done with. What failed, or may go the next time, is put off.

        Where the disk was full, all photos wait, and this one no longer than the others.
        """
        self.begun.discard(done.path)
        seen = (self.at_work or {}).pop(done.path, None)
        if seen is None or done.reason == Reason.CHANGING or done.full is not None:
            return
        if done.outcome is Outcome.FAILED:
            self._put_off[done.path] = _Late(seen, now + self._retry, None)
        elif done.reason in TRANSIENT:
            self._put_off[done.path] = _Late(seen, now + _DAY, done.reason)

    def end(self) -> dict[str, Look]:
        """The work is over; return those that it did not come to."""
        left, self.at_work = self.at_work or {}, None
        return left

    def put_off(self, path: str, seen: Look, now: float) -> None:
        """Leave a photo for a while, though nothing is known to be wrong with it."""
        self._put_off[path] = _Late(seen, now + self._retry, None)

    def forget(self, is_forgotten: Callable[[str], bool]) -> None:
        """Let go of photos, but for those at work."""
        self.settling.forget(is_forgotten)
        self.ready = {path: seen for path, seen in self.ready.items() if not is_forgotten(path)}
        self._put_off = {path: late for path, late in self._put_off.items() if not is_forgotten(path)}
