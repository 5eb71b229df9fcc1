"""What `--quality` costs and how it looks, by purpose: `python -m pico_bench.purposes DIR ...`.

Encodes the pictures of the folders at a few qualities, and prints the size beside JPEG's, the score of the worst crop,
how many pictures get which word (`pico_look.words`), and the processor time of the look as a share of the encoding's.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from pico_bench.originals import find_originals
from pico_bench.tables import Table, as_text
from pico_core import decode, encode
from pico_look import WORDS, look, word_of
from pico_metrics.pictures import Pixels

_MEGABYTES_PER_BIT = 12e6 / 8 / 1e6  # of a photograph of 12 megapixels, for each bit per pixel
_JPEG_QUALITY = 92  # about what cameras and phones write


@dataclass
class _Results:
    """What one quality gave, picture by picture."""

    quality: int
    bits_per_pixel: list[float] = field(default_factory=list)
    of_jpeg: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)
    encoding: float = 0.0  # seconds of all cores
    looking: float = 0.0

    def add(self, pixels: Pixels, jpeg: int) -> None:
        start = time.process_time()
        coded = encode(pixels, quality=self.quality, preview=False)
        self.encoding += time.process_time() - start
        decoded = decode(coded)
        start = time.process_time()
        found = look(pixels, decoded)
        self.looking += time.process_time() - start
        self.bits_per_pixel.append(8 * len(coded) / (pixels.shape[0] * pixels.shape[1]))
        self.of_jpeg.append(len(coded) / jpeg)
        self.scores.append(found.score)
        self.words[word_of(found.score, found.strength).text] += 1


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m pico_bench.purposes", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--quality", type=int, nargs="+", default=[20, 40, 60, 75, 90], metavar="Q")
    arguments = parser.parse_args(argv)
    found = [_Results(quality) for quality in arguments.quality]
    for folder in arguments.folders:
        for original in find_originals(folder):
            jpeg = _jpeg_bytes(original.pixels)
            for results in found:
                results.add(original.pixels, jpeg)
            print(f"{folder.name} {original.name}", file=sys.stderr)
    print(as_text(_table(found)))
    return 0


def _jpeg_bytes(pixels: Pixels) -> int:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.tell()


def _table(found: Sequence[_Results]) -> Table:
    names = [word.text for word in WORDS]
    rows = [
        [
            "quality",
            "bits per pixel",
            "12 megapixels",
            "of the JPEG",
            "score: median",
            "lowest",
            *names,
            "look",
        ],
    ]
    for results in found:
        rate, count = float(np.mean(results.bits_per_pixel)), len(results.scores)
        rows.append(
            [
                str(results.quality),
                f"{rate:.2f}",
                f"{rate * _MEGABYTES_PER_BIT:.2f} MB",
                f"{100 * float(np.mean(results.of_jpeg)):.0f} %",
                f"{float(np.median(results.scores)):.0f}",
                f"{min(results.scores):.0f}",
                *(f"{100 * results.words[name] / count:.0f} %" for name in names),
                f"{100 * results.looking / results.encoding:.0f} %",
            ]
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
