"""The native engine given what no encoder wrote: damaged payloads, weights that fit nothing, sizes that are none."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
from native_library import (
    DAMAGED,
    WRONG_ARGUMENT,
    WRONG_WEIGHTS,
    Library,
    Model,
    RefusedError,
    compile_c,
    records_of,
)
from small_networks import Arrays, Shape, random_arrays

pytest.importorskip("ziglang", reason="the compiler for the native engine is not installed")

SIZE = (70, 66, 3)  # height, width, channels


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(compile_c(tmp_path_factory.mktemp("native") / "library", "-shared", "-fPIC"))


@pytest.fixture
def arrays() -> Arrays:
    return random_arrays(Shape(), seed=1)


@pytest.fixture(scope="module")
def model(library: Library) -> Model:
    return library.model(random_arrays(Shape(), seed=1))


@pytest.fixture(scope="module")
def payload(model: Model) -> bytes:
    return model.encode(np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8), 0)


def outcome(model: Model, payload: bytes) -> bytes | None:
    """The decoded pixels, or None if the payload is refused as damaged."""
    try:
        return model.decode(payload, SIZE, 0).tobytes()
    except RefusedError as refused:
        if refused.result != DAMAGED:
            raise
        return None


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 20, 21])
def test_the_first_bytes_alone_are_damage(model: Model, payload: bytes, length: int) -> None:
    assert outcome(model, payload[:length]) is None
    assert outcome(model, b"\xff" * length) is None


def test_missing_and_added_bytes_are_damage(model: Model, payload: bytes) -> None:
    """Whole words that are missing at the end may go unnoticed here: the container's checksums find those."""
    for cut in (1, 2, 3, 5, 6, 7):
        assert outcome(model, payload[:-cut]) is None
    for added in range(1, 9):
        assert outcome(model, payload + bytes(added)) is None


def test_changed_payloads_are_damage_or_the_same_pixels_with_all_kernels(
    library: Library, payload: bytes
) -> None:
    arrays, random = random_arrays(Shape(), seed=1), np.random.default_rng(1)
    models = [library.model(arrays, kernels) for kernels in library.kernels(arrays)]
    results = []
    for _ in range(60):
        changed = bytearray(payload)
        changed[random.integers(len(payload))] ^= 1 << random.integers(8)
        results.append({outcome(model, bytes(changed)) for model in models})
    assert all(len(result) == 1 for result in results)
    assert {None} in results
    assert any(None not in result for result in results)


def test_the_payload_of_another_size_is_damage(model: Model, payload: bytes) -> None:
    for shape in [(64, 64, 3), (140, 66, 3), (512, 512, 3)]:
        with pytest.raises(RefusedError) as refused:
            model.decode(payload, shape, 0)
        assert refused.value.result == DAMAGED


@pytest.mark.parametrize(
    ("shape", "level"),
    [
        ((0, 5, 3), 0),
        ((5, 0, 3), 0),
        ((5, 5, 2), 0),
        ((5, 5, 4), 0),
        ((513, 5, 3), 0),
        ((5, 5, 3), -1),
        ((5, 5, 3), 8193),
    ],
)
def test_sizes_and_levels_out_of_range_are_refused(
    model: Model, payload: bytes, shape: tuple[int, int, int], level: int
) -> None:
    with pytest.raises(RefusedError) as refused:
        model.decode(payload, shape, level)
    assert refused.value.result == WRONG_ARGUMENT
    with pytest.raises(RefusedError) as refused:
        model.encode(np.zeros(shape, np.uint8), level)
    assert refused.value.result == WRONG_ARGUMENT


def narrow_layer(arrays: Arrays) -> None:
    arrays["encoder.input.weight"] = np.zeros(arrays["encoder.input.weight"].shape, np.int8)


def gain_in_place_of_scale(arrays: Arrays) -> None:
    arrays["context.input.gain"] = np.full((3, len(arrays.pop("context.input.scale"))), -200_000, np.int32)


def scale_in_place_of_gain(arrays: Arrays) -> None:
    arrays["decoder.up8.scale"] = np.full(arrays.pop("decoder.up8.gain").shape[1], 0.01, np.float32)


def set_number(name: str, value: float) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[name].flat[-1] = value

    change.__name__ = f"{name}={value}"
    return change


def reshape(name: str, *shape: int) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[name] = np.zeros(shape, arrays[name].dtype)

    change.__name__ = f"{name} of {shape}"
    return change


def remove(name: str) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        del arrays[name]

    change.__name__ = f"no {name}"
    return change


@pytest.mark.parametrize(
    "change",
    [
        narrow_layer,
        gain_in_place_of_scale,
        scale_in_place_of_gain,
        set_number("decoder.up4.scale", np.nan),
        set_number("decoder.up4.scale", 0.6),
        set_number("decoder.up4.scale", 0),
        set_number("decoder.up4.scale", -0.1),
        set_number("decoder.up4.scale", 1e-30),
        set_number("decoder.blocks8.0.expand.scale", np.inf),
        set_number("decoder.blocks8.0.expand.scale", 9),
        set_number("decoder.blocks8.0.expand.bias", 1 << 27),
        set_number("decoder.blocks8.0.expand.weight", -64),
        set_number("decoder.blocks8.0.expand.zero", 256),
        set_number("encoder.blocks8.0.expand.zero", 1),
        set_number("decoder.blocks8.0.spatial.shift", 0),
        set_number("decoder.blocks8.0.spatial.shift", 25),
        set_number("encoder.gain8", 41 * 65536),
        set_number("decoder.up8.gain", 0),
        set_number("decoder.up8.gain", -41 * 65536),
        set_number("context.known1", np.inf),
        set_number("context.known1", -1),
        set_number("tables.step", np.nan),
        set_number("tables.step", 0),
        set_number("tables.latent", 0),
        set_number("tables.hyper", 3),
        set_number("tables.latent.radius", 40),
        set_number("tables.latent.radius", -1),
        set_number("tables.latent.radius", 1 << 30),
        reshape("encoder.input.weight", 24, 192),
        reshape("encoder.input.weight", 4112, 192),
        reshape("encoder.to_latent.weight", 32, 32, 1),
        reshape("tables.hyper", 3, 16, 126),
        reshape("tables.hyper", 1, 16, 127),
        reshape("context.known0", 15),
        reshape("decoder.block4.expand.weight", 48, 64),
        remove("decoder.output.bias"),
        remove("decoder.blocks8.0.expand.zero"),
        remove("tables.latent"),
        remove("encoder.to_latent.weight"),
    ],
    ids=lambda change: change.__name__,
)
def test_weights_that_do_not_fit_are_refused(
    library: Library, arrays: Arrays, change: Callable[[Arrays], None]
) -> None:
    library.model(arrays)  # as they are, they fit
    change(arrays)
    with pytest.raises(RefusedError) as refused:
        library.model(arrays)
    assert refused.value.result == WRONG_WEIGHTS
    assert refused.value.why


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", 0),
        ("type", 6),
        ("dimensions", 0),
        ("dimensions", 5),
        ("dimensions", -1),
        ("name", None),
        ("data", None),
    ],
)
def test_records_of_arrays_that_are_none_are_refused(
    library: Library, arrays: Arrays, field: str, value: int | None
) -> None:
    records = records_of(arrays)
    setattr(records[5], field, value)
    with pytest.raises(RefusedError) as refused:
        Model(library, records)
    assert refused.value.result == WRONG_WEIGHTS


@pytest.mark.parametrize("size", [-16, 0, 1 << 40, (1 << 63) - 1])
def test_shapes_beyond_any_memory_are_refused(library: Library, arrays: Arrays, size: int) -> None:
    for index in range(len(arrays)):
        records = records_of(arrays)
        records[index].shape[0] = size
        with pytest.raises(RefusedError) as refused:
            Model(library, records)
        assert refused.value.result == WRONG_WEIGHTS


def test_numbers_at_odd_addresses_are_refused(library: Library, arrays: Arrays) -> None:
    records = records_of(arrays)
    records[0].data += 1
    with pytest.raises(RefusedError) as refused:
        Model(library, records)
    assert refused.value.result == WRONG_WEIGHTS


def test_reasons_fit_the_room_for_them(library: Library) -> None:
    why, model = ctypes.create_string_buffer(b"x" * 20), ctypes.c_void_p()
    result = library.c.pico_model_new(None, 0, None, ctypes.byref(model), why, 10)
    assert result == WRONG_WEIGHTS
    assert model.value is None
    assert len(why.value) == 9
    assert why.raw[10:20] == b"x" * 10
