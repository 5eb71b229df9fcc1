"""Files beside a photo that say more about it (`x.xmp`, `x.jpg.xmp`, `x.AAE`) follow it into another folder."""

from __future__ import annotations

import contextlib

from pico_core.errors import PicoError
from pico_library.model.photo import Photo
from pico_library.model.reasons import Reason, SkipError
from pico_library.model.url import location
from pico_library.store.which import storage_of


class SidecarError(PicoError):
    """A file that belongs to a photo did not come along."""


def copy_sidecars(photo: Photo) -> None:
    """Copy them beside the .pico file; what lies there under the name already stays. Raises SidecarError."""
    for name in photo.sidecars:
        source, target = (str(location(folder) / name) for folder in (photo.folder, photo.target_folder))
        try:
            _copy(source, target)
        except (OSError, SkipError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or error
            msg = (
                f"{source}, which belongs to it, cannot be copied to {target} ({why}); "
                "see that you may read the one and write the other, and run again"
            )
            raise SidecarError(msg) from error


def _copy(source: str, target: str) -> None:
    store = storage_of(target)
    if store.identity(target) is not None:
        return
    try:
        content = storage_of(source).read(source)
    except FileNotFoundError:
        return  # removed since it was found
    except SkipError as error:
        if error.reason is Reason.NOT_A_FILE:
            return
        raise
    with store.draft(target, source, content) as draft, contextlib.suppress(FileExistsError):
        draft.write(content.data)
        draft.sync()
        with contextlib.suppress(OSError):
            store.take_over(draft.name, source, content)
        draft.publish()
