"""Folding and rounding change how the networks are computed, and hardly what they compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from pico_core.arithmetic import ExactArithmetic
from pico_core.graph import Graph
from pico_core.reference import from_patches, to_patches
from pico_train.dequantising import dequantise
from pico_train.networks.folding import fold
from pico_train.networks.layers import haar_down, haar_up, join_cells, split_cells
from pico_train.networks.model import Architecture, PicoModel
from pico_train.quantising import FloatArithmetic, observe, quantise


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
    pixels, level = photo[:192, :256], 13_517
    graph = Graph(FloatArithmetic(arrays(model)))
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        symbols, z = graph.analyse(torch.from_numpy(to_patches(pixels)).float(), level)
        patches = graph.synthesise(symbols, z, level).round().clamp(0, 255)
        _, z_float = model.encoder(image, torch.tensor([level / 4096]))
        output, _, _ = model(image, torch.tensor([level / 4096]))
    expected = (output[0].permute(1, 2, 0).clamp(0, 1) * 255).round().numpy()
    assert np.array_equal(z, z_float[0].round().permute(1, 2, 0).numpy())
    assert np.abs(from_patches(patches.numpy()) - expected).max() <= 1


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


def test_integers_compute_almost_what_the_floating_point_networks_do(
    model: PicoModel, photo: NDArray[np.uint8]
) -> None:
    folded, pixels, level = arrays(model), to_patches(photo[:192, :256]), 13_517
    ranges = observe(folded, [photo[:192, :256], photo[200:392, 100:356]], 8)
    exact, floating = Graph(ExactArithmetic(quantise(folded, ranges))), Graph(FloatArithmetic(folded))
    symbols, z = exact.analyse(pixels, level)
    with torch.inference_mode():
        wanted, wanted_z = floating.analyse(torch.from_numpy(pixels).float(), level)
        patches = floating.synthesise(torch.from_numpy(symbols).float(), torch.from_numpy(z).float(), level)
        tables = floating.table_indices(torch.from_numpy(z).float())
    assert (z != wanted_z.numpy()).mean() < 0.01
    assert np.abs(symbols - wanted.numpy()).mean() < 0.1
    assert np.abs(exact.table_indices(z) - tables.numpy()).mean() < 0.05
    assert np.abs(exact.synthesise(symbols, z, level) - patches.numpy()).mean() < 1.5


def test_floating_point_networks_are_found_again_in_the_integers(
    model: PicoModel, photo: NDArray[np.uint8]
) -> None:
    folded, patches, level = arrays(model), to_patches(photo[:128, :128]), 9_000
    integers = quantise(folded, observe(folded, [photo[:128, :128]], 8))
    again, exact = Graph(FloatArithmetic(dequantise(integers))), Graph(ExactArithmetic(integers))
    symbols, z = exact.analyse(patches, level)
    with torch.inference_mode():
        found, found_z = again.analyse(torch.from_numpy(patches).float(), level)
        pixels = again.synthesise(torch.from_numpy(symbols).float(), torch.from_numpy(z).float(), level)
    assert dequantise(integers).keys() == folded.keys()
    assert (found_z.numpy() != z).mean() < 0.01
    assert np.abs(found.numpy() - symbols).mean() < 0.1
    assert np.abs(pixels.numpy() - exact.synthesise(symbols, z, level)).mean() < 1.5


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
