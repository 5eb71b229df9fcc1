"""The highest qualities: bits and SSIMULACRA2 of .pico, with the networks alone and as users get it.

    python -m pico_bench.highest FOLDER [--first N] [--qualities 80 90 95 96 98 100]

SSIMULACRA2 90 is where people cannot tell a picture from its original in a flicker test.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pico_bench.originals import find_originals
from pico_core import decode, encode
from pico_metrics.ssimulacra2 import ssimulacra2


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each quality: means over the pictures of a folder; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, metavar="N", help="only the first N pictures")
    parser.add_argument("--qualities", type=int, nargs="+", default=[80, 90, 95, 96, 98, 100])
    arguments = parser.parse_args(argv)
    originals = [original.pixels for original in find_originals(arguments.folder)[: arguments.first]]
    print("quality   networks alone: bpp, SSIMULACRA2   as users get it: bpp, SSIMULACRA2 (least)")
    for quality in arguments.qualities:
        found = np.array([_measure(pixels, quality, effort) for effort in (0, 1) for pixels in originals])
        alone, used = np.split(found, 2)
        print(
            f"{quality:7}   {alone[:, 0].mean():15.2f} {alone[:, 1].mean():13.1f}"
            f"   {used[:, 0].mean():16.2f} {used[:, 1].mean():13.1f} ({used[:, 1].min():.1f})",
            flush=True,
        )
    return 0


def _measure(pixels: np.ndarray, quality: int, effort: int) -> tuple[float, float]:
    coded = encode(pixels, quality=quality, effort=effort, preview=False)
    bits = 8 * len(coded) / (pixels.shape[0] * pixels.shape[1])
    return bits, float(ssimulacra2(pixels, decode(coded)))


if __name__ == "__main__":
    raise SystemExit(main())
