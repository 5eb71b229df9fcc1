"""Times the 1x1 convolutions of the networks, single-threaded, in the ways that torch offers.

    python -m pico_bench.convolutions

The measurement behind the choice in pico_core/networks/inference.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

SHAPES = ((128, 256, 64), (256, 128, 64), (192, 384, 32), (384, 192, 32), (640, 256, 16))
REPEATS = 20


def rate(work: float, run: Callable[[], object] | None) -> str:
    """GFLOP/s of the fastest of some repetitions, for `work` MFLOP; a dash for nothing to run."""
    if run is None:
        return "-"
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return f"{work / (1000 * min(times)):.0f}"


def main() -> int:
    """Print a line for every shape and precision; returns the exit status."""
    import torch
    from torch.nn.functional import conv2d, linear

    from pico_core.networks.inference import ONEDNN_PRECISIONS

    torch.set_num_threads(1)
    print("inputs outputs side  precision    conv2d    oneDNN    linear   (GFLOP/s)")
    for inputs, outputs, side in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.randn(1, inputs, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
            weight = torch.randn(outputs, inputs, 1, 1).to(dtype)
            weight, bias = (
                weight.contiguous(memory_format=torch.channels_last),
                torch.randn(outputs).to(dtype),
            )
            rows, matrix = x.permute(0, 2, 3, 1), weight.flatten(1).contiguous()
            onednn = torch.mkldnn_convolution
            ways = (
                partial(conv2d, x, weight, bias),
                partial(onednn, x, weight, bias, (0, 0), (1, 1), (1, 1), 1)
                if dtype in ONEDNN_PRECISIONS
                else None,
                partial(linear, rows, matrix, bias),
            )
            work = 2 * inputs * outputs * side * side / 1e6
            rates = " ".join(f"{rate(work, way):>9s}" for way in ways)
            print(f"{inputs:6d} {outputs:7d} {side:4d}  {str(dtype).removeprefix('torch.'):9s} {rates}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
