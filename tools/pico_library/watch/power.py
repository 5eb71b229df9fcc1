"""Being no burden: low priority for the processor and the disk, and whether the computer runs on its battery."""

from __future__ import annotations

import contextlib
import os
import sys

import psutil

_NICENESS = 10


def lower_priority() -> None:
    """Let everything else go first. Processes that this one starts do the same."""
    process = psutil.Process()
    with contextlib.suppress(OSError, psutil.Error):
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
            process.ionice(psutil.IOPRIO_LOW)
            return
        os.nice(max(0, _NICENESS - os.nice(0)))
        if sys.platform.startswith("linux"):
            process.ionice(psutil.IOPRIO_CLASS_IDLE)


def is_on_battery() -> bool:
    """Whether the computer has a battery and takes its power from it; no, where the system does not tell."""
    if not hasattr(psutil, "sensors_battery"):
        return False
    try:
        battery = psutil.sensors_battery()
    except (OSError, RuntimeError, psutil.Error):
        return False
    return battery is not None and battery.power_plugged is False
