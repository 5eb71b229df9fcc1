"""Files written once decode for ever, to the same symbols and the same pixels."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pico_core import PicoFile, registry

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))

from make import symbols_digest  # noqa: E402

FILES = sorted(GOLDEN.glob("*.pico"))


def test_every_shipped_model_has_golden_files() -> None:
    shipped = {path.stem[:8] for path in registry.SHIPPED.glob("*.safetensors")}
    assert {path.stem.rsplit("-", 1)[1] for path in FILES} == shipped


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_symbols_are_read_exactly(path: Path) -> None:
    expected = json.loads((GOLDEN / "symbols.json").read_text("utf-8"))[path.stem]
    with PicoFile(path) as file:
        file.verify()
        assert symbols_digest(file) == expected


@pytest.mark.parametrize("engine", ["auto", "numpy"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_pixels_are_the_same(path: Path, engine: str) -> None:
    with Image.open(path.with_suffix(".png")) as image:
        expected = np.asarray(image)
    with PicoFile(path) as file:
        pixels = file.decode(engine=engine)
    assert np.array_equal(pixels.reshape(expected.shape), expected)
