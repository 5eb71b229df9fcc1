"""Where a model loses what pixels hold: `python -m pico_train.probe WEIGHTS PICTURE...`.

A linear map from the encoder's features to pixels is fitted on every second picture and measured on the others,
for the features at 1/8, at 1/16, and for the latents before rounding, at the highest level. What such a map can read is
still there; what it cannot read may be there in another form. Beside it stands the best that any linear transform
of blocks with so many numbers could do (principal components), and the decoder without rounding. Takes a dozen pictures
or more: the map for blocks of 16 x 16 pixels has many weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .networks.model import PicoModel

SIDE = 256  # of the middle of each picture


def main() -> int:
    """Measure and print."""
    import torch

    from .networks.model import PicoModel
    from .start import read_start

    parser = argparse.ArgumentParser(prog="python -m pico_train.probe", description=__doc__)
    parser.add_argument("weights", type=Path, help="a run, a checkpoint or a weights file")
    parser.add_argument("pictures", type=Path, nargs="+", help="of which the middle is used")
    arguments = parser.parse_args()
    start = read_start(arguments.weights)
    model = PicoModel(start.architecture).eval()
    model.load_state_dict({name: start.state[name] for name in model.state_dict()})
    with torch.inference_mode():
        pixels = [middle(path) for path in arguments.pictures]
        found = [features(model, x) for x in pixels]
        print("features    channels  PSNR linear map  PSNR principal components")
        for name in found[0]:
            values = [each[name] for each in found]
            channels, block = values[0].shape[1], SIDE // values[0].shape[-1]
            targets = [blocks(x, block) for x in pixels]
            readable = readable_psnr([vectors(v) for v in values], targets)
            bound = principal_psnr(targets, channels)
            print(f"{name:10}  {channels:8}  {readable:15.2f}  {bound:25.2f}")
        top = torch.tensor([float(model.architecture.levels - 1)])
        decoded = [model.decoder(each["latent"], top) for each in found]
        print(f"decoder without rounding: {psnr_of(zip(decoded[::2], pixels[::2], strict=True)):.2f}")
    return 0


def middle(path: Path) -> Tensor:
    """The middle of a picture, (1, 3, SIDE, SIDE) in [0, 1]."""
    import numpy as np
    import torch
    from PIL import Image

    with Image.open(path) as opened:
        whole = opened.convert("RGB")
    left, top = (whole.width - SIDE) // 2, (whole.height - SIDE) // 2
    pixels = np.asarray(whole.crop((left, top, left + SIDE, top + SIDE)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def features(model: PicoModel, pixels: Tensor) -> dict[str, Tensor]:
    """The encoder's features (1, C, H, W) on the way to the latents, at the highest level."""
    import torch

    level = torch.tensor([float(model.architecture.levels - 1)])
    encoder = model.encoder
    at8 = encoder.stage8(encoder.to8(pixels - 0.5))
    at16 = encoder.stage16(encoder.to16(at8 * encoder.gain8(level)))
    return {"at 1/8": at8, "at 1/16": at16, "latent": encoder(pixels, level)[0]}


def vectors(x: Tensor) -> Tensor:
    """(1, C, H, W) -> (H * W, C), float64."""
    return x[0].flatten(1).T.double()


def blocks(pixels: Tensor, side: int) -> Tensor:
    """(1, 3, H, W) -> blocks of side x side pixels as rows, float64."""
    import torch

    rows: Tensor = torch.nn.functional.unfold(pixels, side, stride=side)[0].T
    return rows.double()


def readable_psnr(values: list[Tensor], targets: list[Tensor]) -> float:
    """PSNR (dB) of a linear map, fitted on the odd pictures and measured on the even ones."""
    import torch

    def with_one(x: Tensor) -> Tensor:
        return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)

    x, y = with_one(torch.cat(values[1::2])), torch.cat(targets[1::2])
    ridge = 1e-6 * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(x.T @ x + ridge, x.T @ y)
    return psnr_of((with_one(v) @ weights, t) for v, t in zip(values[::2], targets[::2], strict=True))


def principal_psnr(targets: list[Tensor], count: int) -> float:
    """PSNR (dB) of the even pictures in the `count` principal components of the odd ones."""
    import torch

    odd = torch.cat(targets[1::2])
    mean = odd.mean(0)
    basis = torch.linalg.eigh(torch.cov((odd - mean).T)).eigenvectors[:, -count:]
    return psnr_of((mean + (t - mean) @ basis @ basis.T, t) for t in targets[::2])


def psnr_of(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Mean PSNR (dB) of pairs of values in [0, 1]."""
    import math

    scores = [-10 * math.log10(float((one - other).square().mean())) for one, other in pairs]
    return sum(scores) / len(scores)


if __name__ == "__main__":
    sys.exit(main())
