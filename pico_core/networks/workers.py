"""Threads that run the networks, each on a tile of its own with one thread of arithmetic.

The obvious alternative, one tile at a time with all cores inside every convolution, is about as fast on an idle
machine but meets at a barrier a hundred times per tile: as soon as another program wants a core, every
barrier may wait for the scheduler. Workers never wait for each other. What was and what was not measured of
this: docs/decisions/0005-one-worker-one-tile.md.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

MOST_WORKERS = 8  # more would only add memory: each holds the activations of a tile

_lock = threading.Lock()
_pool: tuple[ThreadPoolExecutor, int] | None = None


def pool() -> tuple[ThreadPoolExecutor, int]:
    """The process's workers and how many there are: as many as torch would use threads, at most eight."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = _start()
        return _pool


def _start() -> tuple[ThreadPoolExecutor, int]:
    threads = torch.get_num_threads()
    count = max(1, min(MOST_WORKERS, threads))
    all_started = threading.Barrier(count + 1)

    def start_worker() -> None:
        torch.set_num_threads(1)
        all_started.wait()

    executor = ThreadPoolExecutor(count, thread_name_prefix="pico", initializer=start_worker)
    for _ in range(count):
        executor.submit(int)
    all_started.wait()
    # The setting belongs to the calling thread, but is also the default of threads to come: put that back.
    torch.set_num_threads(threads)
    return executor, count


def _forget() -> None:
    """After a fork the child has the pool's object but none of its threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
