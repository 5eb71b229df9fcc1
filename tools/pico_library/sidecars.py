"""Files beside a photo that say more about it (`x.xmp`, `x.jpg.xmp`, `x.AAE`) follow it into another folder."""

from __future__ import annotations

import contextlib
import os

from pico_codec.files import partial_file
from pico_library import originals
from pico_library.scan import Photo


def copy_sidecars(photo: Photo) -> None:
    """Copy them beside the .pico file; what lies there under the name already stays. Raises OSError."""
    for name in photo.sidecars:
        source, target = photo.path.parent / name, photo.target.parent / name
        if os.path.lexists(target) or not source.is_file():
            continue
        with partial_file(target.parent) as partial:
            partial.stream.write(source.read_bytes())
            partial.sync()
            with contextlib.suppress(OSError):
                originals.take_over(source, partial.path, source.stat())
            with contextlib.suppress(FileExistsError):
                originals.give_name(partial.path, target)
