"""What the entropy coder writes it reads back, whatever the symbols are; damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_core import registry
from pico_core.arithmetic import ExactArithmetic
from pico_core.engines import Engine, engine_for
from pico_core.errors import CorruptError
from pico_core.graph import TABLE_COUNT, Z_LIMIT, Graph
from pico_core.rans import LARGEST_SYMBOL, Reader, Table, Writer
from pico_core.reference import NumpyEngine
from pico_core.registry import Weights


def shipped() -> Engine:
    return engine_for(registry.get(registry.default_id()))


def sizes(weights: Weights) -> tuple[int, int]:
    """Channels of the latent and the hyperlatent."""
    return len(weights.arrays["scale.at16.bias"]), len(weights.arrays["encoder.to_hyper.bias"])


def table_indices(weights: Weights, z: np.ndarray) -> np.ndarray:
    return np.asarray(Graph(ExactArithmetic(weights.arrays)).table_indices(z))


def radii(weights: Weights) -> np.ndarray:
    return np.asarray(weights.arrays["tables.latent.radius"])


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0, 1, 40, 3000, LARGEST_SYMBOL]),
    st.integers(0, 28_672),
)
def test_any_symbols_come_back(seed: int, height: int, width: int, spread: int, level: int) -> None:
    rng, engine = np.random.default_rng(seed), shipped()
    latent, hyper = sizes(registry.get(registry.default_id()))
    z = rng.integers(-Z_LIMIT, Z_LIMIT + 1, (height, width, hyper), dtype=np.int16)
    symbols = rng.integers(-spread, spread + 1, (4 * height, 4 * width, latent)).astype(np.int16)
    payload = engine.write(symbols, z, level)
    symbols_back, z_back = engine.read(payload, 64 * width, 64 * height, level)
    assert np.array_equal(symbols_back, symbols)
    assert np.array_equal(z_back, z)


def test_symbols_at_and_beyond_the_end_of_every_table_come_back_in_every_engine(weights: Weights) -> None:
    rng, reference, engine = np.random.default_rng(3), NumpyEngine(weights.arrays), shipped()
    z = rng.integers(-12, 13, (2, 2, sizes(weights)[1]), dtype=np.int16)
    radius = radii(weights)[table_indices(weights, z)]
    for offset in (-1, 0, 1):
        symbols = ((radius + offset) * rng.choice([-1, 1], radius.shape)).astype(np.int16)
        payload = reference.write(symbols, z, 12_288)
        assert payload == engine.write(symbols, z, 12_288)
        assert np.array_equal(engine.read(payload, 128, 128, 12_288)[0], symbols)
        assert np.array_equal(reference.read(payload, 128, 128, 12_288)[0], symbols)


def test_typical_symbols_cost_about_their_entropy(weights: Weights) -> None:
    rng = np.random.default_rng(4)
    z = rng.integers(-3, 4, (8, 8, sizes(weights)[1]), dtype=np.int16)
    ends = np.cumsum(2 * radii(weights).astype(int) + 1)[:-1]
    frequencies = np.split(weights.arrays["tables.latent"], ends)
    assert len(frequencies) == TABLE_COUNT
    indices = table_indices(weights, z)
    symbols = np.empty(indices.shape, np.int16)
    bits = 0.0
    for index in np.unique(indices):
        p = frequencies[index] / 65_536
        radius, where = len(p) // 2, indices == index
        inner = p[1:-1] / p[1:-1].sum()
        symbols[where] = rng.choice(np.arange(1 - radius, radius), int(where.sum()), p=inner)
        bits -= np.log2(p[symbols[where] + radius]).sum()
    hyper = weights.arrays["tables.hyper"][3] / 65_536
    bits -= sum(np.log2(p[z[..., channel].ravel() + Z_LIMIT]).sum() for channel, p in enumerate(hyper))
    assert 8 * len(shipped().write(symbols, z, 12_288)) < 1.001 * bits + 64


@pytest.mark.parametrize("name", ["native", "numpy"])
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\1",
        b"\1\2",
        b"\x99\0" + bytes(18),
        b"\0\x80\x80\x80\x80\1",
        b"\0\2" + bytes(4),
        b"\0\0\1\2\3",
    ],
    ids=["empty", "one byte", "no state", "long states", "long count", "few words", "half a word"],
)
def test_bytes_that_no_encoder_wrote_are_refused(payload: bytes, name: str, weights: Weights) -> None:
    with pytest.raises(CorruptError, match="not what an encoder wrote; the file is damaged"):
        engine_for(weights, name).read(payload, 64, 64, 0)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.data())
def test_damaged_payloads_never_crash_and_surplus_is_noticed(seed: int, data: st.DataObject) -> None:
    rng, engine = np.random.default_rng(seed), shipped()
    latent, hyper = sizes(registry.get(registry.default_id()))
    symbols = rng.integers(-2, 3, (4, 4, latent)).astype(np.int16)
    payload = bytearray(engine.write(symbols, rng.integers(-3, 4, (1, 1, hyper), dtype=np.int16), 8192))
    with pytest.raises(CorruptError):
        engine.read(bytes(payload) + b"\1\2\3\4", 64, 64, 8192)
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        damaged, _ = engine.read(bytes(payload), 64, 64, 8192)
    except CorruptError:
        return
    assert damaged.shape == symbols.shape


@pytest.mark.parametrize("name", ["native", "numpy"])
def test_a_symbol_beyond_the_format_is_refused(name: str, weights: Weights) -> None:
    reference = NumpyEngine(weights.arrays)
    latent, hyper = sizes(weights)
    z = np.zeros((1, 1, hyper), np.int16)
    tables = reference._tables_of(z)
    for symbol in (LARGEST_SYMBOL + 1, -LARGEST_SYMBOL - 1, 60_000):
        symbols = [0] * (16 * latent)
        symbols[77] = symbol
        writer = Writer()
        writer.symbols(symbols, tables)
        writer.values([0] * hyper, reference._hyper_tables_at(12_288))
        with pytest.raises(CorruptError):
            engine_for(weights, name).read(writer.finish(), 64, 64, 12_288)


def test_a_reader_takes_one_value_for_each_table() -> None:
    tables = [
        Table(np.array([1, 65_534, 1], np.uint16)),
        Table(np.array([20_000, 25_536, 20_000], np.uint16)),
    ]
    writer = Writer()
    writer.symbols([3, -700], tables)
    writer.values([0, -1, 1, 0], tables * 2)
    reader = Reader(writer.finish())
    assert reader.values(tables * 2) == [0, -1, 1, 0]
    assert reader.symbols(tables) == [3, -700]
    reader.finish()
