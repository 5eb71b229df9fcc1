"""Means of the weights of several runs, which may be better than each of them.

Runs that begin one at the other's end may sit on different sides of the same valley, and a point between them may
generalise better (Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pico_core.errors import OptionError

from . import checkpoint
from .files import replace_with


def average(runs: Sequence[Path], shares: Sequence[float], out: Path) -> list[float]:
    """Write a checkpoint with the mean of the averaged weights of runs, or of checkpoints; all else is the last one's.

    `shares` are those of the runs in the mean, one each; without any they are equal. Returns them, with sum 1. The
    result holds weights only: a run can begin with it (`--init`), but not go on from it.
    Raises OptionError if the runs do not fit each other, CheckpointError for files that hold none.
    """
    shares = shares or [1.0] * len(runs)
    if len(shares) != len(runs) or not all(0 < share < math.inf for share in shares):
        msg = f"--shares must be {len(runs)} numbers above 0, one for each run"
        raise OptionError(msg)
    if out.exists() or out.name == checkpoint.NAME:
        # What a run needs to go on is more than weights, and would be lost.
        msg = f"{out} is there already, or bears a name that only runs use; --out names a new file, as in mean.pt"
        raise OptionError(msg)
    total: dict[str, Tensor] = {}
    last: dict[str, Any] = {}
    normalised = [share / sum(shares) for share in shares]
    for run, share in zip(runs, normalised, strict=True):
        path = run / checkpoint.NAME if run.is_dir() else run
        if not path.is_file():
            msg = f"there is no checkpoint at {path}; give folders of runs, or checkpoints"
            raise OptionError(msg)
        saved = checkpoint.read(path)
        if last and (problem := _difference(last, saved)) is not None:
            msg = f"{run} does not fit {runs[0]}: their {problem} differ, so a mean of their weights means nothing"
            raise OptionError(msg)
        for name, tensor in saved["ema"].items():
            total[name] = total.get(name, torch.zeros(())) + share * tensor.double()
        last = saved
    kept = {name: last[name] for name in ("format", "config", "architecture", "pictures")}
    kept["ema"] = {name: total[name].to(tensor.dtype) for name, tensor in last["ema"].items()}
    kept["history"] = [*last["history"], {"phase": "average", "steps": 0, "shares": normalised}]
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_with(out, lambda file: torch.save(kept, file))
    return normalised


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    if one["architecture"] != other["architecture"]:
        return "architectures"
    ranges = [
        [saved["config"]["rate"][name] for name in ("lambda_low", "lambda_high")] for saved in (one, other)
    ]
    return None if ranges[0] == ranges[1] else "ranges of lambda"
