"""What the watcher takes of the memory and the processor: `python -m pico_library.watch.bench PHOTO`.

Has a watcher shrink a copy of the photo in a folder of its own, and prints the resident memory of all its processes
after that; then again when the worker has been let go, and the processor time that it takes to wait for a minute.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from pico_library.arguments import file_of

_IDLE = 5


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photo", type=file_of)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PICO_LIBRARY_HOME"] = str(Path(folder, "home"))
        photos = Path(folder, "photos")
        photos.mkdir()
        photo = shutil.copy(arguments.photo, photos)
        command = [
            sys.executable,
            "-m",
            "pico_library",
            "watch",
            "--settle=1s",
            f"--idle={_IDLE}s",
            str(photos),
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as run:
            try:
                _report(psutil.Process(run.pid), Path(f"{photo}.pico"))
            finally:
                run.terminate()
    return 0


def _report(watcher: psutil.Process, pico: Path) -> None:
    while not pico.exists():
        time.sleep(0.1)
    time.sleep(1)
    print(f"after a photo, {len(_processes(watcher))} processes: {_megabytes(watcher):,.0f} MB")
    while len(_processes(watcher)) > 1:
        time.sleep(0.1)
    print(f"idle, 1 process: {_megabytes(watcher):,.0f} MB")
    before = sum(watcher.cpu_times()[:2])
    time.sleep(60)
    print(f"processor time of an idle minute: {sum(watcher.cpu_times()[:2]) - before:.2f} s")


def _processes(watcher: psutil.Process) -> list[psutil.Process]:
    return [watcher, *watcher.children(recursive=True)]


def _megabytes(watcher: psutil.Process) -> float:
    return sum(float(process.memory_info().rss) for process in _processes(watcher)) / 1e6


if __name__ == "__main__":
    sys.exit(main())
