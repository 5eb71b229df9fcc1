"""What a worker does to its own process, so that it fits among the others."""

from __future__ import annotations

import os
import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which reaches every process of the terminal, to the client: it finishes what is at work.

    Dask calls this when a worker of this machine starts.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def keep_to_own_threads() -> str:
    """Keep the codec to the threads that this worker was given; return the worker's address, empty outside of one.

    Who starts a worker may say fewer with PICO_THREADS.
    """
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return ""
    os.environ.setdefault("PICO_THREADS", str(worker.state.nthreads))
    return str(worker.address)
