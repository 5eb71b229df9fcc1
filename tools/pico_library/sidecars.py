"""Files beside a photo that say more about it (`x.xmp`, `x.jpg.xmp`, `x.AAE`) follow it into another folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pico_codec.files import partial_file
from pico_core.errors import PicoError
from pico_library import originals
from pico_library.scan import Photo


class SidecarError(PicoError):
    """A file that belongs to a photo did not come along."""


def copy_sidecars(photo: Photo) -> None:
    """Copy them beside the .pico file; what lies there under the name already stays. Raises SidecarError."""
    for name in photo.sidecars:
        source, target = photo.path.parent / name, photo.target.parent / name
        with named(source, target):
            if not os.path.lexists(target) and source.is_file():
                _copy(source, target)


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


def _copy(source: Path, target: Path) -> None:
    with partial_file(target.parent) as partial:
        partial.stream.write(source.read_bytes())
        partial.sync()
        with contextlib.suppress(OSError):
            originals.take_over(source, partial.path, source.stat())
        with contextlib.suppress(FileExistsError):
            partial.take_name(target)
