"""Training for some minutes on a borrowed machine: what travels there, what runs there, what comes back.

    pico-train carry RUN --data PACK... --out load            # here: weights, and pictures as files, in small parts
    pico-train away load --minutes 8 --out back               # there: trains, and writes to `back` every minute
    pico-train collect back --out away.pt                     # here again: one checkpoint, for `run --init`

A load is a checkpoint with weights in 16 bits, packs of picture files with their outlines, and a config. What comes
back are the averaged weights in 32 bits, cut into parts that small transfers can take. The optimiser stays behind: a
run that goes on begins it anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pico_core.errors import OptionError, PicoError

from . import checkpoint
from .config import Config, read
from .files import replace_with, write_whole
from .packs import PART_BYTES, Pack, Packing, pack
from .start import Start, read_start

WEBP_QUALITY = 92  # below it the finest details of photographs begin to suffer
_WEIGHTS, _PACKS = "weights.pt", "packs"
_INDEX = "parts.json"
# An accelerator wants large batches, which bear higher rates; nobody knows before how many steps it makes.
AWAY = (
    "batch=64",
    "micro_batch=64",
    "optimiser.muon_rate=0.004",
    "optimiser.adam_rate=6e-4",
    "schedule.steps=1000000",
    "engine.compile=true",
    "gan.weight=0",
)


class CarryingError(PicoError):
    """What came back is incomplete, or damaged."""


@dataclass(frozen=True)
class Load:
    """What `carry` wrote."""

    bytes: int
    pictures: int


def carry(source: Path, packs: Sequence[Path], out: Path, most_bytes: int) -> Load:
    """Write into a new folder the weights of a run, a checkpoint or a weights file, and as many pictures as fit.

    Pictures come from all over the packs, whose shares of the room are their shares of the pixels.
    Raises OptionError if `out` exists or nothing fits, and other PicoError subclasses.
    """
    if out.exists():
        msg = f"{out} exists; choose another folder, or remove it"
        raise OptionError(msg)
    start = read_start(source)
    if start.lambda_range is None:
        msg = f"{source} does not say what range of lambda its weights were trained for; carry a run or a checkpoint"
        raise OptionError(msg)
    out.mkdir(parents=True)
    try:
        return _write(start, packs, out, most_bytes)
    except BaseException:
        shutil.rmtree(out)
        raise


def _write(start: Start, packs: Sequence[Path], out: Path, most_bytes: int) -> Load:
    assert start.lambda_range is not None
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in start.state.items()
    }
    low, high = start.lambda_range
    saved = {
        "format": checkpoint.FORMAT,
        "architecture": start.architecture.to_dict(),
        "config": {"rate": {"lambda_low": low, "lambda_high": high}, "data": {"packs": []}},
        "ema": weights,
        "history": [dict(run) for run in start.history],
        "pictures": dict(start.pictures),
    }
    replace_with(out / _WEIGHTS, lambda file: torch.save(saved, file))
    room = most_bytes - (out / _WEIGHTS).stat().st_size
    if room < 2**20:
        msg = f"the weights leave {room} of {most_bytes} bytes for pictures; allow more with --mib"
        raise OptionError(msg)
    pixels = {folder: Pack(folder).megapixels for folder in packs}
    pictures = 0
    for folder in packs:
        share = int(0.97 * room * pixels[folder] / sum(pixels.values()))  # the rest is headers and outlines
        packing = Packing(webp_quality=WEBP_QUALITY, most_bytes=share)
        pictures += pack([folder], out / _PACKS / folder.name, packing).photos
    return Load(sum(path.stat().st_size for path in out.rglob("*") if path.is_file()), pictures)


def away_config(load: Path, raw: Path, config: str, minutes: float, overrides: Sequence[str]) -> Config:
    """The config of a run on a load, whose packs are expanded into the folder `raw`. Raises PicoError subclasses."""
    try:
        folders = sorted(path for path in (load / _PACKS).iterdir() if path.is_dir())
    except OSError as error:
        msg = f"{load} is no load ({error.strerror}); make one with: pico-train carry"
        raise OptionError(msg) from error
    for folder in folders:
        if not (raw / folder.name).exists():
            pack([folder], raw / folder.name, Packing())
    weights = checkpoint.read(load / _WEIGHTS)
    fixed = [f"architecture.{name}={json.dumps(value)}" for name, value in weights["architecture"].items()]
    return read(
        config,
        [*AWAY, f"schedule.minutes={minutes}", *fixed, *overrides],
        [str(raw / folder.name) for folder in folders],
    )


def weights_of(load: Path) -> Path:
    """The checkpoint in a load, for `run --init`."""
    return load / _WEIGHTS


def send(state: dict[str, Any], out: Path, part_bytes: int = PART_BYTES) -> None:
    """Write the averaged weights of a trainer's state into a folder, in parts; what an earlier call wrote goes.

    The index is written last and names the parts by their hash, so a reader finds the old ones or the new ones.
    """
    kept = {name: state[name] for name in ("step", "architecture", "config", "ema", "history", "pictures")}
    stream = io.BytesIO()
    torch.save({"format": checkpoint.FORMAT, **_on_cpu(kept)}, stream)
    content = stream.getvalue()
    parts = [content[start : start + part_bytes] for start in range(0, len(content), part_bytes)]
    names = [f"{hashlib.sha256(part).hexdigest()[:32]}.part" for part in parts]
    out.mkdir(parents=True, exist_ok=True)
    for name, part in zip(names, parts, strict=True):
        write_whole(out / name, [part])
    write_whole(out / _INDEX, [json.dumps({"step": state["step"], "parts": names}).encode()])
    for path in out.glob("*.part"):
        if path.name not in names:
            path.unlink()


def collect(back: Path, out: Path) -> int:
    """Join the parts in a folder into a checkpoint, to begin a run with. Returns its step.

    Raises OptionError if `out` exists, CarryingError if parts are missing or damaged.
    """
    if out.exists():
        msg = f"{out} exists; choose another name, or remove it"
        raise OptionError(msg)
    try:
        index = json.loads((back / _INDEX).read_text("utf-8"))
        parts = [(back / name).read_bytes() for name in index["parts"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{back} does not hold all that came back: {error}; copy the whole folder again"
        raise CarryingError(msg) from error
    for name, part in zip(index["parts"], parts, strict=True):
        if hashlib.sha256(part).hexdigest()[:32] != Path(name).stem:
            msg = f"{back / name} was damaged on the way; copy the folder again"
            raise CarryingError(msg)
    write_whole(out, parts)
    try:
        return int(checkpoint.read(out)["step"])
    except BaseException:
        out.unlink()
        raise


def _on_cpu(values: Any) -> Any:
    if isinstance(values, torch.Tensor):
        return values.detach().cpu()
    if isinstance(values, dict):
        return {name: _on_cpu(value) for name, value in values.items()}
    return values
