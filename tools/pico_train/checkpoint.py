"""One file that holds everything a run needs to go on exactly where it was.

`RUN/checkpoint.pt` is replaced as a whole, so whatever moment the process is killed at, the last complete one is
there. Beside weights, averages and optimiser it holds the step, from which data, levels and rounding noise follow:
they are functions of (seed, step), and no generator has a state to be saved.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pico_core.errors import PicoError

from .files import remove_leftovers, replace_with

NAME = "checkpoint.pt"
FORMAT = "pico-checkpoint-1"


class CheckpointError(PicoError):
    """A checkpoint is damaged, or belongs to another kind of run."""


def save(run: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint."""
    content = {"format": FORMAT, **state}
    replace_with(run / NAME, lambda file: torch.save(content, file))


def load(run: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The run's checkpoint, or None if it has none yet. Raises CheckpointError."""
    path = run / NAME
    return read(path, device) if path.is_file() else None


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A checkpoint file. Raises CheckpointError."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise CheckpointError(msg) from error
    except Exception as error:
        # torch raises many kinds for damaged files, and advises to read them in a way that runs what they hold.
        msg = f"{path} cannot be read as a checkpoint ({type(error).__name__}); restore it from a copy"
        raise CheckpointError(msg) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        msg = f"{path} is no checkpoint of pico-train"
        raise CheckpointError(msg)
    return state


@contextmanager
def sole_writer(run: Path) -> Iterator[None]:
    """Hold the run's folder against other processes. Raises CheckpointError if one is at work in it."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / "lock").open("a") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            msg = f"another process is training in {run}; wait for it, stop it, or choose another folder"
            raise CheckpointError(msg) from error
        remove_leftovers(run)
        yield


def _lock(descriptor: int) -> None:
    if os.name == "posix":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
