"""Reading and writing on disks and in object stores, in the same few steps and with the same promises.

A file or object appears whole or not at all, never in place of another, and is removed only while it is the very
one that was written. What tells whether it is: `Identity`. Of an object it holds the size, a number made from the
ETag in place of the inode, and the time of change, whose nanoseconds are a number made from the ETag too: so what
the journal compares, size and time, changes whenever the object does.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, Protocol

from pico_codec.files import sync_folder
from pico_core.errors import PicoError
from pico_library import originals
from pico_library.checking import read_from_disk
from pico_library.cluster.needs import require_extra
from pico_library.cluster.urls import is_url
from pico_library.faults import Step, reach
from pico_library.pipeline import open_partial, read_whole
from pico_library.reasons import Reason, SkipError
from pico_library.records import Identity
from pico_library.scan import PICO_EXTENSION

MEDIA_TYPE = "image/x-pico"
_SECOND = 10**9
_SECONDS_BEFORE_LOOKS = (0.0, 0.1, 0.9)  # network disks may tell late of what another machine wrote


class StorageError(PicoError):
    """A disk or an object store does not answer, or refuses."""


@dataclass(frozen=True)
class Content:
    """The bytes of a photo and what they were read from; `status` is that of a file, None for an object."""

    data: bytes
    identity: Identity
    status: os.stat_result | None = None

    @property
    def changed_ns(self) -> int:
        """When the photo was last changed, in nanoseconds since 1970; of an object only the second is known."""
        return self.identity.mtime_ns - (self.identity.mtime_ns % _SECOND if self.status is None else 0)


class Storage(Protocol):
    """What the steps of a photo need; names are paths or URLs. Everything raises OSError, StorageError."""

    def read(self, name: str) -> Content:
        """Read a photo once. Raises SkipError if it is no plain file, or changes meanwhile."""

    def read_afresh(self, name: str) -> bytes:
        """Read what lies there now, past every memory of what was written."""

    def identity(self, name: str) -> Identity | None:
        """What lies there now; None if nothing does."""

    def put(self, name: str, data: bytes, source: str, original: Content) -> Identity:
        """Write what was made of an original, whole or not at all. Raises FileExistsError if the name is taken."""

    def remove(self, name: str, identity: Identity) -> bool:
        """Remove what `put` wrote, if it is that still; return whether it went."""


class Disk:
    """Files on disks that this machine has mounted."""

    def read(self, name: str) -> Content:
        """See Storage."""
        status, data = read_whole(Path(name))
        return Content(data, Identity.of(status), status)

    def read_afresh(self, name: str) -> bytes:
        """See Storage."""
        return read_from_disk(Path(name))

    def identity(self, name: str) -> Identity | None:
        """See Storage. Links are not followed: they are other files."""
        try:
            return Identity.of(Path(name).lstat())
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes, source: str, original: Content) -> Identity:
        """See Storage. The file takes over the times of the original; from another file also rights and attributes."""
        target = Path(name)
        folder = None if original.status is None else Path(source).parent
        with open_partial(target.parent, folder) as partial:
            reach(Step.OPENED)
            partial.stream.write(data)
            reach(Step.WRITTEN)
            partial.sync()
            reach(Step.SYNCED)
            if original.status is None:
                partial.open_up()
                os.utime(partial.path, ns=(original.changed_ns, original.changed_ns))
            else:
                _take_over(Path(source), partial.path, original.status)
            written = Identity.of(partial.path.stat())
            partial.take_name(target)
        return written

    def remove(self, name: str, identity: Identity) -> bool:
        """See Storage."""
        now = self.identity(name)
        if now is None or not same(now, identity):
            return False
        Path(name).unlink()
        sync_folder(Path(name).parent)
        return True


class Objects:
    """Objects of S3 and of what speaks its language; each is written in one request."""

    def __init__(self) -> None:
        import fsspec

        # Listings are never remembered: another worker may have written since.
        self._system: Any = fsspec.filesystem("s3", use_listings_cache=False)

    def read(self, name: str) -> Content:
        """See Storage."""
        before = self._head(name)
        if before is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        data = self.read_afresh(name)
        if self._head(name) != before or len(data) != before.size:
            raise SkipError(Reason.CHANGING)
        return Content(data, before)

    def read_afresh(self, name: str) -> bytes:
        """See Storage."""
        with _explained(name):
            data: bytes = self._system.cat_file(name)
        return data

    def identity(self, name: str) -> Identity | None:
        """See Storage."""
        return self._head(name)

    def put(self, name: str, data: bytes, source: str, original: Content) -> Identity:
        """See Storage. The time of the original goes along as `mtime`, as other programs that copy have it."""
        if self._head(name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        reach(Step.OPENED)
        bucket, key = _bucket_and_key(name)
        seconds, rest = divmod(original.changed_ns, _SECOND)
        request = {
            "Bucket": bucket,
            "Key": key,
            "Body": data,
            "ContentType": MEDIA_TYPE if name.endswith(PICO_EXTENSION) else "application/octet-stream",
            "Metadata": {"mtime": f"{seconds}.{rest:09}"},
        }
        with _explained(name):
            try:
                answer = self._system.call_s3("put_object", IfNoneMatch="*", **request)
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                # The server cannot be asked to keep what exists: that there was nothing is known from a moment ago.
                answer = self._system.call_s3("put_object", **request)
        reach(Step.WRITTEN)
        now = self._head(name)
        if now is None or now.inode != _number(answer["ETag"]):
            msg = f"{name}: is not what was written a moment ago; see what else writes there"
            raise StorageError(msg)
        return now

    def remove(self, name: str, identity: Identity) -> bool:
        """See Storage."""
        now = self._head(name)
        if now is None or not same(now, identity):
            return False
        with _explained(name):
            self._system.rm_file(name)
        return True

    def holds(self, name: str) -> bool:
        """Whether there is an object of this name, or one below it."""
        with _explained(name):
            return bool(self._system.exists(name))

    def names_in(self, folder: str) -> list[str]:
        """The names of the objects and folders in a folder."""
        with _explained(folder):
            try:
                found = self._system.ls(folder, detail=False)
            except FileNotFoundError:
                return []
        return [name.rstrip("/").rpartition("/")[2] for name in found]

    def below(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        """Every object below a folder, or the object of that very name: URL and status, as a file would have it."""
        with _explained(folder):
            found = self._system.find(folder, detail=True)
        for name, facts in found.items():
            yield f"s3://{name}", _status(_identity(facts["size"], facts["ETag"], facts["LastModified"]))

    def _head(self, name: str) -> Identity | None:
        bucket, key = _bucket_and_key(name)
        with _explained(name):
            try:
                answer = self._system.call_s3("head_object", Bucket=bucket, Key=key)
            except FileNotFoundError:
                return None
        return _identity(answer["ContentLength"], answer["ETag"], answer["LastModified"])


def storage_of(name: str) -> Storage:
    """Where a path or URL lies. Raises StorageError."""
    return objects() if is_url(name) else Disk()


@functools.cache
def objects() -> Objects:
    """The object store of this process; address and credentials are those of its environment.

    Raises MissingExtraError.
    """
    require_extra(objects=True)
    return Objects()


def same(one: Identity, other: Identity) -> bool:
    """Whether both are one unchanged file or object; the number of a device differs from machine to machine."""
    return (one.inode, one.size, one.mtime_ns) == (other.inode, other.size, other.mtime_ns)


def is_seen(name: str, size: int | None) -> bool:
    """Whether this machine, too, sees the file or object of so many bytes that a worker wrote.

    Raises OSError, StorageError.
    """
    for seconds in _SECONDS_BEFORE_LOOKS:
        time.sleep(seconds)
        now = storage_of(name).identity(name)
        if now is not None and now.size == size:
            return True
        if not is_url(name):
            _open_folders_above(Path(name))
    return False


def _open_folders_above(path: Path) -> None:
    """Have a network disk ask its server anew: it remembers for half a minute that something was not there."""
    for folder in reversed(path.parents):
        with contextlib.suppress(OSError):
            os.scandir(folder).close()


def _take_over(source: Path, target: Path, status: os.stat_result) -> None:
    try:
        originals.take_over(source, target, status)
    except OSError as error:
        if error.errno != errno.ENOTSUP:  # attributes that the disk cannot hold stay with the original
            raise


def _bucket_and_key(name: str) -> tuple[str, str]:
    bucket, _, key = name.removeprefix("s3:").lstrip("/").partition("/")
    return bucket, key


def _identity(size: int, etag: str, changed: datetime) -> Identity:
    number = _number(etag)
    return Identity(0, number, size, int(changed.timestamp()) * _SECOND + number % _SECOND)


def _number(etag: str) -> int:
    digest = hashlib.sha256(etag.strip('"').encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _status(identity: Identity) -> os.stat_result:
    seconds = identity.mtime_ns // _SECOND
    mode = stat.S_IFREG | 0o644
    values = (mode, identity.inode, 0, 1, 0, 0, identity.size, seconds, seconds, seconds)
    return os.stat_result(values, {"st_mtime_ns": identity.mtime_ns})


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what the client of the object store raises into errors that say what to do."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        _refused(name, error)
    except Exception as error:
        if not type(error).__module__.startswith(("botocore", "aiobotocore", "aiohttp")):
            raise
        _refused(name, error)


def _refused(name: str, error: Exception) -> NoReturn:
    text = " ".join(str(error).split())
    msg = f"{name}: the object store refuses or does not answer ({text}); see its address and your access rights"
    raise StorageError(msg) from error
