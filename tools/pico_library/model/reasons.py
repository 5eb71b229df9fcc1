"""Every reason for which a file is left alone, as a code, and how kinds that hold more than a photo are told apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from pico_core.errors import PicoError

if TYPE_CHECKING:
    from pico_look import Look


class Reason(StrEnum):
    """Short codes that never change: journals, JSON and CSV hold them. What they mean is said in `report.words`."""

    ALREADY_PICO = "already-pico"
    NAME_TAKEN = "name-taken"
    CHANGED_SINCE = "changed-since"
    NOT_A_PHOTO = "not-a-photo"
    NO_PICTURE = "no-picture"
    VIDEO = "video"
    PROGRAM_FOLDER = "program-folder"
    RAW = "raw"
    LINK = "link"
    HARD_LINK = "hard-link"
    NOT_A_FILE = "not-a-file"
    PLACEHOLDER = "placeholder"
    LIVE_PHOTO = "live-photo"
    ANIMATION = "animation"
    COLOUR_SPACE = "colour-space"
    DEEP = "deep"
    TOO_LARGE = "too-large"
    NO_MEMORY = "no-memory"
    GAIN_MAP = "gain-map"
    MOTION = "motion"
    PANORAMA = "panorama"
    SEVERAL = "several"
    TRAILER = "trailer"
    SMALL_SAVING = "small-saving"
    LARGE_EXTRAS = "large-extras"
    UNLIKE = "unlike"
    TOO_UNLIKE = "too-unlike"
    LONG_NAME = "long-name"
    NO_FIT = "no-fit"
    CHANGING = "changing"
    ATTRIBUTES = "attributes"
    RENAMED = "renamed"  # the .pico file has followed its photo to another name
    ADOPTED = "adopted"  # of a photo that counts as saved: no .pico file was written, one was there already


#: Reasons that may be gone the next time, whatever the settings.
TRANSIENT = frozenset(
    {Reason.CHANGING, Reason.PLACEHOLDER, Reason.NAME_TAKEN, Reason.CHANGED_SINCE, Reason.TOO_UNLIKE}
)
#: Files that are no photos at all: they are counted apart from photos that were left alone.
NO_PHOTOS = frozenset({Reason.VIDEO, Reason.NO_PICTURE, Reason.PROGRAM_FOLDER})
#: What a .pico file carries whole, so that nothing is skipped but with `--skip-extras`.
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
    """The photo is to be left alone; `reason` says why, `look` how it looked, if that was the reason."""

    def __init__(self, reason: Reason, look: Look | None = None) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.look = look


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
