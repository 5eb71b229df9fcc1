"""Compares runs with one of them: `python -m pico_train.compare RUN... --against RUN --pictures DIR --out DIR`.

Every run is measured on the same pictures by the model's own estimate of its bits, in floating point on whole pictures,
so that runs can be compared that are not exported, or cannot be. Prints BD-rates (negative: fewer bits for the same
score) and the strength of fine details at levels in between. Measurements are kept in `--out`; several calls with parts
of the pictures (`--first`, `--count`) may fill it side by side, each with one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pico_core.errors import OptionError

if TYPE_CHECKING:
    from pico_bench.curves import Curve
    from pico_bench.tables import Table

SCORES = ("lpips_alex", "lpips_squeeze", "ssimulacra2", "ms_ssim", "psnr")
TEXTURES = ("texture_flat", "texture_middling", "texture_busy", "texture_correlation")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is not measured yet, and print."""
    import torch

    from pico_bench import tables

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(prog="python -m pico_train.compare", description=__doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="runs, checkpoints or weights files"
    )
    parser.add_argument(
        "--against", type=Path, required=True, metavar="RUN", help="what they are compared with"
    )
    parser.add_argument("--pictures", type=Path, required=True, metavar="FOLDER", help="to measure on")
    parser.add_argument("--first", type=int, default=0, help="the first picture to use, by name (0)")
    parser.add_argument("--count", type=int, default=0, help="how many pictures; 0: all")
    parser.add_argument("--levels", type=int, default=5, help="at which they are measured (5)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="keeps what is measured")
    arguments = parser.parse_args(argv)
    paths = list(dict.fromkeys([arguments.against, *arguments.runs]))
    names = {path: path.name for path in paths}
    if len(set(names.values())) < len(paths):
        msg = "two of the runs have the same name; results are told apart by it"
        raise OptionError(msg)
    found = measured(names, arguments)
    anchor = found.pop(names[arguments.against])
    print(tables.as_text(rates(anchor, found)))
    print()
    print(tables.as_text(textures({anchor.codec: anchor, **found})))
    return 0


def measured(names: Mapping[Path, str], arguments: argparse.Namespace) -> dict[str, Curve]:
    """Curves by name, over the same pictures."""
    from pico_bench.curves import curves
    from pico_bench.originals import find_originals
    from pico_bench.rd import measure
    from pico_bench.store import Store
    from pico_metrics.catalogue import METRICS

    from .evaluate import Request, codec_of

    codecs = []
    for path, name in names.items():
        codec = codec_of(path, Request(arguments.pictures, arguments.levels), estimated=True)[0]
        codec.name = name
        codecs.append(codec)
    last = arguments.first + arguments.count if arguments.count else None
    originals = find_originals(arguments.pictures)[arguments.first : last]
    metrics = [METRICS[name] for name in (*SCORES, *TEXTURES)]
    run = measure(originals, codecs, metrics, Store(arguments.out), lambda line: print(line, file=sys.stderr))
    return {curve.codec: curve for curve in curves(run.rows)[0]}


def rates(anchor: Curve, found: Mapping[str, Curve]) -> Table:
    """BD-rates of every curve against the anchor, by score."""
    from pico_bench.curves import compare
    from pico_bench.tables import bd_cell
    from pico_metrics.catalogue import METRICS

    rows = [[f"bits against {anchor.codec}, %", *(METRICS[score].title for score in SCORES)]]
    for name, curve in found.items():
        rows.append([name, *(bd_cell(compare(anchor, curve, score)) for score in SCORES)])
    return rows


def textures(found: Mapping[str, Curve]) -> Table:
    """The strength of fine details at every level but the lowest and the highest."""
    from pico_metrics.catalogue import METRICS

    rows = [["texture", "level", "bits per pixel", *(METRICS[texture].title for texture in TEXTURES)]]
    for name, curve in found.items():
        for index, level in list(enumerate(curve.qualities))[1:-1]:
            values = (curve.values[t][index, curve.columns(t)].mean() for t in TEXTURES)
            rows.append(
                [name, level, f"{curve.bpp[index].mean():.3f}", *(f"{value:.3f}" for value in values)]
            )
    return rows


if __name__ == "__main__":
    sys.exit(main())
