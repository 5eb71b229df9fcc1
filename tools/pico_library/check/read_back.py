"""Reads the metadata of a picture file that was just written, however many pixels it has.

Pillow's limit on pixels belongs to the whole process: whoever lifts it lifts it for all threads. So a picture above
the limit is read by a process of its own, which is this module run as a program.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import warnings
from pathlib import Path

from PIL import Image

from pico_codec.cli import explain
from pico_codec.source import FILE_ERRORS, read_source
from pico_core import Metadata
from pico_core.errors import CorruptError
from pico_library.check.checking import read_from_disk
from pico_library.model import extras

# What an answer begins with: a Python may print when it starts (sitecustomize, .pth files).
_BEGIN = b"\0pico-answer\0"


def metadata_of(path: Path, pixels: int) -> Metadata:
    """Decode a file whole and return all its metadata; `pixels` is how many the picture has. Raises FILE_ERRORS."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or pixels <= limit:
        return _read(path)
    return _read_elsewhere(path)


def _read(path: Path) -> Metadata:
    data = read_from_disk(path)
    return extras.with_everything(read_source(data), data).metadata


def _read_elsewhere(path: Path) -> Metadata:
    """As `_read`, in a process without a limit. Raises CorruptError whatever is wrong there."""
    done = subprocess.run(
        # -P: the folder that happens to be current may hold a calendar.py
        [sys.executable, "-P", "-m", "pico_library.check.read_back", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
        process_group=0 if sys.platform != "win32" else None,
    )
    answer = pickle.loads(done.stdout.rpartition(_BEGIN)[2]) if done.returncode == 0 else "its process died"
    if isinstance(answer, Metadata):
        return answer
    msg = f"the file cannot be read back ({answer}) and was discarded"
    raise CorruptError(msg)


def main() -> int:
    """Answer with the metadata of the file that the command line names, or with what is wrong, pickled."""
    # Ctrl-C is for the other process: it decides what to finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # nothing else is read in this process
    answer: Metadata | str
    try:
        answer = _read(Path(sys.argv[1]))
    except FILE_ERRORS as error:
        answer = explain(error)
    # If the other process has died, nobody needs the answer.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
            answers.write(_BEGIN + pickle.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
