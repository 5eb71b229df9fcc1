"""Every reason for which a file is left alone, and how the kinds that hold more than a photo are told apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from pico_core.errors import PicoError

if TYPE_CHECKING:
    from pico_library.likeness import Likeness


class Reason(StrEnum):
    """The phrases under which files that were left alone are counted."""

    ALREADY_PICO = "a .pico file already"
    NAME_TAKEN = "another file has the name that its .pico file would get"
    CHANGED_SINCE = "changed since its .pico file was made; move that one away to shrink it anew"
    NOT_A_PHOTO = "not a JPEG, PNG or WebP picture"
    NOT_A_PICTURE = "not a picture in a format that Pillow reads"
    RAW = "camera RAW"
    LINK = "symbolic link"
    HARD_LINK = "hard link: the data has another name too, so that removing this one frees nothing"
    NOT_A_FILE = "a pipe, socket or device"
    PLACEHOLDER = "online-only placeholder; its content is not on this disk"
    LIVE_PHOTO = "Live Photo: a video of the same name belongs to it"
    ANIMATION = "animation or several pages"
    COLOUR_SPACE = "CMYK or another colour space that is not RGB or grey"
    DEEP = "more than 8 bits a sample"
    TOO_LARGE = "more pixels than is safe to open"
    NO_MEMORY = "needs more memory than --max-memory allows"
    GAIN_MAP = "HDR photo with a gain map"
    MOTION = "motion photo: a video follows the picture"
    PANORAMA = "panorama with data behind the picture"
    SEVERAL = "holds further pictures (a preview or a depth map)"
    TRAILER = "holds unknown data behind the picture"
    SMALL_SAVING = "would save too little"
    UNLIKE = "would not look like the original"
    TOO_UNLIKE = (
        "its .pico file looks less like it than this run asks for; move that one away to shrink it anew"
    )
    LONG_NAME = "its name is too long to be followed by .pico; shorten it"
    NO_FIT = "does not fit --target-size at any quality"
    CHANGING = "changed while it was read"
    ATTRIBUTES = "its extended attributes cannot be kept on this disk"


#: Reasons that may be gone the next time, whatever the settings.
TRANSIENT = frozenset(
    {Reason.CHANGING, Reason.PLACEHOLDER, Reason.NAME_TAKEN, Reason.CHANGED_SINCE, Reason.TOO_UNLIKE}
)
#: What `--keep-extras` carries inside the .pico file, so that nothing needs to be skipped.
CARRIED_ON_REQUEST = frozenset(
    {Reason.GAIN_MAP, Reason.MOTION, Reason.PANORAMA, Reason.SEVERAL, Reason.TRAILER, Reason.LIVE_PHOTO}
)

_GAIN_MAP = re.compile(
    rb"http://ns\.adobe\.com/hdr-gain-map/1\.0/|urn:iso:std:iso:ts:21496:-1"
    rb"|urn:com:apple:photo:20\d\d:aux:hdrgainmap|http://ns\.apple\.com/HDRGainMap/1\.0/"
)
_MOTION = re.compile(
    rb"""(?:MotionPhoto|MicroVideo)\s*(?:=\s*["']\s*1|>\s*1)|Semantic\s*=\s*["']MotionPhoto"""
)
_VIDEO_BEHIND = re.compile(rb"MotionPhoto_Data|....ftyp(?:mp4|isom|iso\d|qt  |avc1|MSNV)", re.DOTALL)
_PANORAMA = re.compile(rb"Panorama_Shot_Info|http://ns\.google\.com/photos/1\.0/panorama/")
_SEGMENTS_END = 1 << 18  # XMP and the other segments that are searched lie before this byte, or in `heads`


class SkipError(PicoError):
    """The photo is to be left alone; `reason` says why, `likeness` how it looked, if that was the reason."""

    def __init__(self, reason: Reason, likeness: Likeness | None = None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.likeness = likeness


def more_inside(heads: Sequence[bytes], behind: bytes, *, several: bool) -> Reason | None:
    """What a picture file holds beside its photo, from its metadata segments and the bytes behind the picture.

    `several` tells that it declares further pictures (MPF). None if there is nothing that could get lost.
    """
    if not behind and not several:
        return None
    if any(_GAIN_MAP.search(head) for head in heads) or _GAIN_MAP.search(behind[:_SEGMENTS_END]):
        return Reason.GAIN_MAP
    if _VIDEO_BEHIND.search(behind) or (behind and any(_MOTION.search(head) for head in heads)):
        return Reason.MOTION
    if behind and (_PANORAMA.search(behind) or any(_PANORAMA.search(head) for head in heads)):
        return Reason.PANORAMA
    return Reason.SEVERAL if several else Reason.TRAILER
