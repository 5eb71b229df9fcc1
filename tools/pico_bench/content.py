"""How well the core tells drawings from photographs: `python -m pico_bench.content --photographs DIR --drawings DIR`.

Cuts the pictures of the folders into tiles as the codec does, and prints for each folder the share of tiles that
count as flat and as drawn, and the time this took for a tile. Folders may be given several times.
With `--quality` it also encodes the pictures, and prints the share of tiles that AVIF got, and the share of the
encoding time that went into asking. With `--fit` it also fits the weights of the rule anew, on all the tiles, so that
at most `--doubt` of those of photographs are taken for drawings, and prints them.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pico_bench.tables import as_text
from pico_core import encode
from pico_core.container import Coder, Container
from pico_core.content import Statistics, drawing_score, is_flat, statistics
from pico_core.tiling import Grid

_LEAST_SIDE = 256  # of tiles that count
_STEPS, _RATE, _DECAY = 6000, 0.5, 1e-3
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def main(argv: Sequence[str] | None = None) -> int:
    """Look, and print."""
    parser = argparse.ArgumentParser(prog="python -m pico_bench.content", description=__doc__)
    parser.add_argument("--photographs", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--drawings", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="look at every Nth picture (1)")
    parser.add_argument("--quality", type=int, metavar="Q", help="also encode the pictures at this quality")
    parser.add_argument("--fit", action="store_true", help="fit the rule anew, and print its weights")
    parser.add_argument("--doubt", type=float, default=0.015, help="share of photographs in doubt (0.015)")
    arguments = parser.parse_args(argv)
    coded = ["in AVIF", "time for it"] if arguments.quality is not None else []
    rows = [["folder", "tiles", "flat", "drawn", "ms a tile", *coded]]
    found: dict[bool, list[Statistics]] = {True: [], False: []}
    for is_drawing_folder, folders in ((False, arguments.photographs), (True, arguments.drawings)):
        for folder in folders:
            tiles, flat, drawn, seconds = 0, 0, 0, 0.0
            for tile in _tiles(folder, arguments.every):
                begin = time.process_time()
                flat, drawn = flat + is_flat(tile), drawn + (drawing_score(tile) > 0)
                seconds += time.process_time() - begin
                tiles += 1
                if (known := statistics(tile)) is not None:
                    found[is_drawing_folder].append(known)
            total = max(1, tiles)
            shares = (f"{100 * count / total:.1f} %" for count in (flat, drawn))
            rows.append([folder.name, str(tiles), *shares, f"{1000 * seconds / total:.2f}"])
            if arguments.quality is not None:
                rows[-1] += _encoded(folder, arguments.every, arguments.quality)
    print(as_text(rows))
    if arguments.fit:
        weights, offset = fit(found[False], found[True], arguments.doubt)
        print(f"_WEIGHTS = ({', '.join(f'{weight:.3f}' for weight in weights)})\n_OFFSET = {offset:.3f}")
    return 0


def _encoded(folder: Path, every: int, quality: int) -> list[str]:
    """Shares of tiles that AVIF got, and of the time for encoding that went into it, as text."""
    tiles = Counter[Coder]()
    seconds: dict[str, float] = {}
    for path in _pictures(folder, every):
        with Image.open(path) as image:
            content = encode(np.asarray(image.convert("RGB")), quality=quality, profile=seconds)
        container = Container(io.BytesIO(content))
        tiles.update(container.read_tile(index).coder for index in range(container.tile_count))
    share = tiles[Coder.AVIF] / max(1, tiles.total())
    return [f"{100 * share:.1f} %", f"{100 * seconds.get('drawings', 0.0) / sum(seconds.values()):.1f} %"]


def _pictures(folder: Path, every: int) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)[::every]


def _tiles(folder: Path, every: int) -> Iterator[NDArray[np.uint8]]:
    for path in _pictures(folder, every):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        for box in Grid(pixels.shape[1], pixels.shape[0]).windows():
            tile = pixels[box.top : box.bottom, box.left : box.right]
            if min(tile.shape[:2]) >= _LEAST_SIDE:
                yield tile


def fit(
    photographs: Sequence[Statistics], drawings: Sequence[Statistics], doubt: float
) -> tuple[NDArray[np.float64], float]:
    """Weights and offset of a logistic regression, both kinds counted alike, moved to a share of doubt."""
    values = np.array([s.values() for s in (*photographs, *drawings)])
    drawn = np.repeat([0.0, 1.0], [len(photographs), len(drawings)])
    mean, deviation = values.mean(0), values.std(0)
    inputs = np.c_[(values - mean) / deviation, np.ones(len(values))]
    shares = np.where(drawn == 1, 0.5 / len(drawings), 0.5 / len(photographs))
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (shares * (chance - drawn)) + _DECAY * np.r_[weights[:-1], 0]
        weights -= _RATE * slope
    scaled = weights[:-1] / deviation
    scores = values @ scaled
    limit = float(np.quantile(scores[: len(photographs)], 1 - doubt))
    return scaled, -limit


if __name__ == "__main__":
    sys.exit(main())
