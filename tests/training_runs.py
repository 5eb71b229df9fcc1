"""What tests of training share: a tiny network, a tiny pack, and configs that train in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pico_train.config import Config, from_dict
from pico_train.outlines import write_outlines
from pico_train.packs import Pack, Packing, pack


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As training runs on CPUs: with more threads sums may come in another order, and wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


ARCHITECTURE = {
    "wide": 16, "deep": 16, "latent": 16, "hyper": 16, "hyper_width": 16, "scale_width": 16, "prior": 16,
    "pass_width": 16,
    "encoder_blocks": [1, 1], "decoder_blocks": [1, 1], "levels": 4,
}  # fmt: skip


def make_pack(folder: Path) -> Path:
    """A pack of two smooth coloured pictures with some noise, half of each outlined as text and as a face."""
    random = np.random.default_rng(0)
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for index in range(2):
        grid = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        smooth = Image.fromarray(grid).resize((192, 160), Image.Resampling.BICUBIC)
        noisy = np.asarray(smooth).astype(int) + random.integers(-12, 13, (160, 192, 3))
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(pictures / f"{index}.png")
    pack([pictures], folder / "pack", Packing())
    outline = [[0.0, 0.0], [96.0, 0.0], [96.0, 160.0], [0.0, 160.0]]
    names = [photo.entry.name for photo in Pack(folder / "pack").photos]
    for kind in ("text", "faces"):
        write_outlines(folder / "pack", kind, {name: [outline] for name in names})
    return folder / "pack"


def small_config(pack_folder: Path, **changes: Any) -> Config:
    """Every loss, tiles and the GAN, on crops of 64."""
    values: dict[str, Any] = {
        "phase": "perceptual",
        "batch": 2,
        "micro_batch": 1,
        "data": {"packs": [str(pack_folder)], "crop": 64},
        "tiles": {"share": 0.5, "window": 64},
        "losses": {
            "mse": {"weight": 0.4},
            "lpips": {"weight": 1.5, "exponent": 0.85},
            "ms_ssim": {"weight": 0.5},
            "tiling_artifact": {"weight": 8.0, "exponent": 0.7},
            "texture": {"weight": 20.0, "exponent": 0.7},
            "text_fidelity": {"weight": 10.0, "exponent": 0.7},
            "face_fidelity": {"weight": 10.0, "exponent": 0.7},
        },
        "gan": {"weight": 0.02, "start": 2, "lead": 1, "warm_up": 4, "width": 16},
        "schedule": {"steps": 8, "warm_up": 2},
        "engine": {"device": "cpu", "processes": 1, "checkpoint_every": 2, "log_every": 2},
        "architecture": ARCHITECTURE,
    }
    for name, value in changes.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) and name in values else value
    return from_dict(values)


def mse_config(pack_folder: Path, **changes: Any) -> Config:
    """The first phase, as small as it gets."""
    plain = {
        name: {"weight": 0.0}
        for name in ("lpips", "ms_ssim", "tiling_artifact", "texture", "text_fidelity", "face_fidelity")
    }
    fixed = {"phase": "mse", "losses": plain, "gan": {"weight": 0.0}, "tiles": {"share": 0.0}}
    return small_config(pack_folder, **{**fixed, **changes})


def same(a: Any, b: Any) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
