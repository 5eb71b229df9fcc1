"""A model can be given more latent channels without losing what it has learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_train_weights import picture, settled
from torch import Tensor
from training_runs import ARCHITECTURE

from pico_train.config import from_dict
from pico_train.networks.model import PicoModel
from pico_train.start import Start, make_architecture, starting_weights
from pico_train.widening import widen_latents

LEVELS = (0.0, 1.5, 3.0)
SMALL = make_architecture({**ARCHITECTURE, "latent": 8})


def widened(model: PicoModel, latent: int) -> PicoModel:
    wider = PicoModel(replace(model.architecture, latent=latent)).eval()
    wider.load_state_dict(widen_latents(model.state_dict(), latent))
    return wider


@pytest.mark.parametrize("latent", [9, 16, 40])  # one more; all that the features hold; more than they hold
@torch.no_grad()
def test_wider_model_begins_with_the_same_reconstruction(latent: int) -> None:
    model = settled(SMALL)
    wider = widened(model, latent)
    for level in LEVELS:
        at = torch.tensor([level])
        torch.testing.assert_close(wider(picture(), at)[0], model(picture(), at)[0], rtol=0, atol=1e-6)


@torch.no_grad()
def test_new_channels_see_what_the_old_ones_leave_out() -> None:
    weight = widen_latents(settled(SMALL).state_dict(), 16)["encoder.to_latent.weight"].flatten(1)
    old, new = weight[: SMALL.latent], weight[SMALL.latent :]
    scale_in = settled(SMALL).encoder.to_latent.scale_in.flatten()
    cosine = torch.nn.functional.normalize(old * scale_in) @ torch.nn.functional.normalize(new * scale_in).T
    assert cosine.abs().max() < 1e-4


def test_every_new_part_of_the_wider_model_can_learn() -> None:
    wider = PicoModel(replace(SMALL, latent=16))
    wider.load_state_dict(widen_latents(settled(SMALL).state_dict(), 16))
    output, bits_y, _ = wider(picture(), torch.tensor([3.0]))
    ((output - picture()).square().mean() + bits_y.mean()).backward()  # type: ignore[no-untyped-call]

    def moves(gradient: Tensor | None) -> bool:
        assert gradient is not None
        return bool((gradient != 0).any())

    assert moves(wider.encoder.to_latent.weight.grad[8:])  # type: ignore[index]
    assert moves(wider.decoder.from_latent.weight.grad[:, 8:])  # type: ignore[index]
    assert moves(wider.scale_decoder.at16.weight.grad[8:])  # type: ignore[index]


def test_run_with_more_latents_takes_weights_with_fewer() -> None:
    config = from_dict({"architecture": {**SMALL.to_dict(), "latent": 12}})
    start = Start(settled(SMALL).state_dict(), SMALL, None)
    state = starting_weights(start, config, Path("narrow"))
    PicoModel(replace(SMALL, latent=12)).load_state_dict(state)
