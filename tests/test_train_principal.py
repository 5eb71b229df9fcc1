"""A run may start as the best linear codec of its pictures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_train_weights import SMALL
from torch import Tensor
from training_runs import ARCHITECTURE, make_pack, mse_config

from pico_core.errors import OptionError
from pico_train import principal
from pico_train.engine import Limits, train
from pico_train.networks.model import Architecture, PicoModel
from pico_train.packs import Pack
from pico_train.processes import Team
from pico_train.start import read_start

RANGE = (0.00025, 0.08)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("principal"))


@pytest.fixture(scope="module")
def pictures(pack: Path) -> Tensor:
    return principal.sample([Pack(pack)], 128)


def started(architecture: Architecture, pictures: Tensor) -> PicoModel:
    torch.manual_seed(0)
    model = PicoModel(architecture).eval()
    principal.start(model, pictures, RANGE)
    return model


def linear_codec_error(pictures: Tensor, wide: int, deep: int) -> float:
    """MSE of principal components of 8x8 blocks, and of those of 2x2 neighbours, by another way of computing it."""
    n = len(pictures)
    unfold = torch.nn.functional.unfold
    blocks = unfold(pictures.double(), 8, stride=8).transpose(1, 2).reshape(-1, 192)
    mean = blocks.mean(0)
    basis = torch.linalg.svd(blocks - mean, full_matrices=False).Vh[:wide]
    kept = (blocks - mean) @ basis.T
    side = pictures.shape[-1] // 8
    cells = (
        unfold(kept.view(n, side, side, wide).permute(0, 3, 1, 2), 2, stride=2).transpose(1, 2).flatten(0, 1)
    )
    deeper = torch.linalg.svd(cells - cells.mean(0), full_matrices=False).Vh[:deep]
    lost = ((blocks - mean).square().sum() - kept.square().sum()) + (
        cells.square().sum() - (cells @ deeper.T).square().sum()
    )
    return float(lost / pictures.numel())


@pytest.mark.parametrize("resampling", ["haar", "pixel"])
@torch.no_grad()
def test_new_model_loses_what_principal_components_lose_and_no_more(
    resampling: str, pictures: Tensor
) -> None:
    architecture = replace(SMALL, wide=24, deep=20, latent=20, resampling=resampling)
    model = started(architecture, pictures)
    top = torch.full((len(pictures),), float(architecture.levels - 1))
    latent, _ = model.encoder(pictures, top)
    error = float((model.decoder(latent, top) - pictures).square().mean())
    assert error == pytest.approx(linear_codec_error(pictures, 24, 20), rel=0.01)


@torch.no_grad()
def test_new_model_is_a_codec_whose_levels_trade_bits_for_quality(pictures: Tensor) -> None:
    model = started(replace(SMALL, wide=64, deep=64, latent=64), pictures)
    bits, errors = [], []
    for level in range(SMALL.levels):
        output, bits_y, bits_z = model(pictures, torch.full((len(pictures),), float(level)))
        bits.append(float((bits_y + bits_z).mean()))
        errors.append(float((output - pictures).square().mean()))
    assert bits == sorted(bits)
    assert errors == sorted(errors, reverse=True)


@torch.no_grad()
def test_scales_follow_the_level_from_the_start(pictures: Tensor) -> None:
    """So that a symbol costs the same number of bits too many, or too few, at every level."""
    model = started(SMALL, pictures)
    gains = model.encoder.gain_latent.log_gain[:, 0]
    scales = []
    for level in range(SMALL.levels):
        z = torch.zeros(1, SMALL.hyper, 1, 1)
        z[:, 0] = level + 1  # which is what the encoder says
        scales.append(model.scale_decoder(z).mean((0, 2, 3)))
    rises = torch.stack(scales).diff(dim=0)
    torch.testing.assert_close(rises, gains.diff()[:, None].expand_as(rises), atol=0.03, rtol=0)


@torch.no_grad()
def test_encoder_says_the_level_in_the_first_hyperlatent(pictures: Tensor) -> None:
    model = started(SMALL, pictures)
    levels = torch.arange(SMALL.levels).float()
    _, z = model.encoder(pictures[:1].expand(SMALL.levels, -1, -1, -1), levels)
    torch.testing.assert_close(z[:, 0].amax((1, 2)), levels + 1)
    torch.testing.assert_close(z[:, 0].amin((1, 2)), levels + 1)


def test_gain_is_the_one_at_which_more_bits_cost_as_much_as_they_bring() -> None:
    lambda_ = 0.01

    def cost(gain: float) -> float:
        """Of one latent for each of three samples of a pixel."""
        return 3 * math.log2(gain) + lambda_ * 255**2 / (12 * gain**2)

    best = principal.best_gain(lambda_)
    assert cost(best) < min(cost(best * 1.01), cost(best / 1.01))


def test_every_part_of_the_new_model_can_learn(pictures: Tensor) -> None:
    """Not at the first step: what is before a projection that begins at zero waits until that has moved."""
    model = started(SMALL, pictures).train()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(4):
        optimiser.zero_grad()
        level = torch.full((len(pictures),), 1.5)
        output, bits_y, bits_z = model(pictures, level)
        (1000 * (output - pictures).square().mean() + (bits_y + bits_z).mean()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]
    assert idle == []


@pytest.mark.parametrize(
    "change", [{"resampling": "strided"}, {"latent": 17}, {"wide": 256}], ids=["strided", "latents", "wide"]
)
def test_architecture_that_no_linear_codec_fits_into_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="say start = 'random'"):
        principal.start(PicoModel(replace(SMALL, **change)), torch.rand(2, 3, 64, 64), RANGE)  # type: ignore[arg-type]


def test_pictures_smaller_than_a_crop_are_refused(pack: Path) -> None:
    with pytest.raises(OptionError, match="hold none"):
        principal.sample([Pack(pack)], 1024)


def test_run_starts_from_the_components_unless_told_otherwise(pack: Path, tmp_path: Path) -> None:
    weights = {}
    for start in ("principal", "random"):
        config = mse_config(pack, start=start)
        train(Team(), config, tmp_path / start, Limits(steps=1))
        latent = (
            read_start(tmp_path / start)
            .state["encoder.to_latent.weight"]
            .flatten(1)[:, : ARCHITECTURE["latent"]]
        )
        weights[start] = float(latent.diag().abs().sum() / latent.abs().sum())
    assert weights["principal"] > 0.8, "a diagonal, after one step"
    assert weights["random"] < 0.5
