"""Folding changes how the networks are computed, never what they compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from pico_core.codec import LearnedCodec
from pico_core.networks import inference
from pico_core.networks.folding import fold
from pico_core.networks.inference import Networks
from pico_core.networks.layers import haar_down, haar_up, join_cells, split_cells
from pico_core.networks.model import Architecture, PicoModel
from pico_core.scale_path import Z_LIMIT
from pico_train.integer import float_table_indices, integer_scale_path


@pytest.fixture(scope="module")
def model() -> PicoModel:
    """Random weights with every scale, gain and bias away from its neutral start."""
    torch.manual_seed(0)
    model = PicoModel().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("scale_in", "scale_out", "gain", "log_gain", "bias")):
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def arrays(model: PicoModel) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.numpy() for name, tensor in fold(model).items()}


def test_haar_transforms_invert_each_other_and_keep_energy() -> None:
    x = torch.randn(2, 5, 16, 24, dtype=torch.float64)
    bands = haar_down(x)
    assert bands.shape == (2, 20, 8, 12)
    assert torch.allclose(haar_up(bands), x)
    assert torch.allclose(bands.square().sum(), x.square().sum())


def test_haar_bands_come_in_the_order_that_the_format_states() -> None:
    ramp = torch.tensor([[0.0, 1.0], [0.0, 1.0]])[None, None]
    assert haar_down(ramp).flatten().tolist() == [1, -1, 0, 0]
    assert haar_down(ramp.mT).flatten().tolist() == [1, 0, -1, 0]


def test_cells_come_back_together() -> None:
    x = torch.randn(2, 3, 8, 12)
    joined = join_cells(split_cells(x))
    assert torch.equal(joined, x)
    assert joined.is_contiguous(memory_format=torch.channels_last)


def test_folded_networks_equal_the_training_model(model: PicoModel, photo: NDArray[np.uint8]) -> None:
    pixels, level = photo[:192, :256], 3.3
    networks = Networks(arrays(model), "float32", Z_LIMIT)
    symbols, z = networks.analyse(pixels[None], level)
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        _, z_float = model.encoder(image, torch.tensor([level]))
        output, _, _ = model(image, torch.tensor([level]))
    expected = (output[0].permute(1, 2, 0).clamp(0, 1) * 255).round().numpy()
    assert np.array_equal(z[0], z_float[0].round().permute(1, 2, 0).numpy())
    assert np.abs(networks.synthesise(symbols, z, level)[0] - expected).max() <= 1


def test_either_side_takes_at_most_eleven_thousand_multiply_adds_a_pixel() -> None:
    side = 256
    model = PicoModel(Architecture()).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 3, side, side), torch.tensor([4.0]))
    found = {
        name.removeprefix("PicoModel."): sum(counts.values()) / 2 / side**2
        for name, counts in counter.get_flop_counts().items()
    }
    context = found["scale_decoder"] + found["context_decoder"] + found["context_model"]
    assert 9_000 < found["encoder"] + context < 11_000
    assert 10_000 < found["decoder"] + context < 11_000
    assert found["encoder"] + found["decoder"] + context == pytest.approx(found["Global"])


def test_bfloat16_stays_close_to_float32(codec: LearnedCodec, photo: NDArray[np.uint8]) -> None:
    pixels = photo[None, :256, :256]
    exact, rounded = codec.networks("float32"), codec.networks("bfloat16")
    symbols, z = exact.analyse(pixels, 4.0)
    difference = exact.synthesise(symbols, z, 4.0).astype(int) - rounded.synthesise(symbols, z, 4.0)
    assert np.abs(difference).mean() < 1.0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_networks_run_in_either_precision_where_onednn_multiplies_neither(
    codec: LearnedCodec, photo: NDArray[np.uint8], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks, pixels = codec.networks(precision), photo[None, :128, :128]
    usual = networks.analyse(pixels, 4.0)
    expected = networks.synthesise(*usual, 4.0).astype(int)
    monkeypatch.setattr(inference, "ONEDNN_PRECISIONS", frozenset())
    found = networks.analyse(pixels, 4.0)
    assert np.abs(found[0] - usual[0]).mean() < 0.01, "but for rounding at halves, the same symbols"
    assert np.abs(networks.synthesise(*usual, 4.0) - expected).mean() < 0.1


@pytest.mark.parametrize("brightness", [30, 150, 200, 230])
def test_bfloat16_keeps_the_brightness_of_flat_pictures(codec: LearnedCodec, brightness: int) -> None:
    slope = np.linspace(-6, 6, 256)
    wall = brightness + slope[None, :, None] + 0.5 * slope[:, None, None]
    noise = np.random.default_rng(0).normal(0, 1, (256, 256, 3))
    pixels = np.clip(wall + noise, 0, 255).round().astype(np.uint8)[None]
    means = []
    for precision in ("float32", "bfloat16"):
        networks = codec.networks(precision)
        means.append(networks.synthesise(*networks.analyse(pixels, 4.0), 4.0).mean())
    assert abs(means[1] - means[0]) < 0.1


def test_level_gains_are_continuous_between_the_anchors(
    codec: LearnedCodec, photo: NDArray[np.uint8]
) -> None:
    networks, pixels = codec.networks("float32"), photo[None, 300:428, 200:328]
    sizes = [
        np.abs(networks.analyse(pixels, level)[0]).astype(int).sum()
        for level in (2.5, 2.999, 3.0, 3.001, 3.5)
    ]
    assert abs(sizes[3] - sizes[1]) <= max(8, 0.02 * sizes[2])
    assert sizes[0] < sizes[4]


def test_integer_scale_path_chooses_what_the_float_network_would(model: PicoModel) -> None:
    from pico_train.export import _layer

    with torch.no_grad():
        model.scale_decoder.at16.weight.mul_(20)
    z = np.random.default_rng(0).integers(-20, 21, (8, 8, 64), dtype=np.int16)
    stored = integer_scale_path(model.scale_decoder)
    from pico_core.scale_path import ScalePath

    path = ScalePath(*(_layer(stored, name) for name in ("at64", "at32", "at16")))
    wanted = np.clip(float_table_indices(model.scale_decoder, z), 0, 63)
    got = path.table_indices(z).astype(float)
    assert np.abs(got - wanted).max() < 0.5 + 0.05
    assert np.unique(got).size > 10


@torch.no_grad()
def test_default_model_takes_at_most_11_000_multiplications_a_pixel_on_either_side() -> None:
    side = 256
    model = PicoModel().eval()
    taken = dict.fromkeys(dict(model.named_children()), 0)

    def counter(part: str) -> Callable[[torch.nn.Module, object, torch.Tensor], None]:
        def count(convolution: torch.nn.Module, _: object, output: torch.Tensor) -> None:
            assert isinstance(convolution, torch.nn.Conv2d)
            taken[part] += output.numel() * convolution.weight[0].numel()

        return count

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(counter(name.partition(".")[0]))
    model(torch.zeros(1, 3, side, side), torch.tensor([3.0]))
    context = sum(count for part, count in taken.items() if part not in ("encoder", "decoder"))
    assert 0 < (taken["encoder"] + context) / side**2 <= 11_000
    assert 0 < (taken["decoder"] + context) / side**2 <= 11_000
