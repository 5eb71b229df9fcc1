"""What a run tells: a bar on the terminal, and one JSON object a line in RUN/log.jsonl."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .files import write_whole
from .hardware import describe

NAME = "log.jsonl"


class RunLog:
    """The run's log. Rows beyond the checkpoint that a run resumes from are dropped: they will come again."""

    def __init__(self, run: Path, step: int):
        self._path = run / NAME
        kept = [row for row in read_log(run) if row.get("step", 0) <= step]
        write_whole(self._path, [(json.dumps(row) + "\n").encode() for row in kept])

    def start(self, step: int, changes: list[str]) -> None:
        """Note that a call begins, on what, and what changed in the config since the last."""
        row: dict[str, Any] = {"step": step, "event": "start", "hardware": describe()}
        if changes:
            row["changes"] = changes
            tqdm.write("changed since the last checkpoint:\n  " + "\n  ".join(changes))
        self.write(row)

    def write(self, row: dict[str, Any]) -> None:
        """Append one row."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_log(run: Path) -> list[dict[str, Any]]:
    """All rows; a last line that was cut off by a kill is left out."""
    path = run / NAME
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


class Progress:
    """Collects the terms of every step; shows the latest means on a bar and hands them out as rows."""

    def __init__(self, steps: int, first: int, shown: bool):
        self._bar = tqdm(total=steps, initial=first, disable=not shown, unit="step", smoothing=0.05)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}  # tensors, because a number would have to be waited for

    def add(self, terms: dict[str, Tensor]) -> None:
        """Take the terms of one step; non-finite ones are left out."""
        for name, value in terms.items():
            finite = torch.isfinite(value)
            kept = torch.where(finite, value, torch.zeros_like(value)).detach()
            self._sums[name] = self._sums.get(name, torch.zeros_like(kept)) + kept
            self._counts[name] = self._counts.get(name, torch.zeros_like(finite, dtype=torch.int64)) + finite
        self._bar.update()

    def row(self, step: int, seconds: float, skipped: int, rate: float) -> dict[str, Any]:
        """Means since the last row."""
        means = {name: float(total) / max(1, int(self._counts[name])) for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        psnr = -10 * math.log10(max(means.get("mse", 0.0), 1e-9))
        self._bar.set_postfix(loss=f"{means['loss']:.3f}", bpp=f"{means['bpp']:.3f}", psnr=f"{psnr:.2f}")
        row = {"step": step, "minutes": round(seconds / 60, 2), "skipped": skipped, "rate": rate}
        return row | {"psnr": round(psnr, 3)} | {name: float(f"{v:.5g}") for name, v in sorted(means.items())}

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
