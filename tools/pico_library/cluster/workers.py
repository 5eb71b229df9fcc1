"""What a worker does to its own process, so that it fits among the others."""

from __future__ import annotations

import os
import signal
import sys


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which reaches every process of the terminal, to the client: it finishes what is at work.

    Dask calls this when a worker of this machine starts.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def keep_to_own_threads() -> str:
    """Keep torch to the threads that this worker was given; return the worker's address, empty outside of one."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return ""
    threads = worker.state.nthreads
    if "torch" in sys.modules:
        import torch

        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
    else:  # it asks these when it is imported
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
    return str(worker.address)
