"""A file gives the same symbols and the same pixels to everybody: any thread count, engine, kernel or process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pico_core import decode, encode, native

Pixels = NDArray[np.uint8]

DECODE = """
import hashlib, json, sys
import pico_core
data = open(sys.argv[1], "rb").read()
pixels = pico_core.decode(data)
coded = pico_core.encode(pixels, level=3.5, preview=False)
digests = [hashlib.sha256(part).hexdigest() for part in (pixels.tobytes(), coded)]
print(json.dumps({"digests": digests, "torch": "torch" in sys.modules}))
"""


@pytest.fixture(scope="module")
def coded(photo: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exactness") / "photo.pico"
    path.write_bytes(encode(photo[:300], level=3.5, effort=0))
    return path


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PICO_THREADS": "1"},
        {"PICO_KERNELS": "portable"},
        {"PICO_ENGINE": "numpy"},
        {"PICO_ENGINE": "numpy", "OPENBLAS_CORETYPE": "Nehalem"},
    ],
    ids=["as it is", "one thread", "portable kernels", "numpy", "numpy without FMA"],
)
def test_another_process_gets_the_same_pixels_and_writes_the_same_file(
    coded: Path, environment: dict[str, str]
) -> None:
    if not native.is_available() and "PICO_KERNELS" in environment:
        pytest.skip("the native engine is not built: make native")
    pixels = decode(coded)
    again = encode(pixels, level=3.5, preview=False)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DECODE, str(coded)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["digests"] == [hashlib.sha256(part).hexdigest() for part in (pixels.tobytes(), again)]
    assert found["torch"] is False


def test_a_small_tile_beside_a_large_one_changes_nothing(photo: Pixels) -> None:
    """Engines keep the memory of the last tile."""
    alone = decode(encode(photo[:64, :64], preview=False, effort=0))
    encode(photo, preview=False)
    assert np.array_equal(decode(encode(photo[:64, :64], preview=False, effort=0)), alone)
