"""Threads that code the tiles of a picture, each a tile of its own.

Threads that wait for each other inside a tile are slow on a busy machine (docs/decisions/0005-one-worker-one-tile.md).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

MOST_WORKERS = 8  # more would only add memory: each holds what a tile needs
_LOOKAHEAD = 2  # tiles that wait, beyond one for every worker

S = TypeVar("S")
T = TypeVar("T")


def worker_count() -> int:
    """Processors that this process may use, at most eight; the environment variable PICO_THREADS may say fewer."""
    has_affinity = hasattr(os, "sched_getaffinity")
    available = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    wanted = os.environ.get("PICO_THREADS", "")
    limit = int(wanted) if wanted.isdecimal() and int(wanted) > 0 else MOST_WORKERS
    return max(1, min(MOST_WORKERS, available, limit))


def in_order(job: Callable[[S], T], tasks: Iterable[S]) -> Generator[T]:
    """Results in the order of the tasks, computed by threads, never more than a few ahead of the reader.

    Closing it waits for the jobs that run: what they read belongs to the caller, who may go on to use it.
    """
    workers = worker_count()
    pool = _start(workers)
    pending: deque[Future[T]] = deque()
    try:
        for task in tasks:
            pending.append(_submit(pool, job, task))
            if len(pending) >= workers + _LOOKAHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        wait([future for future in pending if not future.cancel()])
        if pool is not None:
            pool.shutdown()


def _start(workers: int) -> ThreadPoolExecutor | None:
    """A pool of threads; None where there will be none: with one worker, and while the program ends."""
    if workers == 1:
        return None
    try:
        from concurrent.futures.thread import ThreadPoolExecutor
    except RuntimeError:  # this module cannot be imported any more once the main thread has ended
        return None
    return ThreadPoolExecutor(workers, thread_name_prefix="pico")


def _submit(pool: ThreadPoolExecutor | None, job: Callable[[S], T], task: S) -> Future[T]:
    """Give a job to the pool. If it takes none, as when no thread can be started, the job runs here and now."""
    if pool is not None:
        try:
            return pool.submit(job, task)
        except RuntimeError:
            pass
    future: Future[T] = Future()
    try:
        future.set_result(job(task))
    except BaseException as error:
        future.set_exception(error)
    return future
