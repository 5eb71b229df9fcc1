"""Threads that run the networks, each on a tile of its own with one thread of arithmetic.

The obvious alternative, one tile at a time with all cores inside every convolution, is about as fast on an idle
machine but meets at a barrier a hundred times per tile: as soon as another program wants a core, every
barrier may wait for the scheduler. Workers never wait for each other. What was and what was not measured of
this: docs/decisions/0005-one-worker-one-tile.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import torch

from pico_core.pools import LastingPool

MOST_WORKERS = 8  # more would only add memory: each holds the activations of a tile

_lock = threading.Lock()
_pool: tuple[LastingPool, int] | None = None


def pool() -> tuple[LastingPool, int]:
    """The process's workers and how many there are: as many as torch would use threads, at most eight.

    Where no thread can be started any more, as while the program ends, the only worker is whoever brings the job.
    """
    global _pool
    with _lock:
        if _pool is None:
            try:
                _pool = _start()
            except RuntimeError:
                return LastingPool(None, _alone), 1
        return _pool


def _start() -> tuple[LastingPool, int]:
    threads = torch.get_num_threads()
    count = max(1, min(MOST_WORKERS, threads))
    all_started = threading.Barrier(count + 1)

    def start_worker() -> None:
        torch.set_num_threads(1)
        with suppress(threading.BrokenBarrierError):
            all_started.wait()

    executor = ThreadPoolExecutor(count, thread_name_prefix="pico", initializer=start_worker)
    try:
        for _ in range(count):
            executor.submit(int)
        all_started.wait()
    except BaseException:
        all_started.abort()  # those that did start would wait for the others for ever, and the program for them
        raise
    finally:
        # The setting belongs to the calling thread, but is also the default of threads to come: put that back.
        torch.set_num_threads(threads)
    return LastingPool(executor, _alone), count


@contextmanager
def _alone() -> Iterator[None]:
    """Arithmetic in one thread, as a worker's: in a forked child there may be none of those that torch would ask."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _forget() -> None:
    """After a fork the child has the pool's object but none of its threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
