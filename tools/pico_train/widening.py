"""Gives a trained model more latent channels than it had, without changing what it reconstructs.

The number of latent channels bounds what the decoder can know, however many bits they get:
`python -m pico_train.ceiling` shows where a model stops.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_LEVELS_BEHIND = 1.0  # how much later than the others, in levels, new channels begin to carry something
# What the old channels leave out is weak, and would round to zero at every level.
_STRENGTH = 5.0


def widen_latents(state: Mapping[str, Tensor], latent: int) -> dict[str, Tensor]:
    """Weights of a model with the `grid` context and `latent` channels, from one with fewer.

    New channels see what the old ones leave out of the encoder's features: directions orthogonal to theirs, as far
    as there are any. Nothing reads them yet: the decoder and the context model begin with zeros there. Their scales
    begin as the average scale of the others.
    """
    widened = dict(state)
    old = state["encoder.to_latent.weight"].shape[0]
    more = latent - old
    _widen_encoder(widened, more)
    _put(widened, "decoder.from_latent.weight", 1, _zeros(state["decoder.from_latent.weight"], 1, more))
    _put(widened, "decoder.from_latent.scale_in", 1, _ones(state["decoder.from_latent.scale_in"], 1, more))
    for name in ("encoder.gain_latent.log_gain", "decoder.gain_latent.log_gain"):
        _put(widened, name, 1, _later(state[name].mean(1, keepdim=True)).expand(-1, more))
    for part in ("weight", "bias", "scale_out"):
        name = f"scale_decoder.at16.{part}"
        _put(widened, name, 0, state[name].mean(0, keepdim=True).expand(more, *state[name].shape[1:]))
    for number in range(len({n.split(".")[2] for n in state if n.startswith("context_model.steps.")})):
        prior = len(state["context_decoder.stage32.1.weight"])
        _widen_pass(widened, f"context_model.steps.{number}", prior, old, more)
    return widened


def _widen_encoder(state: dict[str, Tensor], more: int) -> None:
    weight = state["encoder.to_latent.weight"] * state["encoder.to_latent.scale_in"]
    rows = (weight * state["encoder.to_latent.scale_out"]).flatten(1)
    basis = torch.linalg.svd(rows, full_matrices=True).Vh.roll(-len(rows), 0)  # orthogonal directions first
    directions = basis.repeat(-(-more // len(basis)), 1)[:more]
    new = (directions * rows.norm(dim=1).mean() * _STRENGTH).reshape(more, -1, 1, 1)
    _put(state, "encoder.to_latent.weight", 0, new / state["encoder.to_latent.scale_in"])
    _put(state, "encoder.to_latent.bias", 0, _zeros(state["encoder.to_latent.bias"], 0, more))
    _put(state, "encoder.to_latent.scale_out", 0, _ones(state["encoder.to_latent.scale_out"], 0, more))


def _widen_pass(state: dict[str, Tensor], name: str, prior: int, old: int, more: int) -> None:
    """One pass of the context model: inputs for each part that is known, and outputs for mean and step."""
    weight, scale = state[f"{name}.0.weight"], state[f"{name}.0.scale_in"]
    parts = (weight.shape[1] - prior) // old
    sizes = [prior, *[old] * parts]
    pieces = zip(torch.split(weight, sizes, 1), torch.split(scale, sizes, 1), strict=True)
    weights, scales = [], []
    for number, (piece, its_scale) in enumerate(pieces):
        weights += [piece] if number == 0 else [piece, _zeros(weight, 1, more)]
        scales += [its_scale] if number == 0 else [its_scale, _ones(scale, 1, more)]
    state[f"{name}.0.weight"], state[f"{name}.0.scale_in"] = torch.cat(weights, 1), torch.cat(scales, 1)
    for part in ("weight", "bias", "scale_out"):
        tensor = state[f"{name}.2.{part}"]
        begin = _ones(tensor, 0, more) if part == "scale_out" else _zeros(tensor, 0, more)
        mean, step = tensor.chunk(2, 0)
        state[f"{name}.2.{part}"] = torch.cat([mean, begin, step, begin], 0)


def _later(gains: Tensor) -> Tensor:
    """Log gains (levels, 1) as they were some levels before."""
    slope = (gains[-1] - gains[0]) / (len(gains) - 1)
    return gains - slope * _LEVELS_BEHIND


def _put(state: dict[str, Tensor], name: str, dimension: int, more: Tensor) -> None:
    state[name] = torch.cat([state[name], more], dimension)


def _zeros(like: Tensor, dimension: int, count: int) -> Tensor:
    return torch.zeros_like(like.narrow(dimension, 0, 1)).repeat_interleave(count, dimension)


def _ones(like: Tensor, dimension: int, count: int) -> Tensor:
    return torch.ones_like(like.narrow(dimension, 0, 1)).repeat_interleave(count, dimension)
