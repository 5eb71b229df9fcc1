"""Places that are URLs, usable wherever the library has paths.

The journal, the plan and the tables know photos by their paths. A `Url` is such a path: it prints as the URL that it
is, and knows its parent and its name. Nothing of it touches an object store: that is for `store`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pico_core.errors import OptionError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_FOLDED = re.compile(r"\A(s3):/(?!/)(.*)", re.DOTALL)  # what a path makes of it

if TYPE_CHECKING:
    _NativePath = PosixPath
else:
    _NativePath = type(Path())  # before Python 3.12 only the system's own kind of path can be subclassed


class Url(_NativePath):
    """A place in an object store, such as `s3://bucket/folder/photo.jpg`."""

    __slots__ = ()

    def __str__(self) -> str:
        return _FOLDED.sub(r"\1://\2", super().__str__().replace(os.sep, "/"))

    def __fspath__(self) -> str:
        return str(self)

    def resolve(self, strict: bool = False) -> Url:
        """The URL itself: object stores have no links."""
        return self


def location(text: str) -> Path:
    """The place that a text names: a path, `file://` and a path, or a URL. Raises OptionError."""
    found = _URL.match(text) or _FOLDED.match(text)
    if found is None:
        if not text:
            msg = "'' is no path; perhaps a variable of the shell is not set (the current folder is '.')"
            raise OptionError(msg)
        return Path(os.path.expanduser(text))  # noqa: PTH111 (a name like ~x of no user stays what it is)
    scheme = found[1].lower()
    if scheme == "file":
        machine, slash, path = found[2].partition("/")
        if machine not in ("", "localhost"):
            msg = f"{text}: names another machine, {machine}; mount its disk and write file:///path"
            raise OptionError(msg)
        if not slash:
            msg = f"{text}: names no path; write file:///FOLDER"
            raise OptionError(msg)
        return Path(unquote(slash + path))
    if scheme not in ("s3", "s3a"):
        msg = (
            f"{text}: {scheme}:// is not a kind of storage that is known to keep what exists and to show only whole "
            "files; there are s3:// and file://"
        )
        raise OptionError(msg)
    if found[2][:1] in ("", "/"):
        msg = f"{text}: names no bucket; write s3://BUCKET/FOLDER"
        raise OptionError(msg)
    return Url(f"s3://{found[2]}")


def is_url(key: str) -> bool:
    """Whether a path, as the journal has it, is a URL."""
    return key.startswith("s3:/")
