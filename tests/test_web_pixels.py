"""A browser makes the same pixels of a file as Python, bit for bit, from a page that was opened from a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import web_pages
from numpy.typing import NDArray

from pico_core import PicoFile, encode, registry
from pico_core.container import Coder

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.pico"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    page = web_pages.page_in(tmp_path_factory.mktemp("page"))
    with web_pages.chromium() as browser:
        tab = web_pages.open_page(browser, page)
        yield tab
        assert tab.problems == []


def in_python(data: bytes) -> NDArray[np.uint8]:
    """The pixels as RGBA."""
    with PicoFile(data) as file:
        pixels = file.decode()
    height, width, channels = pixels.shape
    result = np.full((height, width, 4), 255, np.uint8)
    result[..., :3] = pixels[..., : 3 if channels >= 3 else 1]
    if channels % 2 == 0:
        result[..., 3] = pixels[..., -1]
    return result


def differences(tab: Any, files: dict[str, bytes]) -> dict[str, object]:
    """What differs, by name; empty where all is the same."""
    found: dict[str, object] = {}
    for name, data in files.items():
        pixels, expected = web_pages.decoded(tab, data), in_python(data)
        if isinstance(pixels, str):
            found[name] = pixels
        elif not np.array_equal(pixels, expected):
            found[name] = int(np.abs(pixels.astype(int) - expected).max())
    return found


def test_photographs_drawings_grey_and_transparent_pictures_have_the_pixels_of_python(
    tab: Any, samples: Path
) -> None:
    files = web_pages.picture_files(samples)
    coders = set()
    for data in files.values():
        with PicoFile(data) as file:
            coders |= {file.container.read_tile(i).coder for i in range(file.container.tile_count)}
    assert coders == set(Coder)
    assert differences(tab, files) == {}


def test_golden_files_of_the_default_weights_have_the_pixels_of_python(tab: Any) -> None:
    default = registry.default_id().hex()
    files = {
        path.name: path.read_bytes() for path in GOLDEN if default.startswith(path.stem.rsplit("-", 1)[1])
    }
    if not files:
        pytest.skip("there are no golden files of the default weights yet")
    assert differences(tab, files) == {}


def test_every_level_and_tiles_with_levels_of_their_own_have_the_pixels_of_python(
    tab: Any, photo: NDArray[np.uint8]
) -> None:
    top = registry.get(registry.default_id()).max_level
    levels = np.linspace(0, top, 7)
    assert differences(tab, {f"{level:g}": encode(photo[:100, :130], level=level) for level in levels}) == {}


def test_workers_decode_and_not_the_page(tab: Any, photo: NDArray[np.uint8]) -> None:
    web_pages.decoded(tab, encode(photo))
    kinds = tab.evaluate("pico.pool.workers.map(worker => worker.port.constructor.name)")
    assert kinds == ["Worker"] * tab.evaluate("Math.min(8, navigator.hardwareConcurrency)")


@pytest.mark.parametrize("count", [20])
def test_photographs_of_the_development_data_have_the_pixels_of_python(
    tab: Any, shared: Path, count: int
) -> None:
    from PIL import Image

    import pillow_pico

    paths = sorted(path for path in (shared / "data").rglob("*") if path.suffix in (".jpg", ".png"))
    files: dict[str, bytes] = {}
    for path in paths[:: max(1, len(paths) // count)][:count]:
        with Image.open(path) as image:
            files[path.name] = pillow_pico.to_bytes(image.convert("RGB").crop((0, 0, 900, 700)))
    assert len(files) == count
    assert differences(tab, files) == {}
