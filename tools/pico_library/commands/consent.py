"""Whether originals may go: asked for in a terminal, and elsewhere by `--yes` where there is no way back."""

from __future__ import annotations

import sys

from pico_library.arguments import UsageError
from pico_library.console import WEIGHTS_MAY_CHANGE, agrees, printable
from pico_library.model.settings import Mode, Settings


def what_becomes_of_originals(settings: Settings) -> str:
    """What a run does with originals, as in `their originals ...`."""
    return {
        Mode.REPLACE: "moved to the Trash",
        Mode.ARCHIVE: f"moved to {printable(str(settings.archive))}",
        Mode.DELETE: "REMOVED FOR GOOD",
    }[settings.mode]


def is_given(question: str, settings: Settings, *, yes: bool) -> bool:
    """Ask in a terminal, with what speaks against it. Raises UsageError if nobody can be asked whether to delete."""
    if yes:
        return True
    if sys.stdin is not None and sys.stdin.isatty():
        print(WEIGHTS_MAY_CHANGE)
        return agrees(question)
    if settings.mode is Mode.DELETE:
        msg = "--delete-originals removes photos for good, and nobody is here to be asked; say --yes too"
        raise UsageError(msg)
    return True
