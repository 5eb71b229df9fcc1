"""Times the networks on one tile with all cores against one tile per core, idle and beside busy processes.

    python -m pico_bench.contention [--tiles 24] [--rounds 3]

The measurement behind docs/decisions/0005-one-worker-one-tile.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

BUSY = "while True: pass"


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """`count` processes that do nothing but use a core each."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def milliseconds(run: Callable[[], object], tiles: int) -> float:
    """Wall milliseconds per tile."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start) / tiles


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of milliseconds per 512x512 tile; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiles", type=int, default=24, help="tiles per measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions (default: %(default)s)")
    args = parser.parse_args(argv)

    from pico_core import registry
    from pico_core.codec import codec_for
    from pico_core.networks.workers import pool

    codec = codec_for(registry.get(registry.default_id()))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    pixels = noise.repeat(8, axis=0).repeat(8, axis=1)
    workers, count = pool()

    def one(_: int = 0) -> None:
        codec.analyse(pixels, 4.0)

    def all_cores_in_one_tile() -> None:
        for _ in range(args.tiles):
            one()

    def one_tile_per_core() -> None:
        list(workers.map(one, range(args.tiles)))

    print(f"milliseconds per tile, {count} workers, {codec.networks('auto').precision}")
    for busy in (0, count):
        with busy_processes(busy):
            for name, run in (("all cores", all_cores_in_one_tile), ("one each", one_tile_per_core)):
                run()
                times = [milliseconds(run, args.tiles) for _ in range(args.rounds)]
                row = " ".join(f"{value:7.1f}" for value in times)
                print(f"  beside {busy} busy processes, {name:9s}: {row}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
