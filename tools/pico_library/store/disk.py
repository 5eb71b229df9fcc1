"""Photos and .pico files on disks that this machine has mounted."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pico_codec.files import OutputError, PartialFile, partial_file, sync_folder
from pico_library.check.checking import read_from_disk
from pico_library.model.reasons import Reason, SkipError
from pico_library.model.records import Identity
from pico_library.store import originals
from pico_library.store.storage import Content, same


class DiskDraft:
    """A partial file in the folder of its target; see Draft."""

    def __init__(self, partial: PartialFile, target: Path) -> None:
        self._partial = partial
        self._target = target
        self.name = str(partial.path)

    def write(self, data: bytes) -> None:
        """See Draft."""
        self._partial.stream.seek(0)
        self._partial.stream.truncate()
        self._partial.stream.write(data)

    def sync(self) -> None:
        """See Draft."""
        self._partial.sync()

    def publish(self) -> Identity:
        """See Draft."""
        written = Identity.of(self._partial.path.stat())
        self._partial.take_name(self._target)
        return written


class Disk:
    """Files; see Storage."""

    def read(self, name: str) -> Content:
        """See Storage."""
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SkipError(Reason.NOT_A_FILE)
            data = stream.read()
        if len(data) != status.st_size:
            raise SkipError(Reason.CHANGING)
        return Content(data, Identity.of(status), status)

    def read_afresh(self, name: str) -> bytes:
        """See Storage."""
        return read_from_disk(Path(name))

    def digest(self, name: str) -> bytes | None:
        """See Storage."""
        path = Path(name)
        return originals.digest_of(path) if path.is_file() else None

    def identity(self, name: str) -> Identity | None:
        """See Storage. Links are not followed: they are other files."""
        try:
            return Identity.of(Path(name).lstat())
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise SkipError(Reason.LONG_NAME) from error
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise

    def is_exactly(self, name: str) -> bool:
        """See Storage."""
        return originals.is_named_exactly(Path(name))

    @contextlib.contextmanager
    def draft(self, name: str, source: str, content: Content) -> Iterator[DiskDraft]:
        """See Storage. No folder that is made is open to more people than the folder of the source."""
        target = Path(name)
        with contextlib.ExitStack() as stack:
            try:
                originals.make_folder(target.parent, None if content.status is None else Path(source).parent)
                partial = stack.enter_context(partial_file(target.parent))
            except OSError as error:
                msg = (
                    f"cannot write in {target.parent} ({error.strerror}); choose another folder with --output"
                )
                raise OutputError(msg) from error
            if content.status is None:
                partial.open_up()
            yield DiskDraft(partial, target)

    def take_over(self, name: str, source: str, content: Content) -> None:
        """See Storage."""
        if content.status is None:
            os.utime(name, ns=(content.changed_ns, content.changed_ns))
        else:
            originals.take_over(Path(source), Path(name), content.status)

    def remove(self, name: str, identity: Identity) -> bool:
        """See Storage."""
        now = self.identity(name)
        if now is None or not same(now, identity):
            return False
        Path(name).unlink()
        sync_folder(Path(name).parent)
        return True
