"""Breaks a run on purpose at a named step, so that tests can prove that every step is safe.

The environment variable PICO_LIBRARY_FAULT holds `step=action`: `verified=kill` ends the process as a power cut
would, `published=EIO` raises that OSError there. Without the variable nothing happens.
"""

from __future__ import annotations

import errno
import os
import signal
from enum import StrEnum

VARIABLE = "PICO_LIBRARY_FAULT"


class Step(StrEnum):
    """The steps of one photo, in their order; each is reached when what its name says has just been done."""

    OPENED = "opened"  # the partial file exists
    ENCODED = "encoded"
    WRITTEN = "written"
    SYNCED = "synced"
    DECODING = "decoding"  # in the verifier's process
    VERIFIED = "verified"
    PUBLISHED = "published"  # the .pico file has its name
    RECORDED = "recorded"  # the journal knows the .pico file
    COPIED = "copied"  # the original lies where it goes, too, by a second name or as a copy on another disk
    MOVED = "moved"  # the original has left its place
    RESTORED = "restored"  # `undo` has put an original back


def reach(step: Step) -> None:
    """Break here if the environment says so. Raises OSError, or does not return."""
    name, _, action = os.environ.get(VARIABLE, "").partition("=")
    if name != step:
        return
    if action == "kill":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    code = getattr(errno, action)
    raise OSError(code, os.strerror(code))
