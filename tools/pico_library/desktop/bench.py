"""How long a thumbnail takes: `python -m pico_library.desktop.bench PHOTO`.

Starts the thumbnailer as a file manager does, on a .pico file made from the photo (enlarged to `--megapixels`, so
that it has a preview), in turns with a Python that imports Pillow and does nothing. Prints the median and the least
wall-clock time of both in milliseconds, and the ratio of the medians, which depends less on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pico_library.arguments import file_of
from pico_library.desktop.integration import thumbnail_program


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m pico_library.desktop.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each (default 20)")
    parser.add_argument("--megapixels", type=float, default=2.0, help="of the picture (default 2)")
    parser.add_argument("photo", type=file_of, help="what to make the .pico file from")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = _pico_file(arguments.photo, Path(folder, "photo.pico"), arguments.megapixels)
        commands = {
            "importing Pillow": [sys.executable, "-c", "import PIL.Image"],
            "a thumbnail": [*thumbnail_program(), str(source), str(Path(folder, "out.png")), "256"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for run in range(arguments.runs + 1):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True)
                if run:  # the first one warms up
                    times[name].append(1e3 * (time.perf_counter() - started))
    for name, measured in times.items():
        print(f"{name}: median {statistics.median(measured):.0f} ms, least {min(measured):.0f} ms")
    baseline, thumbnail = (statistics.median(measured) for measured in times.values())
    print(f"a thumbnail takes {thumbnail / baseline:.2f} of importing Pillow")
    return 0


def _pico_file(photo: Path, target: Path, megapixels: float) -> Path:
    from PIL import Image

    import pillow_pico

    with Image.open(photo) as im:
        factor = (megapixels * 1e6 / (im.width * im.height)) ** 0.5
        large = im.convert("RGB").resize((round(im.width * factor), round(im.height * factor)))
    target.write_bytes(pillow_pico.to_bytes(large, quality=60))
    return target


if __name__ == "__main__":
    sys.exit(main())
