"""What a gallery shows: the .pico files below some paths, found while the page already shows the first ones."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pico_codec.cli import explain
from pico_codec.source import FILE_ERRORS
from pico_core.container import Container
from pico_core.errors import FormatError
from pico_library.console import complain
from pico_library.model.orientation import orientation_of
from pico_library.run.restore import find, is_named_pico
from pico_library.store.paths import GivenError
from pico_library.view.exif import taken_at

_BATCH_SECONDS = 0.2  # how long new entries are gathered before the page hears of them


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `width` and `height` are those of the picture upright; 0 where the file cannot be read.

    `taken` is local time as in 2021-06-05T04:03:02; `dated` tells whether it comes from EXIF, not from the file's
    own time. `version` changes when the file does. `error` says what is wrong with the file, if something is.
    """

    id: str
    path: Path
    name: str
    size: int
    version: str
    taken: str
    dated: bool
    width: int = 0
    height: int = 0
    orientation: int = 1
    has_preview: bool = False
    error: str | None = None


class Catalogue:
    """The entries below some roots, which a thread of its own looks for. Links are not followed.

    A single .pico file comes with its neighbours, those of the folder that it is in, and is the `chosen` one.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(root.resolve() for root in roots)
        self._given = tuple(roots)
        self._secret = secrets.token_bytes(16)
        only = self._given[0] if len(self._given) == 1 else None
        self._alone = only if only is not None and is_named_pico(only) and only.is_file() else None
        self._changed = threading.Condition()
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._complete = False
        self._is_told = False  # to its end
        self._complained: set[str] = set()

    @property
    def chosen(self) -> str | None:
        """The id of the one file that was asked for; None if several were, or a folder."""
        return None if self._alone is None else self._id_of(self.roots[0])

    @property
    def title(self) -> str:
        """What the entries have in common."""
        root = self.roots[0].parent if self._alone is not None else self.roots[0]
        return root.name or str(root) if len(self.roots) == 1 else f"{len(self.roots)} places"

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._look, name="catalogue", daemon=True).start()

    def look_again(self) -> None:
        """Begin anew, if somebody knows all that was found the last time. Ids stay, and are known throughout."""
        with self._changed:
            if not (self._complete and self._is_told):
                return
            self._entries = []
            self._complete = self._is_told = False
        self.start()

    def get(self, entry_id: str) -> Entry | None:
        """The entry of that id, if there is one."""
        return self._by_id.get(entry_id)

    def since(self, count: int, timeout: float) -> tuple[list[Entry], bool]:
        """The entries after the first `count`, and whether these are all; waits up to `timeout` seconds for some."""
        with self._changed:
            self._changed.wait_for(lambda: self._complete or len(self._entries) > count, timeout)
            if not self._complete:
                self._changed.wait_for(lambda: self._complete, min(timeout, _BATCH_SECONDS))
            self._is_told = self._complete
            return self._entries[count:], self._complete

    def _look(self) -> None:
        seen: set[Path] = set()
        try:
            for path, base in itertools.chain(find(self._given, self._complain), self._neighbours()):
                real = self._file_at(path)
                if real is not None and real not in seen:
                    seen.add(real)
                    self._add(real, base)
        except OSError as error:
            self._complain(error)  # about one of the roots
        except GivenError as error:
            complain(error.path, error.what)
        finally:
            with self._changed:
                self._complete = True
                self._changed.notify_all()

    def _neighbours(self) -> Iterator[tuple[Path, Path]]:
        if self._alone is not None:
            folder = self.roots[0].parent
            for path in sorted(folder.iterdir()):
                if is_named_pico(path) and not path.name.startswith("."):
                    yield path, folder

    def _id_of(self, path: Path) -> str:
        return hashlib.blake2b(bytes(path), key=self._secret, digest_size=9).hexdigest()

    def _file_at(self, path: Path) -> Path | None:
        """The file to show, by its real path; None for what is none, and for a link unless it was asked for."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            return None  # a link that leads to itself
        if real != path and path not in self._given and real not in self.roots:
            return None
        try:
            is_file = real.is_file()
        except OSError:
            is_file = True  # its entry says what is wrong
        return real if is_file else None  # it went away meanwhile, or is a pipe, which would be waited for

    def _complain(self, error: OSError) -> None:
        """Say, the first time, that a folder cannot be listed."""
        folder = str(error.filename)
        if folder not in self._complained:
            self._complained.add(folder)
            complain(folder, f"cannot be looked into ({error.strerror}); see that you may read it")

    def _add(self, path: Path, base: Path) -> None:
        name = str(path.relative_to(base)) if path.is_relative_to(base) else path.name
        try:
            entry = read_entry(self._id_of(path), path, name)
        except FileNotFoundError:
            return  # it went away meanwhile
        with self._changed:
            self._entries.append(entry)
            self._by_id[entry.id] = entry
            self._changed.notify_all()


def read_entry(entry_id: str, path: Path, name: str) -> Entry:
    """Read the headers, EXIF and preview of a file, which may be damaged. Raises FileNotFoundError."""
    plain = Entry(entry_id, path, name, 0, "0-0", _local(0), False)
    try:
        status = path.stat()
        version = f"{status.st_mtime_ns:x}-{status.st_size:x}"
        plain = replace(plain, size=status.st_size, version=version, taken=_local(status.st_mtime))
        with path.open("rb") as stream:
            container = Container(stream, allow_truncated=True)
            return _described(plain, container)
    except FileNotFoundError:
        raise
    except FILE_ERRORS as error:
        return replace(plain, error=explain(error))


def _described(plain: Entry, container: Container) -> Entry:
    error = "the end of the file is missing" if container.truncated else None
    exif = preview = None
    try:
        preview = container.preview
        exif = container.exif
    except FormatError as damage:
        error = error or explain(damage)
    orientation = orientation_of(exif)
    width, height = container.picture.width, container.picture.height
    if orientation > 4:
        width, height = height, width
    taken = taken_at(exif)
    return replace(
        plain,
        taken=taken or plain.taken,
        dated=taken is not None,
        width=width,
        height=height,
        orientation=orientation,
        has_preview=preview is not None,
        error=error,
    )


def _local(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return "1970-01-01T00:00:00"
