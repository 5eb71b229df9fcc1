"""What all commands share: exit codes, and how messages reach people."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from tqdm import tqdm

FINE, FAILED, USAGE, NOTHING, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 130

EXIT_CODES = """exit codes:
  0    done; whatever was skipped is named in the summary with its reason
  1    something failed; the message on standard error says which file, why and what to do
  2    the command line or the settings are wrong, or a PATH does not exist; nothing was done
  3    there was nothing to do
  4    another run is at work
  130  stopped by Ctrl-C; what was done by then stays, nothing is left half-written
"""


#: Until the weights are frozen with version 0.1.0; said wherever originals may go, and in --help.
WEIGHTS_MAY_CHANGE = """The weights may still be replaced before version 0.1.0 is released, and a .pico file cannot be
read without those that wrote it: keep a copy of your originals until then."""


def complain(about: Path | str, what: str) -> None:
    """One line on standard error: the program, the file, what is wrong and what to do.

    A line that cannot be written, as where a log's disk is full, is lost, and the work goes on.
    """
    with contextlib.suppress(OSError, ValueError), tqdm.external_write_mode(file=sys.stderr):
        print(f"pico-library: {printable(str(about))}: {what}", file=sys.stderr)


def printable(text: str) -> str:
    """The text without control characters, which would garble a terminal, and without bytes that are no text."""
    return "".join(c if c.isprintable() else "?" for c in text)


def print_exactly(text: str) -> None:
    """Print names as the bytes that they are, which need not be text in any encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(text) if os.name == "posix" else text.encode())


def agrees(question: str) -> bool:
    """Ask in the terminal. Only `y` and `yes` are a yes; the end of the input (Ctrl-D) is none."""
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        print()
        return False
    return answer.strip().lower() in ("y", "yes")


def plural(count: int, one: str) -> str:
    """`1 photo`, `2 photos`, `1,000 photos`."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"
