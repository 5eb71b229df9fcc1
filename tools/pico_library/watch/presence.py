"""Which watchers run: each keeps a file of its own, beside the journal, locked for as long as it does.

The lock says whether a watcher is there, and ends with its process, however that ends. The note beside it says who.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pico_library.store import places

_LOCK, _NOTE = ".lock", ".json"


@dataclass(frozen=True)
class Presence:
    """A watcher that runs."""

    process: int
    since: str  # ISO 8601, local time
    folders: tuple[str, ...]


@contextlib.contextmanager
def announced(folders: Sequence[Path]) -> Iterator[None]:
    """Let `watchers` know of this process for as long as the block lasts.

    Where that cannot be written, on a full disk for instance, the block runs unannounced. Raises PlaceError.
    """
    lock = FileLock(_home() / f"{uuid.uuid4().hex}{_LOCK}", timeout=0, thread_local=False)
    file = Path(lock.lock_file)
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    presence = Presence(os.getpid(), since, tuple(str(folder.absolute()) for folder in folders))
    with contextlib.ExitStack() as ending:
        with contextlib.suppress(OSError, Timeout), _one_at_a_time():
            lock.acquire()
            ending.callback(_remove, file)
            ending.callback(lock.release)
            file.with_suffix(_NOTE).write_text(json.dumps(asdict(presence)), "utf-8")
        yield


def watchers() -> list[Presence]:
    """The watchers that run now, the oldest first; what killed ones left behind is removed. Raises PlaceError."""
    found: list[Presence] = []
    with contextlib.suppress(OSError, Timeout), _one_at_a_time():
        found += filter(None, map(_look_at, _home().glob(f"*{_LOCK}")))
    return sorted(found, key=lambda presence: presence.since)


def _look_at(file: Path) -> Presence | None:
    """Who holds a lock; None, and the file is removed, if nobody does."""
    try:
        with FileLock(file, timeout=0):
            pass
    except Timeout:
        try:
            facts = json.loads(file.with_suffix(_NOTE).read_text("utf-8"))
            return Presence(int(facts["process"]), str(facts["since"]), tuple(facts["folders"]))
        except (OSError, ValueError, TypeError, KeyError):  # it has just ended, or could not write its note
            return None
    _remove(file)
    return None


def _one_at_a_time() -> FileLock:
    """Nobody takes a watcher that has made its file, and not locked it yet, for one that was killed."""
    _home().mkdir(exist_ok=True)
    return FileLock(_home() / "all", timeout=5)


def _home() -> Path:
    return places.data_folder() / "watchers"


def _remove(file: Path) -> None:
    for path in (file.with_suffix(_NOTE), file):
        with contextlib.suppress(OSError):
            path.unlink()
