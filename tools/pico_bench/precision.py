"""What bfloat16 costs in brightness and error, and saves in time, on a wall and on one tile of a photograph.

    python -m pico_bench.precision [--picture FILE] [--level 4] [--rounds 9]

The measurement behind docs/decisions/0009-float32-between-blocks.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from pico_core.codec import LearnedCodec

SIDE = 512
BRIGHTNESSES = (30, 150, 200, 230)
PRECISIONS = ("float32", "bfloat16")


def wall(brightness: int) -> NDArray[np.uint8]:
    """A slope with a little noise, (512, 512, 3): flat parts are where rounding does not average out."""
    slope = np.linspace(-6, 6, SIDE)
    smooth = brightness + slope[None, :, None] + 0.5 * slope[:, None, None]
    noise = np.random.default_rng(0).normal(0, 1, (SIDE, SIDE, 3))
    return np.clip(smooth + noise, 0, 255).round().astype(np.uint8)


def tile_of(path: Path) -> NDArray[np.uint8]:
    """The first tile of a picture, (512, 512, 3); smaller pictures are enlarged."""
    with Image.open(path) as image:
        colour = image.convert("RGB")
    if min(colour.size) < SIDE:
        colour = colour.resize((max(SIDE, colour.width), max(SIDE, colour.height)))
    return np.asarray(colour)[:SIDE, :SIDE]


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each picture and precision; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--picture", type=Path, help="a photograph (default: only the walls)")
    parser.add_argument("--level", type=float, default=4.0, help="0 to 7 (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="of which the median counts")
    arguments = parser.parse_args(argv)

    from pico_core import registry
    from pico_core.codec import codec_for

    codec = codec_for(registry.get(registry.default_id()))
    pictures = {f"wall of {brightness}": wall(brightness) for brightness in BRIGHTNESSES}
    if arguments.picture is not None:
        pictures[arguments.picture.name] = tile_of(arguments.picture)
    with one_thread():
        for name, pixels in pictures.items():
            for precision in PRECISIONS:
                found = measured(codec, precision, pixels, arguments.level, arguments.rounds)
                print(f"{name}, {precision}: {found}", flush=True)
    return 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with a single thread, as each worker of the codec has it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measured(
    codec: LearnedCodec, precision: str, pixels: NDArray[np.uint8], level: float, rounds: int
) -> str:
    """Errors of a tile in steps of a byte, its bytes, and median milliseconds, in words."""
    networks = codec.networks(precision)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        symbols, z = networks.analyse(pixels[None], level)
        between = time.perf_counter()
        made = networks.synthesise(symbols, z, level)[0]
        seconds.append((between - start, time.perf_counter() - between))
    error = made.astype(float) - pixels
    there, back = (1000 * statistics.median(times) for times in zip(*seconds, strict=True))
    return (
        f"mean error {error.mean():+.3f}, squared error {np.square(error).mean():.3f}, "
        f"{len(codec.tile_coder.encode(symbols[0], z[0], level))} bytes, "
        f"analysis {there:.1f} ms, synthesis {back:.1f} ms"
    )


if __name__ == "__main__":
    raise SystemExit(main())
