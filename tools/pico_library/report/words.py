"""What the codes of records mean, in the words that people read."""

from __future__ import annotations

from collections.abc import Mapping

from pico_library.model.reasons import Reason
from pico_library.model.records import Record

_SENTENCES: Mapping[str, str] = {
    Reason.ALREADY_PICO: "a .pico file already",
    Reason.NAME_TAKEN: "another file has the name that its .pico file would get",
    Reason.CHANGED_SINCE: "changed since its .pico file was made; --update makes that anew",
    Reason.NOT_A_PHOTO: "a picture, but no JPEG, HEIC, PNG, WebP or TIFF",
    Reason.NO_PICTURE: "no picture",
    Reason.VIDEO: "a video",
    Reason.PROGRAM_FOLDER: "a folder that belongs to a program or to the system",
    Reason.RAW: "camera RAW",
    Reason.LINK: "symbolic link",
    Reason.HARD_LINK: "hard link: the data has another name too, so that removing this one frees nothing",
    Reason.NOT_A_FILE: "a pipe, socket or device",
    Reason.PLACEHOLDER: "online-only placeholder; its content is not on this disk",
    Reason.LIVE_PHOTO: "Live Photo: a video of the same name belongs to it",
    Reason.ANIMATION: "animation or several pages",
    Reason.COLOUR_SPACE: "CMYK or another colour space that is not RGB or grey",
    Reason.DEEP: "more than 8 bits a sample",
    Reason.TOO_LARGE: "more pixels than is safe to open",
    Reason.NO_MEMORY: "needs more memory than --max-memory allows",
    Reason.GAIN_MAP: "HDR photo with a gain map",
    Reason.MOTION: "motion photo: a video follows the picture",
    Reason.PANORAMA: "panorama with data behind the picture",
    Reason.SEVERAL: "holds further pictures (a preview or a depth map)",
    Reason.TRAILER: "holds unknown data behind the picture",
    Reason.SMALL_SAVING: "would save too little",
    Reason.LARGE_EXTRAS: (
        "would save too little: most of the file is a video, a gain map or other data that comes along as it is"
    ),
    Reason.UNLIKE: "would not look like the original",
    Reason.TOO_UNLIKE: (
        "its .pico file looks less like it than this run asks for; move that one away to shrink it anew"
    ),
    Reason.LONG_NAME: "its name is too long to be followed by .pico; shorten it",
    Reason.NO_FIT: "does not fit --target-size at any quality",
    Reason.CHANGING: "changed while it was read",
    Reason.ATTRIBUTES: "its extended attributes cannot be kept on this disk",
    Reason.RENAMED: "renamed or moved; its .pico file has followed it",
    Reason.ADOPTED: "its .pico file was there already",
}


def in_words(reason: str | None) -> str:
    """The phrase for a reason. What is no code (the message of a failure) is a phrase already."""
    return _SENTENCES.get(reason or "", reason or "unknown")


#: By `pico_look.Kind`. That is not imported: the watcher tells of photos too, and is to stay small.
_DIFFERENCES: Mapping[str, str] = {
    "lost line": "a line is gone",
    "new line": "a line is new",
    "lost marks": "dots, letters or other marks are gone",
    "new marks": "dots, letters or other marks are new",
    "changed letters or marks": "letters or other marks have changed",
    "smeared detail": "detail is smeared",
    "another colour or brightness": "colour or brightness is different",
    "general": "detail is different",
}


def difference_in_words(kind: str, box: tuple[int, int, int, int]) -> str:
    """What differs at a place, as in `a line is gone at 120,340 (32x32 pixels)`: column and row, as stored."""
    return f"{_DIFFERENCES.get(kind, kind)} at {_place(box)}"


def worst_in_words(record: Record) -> str | None:
    """Where a photo and its .pico file differ most; None if they do nowhere or nobody looked.

    What differs is said where it was too much. Of what nobody notices, "a line is gone" would say too much.
    """
    if record.kind is None or record.crop is None:
        return None
    if record.reason == Reason.UNLIKE or (record.score or 0) > 1:
        return difference_in_words(record.kind, record.crop)
    return f"differs most at {_place(record.crop)}"


def _place(box: tuple[int, int, int, int]) -> str:
    left, top, right, bottom = box
    return f"{left},{top} ({right - left}x{bottom - top} pixels)"


def look_in_words(record: Record) -> str | None:
    """How a .pico file looks beside its photo, as in `hardly visible (64 of 100)`; None if nobody looked."""
    if record.score is None or record.similarity is None:
        return None
    import pico_look

    return pico_look.in_words(record.similarity, record.score)


def reason_in_words(record: Record) -> str:
    """The phrase for a record's reason; for a photo that would look otherwise, with what differs and where."""
    phrase, worst = in_words(record.reason), worst_in_words(record)
    return f"{phrase}: {worst}" if worst is not None and record.reason == Reason.UNLIKE else phrase
