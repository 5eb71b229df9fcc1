"""Whether the workers have what the client has: the same program, the same weights, the same folders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pico_core import __version__, registry
from pico_core.errors import PicoError


class ClusterError(PicoError):
    """There is no cluster to work with, or not one that could do this work."""


@dataclass(frozen=True)
class Installed:
    """What decides on the bytes of a .pico file: version of pillow-pico, and the id of the weights that encode."""

    version: str
    weights: str

    def __str__(self) -> str:
        return f"pillow-pico {self.version} with weights {self.weights}"


@dataclass(frozen=True)
class Surroundings:
    """What a worker finds where it runs; `unseen` are the folders asked for that it does not have."""

    installed: Installed
    unseen: tuple[str, ...]


def installed() -> Installed:
    """What this process would encode with."""
    return Installed(__version__, registry.default_id().hex())


def look_around(folders: Sequence[str]) -> Surroundings:
    """What this process has of what a run needs. Runs on every worker."""
    return Surroundings(installed(), tuple(folder for folder in folders if not os.path.exists(folder)))  # noqa: PTH110


def require_same(expected: Installed) -> None:
    """Raise ClusterError if this process would encode otherwise than the client."""
    here = installed()
    if here != expected:
        raise ClusterError(_difference("this worker", here, expected))


def check_workers(answers: Mapping[str, object], expected: Installed) -> None:
    """Judge what `look_around` answered on each worker, or the error it ended with. Raises ClusterError."""
    for worker, answer in sorted(answers.items()):
        if not isinstance(answer, Surroundings):
            msg = f"worker {worker} cannot take part ({answer}); pip install 'pillow-pico[dask]' there"
            raise ClusterError(msg)
        if answer.installed != expected:
            raise ClusterError(_difference(f"worker {worker}", answer.installed, expected))
        if answer.unseen:
            msg = (
                f"worker {worker} sees no {answer.unseen[0]}; mount it there under the same name, "
                "or use an object store"
            )
            raise ClusterError(msg)


def _difference(who: str, has: Installed, expected: Installed) -> str:
    return f"{who} has {has}, this machine {expected}; install the same version on all of them"
