"""A run over a cluster, with the face of the session that works on this machine alone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from pico_library.check.verifier import Verifier
from pico_library.cluster import agreement, connection
from pico_library.cluster.engine import Engine
from pico_library.model.photo import Photo
from pico_library.model.settings import Settings
from pico_library.model.url import Url
from pico_library.outcomes import Result
from pico_library.run import interrupts
from pico_library.run.plan import Plan
from pico_library.run.session import Session
from pico_library.store import places
from pico_library.store.journal import Journal
from pico_library.store.listing import look
from pico_library.store.memory import BASE_BYTES
from pico_library.store.needs import require_extra
from pico_library.store.run_lock import alone
from pico_library.store.scan import Choice, Found

_LEAST_WORKERS = 2  # one makes, the other judges
_BASE_OF_ONE = BASE_BYTES // 2


class ClusterSession(Session):
    """A run at work on the workers of `scheduler`, or on processes of its own."""

    def __init__(self, settings: Settings, journal: Journal, scheduler: str | None) -> None:
        super().__init__(settings, journal, Verifier())  # which is never started: workers judge each other
        self._scheduler = scheduler
        self._folders: list[str] = []
        self._engine: Engine | None = None
        self._connected = contextlib.ExitStack()

    def plan(self, roots: Sequence[Path], choice: Choice) -> Plan:
        """As `Session.plan`, for folders and URLs. Raises StorageError, MissingExtraError."""
        places = [*roots, *([choice.output] if choice.output is not None else [])]
        require_extra(objects=any(isinstance(place, Url) for place in places))
        folders = [place for place in places if not isinstance(place, Url)]
        # Of an output folder that is not there yet, each photo shows whether it is shared. `Path.exists` would raise
        # where a folder above may not be entered; that, too, each photo will tell.
        self._folders = [
            str(folder.resolve())
            for folder in folders
            if folder in roots or os.path.exists(folder)  # noqa: PTH110
        ]
        return super().plan(roots, choice)

    def _look(self, roots: Sequence[Path], choice: Choice) -> Found:
        return look(roots, choice)

    def process(self, plan: Plan, jobs: int = 1) -> Iterator[Result]:
        """As `Session.process`; `jobs` counts only for processes of its own. Raises ClusterError."""
        if not plan.photos:
            return
        self._disconnect()
        installed = agreement.installed()
        room = None
        if self._scheduler is None:
            count = max(_LEAST_WORKERS, jobs)
            memory = self.settings.max_memory
            room = None if memory is None else max(0, memory // count - _BASE_OF_ONE)
            client = self._connected.enter_context(connection.own_workers(count, memory))
        else:
            client = self._connected.enter_context(connection.workers_of(self._scheduler))
        connection.require_agreement(client, installed, self._folders)
        run = self._begin(plan)
        self._engine = Engine(client, self.settings, self.journal, run, installed, room)
        try:
            with _ctrl_c_calls(self._engine.interrupt):
                yield from self._engine.results(self._until_stopped(plan.photos))
        except BaseException as error:
            self._state = "interrupted"
            self._tell_of(error)
            raise

    def _until_stopped(self, photos: Sequence[Photo]) -> Iterator[Photo]:
        for photo in photos:
            if self._stopping.is_set():
                self._state = "interrupted"
                return
            yield photo

    def _disconnect(self) -> None:
        """Finish the photos at work, then let the workers go."""
        with self._connected:
            if self._engine is not None:
                self._engine.drain()
        self._engine = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._disconnect()
        finally:
            super().__exit__(kind, error, trace)


@contextlib.contextmanager
def open_session(
    settings: Settings, *, scheduler: str | None = None, wait: bool = False
) -> Iterator[ClusterSession]:
    """Begin a run, as `session.open_session` does. Raises MissingExtraError, BusyError, PlaceError, JournalError."""
    require_extra(objects=False)
    with (
        alone(wait=wait),
        Journal(places.journal_file()) as journal,
        ClusterSession(settings, journal, scheduler) as session,
    ):
        yield session


@contextlib.contextmanager
def _ctrl_c_calls(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C call `interrupt` where it would raise KeyboardInterrupt: between any two steps, losing what they did.

    A photo that a worker has published must be taken down by this side, or the journal does not know it.
    """
    if not interrupts.raises_here():
        yield
        return
    signal.signal(signal.SIGINT, lambda _number, _frame: interrupt())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
