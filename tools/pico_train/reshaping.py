"""Carries trained weights over to another architecture: with more blocks, or fewer, or narrower passes.

Blocks that are new add nothing yet, so what was learned stays; blocks that are gone are left out. Features differ in
strength a hundredfold from channel to channel, so new blocks begin balanced: their depthwise convolution brings every
channel to unit variance, and what they learn to add is scaled back. A narrower context model cannot compute the same:
it keeps the strongest directions of its prior, and in every pass the channels that weigh most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor, nn

from pico_core.errors import OptionError

from .networks.layers import Block, ConvScale
from .networks.model import Architecture, PicoModel

_MAY_DIFFER = ("encoder_blocks", "decoder_blocks", "fine_blocks", "prior", "pass_width")
_LEAST_DEVIATION = 1e-3


def is_reshaped(old: Architecture, new: Architecture) -> bool:
    """Whether weights of `old` need `reshape` before a model of `new` can take them."""
    return any(getattr(old, name) != getattr(new, name) for name in _MAY_DIFFER)


@torch.no_grad()
def reshape(
    state: Mapping[str, Tensor], old: Architecture, new: Architecture, crops: Tensor
) -> dict[str, Tensor]:
    """Weights for the architecture `new` from those of `old`.

    `crops`, (N, 3, H, W) in [0, 1], are training pictures that features are measured on. Raises OptionError where the
    two differ in more than numbers of blocks and narrower passes.
    """
    for field in fields(Architecture):
        if field.name not in _MAY_DIFFER and getattr(old, field.name) != getattr(new, field.name):
            before, after = getattr(old, field.name), getattr(new, field.name)
            msg = (
                f"weights of an architecture with {field.name} {before!r} cannot be carried over to {after!r}"
            )
            raise OptionError(msg)
    if new.prior > old.prior or new.pass_width > old.pass_width:
        msg = "architecture: prior and pass_width can only become narrower than those of the starting weights"
        raise OptionError(msg)
    narrowed = dict(state)
    if (new.prior, new.pass_width) != (old.prior, old.pass_width):
        narrowed = _narrower_passes(narrowed, old, new, crops)
    model = PicoModel(new).eval()
    wanted = model.state_dict()
    model.load_state_dict({name: narrowed.get(name, tensor) for name, tensor in wanted.items()})
    for name, module in model.named_modules():
        if isinstance(module, Block) and f"{name}.gain" not in narrowed:
            module.project.weight.zero_()
            _bias(module.project).zero_()
            module.register_forward_pre_hook(_balance)
    model(crops, _levels(new, len(crops)))
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _balance(block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Let a block see its input at unit variance, and scale back what it adds."""
    assert isinstance(block, Block)
    deviation = _rows(inputs[0]).std(1).clamp_min(_LEAST_DEVIATION)
    block.spatial.weight.mul_(0.1)
    block.spatial.weight[:, :, 1, 1] += 1
    block.spatial.scale_out.copy_((1 / deviation).view(-1, 1, 1, 1))
    _bias(block.spatial).zero_()
    block.project.scale_out.copy_(deviation.view(-1, 1, 1, 1))


def _levels(a: Architecture, count: int) -> Tensor:
    """Levels spread evenly over pictures."""
    return torch.arange(count) / max(1, count - 1) * (a.levels - 1)


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (C, N * H * W)."""
    return x.transpose(0, 1).flatten(1)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _matrix(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (outputs, inputs) and bias of a 1x1 convolution, its scales multiplied in."""
    assert isinstance(conv, ConvScale)
    weight, bias = conv.folded()
    return weight.flatten(1), bias


def _narrower_passes(
    state: dict[str, Tensor], old: Architecture, new: Architecture, crops: Tensor
) -> dict[str, Tensor]:
    model = PicoModel(old).eval()
    model.load_state_dict({name: state.get(name, tensor) for name, tensor in model.state_dict().items()})
    _drop_missing(model, state)
    seen: dict[str, Tensor] = {}

    def watch(name: str, module: nn.Module) -> None:
        module.register_forward_pre_hook(lambda _, inputs: seen.__setitem__(name, _rows(inputs[0])))

    prior_layer = model.context_decoder.stage32[1]
    prior_layer.register_forward_hook(lambda _, __, output: seen.__setitem__("prior", _rows(output)))
    for k, step in enumerate(model.context_model.steps):
        assert isinstance(step, nn.Sequential)
        watch(f"{k}", step[2])
    model(crops, _levels(old, len(crops)))

    basis, mean = _strongest(seen["prior"], new.prior)
    weight, bias = _matrix(prior_layer)
    _replace(state, "context_decoder.stage32.1", basis @ weight, basis @ (bias - mean))
    for k, step in enumerate(model.context_model.steps):
        assert isinstance(step, nn.Sequential)
        name, block = f"context_model.steps.{k}", step[1][0]  # type: ignore[index]
        assert isinstance(block, Block)
        last, last_bias = _matrix(step[2])
        kept, others = _weightiest(last, seen[f"{k}"], new.pass_width)
        first, first_bias = _matrix(step[0])
        of_prior = first[:, : old.prior]
        first_bias = first_bias + of_prior @ mean
        first = torch.cat([of_prior @ basis.T, first[:, old.prior :]], 1)
        _replace(state, f"{name}.0", first[kept], first_bias[kept])
        slopes, offset = _fit(seen[f"{k}"][kept], seen[f"{k}"][others])
        _replace(
            state, f"{name}.2", last[:, kept] + last[:, others] @ slopes, last_bias + last[:, others] @ offset
        )
        _narrow_block(state, f"{name}.1.0", kept, 2 * new.pass_width)
    return state


def _drop_missing(model: PicoModel, state: Mapping[str, Tensor]) -> None:
    """Let blocks that the state has no weights for add nothing."""
    for name, module in model.named_modules():
        if isinstance(module, Block) and f"{name}.gain" not in state:
            module.gain.zero_()


def _strongest(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of (C, positions): the `count` principal directions, (count, C), and the mean (C,)."""
    vectors = torch.linalg.eigh(torch.cov(rows)).eigenvectors
    return vectors.flip(1)[:, :count].T, rows.mean(1)


def _weightiest(weight: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Indices of the `count` inputs that contribute most to what a matrix makes of them, and of the others."""
    order = (weight.norm(dim=0) * rows.std(1)).argsort(descending=True)
    return order[:count].sort().values, order[count:].sort().values


def _fit(known: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Linear estimates of `wanted` (W, positions) from `known` (K, positions): slopes (W, K) and offsets (W,)."""
    x, y = known - known.mean(1, keepdim=True), wanted - wanted.mean(1, keepdim=True)
    ridge = 1e-3 * x.square().sum(1).mean() * torch.eye(len(x))
    slopes = torch.linalg.solve(x @ x.T + ridge, x @ y.T).T
    return slopes, wanted.mean(1) - slopes @ known.mean(1)


def _replace(state: dict[str, Tensor], name: str, weight: Tensor, bias: Tensor) -> None:
    """Put a matrix in the place of a convolution, its scales at their neutral values."""
    state[f"{name}.weight"], state[f"{name}.bias"] = weight[:, :, None, None].contiguous(), bias
    state[f"{name}.scale_in"] = torch.ones(1, weight.shape[1], 1, 1)
    state[f"{name}.scale_out"] = torch.ones(weight.shape[0], 1, 1, 1)


def _narrow_block(state: dict[str, Tensor], name: str, kept: Tensor, hidden: int) -> None:
    """Keep some channels of a block, and the hidden ones that weigh most."""
    for part in ("spatial.weight", "spatial.bias", "spatial.scale_out"):
        state[f"{name}.{part}"] = state[f"{name}.{part}"][kept]
    expand = (state[f"{name}.expand.weight"] * state[f"{name}.expand.scale_in"])[:, kept]
    project = (state[f"{name}.project.weight"] * state[f"{name}.project.scale_out"])[kept]
    expand = expand * state[f"{name}.expand.scale_out"]
    project = project * state[f"{name}.project.scale_in"]
    strength = expand.flatten(1).norm(dim=1) * project.flatten(1).norm(dim=0)
    chosen = strength.argsort(descending=True)[:hidden].sort().values
    expand_bias = (state[f"{name}.expand.bias"] * state[f"{name}.expand.scale_out"].flatten())[chosen]
    project_bias = (state[f"{name}.project.bias"] * state[f"{name}.project.scale_out"].flatten())[kept]
    _replace(state, f"{name}.expand", expand.flatten(1)[chosen], expand_bias)
    _replace(state, f"{name}.project", project.flatten(1)[:, chosen], project_bias)
    state[f"{name}.gain"] = state[f"{name}.gain"][:, kept]
