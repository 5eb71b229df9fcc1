"""What pico-library costs beside the codec: `python -m pico_library.bench PHOTO...`.

Prints the time of a second run over a library that an earlier run has shrunk; how long the look at a photo takes in
units of its encoding; and how long a whole run takes in units of the codec's own work on the same photos (encoding,
and decoding for the check). With `--memory` instead, what one photo at work takes at two sizes, both processes
together. With `--first` instead, how soon a run over so many photos has its first result, beside what a process
takes to start and encode a small picture.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path

from pico_library.arguments import file_of
from pico_library.store import places


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m pico_library.bench", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="of the library for the second run")
    parser.add_argument("--photos", type=int, default=6, help="for the other two measurements")
    parser.add_argument("--megapixels", type=float, default=12.0, help="of each of these photos")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--first", type=int, metavar="N", help="measure the first result of N photos instead")
    parser.add_argument("source", type=file_of, nargs="+", help="photos to make them from")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[places.VARIABLE] = str(Path(folder, "home"))
        if arguments.memory:
            for megapixels in (arguments.megapixels, 4 * arguments.megapixels):
                place = Path(folder, f"{megapixels:g}")
                enlarge(arguments.source, place, 1, megapixels)
                print(f"{megapixels:g} megapixels: {peak_memory(place) / 1e6:,.0f} MB")
            return 0
        if arguments.first:
            photos = enlarge(arguments.source, Path(folder, "large"), 1, arguments.megapixels)
            first, starting = first_result(photos[0], arguments.first), start_seconds()
            print(
                f"first of {arguments.first:,} photos after {first:.1f} s; "
                f"starting and encoding a small picture takes {starting:.1f} s"
            )
            return 0
        seconds = second_run(Path(folder, "many"), arguments.files)
        print(f"second run over {arguments.files:,} photos: {seconds:.2f} s")
        photos = enlarge(arguments.source, Path(folder, "large"), arguments.photos, arguments.megapixels)
        encoding, decoding, looking = codec_seconds(photos)
        print(f"encoding {encoding:.2f} s a photo, decoding {decoding:.2f} s, the look {looking:.2f} s")
        print(f"the look takes {looking / encoding:.2f} of the encoding")
        whole = run_seconds(photos[0].parent)
        codec = (encoding + decoding) * len(photos)
        print(
            f"a run takes {whole:.1f} s, the codec's work in it one after the other {codec:.1f} s: {whole / codec:.2f}"
        )
    return 0


def second_run(folder: Path, count: int) -> float:
    """Seconds of the command, from nothing to its end, on a library in which nothing is to be done."""
    import subprocess

    from pico_library.model.records import Identity, Outcome, Record
    from pico_library.store.journal import Journal

    records = []
    for number in range(count):
        path = folder / f"{number // 500:03}" / f"IMG_{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a photo")
        target = path.with_name(path.name + ".pico")
        target.write_bytes(b"a .pico file")
        records.append(Record(path, Identity.of(path.stat()), Outcome.SAVED, target=target, run=1))
    with Journal(places.journal_file()) as journal:
        journal.start_run("beside", [folder], {})
        journal.record(*records)
        journal.finish_run(1)
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "pico_library", "shrink", str(folder)], check=False)
    assert done.returncode == 3
    return time.monotonic() - started


def first_result(photo: Path, count: int) -> float:
    """Seconds from the start of the command to the first .pico file, of a folder of so many photos.

    The first one, which alone is waited for, is a copy of `photo`. The others are small: writing gigabytes just
    before would slow down the disk, and with it what is measured.
    """
    import shutil
    import signal
    import subprocess

    from PIL import Image

    folder = photo.parent / "many"
    folder.mkdir()
    shutil.copyfile(photo, folder / "IMG_00000.jpg")
    with Image.open(photo) as opened:
        opened.reduce(8).save(photo.parent / "small.jpg")
    for number in range(1, count):
        shutil.copyfile(photo.parent / "small.jpg", folder / f"IMG_{number:05}.jpg")
    command = [sys.executable, "-m", "pico_library", "shrink", str(folder)]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and not any(folder.glob("*.pico")):
            time.sleep(0.02)
        spent = time.monotonic() - started
        run.send_signal(signal.SIGINT)
    return spent


def start_seconds() -> float:
    """Seconds that a process takes to start and to encode 64 x 64 pixels: a lower bound for whoever encodes."""
    import subprocess

    started = time.monotonic()
    program = (
        "import numpy, pico_core; "
        "pico_core.encode(numpy.random.default_rng(0).integers(0, 256, (64, 64, 3), 'u1'), preview=False)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.monotonic() - started


def peak_memory(folder: Path) -> int:
    """The most bytes that the processes of a run over a folder hold at once."""
    import subprocess

    import psutil

    command = [sys.executable, "-m", "pico_library", "shrink", "--jobs", "1", str(folder)]
    most = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        tree = psutil.Process(run.pid)
        while run.poll() is None:
            with contextlib.suppress(psutil.Error):
                held = [one.memory_info().rss for one in (tree, *tree.children(recursive=True))]
                most = max(most, sum(held))
            time.sleep(0.02)
    return most


def enlarge(sources: list[Path], folder: Path, count: int, megapixels: float) -> list[Path]:
    """Mosaics of the sources, each with that many pixels."""
    from PIL import Image, ImageOps

    folder.mkdir()
    width = int((megapixels * 4e6 / 3) ** 0.5)
    paths = []
    for number in range(count):
        whole = Image.new("RGB", (width, width * 3 // 4))
        with Image.open(sources[number % len(sources)]) as opened:
            piece = opened.convert("RGB")
        for row, top in enumerate(range(0, whole.height, piece.height)):
            for column, left in enumerate(range(0, whole.width, piece.width)):
                turned = ImageOps.mirror(piece) if column % 2 else piece
                whole.paste(ImageOps.flip(turned) if row % 2 else turned, (left, top))
        paths.append(folder / f"{number}.jpg")
        whole.save(paths[-1], quality=92)
    return paths


def codec_seconds(photos: list[Path]) -> tuple[float, float, float]:
    """Seconds a photo for encoding, decoding and looking, in one process and one after the other."""
    from pico_codec.source import read_source_file
    from pico_core import decode, encode
    from pico_look import look

    spent = [0.0, 0.0, 0.0]
    for number, path in enumerate([photos[0], *photos]):  # the first one warms up
        pixels = read_source_file(path).pixels
        marks = [time.monotonic()]
        data = encode(pixels, quality=60)
        marks.append(time.monotonic())
        decoded = decode(data)
        marks.append(time.monotonic())
        look(pixels, decoded)
        marks.append(time.monotonic())
        if number:
            spent = [s + b - a for s, a, b in zip(spent, marks, marks[1:], strict=False)]
    encoding, decoding, looking = (s / len(photos) for s in spent)
    return encoding, decoding, looking


def run_seconds(folder: Path) -> float:
    """Seconds of `shrink` over a folder, the start of both processes included."""
    from pico_library.cli import main as pico_library

    started = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        code = pico_library(["shrink", str(folder)])
    assert code == 0
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
