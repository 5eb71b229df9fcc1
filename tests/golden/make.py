"""Makes the golden files of the default weights: run once when weights ship, and never again for those.

    python tests/golden/make.py

Writes NAME-ID.pico, its pixels as NAME-ID.png, and digests of the symbols into
symbols.json. Files of earlier weights are left alone: they must decode for ever.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pico_core import PicoFile, encode, registry
from pico_core.container import Coder
from pico_core.engines import engine_for
from pico_core.tiling import Grid

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parents[1] / "samples"


def sources() -> dict[str, tuple[NDArray[np.uint8], float]]:
    """Name -> pixels and level: two tiles of colour, grey, alpha, a graphic tile beside a learned one."""
    with Image.open(SAMPLES / "mountain.jpg") as image:
        photo = np.asarray(image.convert("RGB").resize((560, 373), Image.Resampling.LANCZOS))
    with Image.open(SAMPLES / "screenshot.png") as image:
        graphic = np.asarray(image.convert("RGB"))[:128, :504]
    fade = np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None].repeat(80, 0)
    return {
        "colour": (photo[:200], 2.0),
        "grey": (photo[100:251, 100:251, 1:2], 4.5),
        "alpha": (np.concatenate([photo[100:180, :96], fade], axis=2), 6.0),
        "mixed": (np.concatenate([graphic, photo[100:228, :256]], axis=1), 1.25),
    }


def symbols_digest(file: PicoFile) -> list[str | None]:
    """SHA-256 of the symbols and hyperlatent of each tile, None for lossless ones."""
    assert file.picture.model_id is not None
    engine = engine_for(registry.get(file.picture.model_id))
    digests: list[str | None] = []
    for index, window in enumerate(Grid(file.width, file.height).windows()):
        tile = file.container.read_tile(index)
        if tile.coder is not Coder.LEARNED:
            digests.append(None)
            continue
        symbols, z = engine.read(tile.payload, window.width, window.height, round(4096 * file.level))
        digests.append(
            hashlib.sha256(symbols.astype("<i2").tobytes() + z.astype("<i2").tobytes()).hexdigest()
        )
    return digests


def main() -> None:
    """Write the files."""
    digests_path = HERE / "symbols.json"
    digests = json.loads(digests_path.read_text("utf-8")) if digests_path.exists() else {}
    for name, (pixels, level) in sources().items():
        stem = f"{name}-{registry.default_id().hex()[:8]}"
        path = HERE / f"{stem}.pico"
        path.write_bytes(encode(pixels, level=level))
        with PicoFile(path) as file:
            decoded = file.decode()
            digests[stem] = symbols_digest(file)
        Image.fromarray(decoded[..., 0] if decoded.shape[2] == 1 else decoded).save(HERE / f"{stem}.png")
    digests_path.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
