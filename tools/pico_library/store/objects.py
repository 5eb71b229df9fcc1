"""Photos and .pico files in object stores: S3, and what speaks its language. Each object is written in one request.

Of an object, `Identity` holds the size, a number made from the ETag in place of the inode, and the time of change,
whose nanoseconds are a number made from the ETag too: so what the journal compares, size and time, changes whenever
the object does.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NoReturn

from pico_library.model.photo import PICO_EXTENSION
from pico_library.model.reasons import Reason, SkipError
from pico_library.model.records import Identity
from pico_library.store.needs import require_extra
from pico_library.store.storage import Content, StorageError, same

MEDIA_TYPE = "image/x-pico"
_SECOND = 10**9


class ObjectDraft:
    """The bytes of an object that is not written yet; see Draft."""

    name = ""

    def __init__(self, put: Callable[[bytes], Identity]) -> None:
        self._put = put
        self._data = b""

    def write(self, data: bytes) -> None:
        """See Draft."""
        self._data = data

    def sync(self) -> None:
        """See Draft: nothing to do."""

    def publish(self) -> Identity:
        """See Draft."""
        return self._put(self._data)


class Objects:
    """Objects; see Storage."""

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

    def digest(self, name: str) -> bytes | None:
        """See Storage."""
        try:
            return hashlib.sha256(self.read_afresh(name)).digest()
        except FileNotFoundError:
            return None

    def is_exactly(self, name: str) -> bool:
        """See Storage: always, for what is there."""
        return True

    @contextlib.contextmanager
    def draft(self, name: str, source: str, content: Content) -> Iterator[ObjectDraft]:
        """See Storage. The time of the source goes along as `mtime`, as other programs that copy have it."""
        yield ObjectDraft(lambda data: self._put(name, data, content.changed_ns))

    def take_over(self, name: str, source: str, content: Content) -> None:
        """See Storage: an object has nothing of the kind."""

    def _put(self, name: str, data: bytes, changed_ns: int) -> Identity:
        if self._head(name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        bucket, key = _bucket_and_key(name)
        seconds, rest = divmod(changed_ns, _SECOND)
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


@functools.cache
def objects() -> Objects:
    """The object store of this process; address and credentials are those of its environment.

    Raises MissingExtraError.
    """
    require_extra(objects=True)
    return Objects()


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
