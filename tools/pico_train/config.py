"""A training run's settings: one TOML file, read into dataclasses that say what every key means."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pico_core.errors import OptionError

BUNDLED = Path(__file__).parent / "configs"
PHASES = ("mse", "perceptual")
STARTS = ("principal", "random")
PRECISIONS = ("auto", "bfloat16", "float32")
_MORE = math.inf
_RANGES: Mapping[str, tuple[float, float]] = {  # of keys that are plain numbers, both ends included
    "seed": (0, _MORE),
    "batch": (1, _MORE),
    "data.reduced_share": (0, 1),
    "data.lettered_share": (0, 1),
    "data.recoloured_share": (0, 1),
    "tiles.share": (0, 1),
    "gan.weight": (0, _MORE),
    "gan.warm_up": (0, _MORE),
    "gan.start": (0, _MORE),
    "gan.lead": (0, _MORE),
    "gan.width": (2, _MORE),
    "gan.window": (0, _MORE),
    "gan.learning_rate": (0, _MORE),
    "optimiser.muon_rate": (0, _MORE),
    "optimiser.adam_rate": (0, _MORE),
    "optimiser.logarithm_rate": (0, _MORE),
    "optimiser.clip": (1e-9, _MORE),
    "optimiser.ema": (0, 1),
    "schedule.steps": (1, _MORE),
    "schedule.warm_up": (0, _MORE),
    "schedule.minutes": (0, _MORE),
    "schedule.constant": (0, 1),
    "schedule.final": (0, 1),
    "engine.processes": (0, _MORE),
    "engine.checkpoint_every": (1, _MORE),
    "engine.log_every": (1, _MORE),
    "evaluation.every": (0, _MORE),
    "evaluation.levels": (1, _MORE),
    "evaluation.limit": (0, _MORE),
    "evaluation.photos": (1, _MORE),
}
LEAST_SIDES = {  # in pixels, of crops that the networks among the losses can look at
    "lpips": 17,  # its pooling leaves nothing of less
    "resnet": 32,  # two positions of its last stage
}


@dataclass(frozen=True)
class Data:
    """Where training pictures come from and how crops are cut."""

    packs: tuple[str, ...] = ()  # folders made by `pico-train pack`
    shares: tuple[float, ...] = ()  # how often each pack is drawn from; empty: by its number of pixels
    crop: int = 256  # side of a training crop, a multiple of 64
    reduced_share: float = 0.25  # share of crops that are cut larger, up to twice, and reduced to `crop`
    lettered_share: float = 0.0  # share of crops that letters are drawn into
    recoloured_share: float = 0.0  # share of the pictures with text that are seen in other colours


@dataclass(frozen=True)
class Tiles:
    """Training on neighbouring tiles, coded apart and cross-faded as the codec does."""

    share: float = 0.0  # share of the steps
    window: int = 128  # side of a tile, a multiple of 64


@dataclass(frozen=True)
class Rate:
    """The range of rates: lambda multiplies 255^2 * MSE and rises exponentially with the level."""

    lambda_low: float = 0.00025  # at level 0
    lambda_high: float = 0.08  # at the highest level
    init_lambda: tuple[float, ...] = ()  # lambda_low and lambda_high of starting weights that do not say it
    train_only: str = ""  # train the parameters whose name starts so; empty: all of them


@dataclass(frozen=True)
class Term:
    """One term of the distortion: weight * relative^exponent * value, where relative = lambda / 0.001."""

    weight: float = 0.0
    exponent: float = 1.0
    every: int = (
        1  # computed in one step of so many, drawn at random, and then weighted as many times as heavily
    )


@dataclass(frozen=True)
class SizedTerm(Term):
    """A term that looks at the crops at several sizes."""

    # factors on the weight: of the crops, of them at half the size, at a quarter ...
    sizes: tuple[float, ...] = (1.0,)
    # side in pixels of the part of the crops, drawn at random, that it sees at full size; 0: all of it. Its mean over
    # positions keeps its expectation, and full size is where the time goes.
    window: int = 0


@dataclass(frozen=True)
class PosedTerm(SizedTerm):
    """A term that looks at the crops in a pose drawn at random."""

    shift: int = 15  # pixels that the part it sees is smaller by, on each side; 0: always all of the crops
    turn: bool = True  # mirror and transpose at random


@dataclass(frozen=True)
class Losses:
    """The terms of the distortion; a weight of 0 leaves a term out."""

    mse: Term = Term(1.0, 1.0)  # of 0.001 * 255^2 * MSE, so weight 1 and exponent 1 are lambda * 255^2 * MSE
    lpips: PosedTerm = PosedTerm()
    resnet: SizedTerm = SizedTerm()  # in the pose of lpips
    ms_ssim: Term = Term()  # of 1 - MS-SSIM
    tiling_artifact: Term = Term()
    grid_artifact: Term = Term()
    texture: Term = Term()
    text_fidelity: Term = Term()
    face_fidelity: Term = Term()


@dataclass(frozen=True)
class Gan:
    """The adversarial term and its discriminator."""

    weight: float = 0.0  # 0: no discriminator
    exponent: float = 0.6
    warm_up: int = 1000  # steps over which the weight rises from 0
    start: int = 0  # step at which it begins to rise; the discriminator trains from `lead` steps before
    lead: int = 500
    width: int = 256  # channels of the discriminator at 1/8
    window: int = 0  # side of the part of a crop that it sees at a step; 0: all of it
    learning_rate: float = 2e-4


@dataclass(frozen=True)
class Optimiser:
    """Muon for dense matrices, Adam for the rest, faster where a parameter is the logarithm of what it stands for."""

    muon_rate: float = 0.02
    adam_rate: float = 6e-4
    logarithm_rate: float = 4e-3  # of what is a logarithm: level gains, biases of scales; 0: as adam_rate
    clip: float = 2.0  # largest norm of the gradient
    ema: float = 0.999  # decay of the averaged weights for each step


@dataclass(frozen=True)
class Schedule:
    """Learning rate by step: linear warm-up, constant, cosine fall."""

    steps: int = 40_000
    warm_up: int = 150  # steps
    constant: float = 0.5  # share of all steps after which the rate begins to fall
    final: float = 0.03  # factor on the rate at the last step
    minutes: float = (
        0.0  # the schedule's length in time, where that is known and the number of steps is not; 0: steps
    )


@dataclass(frozen=True)
class Engine:
    """How the arithmetic is run; none of it changes what is computed but for rounding."""

    # Of the trunk and of Muon's iteration; the rate path is always float32. auto: bfloat16 where it is fast.
    precision: str = "auto"  # auto, bfloat16 or float32
    compile: bool = False
    channels_last: bool = True  # how features lie in memory; false only where that fails
    device: str = "auto"  # auto, cpu or cuda
    processes: int = 0  # on CPUs, each with one thread; 0: one for each core
    checkpoint_every: int = 250  # steps
    log_every: int = 100  # steps


@dataclass(frozen=True)
class Evaluation:
    """Measuring with real files during training."""

    pictures: str = ""  # folder of reference pictures; empty: no evaluation
    every: int = 0  # steps; 0: only when asked with `pico-train evaluate`
    levels: int = 6
    limit: int = 0  # pictures; 0: all
    photos: int = 48  # training pictures that the entropy tables are fitted on


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes."""

    phase: str = "mse"
    start: str = (
        "principal"  # weights of a run without --init: principal components of the pictures, or random
    )
    seed: int = 0
    batch: int = 8
    micro_batch: int = 4  # crops that go through the networks at a time; divides `batch`
    data: Data = field(default_factory=Data)
    tiles: Tiles = field(default_factory=Tiles)
    rate: Rate = field(default_factory=Rate)
    losses: Losses = field(default_factory=Losses)
    gan: Gan = field(default_factory=Gan)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    engine: Engine = field(default_factory=Engine)
    evaluation: Evaluation = field(default_factory=Evaluation)
    architecture: dict[str, Any] = field(default_factory=dict)  # fields of pico_core's Architecture

    def __post_init__(self) -> None:
        _require(self.phase in PHASES, f"phase is {self.phase!r}; it must be one of {', '.join(PHASES)}")
        _require(self.start in STARTS, f"start is {self.start!r}; it must be one of {', '.join(STARTS)}")
        for key, (least, most) in _RANGES.items():
            section, _, name = key.rpartition(".")
            value = getattr(getattr(self, section) if section else self, name)
            _require(least <= value <= most, f"{key} is {value}; it must be {_range(least, most)}")
        divides = self.micro_batch > 0 and self.batch % self.micro_batch == 0
        _require(divides, f"micro_batch {self.micro_batch} does not divide batch {self.batch}")
        for name, side in (("data.crop", self.data.crop), ("tiles.window", self.tiles.window)):
            _require(side > 0 and side % 64 == 0, f"{name} is {side}; it must be a multiple of 64")
        _require(self.optimiser.ema < 1, f"optimiser.ema is {self.optimiser.ema}; it must be below 1")
        judged = self.gan.window
        _require(judged == 0 or judged >= 16, f"gan.window is {judged}; it must be 16 or more, or 0")
        for name, term in vars(self.losses).items():
            _require(term.weight >= 0, f"losses.{name}.weight is {term.weight}; it must be 0 or more")
            _require(term.every >= 1, f"losses.{name}.every is {term.every}; it must be 1 or more")
        for name in LEAST_SIDES:
            self._check_sizes(name)
        shares = len(self.data.shares) in (0, len(self.data.packs))
        _require(shares, "data.shares must have one entry for each of data.packs, or none")
        drawn = not self.data.shares or (min(self.data.shares) >= 0 and sum(self.data.shares) > 0)
        _require(drawn, "data.shares must be 0 or more, and not all 0")
        low, high = self.rate.lambda_low, self.rate.lambda_high
        _require(0 < low < high, f"rate: lambda_low {low} must be positive and below lambda_high {high}")
        known = len(self.rate.init_lambda) in (0, 2)
        _require(known, "rate.init_lambda must be two numbers, the lowest lambda and the highest")
        precision = self.engine.precision
        _require(precision in PRECISIONS, f"engine.precision is {precision!r}; say {', '.join(PRECISIONS)}")
        if self.phase == "mse":
            perceptual = [n for n, term in vars(self.losses).items() if n != "mse" and term.weight]
            perceptual += ["gan"] if self.gan.weight else []
            _require(
                not perceptual, f"phase mse has only the MSE term; {', '.join(perceptual)} need perceptual"
            )

    def _check_sizes(self, name: str) -> None:
        term: SizedTerm = getattr(self.losses, name)
        key = f"losses.{name}.sizes"
        _require(len(term.sizes) > 0, f"{key} must have a factor for each size, the full one first")
        left = (self.data.crop - self.losses.lpips.shift) // 2 ** (len(term.sizes) - 1)
        needed = LEAST_SIDES[name] if term.weight else 0
        problem = f"{key} has {len(term.sizes)} sizes, of which the last leaves crops {left} pixels a side"
        _require(left >= needed, f"{problem}; it needs {needed}")
        seen = term.window == 0 or term.window >= LEAST_SIDES[name]
        _require(seen, f"losses.{name}.window is {term.window}; it must be {LEAST_SIDES[name]} or more, or 0")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a TOML file holds them."""
        return dataclasses.asdict(self)


def _range(least: float, most: float) -> str:
    return f"{least:g} or more" if most == _MORE else f"from {least:g} to {most:g}"


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise OptionError(f"config: {problem}")  # noqa: EM102 (the caller wrote the message)


def read(path: str | Path, overrides: Sequence[str] = (), packs: Sequence[str] = ()) -> Config:
    """A config from a TOML file, or from the name of one that ships (`mse`), with `KEY=VALUE` overrides.

    Values of overrides are TOML, or plain text. `packs`, if there are any, override data.packs. Raises OptionError for
    unknown keys and impossible values.
    """
    location = Path(path)
    if not location.suffix and not location.is_file():
        location = BUNDLED / f"{path}.toml"
    try:
        values = tomllib.loads(location.read_text("utf-8"))
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in BUNDLED.glob("*.toml")))
        msg = f"config {path} cannot be read ({error.strerror}); give a TOML file or one of: {known}"
        raise OptionError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"config {path} is not TOML: {error}"
        raise OptionError(msg) from error
    for override in overrides:
        _override(values, override)
    if packs:
        data = values.setdefault("data", {})
        _require(isinstance(data, dict), "data must be a table")
        data["packs"] = list(packs)
    return from_dict(values)


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    _require(bool(equals), f"override {override!r} is not KEY=VALUE")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, name = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        _require(isinstance(values, dict), f"override {override!r}: {section} is no section")
    values[name] = value


def from_dict(values: Mapping[str, Any]) -> Config:
    """A config from plain values. Raises OptionError for unknown keys and impossible values."""
    config = _build(Config, values, "")
    assert isinstance(config, Config)
    return config


def _build(kind: type, values: object, where: str) -> object:
    """A dataclass from a table, recursively, with every key and type checked."""
    _require(isinstance(values, Mapping), f"{where or 'the file'} must be a table")
    assert isinstance(values, Mapping)
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            near = difflib.get_close_matches(str(name), hints, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(hints)}"
            _require(False, f"unknown key {where}{name}{hint}")
    return kind(**{n: _convert(hints[n], value, f"{where}{n}") for n, value in values.items()})


def _convert(hint: Any, value: object, where: str) -> object:
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _build(hint, value, f"{where}.")
    origin = typing.get_origin(hint)
    if origin is tuple:
        _require(isinstance(value, list | tuple), f"{where} must be a list")
        assert isinstance(value, list | tuple)
        return tuple(_convert(typing.get_args(hint)[0], item, where) for item in value)
    expected = origin if isinstance(origin, type) and not isinstance(hint, types.UnionType) else hint
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
    _require(fits, f"{where} is {value!r}; it must be of type {expected.__name__}")
    return value


def differences(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "") -> list[str]:
    """What changed between two `Config.to_dict()`, one line for each key."""
    lines = []
    for name in sorted({*old, *new}):
        a, b = old.get(name), new.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{where}{name}.")
        elif _plain(a) != _plain(b):
            lines.append(f"{where}{name}: {a!r} -> {b!r}")
    return lines


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
