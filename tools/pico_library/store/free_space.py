"""Which disk had no room for a photo."""

from __future__ import annotations

import os
from collections.abc import Iterable

from pico_library.model.photo import Photo
from pico_library.model.records import Record
from pico_library.model.settings import Mode, Settings


def full_place(record: Record, settings: Settings, photos: Iterable[Photo]) -> str:
    """The folder, or the Trash, whose disk was full when one of the `photos` of a run failed for want of room.

    Only a photo whose .pico file was verified has a digest then: for that one it was the original that found no room.
    """
    if record.digest is not None and settings.mode is Mode.REPLACE:
        return "the Trash"
    if record.digest is not None and settings.archive is not None:
        return str(settings.archive)
    key = os.fspath(record.path)
    folders = (photo.target_folder for photo in photos if photo.key == key)
    return next(folders, str(record.path.parent))
