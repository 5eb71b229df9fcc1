"""Run by the workers of this machine when they start."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which reaches every process of the terminal, to the client: it finishes what is at work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
