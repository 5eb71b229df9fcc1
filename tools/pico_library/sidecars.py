"""Files beside a photo that say more about it (`x.xmp`, `x.jpg.xmp`, `x.AAE`) follow it into another folder."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pico_codec.files import partial_file, sync_folder
from pico_core.errors import PicoError
from pico_library import originals
from pico_library.cluster.urls import is_url
from pico_library.scan import Photo


class SidecarError(PicoError):
    """A file that belongs to a photo did not come along."""


def copy_sidecars(photo: Photo) -> None:
    """Copy those beside the .pico file that have no copy there, or one that is behind. Raises SidecarError."""
    for source, target in _pairs(photo):
        with named(source, target):
            if _is_behind(target, source):
                _copy(source, target)


def are_behind(photo: Photo) -> bool:
    """Whether `copy_sidecars` has something to do. In object stores sidecars follow with the photo, and never again."""
    if is_url(photo.folder) or is_url(photo.target_folder):
        return False
    try:
        return any(_is_behind(target, source) for source, target in _pairs(photo))
    except OSError:
        return True  # the one who copies says what is wrong


@contextlib.contextmanager
def named(source: Path | str, target: Path | str) -> Iterator[None]:
    """Name the sidecar in what goes wrong with it. Raises SidecarError."""
    try:
        yield
    except OSError as error:
        msg = (
            f"{source}, which belongs to it, cannot be copied to {target} ({error.strerror or error}); "
            "see that you may read the one and write the other, and run again"
        )
        raise SidecarError(msg) from error


def _pairs(photo: Photo) -> Iterator[tuple[Path, Path]]:
    """Each sidecar, and its copy."""
    for name in photo.sidecars:
        yield Path(photo.folder, name), Path(photo.target_folder, name)


def _is_behind(target: Path, source: Path) -> bool:
    """Whether a copy is missing, or differs and is older than what it was made from, whose time it got.

    A newer copy is its owner's work. Raises OSError.
    """
    if not source.is_file():
        return False
    if not os.path.lexists(target):
        return True
    there = target.lstat()
    if not stat.S_ISREG(there.st_mode) or there.st_mtime_ns >= source.stat().st_mtime_ns:
        return False
    return target.read_bytes() != source.read_bytes()


def _copy(source: Path, target: Path) -> None:
    status = source.stat()  # before it is read: a copy must not seem newer than it is
    with partial_file(target.parent) as partial:
        partial.stream.write(source.read_bytes())
        partial.sync()
        with contextlib.suppress(OSError):
            originals.take_over(source, partial.path, status)
        if os.path.lexists(target) and _is_behind(target, source):  # still
            partial.path.replace(target)
            sync_folder(target.parent)
            return
        with contextlib.suppress(FileExistsError):
            originals.give_name(partial.path, target)
