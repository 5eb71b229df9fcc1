"""What the integers of a weights file cost beside the floating-point networks that they were made from.

    python -m pico_train.rounding RUN --photos PACK PICTURE [PICTURE ...] [--levels 1 3 5 7]

For each picture and level: the change in PSNR and in ideal bits of the symbols, and how far the decoded pictures are
from each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pico_core.arithmetic import LEVEL_UNITS, ExactArithmetic
from pico_core.graph import TABLE_COUNT, Graph
from pico_core.reference import from_patches, to_patches

from .export import crops, observed, read_checkpoint
from .networks.folding import fold
from .networks.model import LOG_SCALE_LOW, LOG_SCALE_SPACING
from .quantising import FloatArithmetic, observe, quantise

Pixels = NDArray[np.uint8]
_SIDE = 512


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each picture and level; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run's folder or a checkpoint")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--photos", type=Path, required=True, help="training pictures, to see ranges on")
    parser.add_argument("--levels", type=float, nargs="+", default=[1.0, 3.0, 5.0, 7.0])
    arguments = parser.parse_args(argv)
    model = read_checkpoint(arguments.run)
    folded = {name: tensor.numpy() for name, tensor in fold(model).items()}
    ranges = observe(folded, observed(crops(arguments.photos, 120)), model.architecture.levels)
    exact, floating = Graph(ExactArithmetic(quantise(folded, ranges))), Graph(FloatArithmetic(folded))
    changes = []
    for path in arguments.pictures:
        pixels = _middle(path)
        for level in arguments.levels:
            found = _compare(exact, floating, pixels, round(level * LEVEL_UNITS))
            changes.append(found)
            print(f"{path.name:24} level {level:g}: {_words(*found)}", flush=True)
    print(f"{'mean':24}        {_words(*np.mean(changes, axis=0))}")
    return 0


def _words(psnr: float, bits: float, distance: float) -> str:
    return f"PSNR {psnr:+.3f} dB, bits {100 * bits:+.2f} %, {distance:.1f} dB from each other"


def _middle(path: Path) -> Pixels:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    height, width = (min(_SIDE, side) // 64 * 64 for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


@torch.inference_mode()
def _compare(exact: Graph, floating: Graph, pixels: Pixels, level: int) -> tuple[float, float, float]:
    patches = to_patches(pixels)
    symbols, z = exact.analyse(patches, level)
    decoded = from_patches(exact.synthesise(symbols, z, level))
    wanted, wanted_z = floating.analyse(torch.from_numpy(patches).float(), level)
    smooth = floating.synthesise(wanted, wanted_z, level).round().clamp(0, 255)
    original = from_patches(smooth.numpy())
    bits = _bits(symbols, exact.table_indices(z))
    wanted_bits = _bits(wanted.numpy(), floating.table_indices(wanted_z).numpy())
    return (
        _psnr(pixels, decoded) - _psnr(pixels, original),
        bits / wanted_bits - 1,
        _psnr(decoded, original),
    )


def _psnr(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def _bits(symbols: NDArray[np.int16] | NDArray[np.float32], indices: NDArray[np.int16]) -> float:
    """Ideal bits under the Laplace densities of the tables."""
    scale = np.exp(LOG_SCALE_LOW + LOG_SCALE_SPACING * np.clip(indices, 0, TABLE_COUNT - 1))
    magnitude = np.abs(symbols)
    inner = 0.5 * np.sign(0.5 - magnitude) * (1 - np.exp(-np.abs(0.5 - magnitude) / scale))
    outer = -0.5 * (1 - np.exp(-(0.5 + magnitude) / scale))
    return float(-np.log2(np.maximum(inner - outer, 1e-6)).sum())


if __name__ == "__main__":
    raise SystemExit(main())
