"""Weights carried over to another architecture lose nothing that they need not lose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_train_weights import SMALL, settled
from torch import Tensor
from training_runs import make_pack, mse_config, one_thread  # noqa: F401

from pico_core.errors import OptionError
from pico_core.graph import Graph
from pico_core.reference import from_patches, to_patches
from pico_train.engine import Limits, Trainer, train
from pico_train.networks.folding import fold
from pico_train.networks.model import Architecture, PicoModel
from pico_train.processes import Team
from pico_train.quantising import FloatArithmetic
from pico_train.reshaping import reshape


@pytest.fixture(scope="module")
def crops() -> Tensor:
    return torch.rand(4, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def reshaped(crops: Tensor, state: dict[str, Tensor] | None = None, **changes: Any) -> PicoModel:
    architecture = replace(SMALL, **changes)
    model = PicoModel(architecture).eval()
    model.load_state_dict(reshape(state or settled(SMALL).state_dict(), SMALL, architecture, crops))
    return model


@torch.no_grad()
def same(one: PicoModel, other: PicoModel, crops: Tensor, tolerance: float = 1e-5) -> bool:
    level = torch.linspace(0, 3, len(crops))
    pairs = zip(one(crops, level), other(crops, level), strict=True)
    return all(torch.allclose(a, b, atol=tolerance) for a, b in pairs)


MORE = {"encoder_blocks": (3, 2), "decoder_blocks": (1, 2), "fine_blocks": (2, 1)}


def test_more_blocks_begin_with_the_same_reconstruction(crops: Tensor) -> None:
    assert same(reshaped(crops, **MORE), settled(SMALL), crops)


def test_new_blocks_see_their_input_at_unit_variance_and_can_learn(crops: Tensor) -> None:
    model = reshaped(crops, **MORE)
    block = model.encoder.stage8[1][2]  # type: ignore[index]
    seen: list[Tensor] = []
    block.expand.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    output, bits, _ = model(crops, torch.linspace(0, 3, len(crops)))
    assert 0.5 < seen[0].transpose(0, 1).flatten(1).std(1).median() < 2
    (output.square().mean() + bits.mean()).backward()
    for new in (block, model.decoder.stage8[0][1], model.decoder.stage4[1], model.decoder.stage2[0]):  # type: ignore[index]
        assert new.project.weight.grad.abs().max() > 0


def test_fewer_blocks_are_the_model_in_which_the_others_add_nothing(crops: Tensor) -> None:
    silent = settled(SMALL)
    with torch.no_grad():
        for chain in (silent.encoder.stage16[1], silent.decoder.stage16[0]):
            chain[0].gain.zero_()  # type: ignore[index]
    assert same(reshaped(crops, encoder_blocks=(1, 0), decoder_blocks=(0, 1)), silent, crops)


@torch.no_grad()
def with_idle_channels(architecture: Architecture, prior: int, width: int) -> dict[str, Tensor]:
    """A model whose context needs no more than `prior` directions and `width` channels in every pass."""
    model = settled(architecture)
    model.context_decoder.stage32[1].weight[prior:] = 0  # type: ignore[index]
    for step in model.context_model.steps:
        block, last = step[1][0], step[2]  # type: ignore[index]
        last.weight[:, width:] = 0
        block.expand.weight[:, width:] = 0
        block.expand.weight[2 * width :] = 0
        block.expand.bias[2 * width :] = 0
    return model.state_dict()


def test_narrower_passes_keep_what_matters(crops: Tensor) -> None:
    state = with_idle_channels(SMALL, 12, 8)
    before = PicoModel(SMALL).eval()
    before.load_state_dict(state)
    assert same(reshaped(crops, state, prior=12, pass_width=8), before, crops, 1e-3)


@pytest.mark.parametrize("changes", [{"latent": 32}, {"wide": 32}, {"prior": 32}, {"pass_width": 17}])
def test_what_cannot_be_carried_over_is_refused(crops: Tensor, changes: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=next(iter(changes))):
        reshaped(crops, **changes)


def test_networks_without_blocks_at_a_sixteenth_compute_what_was_trained(crops: Tensor) -> None:
    model = reshaped(crops, encoder_blocks=(2, 0), decoder_blocks=(0, 2))
    graph = Graph(FloatArithmetic({n: t.numpy() for n, t in fold(model).items()}))
    assert not any(name.startswith("decoder.from_latent") for name in fold(model))
    pixels = (crops[:1] * 255).round()
    patches = torch.from_numpy(to_patches(pixels[0].permute(1, 2, 0).to(torch.uint8).numpy())).float()
    with torch.no_grad():
        expected = model(pixels / 255, torch.tensor([1.5]))[0][0].clamp(0, 1) * 255
        found = graph.synthesise(*graph.analyse(patches, 6144), 6144).round().clamp(0, 255)
    assert np.abs(from_patches(found.numpy()) - expected.permute(1, 2, 0).numpy()).max() < 1


def test_a_run_goes_on_from_weights_of_another_architecture(tmp_path: Path) -> None:
    folder = make_pack(tmp_path)
    first = mse_config(folder, schedule={"steps": 1})
    train(Team(), first, tmp_path / "first", Limits())
    more = {**first.architecture, "encoder_blocks": [2, 0], "decoder_blocks": [0, 1], "pass_width": 8}
    trainer = Trainer(mse_config(folder, architecture=more), tmp_path / "second", Team(), tmp_path / "first")
    assert torch.isfinite(trainer.advance()["loss"])
