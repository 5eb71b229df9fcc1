"""The native engine against the format's arithmetic in numpy: all instruction sets, odd sizes, extremes, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from native_library import KERNELS, Library, Model, compile_c
from numpy.typing import NDArray
from small_networks import Z_LIMIT, Arrays, Shape, random_arrays

from pico_core.arithmetic import ExactArithmetic
from pico_core.graph import Graph

pytest.importorskip("ziglang", reason="the compiler for the native engine is not installed")

NARROW = ("encoder", "context", "decoder")
SHAPES = {
    "plain": (Shape(), False),
    "wide blocks only, channels 16 to 112": (
        Shape(80, 16, (48, 80, 16, 112), (80, 48), (80, 48), 80, (80, 16, 96, 112), 80, 80, 80, 2, ()),
        False,
    ),
    "narrow blocks everywhere": (
        Shape(latent=32, hyper=48, decoder16=64, decoder8=16, hidden=112, narrow=NARROW),
        False,
    ),
    "extreme weights": (Shape(hidden=144), True),
    "extreme weights, narrow blocks": (
        Shape(latent=48, decoder16=16, decoder8=96, hidden=80, narrow=NARROW),
        True,
    ),
}


@dataclass
class Case:
    shape: Shape
    arrays: Arrays
    extreme: bool
    graph: Graph

    def reference(
        self, pixels: NDArray[np.uint8], level: int
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Symbols, hyperlatent and decoded pixels, as numpy finds them."""
        height, width = pixels.shape[:2]
        colours = np.broadcast_to(pixels, (height, width, 3))
        padded = (
            np.pad(colours, ((0, -height % 64), (0, -width % 64), (0, 0)), mode="edge").astype(np.int16) - 128
        )
        h, w = padded.shape[0] // 8, padded.shape[1] // 8
        patches = padded.reshape(h, 8, w, 8, 3).transpose(0, 2, 1, 3, 4).reshape(h, w, 192)
        symbols, z = self.graph.analyse(patches, level)
        decoded = self.graph.synthesise(symbols, z, level).astype(np.int64).reshape(2 * h, 2 * w, 4, 4, 3)
        decoded = decoded.transpose(0, 2, 1, 3, 4).reshape(8 * h, 8 * w, 3)[:height, :width]
        if pixels.shape[2] == 1:
            decoded = (decoded.sum(axis=2, keepdims=True) + 1) // 3
        return symbols, z, decoded


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(compile_c(tmp_path_factory.mktemp("native") / "library", "-shared", "-fPIC"))


@pytest.fixture(scope="module", params=SHAPES, ids=[name.replace(" ", "-") for name in SHAPES])
def case(request: pytest.FixtureRequest) -> Case:
    shape, extreme = SHAPES[request.param]
    arrays = random_arrays(shape, seed=len(request.param), extreme=extreme)
    return Case(shape, arrays, extreme, Graph(ExactArithmetic(arrays)))


@pytest.fixture(scope="module")
def plain(library: Library) -> Model:
    return library.model(random_arrays(Shape(), seed=1))


def picture(height: int, width: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    """Areas of one colour, 0 and 255 among them, and noise."""
    random = np.random.default_rng(seed)
    cells = random.choice(
        np.array([0, 60, 130, 255], np.uint8), (height // 16 + 1, width // 16 + 1, channels)
    )
    areas = cells.repeat(16, 0).repeat(16, 1)[:height, :width]
    noise = random.integers(0, 256, areas.shape, dtype=np.uint8)
    return np.where(np.arange(width)[None, :, None] < width // 2, areas, noise).astype(np.uint8)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    ("height", "width", "channels", "level"),
    [(64, 64, 3, 0), (65, 130, 1, 5000), (1, 1, 3, 8192), (1, 200, 3, 4096)],
)
def test_kernels_agree_with_numpy_bit_by_bit(
    library: Library, case: Case, kernels: str, height: int, width: int, channels: int, level: int
) -> None:
    if kernels not in library.kernels(case.arrays):
        pytest.skip(f"this processor does not run {kernels}")
    model, pixels = library.model(case.arrays, kernels), picture(height, width, channels)
    symbols, z, decoded = case.reference(pixels, level)
    payload = model.encode(pixels, level)
    read_symbols, read_z = model.read(payload, height, width, level, case.shape.latent, case.shape.hyper)
    np.testing.assert_array_equal(read_z, z)
    np.testing.assert_array_equal(read_symbols, symbols)
    np.testing.assert_array_equal(model.decode(payload, pixels.shape, level), decoded)


def test_these_networks_use_escapes_and_the_ends_of_ranges(case: Case) -> None:
    """Otherwise the test above would promise less than it seems to."""
    symbols, z, decoded = case.reference(picture(64, 64, 3), 4096)
    radius = int(case.arrays["tables.latent.radius"].max())
    assert (np.abs(symbols) > radius).any()
    assert len(np.unique(decoded)) > 50 or case.extreme
    if case.extreme:
        assert np.abs(z).max() == Z_LIMIT
        assert {0, 255} <= set(np.unique(decoded))
        assert np.abs(symbols).max() > 1000


@pytest.mark.parametrize(("height", "width"), [(1, 512), (512, 1), (65, 511), (3, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_odd_sizes_give_the_same_with_all_kernels(
    library: Library, height: int, width: int, channels: int
) -> None:
    arrays = random_arrays(Shape(), seed=1)
    pixels, results = picture(height, width, channels), set()
    for kernels in library.kernels(arrays):
        model = library.model(arrays, kernels)
        payload = model.encode(pixels, 1234)
        results.add((payload, model.decode(payload, pixels.shape, 1234).tobytes()))
    assert len(results) == 1


def test_rows_may_lie_apart_or_upside_down(plain: Model) -> None:
    pixels = picture(70, 50, 3)
    payload = plain.encode(pixels, 0)
    apart = np.zeros((70, 64, 3), np.uint8)[:, :50]
    apart[:] = pixels
    assert plain.encode(apart, 0) == payload
    upside_down = np.ascontiguousarray(pixels[::-1])[::-1]
    assert plain.encode(upside_down, 0) == payload


def test_a_coder_forgets_the_tiles_before(plain: Model) -> None:
    pixels = picture(40, 40, 3, seed=1)
    fresh = plain.encode(pixels, 3000, plain.new_coder())
    busy = plain.new_coder()
    for height, width in [(512, 512), (64, 64), (200, 70)]:
        plain.encode(picture(height, width, 3), 0, busy)
    assert plain.encode(pixels, 3000, busy) == fresh
    expected = plain.decode(fresh, pixels.shape, 3000, plain.new_coder())
    np.testing.assert_array_equal(plain.decode(fresh, pixels.shape, 3000, busy), expected)


def test_threads_share_a_model(plain: Model) -> None:
    pictures = [picture(90, 120, 3, seed=seed) for seed in range(8)]
    alone = [plain.encode(pixels, 2000) for pixels in pictures]

    def code(pixels: NDArray[np.uint8]) -> tuple[bytes, bytes]:
        coder = plain.new_coder()
        payload = plain.encode(pixels, 2000, coder)
        return payload, plain.decode(payload, pixels.shape, 2000, coder).tobytes()

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(code, pictures))
    assert [payload for payload, _ in together] == alone
    assert [decoded for _, decoded in together] == [
        plain.decode(payload, pixels.shape, 2000).tobytes()
        for payload, pixels in zip(alone, pictures, strict=True)
    ]
