"""Symbols are the same whoever decodes them: any thread count, precision, batch, order, kernel or process."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pico_core import PicoFile, encode
from pico_core.codec import LearnedCodec
from pico_core.tiling import Grid, pad_to_alignment

Pixels = NDArray[np.uint8]
LEVEL = 3.5

READ_SYMBOLS = """
import hashlib, json, sys
from pico_core import PicoFile, registry
from pico_core.codec import codec_for
from pico_core.container import Coder
from pico_core.tiling import Grid
digests = []
with PicoFile(sys.argv[1]) as file:
    codec = codec_for(registry.get(file.picture.model_id))
    windows = Grid(file.width, file.height).windows()
    for index in reversed(range(len(windows))):
        symbols, z = codec.read(file.container.read_tile(index).payload, windows[index], file.level)
        digests.insert(0, hashlib.sha256(symbols.tobytes() + z.tobytes()).hexdigest())
print(json.dumps({"digests": digests, "torch": "torch" in sys.modules}))
"""


def digest(symbols: NDArray[np.int16], z: NDArray[np.int16]) -> str:
    return hashlib.sha256(symbols.tobytes() + z.tobytes()).hexdigest()


def read_elsewhere(path: Path, **environment: str) -> dict[str, object]:
    """Entropy-decode a file in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-c", READ_SYMBOLS, str(path)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_symbols_survive_any_thread_count_and_precision(
    codec: LearnedCodec, photo: Pixels, precision: str, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        symbols, z = codec.analyse(photo[:200, :300], LEVEL, precision)
        payload = codec.tile_coder.encode(symbols, z, LEVEL)
    finally:
        torch.set_num_threads(before)
    back = codec.read(payload, Grid(300, 200).window(0), LEVEL)
    assert digest(*back) == digest(symbols, z)


def test_symbols_survive_other_batch_sizes(codec: LearnedCodec, photo: Pixels) -> None:
    tiles = np.stack([pad_to_alignment(photo[i : i + 128, i : i + 128]) for i in (0, 100, 200)])
    networks = codec.networks("auto")
    symbols, z = networks.analyse(tiles, LEVEL)
    for index in range(3):
        payload = codec.tile_coder.encode(symbols[index], z[index], LEVEL)
        back = codec.read(payload, Grid(128, 128).window(0), LEVEL)
        assert digest(*back) == digest(symbols[index], z[index])


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Nehalem"},
    ],
    ids=["as it is", "one thread", "Haswell kernels", "kernels without FMA"],
)
def test_another_process_reads_the_same_symbols_without_torch(
    codec: LearnedCodec, photo: Pixels, tmp_path: Path, environment: dict[str, str]
) -> None:
    path = tmp_path / "photo.pico"
    path.write_bytes(encode(photo, level=LEVEL))
    with PicoFile(path) as file:
        windows = Grid(file.width, file.height).windows()
        read = [codec.read(file.container.read_tile(i).payload, w, LEVEL) for i, w in enumerate(windows)]
    elsewhere = read_elsewhere(path, **environment)
    assert elsewhere["digests"] == [digest(*tile) for tile in read]
    assert elsewhere["torch"] is False


@pytest.mark.slow
def test_symbols_survive_torch_compile(
    codec: LearnedCodec, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the compiler does not know oneDNN's call
    monkeypatch.setattr("pico_core.networks.inference.ONEDNN_PRECISIONS", frozenset())
    networks = copy.copy(codec.networks("float32"))
    vars(networks)["_encode"] = torch.compile(networks._encode)
    symbols, z = networks.analyse(photo[None, :128, :128], LEVEL)
    payload = codec.tile_coder.encode(symbols[0], z[0], LEVEL)
    back = codec.read(payload, Grid(128, 128).window(0), LEVEL)
    assert digest(*back) == digest(symbols[0], z[0])
    pixels = codec.synthesise(*back, Grid(128, 128).window(0), 3, LEVEL)
    assert np.abs(pixels.astype(int) - photo[:128, :128]).mean() < 25
