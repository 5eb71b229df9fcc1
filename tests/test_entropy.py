"""What the entropy coder writes it reads back, whatever the symbols are; damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_core import registry
from pico_core.codec import LearnedCodec, codec_for
from pico_core.entropy import TileCoder
from pico_core.errors import CorruptError


def shipped() -> TileCoder:
    return codec_for(registry.get(registry.default_id())).tile_coder


def latents() -> int:
    """Channels of the latent of the weights that ship."""
    return len(registry.get(registry.default_id()).arrays["scale.at16.bias"])


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0, 1, 40, 3000, 32_767]),
    st.floats(0, 7),
)
def test_any_symbols_come_back(seed: int, height: int, width: int, spread: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    z = rng.integers(-63, 64, (height, width, 64), dtype=np.int16)
    symbols = rng.integers(-spread, spread + 1, (4 * height, 4 * width, latents())).astype(np.int16)
    coder = shipped()
    payload = coder.encode(symbols, z, level)
    symbols_back, z_back = coder.decode(payload, height, width, level)
    assert np.array_equal(symbols_back, symbols)
    assert np.array_equal(z_back, z)


def test_symbols_at_and_beyond_the_end_of_every_table_come_back(codec: LearnedCodec) -> None:
    rng = np.random.default_rng(3)
    z = rng.integers(-12, 13, (4, 4, 64), dtype=np.int16)
    indices = codec.weights.scale_path.table_indices(z)
    radius = np.array([len(f) // 2 for f in codec.weights.latent_frequencies()])[indices]
    for offset in (-1, 0, 1):
        symbols = ((radius + offset) * rng.choice([-1, 1], radius.shape)).astype(np.int16)
        payload = codec.tile_coder.encode(symbols, z, 3.0)
        assert np.array_equal(codec.tile_coder.decode(payload, 4, 4, 3.0)[0], symbols)


def test_typical_symbols_cost_about_their_entropy(codec: LearnedCodec) -> None:
    rng = np.random.default_rng(4)
    z = rng.integers(-3, 4, (8, 8, 64), dtype=np.int16)
    frequencies = codec.weights.latent_frequencies()
    indices = codec.weights.scale_path.table_indices(z)
    symbols = np.empty(indices.shape, np.int16)
    bits = 0.0
    for index in np.unique(indices):
        p = frequencies[index] / frequencies[index].sum()
        radius, where = len(p) // 2, indices == index
        inner = p[1:-1] / p[1:-1].sum()
        symbols[where] = rng.choice(np.arange(1 - radius, radius), int(where.sum()), p=inner)
        bits -= np.log2(p[symbols[where] + radius]).sum()
    hyper = codec.weights.hyper_frequencies()[3]
    p_z = hyper / hyper.sum(1, keepdims=True)
    bits -= sum(np.log2(p_z[channel, z[..., channel].ravel() + 63]).sum() for channel in range(64))
    payload = codec.tile_coder.encode(symbols, z, 3.0)
    assert 8 * len(payload) < 1.002 * bits + 64


def test_a_payload_of_the_wrong_length_is_refused(codec: LearnedCodec) -> None:
    for payload in (b"\1", b"\1\2\3", bytes(4), b"\1\0\0\0" + bytes(4)):
        with pytest.raises(CorruptError):
            codec.tile_coder.decode(payload, 1, 1, 0.0)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.data())
def test_damaged_payloads_never_crash_and_surplus_is_noticed(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    coder = shipped()
    symbols = rng.integers(-2, 3, (4, 4, latents())).astype(np.int16)
    payload = bytearray(coder.encode(symbols, rng.integers(-3, 4, (1, 1, 64), dtype=np.int16), 2.0))
    with pytest.raises(CorruptError):
        coder.decode(bytes(payload) + b"\1\2\3\4", 1, 1, 2.0)
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        damaged, _ = coder.decode(bytes(payload), 1, 1, 2.0)
    except CorruptError:
        return
    assert damaged.shape == symbols.shape


def test_a_symbol_beyond_the_format_is_refused(codec: LearnedCodec) -> None:
    z = np.zeros((1, 1, 64), np.int16)
    for symbol in (32_768, -32_768, 60_000):
        symbols = np.zeros((4, 4, latents()), np.int32)
        symbols[2, 1, 5] = symbol
        payload = codec.tile_coder.encode(symbols, z, 3.0)  # type: ignore[arg-type]  # what no encoder makes
        with pytest.raises(CorruptError, match="a symbol beyond 32767"):
            codec.tile_coder.decode(payload, 1, 1, 3.0)
