"""Starting points of a run: weights of earlier runs, shipped weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pico_core.errors import OptionError

from . import checkpoint
from .config import Config
from .networks.model import Architecture, PicoModel
from .widening import widen_latents

LambdaRange = tuple[float, float]


@dataclass(frozen=True)
class Start:
    """Weights to begin with, and what they were trained for."""

    state: Mapping[str, Tensor]
    architecture: Architecture
    lambda_range: LambdaRange | None  # at the lowest and the highest level; None where nothing says so
    history: Sequence[Mapping[str, Any]] = ()  # the runs that made them, the last one last
    pictures: Mapping[str, Any] = field(default_factory=dict)  # what the last run was trained on
    packs: Sequence[str] = ()  # where a run had them from


def architecture_of(config: Config) -> Architecture:
    """The architecture that a config asks for. Raises OptionError for fields that do not exist."""
    return make_architecture(config.architecture)


def make_architecture(values: Mapping[str, Any]) -> Architecture:
    """An architecture from plain values. Raises OptionError."""
    try:
        plain: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        return Architecture(**plain)
    except TypeError as error:
        msg = f"architecture: {error}; known are {', '.join(Architecture().to_dict())}"
        raise OptionError(msg) from error


def read_start(path: Path) -> Start:
    """Weights from a run's folder, a checkpoint, a weights file that ships, or a safetensors file of a model.

    Checkpoints give their averaged weights. Raises PicoError subclasses for files that hold none.
    """
    if path.is_dir():
        path = path / checkpoint.NAME
    if not path.is_file():
        msg = f"there are no weights at {path}; give a run's folder, a checkpoint or a safetensors file"
        raise OptionError(msg)
    if path.suffix == ".safetensors":
        return _from_safetensors(path)
    saved = checkpoint.read(path)
    low, high = (saved["config"]["rate"][name] for name in ("lambda_low", "lambda_high"))
    architecture = make_architecture(saved["architecture"])
    packs = saved["config"]["data"]["packs"]
    return Start(saved["ema"], architecture, (low, high), saved["history"], saved["pictures"], packs)


def _from_safetensors(path: Path) -> Start:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("pico", "null"))
        if metadata is None:
            return _nameless(load_file(path))
    except (SafetensorError, ValueError) as error:
        msg = f"{path} is no weights file: {error}"
        raise OptionError(msg) from error
    from pico_core import registry

    from .unfolding import unfold

    card = metadata.get("card", {})
    trained = card.get("lambda_range")
    model = unfold(registry.load(path), make_architecture(metadata["architecture"]))
    known = tuple(trained) if trained else None
    return Start(
        model.state_dict(), model.architecture, known, card.get("training", ()), card.get("data", {})
    )


def _nameless(state: Mapping[str, Tensor]) -> Start:
    """Weights that do not say what they are: the default architecture, with as many latents as there are."""
    latent = len(state["encoder.to_latent.weight"]) if "encoder.to_latent.weight" in state else None
    default = Architecture()
    return Start(state, replace(default, latent=latent or default.latent), None)


def starting_weights(start: Start, config: Config, path: Path) -> dict[str, Tensor]:
    """Weights, read from `path`, for a run of this config, their level gains moved to its range of lambda.

    A model with fewer latent channels than the config asks for gets more of them, if its context is `grid`. Where
    nothing says what range the weights were trained for, `rate.init_lambda` does, or it is taken to be the config's.
    Raises OptionError if the architectures differ, or if gains would have to move that are not to be trained.
    """
    architecture = architecture_of(config)
    wanted = PicoModel(architecture).state_dict()
    state = start.state
    if architecture.latent > start.architecture.latent and architecture.context == "grid":
        state = widen_latents({name: state[name] for name in wanted if name in state}, architecture.latent)
    if problems := [n for n, t in wanted.items() if n not in state or state[n].shape[1:] != t.shape[1:]]:
        msg = f"the weights of {path} do not fit the config's architecture: {problems[0]} is missing or of another size"
        raise OptionError(msg)
    target = (config.rate.lambda_low, config.rate.lambda_high)
    known = config.rate.init_lambda
    source = (known[0], known[1]) if len(known) == 2 else start.lambda_range or target
    moves = not all(map(partial(math.isclose, rel_tol=1e-6), source, target))
    if config.rate.train_only and (moves or start.architecture.levels != architecture.levels):
        msg = (
            f"with rate.train_only the level gains stay as they are, and those of {path} were trained for lambda from "
            f"{source[0]!r} to {source[1]!r} at {start.architecture.levels} levels; add --set "
            f"rate.lambda_low={source[0]!r} --set rate.lambda_high={source[1]!r}"
        )
        raise OptionError(msg)
    return move_levels({name: state[name] for name in wanted}, source, target, architecture.levels)


def move_levels(
    state: Mapping[str, Tensor], source: LambdaRange, target: LambdaRange, levels: int
) -> dict[str, Tensor]:
    """Level gains trained for one range of lambda, resampled for another, so that a level keeps its meaning.

    Anchors lie evenly in log lambda. Beyond the source's ends, gains follow the mean slope of the last two intervals.
    """
    moved = {}
    for name, tensor in state.items():
        moved[name] = _resampled(tensor, source, target, levels) if name.endswith("log_gain") else tensor
    return moved


def _resampled(gains: Tensor, source: LambdaRange, target: LambdaRange, levels: int) -> Tensor:
    """(anchors of the source, channels) -> (levels, channels)."""
    count = len(gains)
    if source == target and count == levels:
        return gains
    span, wanted = math.log(source[1] / source[0]), math.log(target[1] / target[0])
    rows, reach = [], min(2, count - 1)
    for index in range(levels):
        offset = math.log(target[0] / source[0]) + wanted * index / (levels - 1)
        position = offset / span * (count - 1)
        low = min(max(math.floor(position), 0), count - 2)
        if position < 0:
            row = gains[0] + (gains[reach] - gains[0]) / reach * position
        elif position > count - 1:
            row = gains[-1] + (gains[-1] - gains[-1 - reach]) / reach * (position - count + 1)
        else:
            row = torch.lerp(gains[low], gains[low + 1], position - low)
        rows.append(row)
    return torch.stack(rows)
