"""What a model could reconstruct at best: `python -m pico_train.ceiling WEIGHTS PICTURE...`.

Prints, for every whole level, the mean PSNR of the pictures with latents rounded as in the codec, and without any
rounding. Where the two meet, more bits bring nothing: the networks, not the quantiser, are the limit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

MOST_PIXELS_A_SIDE = 512


def main() -> int:
    """Measure and print."""
    from .networks.model import PicoModel
    from .start import read_start

    parser = argparse.ArgumentParser(prog="python -m pico_train.ceiling", description=__doc__)
    parser.add_argument("weights", type=Path, help="a run, a checkpoint or a weights file")
    parser.add_argument("pictures", type=Path, nargs="+", help="of which the middle is used")
    arguments = parser.parse_args()
    start = read_start(arguments.weights)
    model = PicoModel(start.architecture).eval()
    model.load_state_dict({name: start.state[name] for name in model.state_dict()})
    print("level  bpp  PSNR rounded  PSNR unrounded")
    for level in range(start.architecture.levels):
        rows = [measure(model, path, float(level)) for path in arguments.pictures]
        bpp, rounded, unrounded = (sum(column) / len(rows) for column in zip(*rows, strict=True))
        print(f"{level:5}  {bpp:.2f}  {rounded:12.2f}  {unrounded:14.2f}")
    return 0


def measure(model: object, path: Path, level: float) -> tuple[float, float, float]:
    """Estimated bits per pixel, PSNR (dB) with rounded latents, and with latents as they are."""
    import numpy as np
    import torch
    from PIL import Image

    from pico_metrics.psnr import psnr

    from .networks.model import PicoModel

    assert isinstance(model, PicoModel)
    with Image.open(path) as opened:
        whole = opened.convert("RGB")
    width, height = (min(MOST_PIXELS_A_SIDE, side) // 64 * 64 for side in whole.size)
    left, top = (whole.width - width) // 2, (whole.height - height) // 2
    pixels = np.asarray(whole.crop((left, top, left + width, top + height)))
    x = (
        torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    )  # already channels_last in memory
    at = torch.tensor([level])
    with torch.inference_mode():
        rounded, bits_y, bits_z = model(x, at)
        unrounded = model.decoder(model.encoder(x, at)[0], at)
    scores = []
    for output in (rounded, unrounded):
        eight_bit = (output[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        scores.append(psnr(pixels, eight_bit))
    return float(bits_y + bits_z), scores[0], scores[1]


if __name__ == "__main__":
    sys.exit(main())
