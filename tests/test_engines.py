"""The engines give the same bytes and the same pixels, and say what is missing where one cannot run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pico_core import EngineError, OptionError, decode, encode, engines, native
from pico_core.engines import Engine, engine_for
from pico_core.native import NativeEngine
from pico_core.reference import NumpyEngine
from pico_core.registry import Weights

Pixels = NDArray[np.uint8]

KERNELS = ("portable", "avx2", "avxvnni", "avx512", "neon", "dotprod")
LEVELS = (0, 9_000, 28_672)  # in units of 1/4096
SHAPES = ((1, 1, 3), (65, 130, 3), (70, 70, 1), (200, 64, 3))

needs_native = pytest.mark.skipif(
    not native.is_available(), reason="the native engine is not built: make native"
)


@pytest.fixture(scope="module")
def reference(weights: Weights) -> NumpyEngine:
    return NumpyEngine(weights.arrays)


def cut(photo: Pixels, shape: tuple[int, int, int]) -> Pixels:
    return photo[100 : 100 + shape[0], 50 : 50 + shape[1], : shape[2]]


@needs_native
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kernels", KERNELS)
def test_every_kernel_gives_the_bytes_and_pixels_of_the_reference(
    kernels: str, level: int, shape: tuple[int, int, int], photo: Pixels, weights: Weights, reference: Engine
) -> None:
    try:
        engine = NativeEngine(weights.arrays, kernels)
    except OptionError:
        pytest.skip(f"this processor has no {kernels}")
    height, width, channels = shape
    payload = engine.encode(cut(photo, shape), level)
    assert payload == reference.encode(cut(photo, shape), level)
    pixels = engine.decode(payload, width, height, channels, level)
    assert pixels.shape == shape
    assert np.array_equal(pixels, reference.decode(payload, width, height, channels, level))


@pytest.mark.parametrize("level", LEVELS)
def test_torch_gives_pixels_within_a_level_of_the_reference(
    level: int, photo: Pixels, weights: Weights, reference: Engine
) -> None:
    pytest.importorskip("torch")
    torch_engine = engine_for(weights, "torch")
    pixels = photo[:130, :100]
    payload = torch_engine.encode(pixels, level)
    assert len(payload) == pytest.approx(len(reference.encode(pixels, level)), rel=0.01)
    expected = reference.decode(payload, 100, 130, 3, level)
    assert np.abs(torch_engine.decode(payload, 100, 130, 3, level) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("name", ["native", "numpy", "torch"])
def test_an_engine_writes_what_it_reads(name: str, photo: Pixels, weights: Weights) -> None:
    if name == "torch":
        pytest.importorskip("torch")
    engine = engine_for(weights, name)
    payload = engine.encode(photo[:64, :128], 9_000)
    symbols, z = engine.read(payload, 128, 64, 9_000)
    assert symbols.shape[:2] == (4, 8)
    assert z.shape[:2] == (1, 2)
    assert engine.write(symbols, z, 9_000) == payload


@needs_native
def test_pixels_with_gaps_between_their_rows_are_encoded_alike(photo: Pixels, weights: Weights) -> None:
    engine = NativeEngine(weights.arrays)
    views = (photo[7:77, 9:80], photo[7:77, 9:80].copy(), photo[:, ::-1][7:77, -80:-9][:, ::-1])
    assert engine.encode(views[0], 4096) == engine.encode(views[1], 4096)
    assert engine.encode(photo[7:77, 9:80][:, ::-1], 4096) != engine.encode(views[1], 4096)


def test_the_engine_is_chosen_by_the_call_or_by_the_environment(
    photo: Pixels, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICO_ENGINE", "numpy")
    assert engine_for(weights).name == "numpy"
    if native.is_available():
        assert engine_for(weights, "native").name == "native"
        assert engine_for(weights, "auto").name == "native"
    coded = encode(photo[:64, :64], preview=False)
    assert np.array_equal(decode(coded), decode(coded, engine="auto"))


def test_an_unknown_engine_is_refused(
    photo: Pixels, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="engine is 'fast'; it must be one of auto, native, numpy, torch"):
        encode(photo, engine="fast")
    monkeypatch.setenv("PICO_ENGINE", "quick")
    with pytest.raises(OptionError, match="quick"):
        engine_for(weights)


@needs_native
def test_kernels_that_the_processor_has_not_are_refused(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="no kernels named 'abacus'"):
        NativeEngine(weights.arrays, "abacus")
    monkeypatch.setenv("PICO_KERNELS", "abacus")
    with pytest.raises(OptionError, match="abacus"):
        NativeEngine(weights.arrays)


def test_without_a_native_library_numpy_is_used_and_that_is_said(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "library_path", lambda: tmp_path / "libpico.so")
    monkeypatch.setattr(engines, "_engines", {})
    monkeypatch.delenv("PICO_ENGINE", raising=False)
    with pytest.warns(UserWarning, match="no native engine"):
        assert engine_for(weights).name == "numpy"


def test_a_library_that_cannot_be_loaded_is_named_with_the_way_out(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "libpico.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(native, "library_path", lambda: broken)
    native._library.cache_clear()
    try:
        with pytest.raises(EngineError, match="PICO_ENGINE=numpy"):
            NativeEngine(weights.arrays)
    finally:
        native._library.cache_clear()


def test_levels_are_continuous_between_the_whole_ones(engine: Engine, photo: Pixels) -> None:
    sizes = [
        len(engine.encode(photo[300:428, 200:328], level))
        for level in (10_240, 12_284, 12_288, 12_292, 14_336)
    ]
    assert abs(sizes[3] - sizes[1]) <= max(8, 0.02 * sizes[2])
    assert sizes[0] < sizes[2] < sizes[4]


@pytest.mark.parametrize("brightness", [30, 150, 200, 230])
def test_flat_walls_keep_their_brightness(engine: Engine, brightness: int) -> None:
    slope = np.linspace(-6, 6, 256)
    wall = brightness + slope[None, :, None] + 0.5 * slope[:, None, None]
    noise = np.random.default_rng(0).normal(0, 1, (256, 256, 3))
    pixels = np.clip(wall + noise, 0, 255).round().astype(np.uint8)
    decoded = engine.decode(engine.encode(pixels, 16_384), 256, 256, 3, 16_384)
    assert abs(decoded.mean() - pixels.mean()) < 0.5
