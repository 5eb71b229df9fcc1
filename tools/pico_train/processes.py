"""Several processes that train one model, each with one thread of arithmetic.

The obvious alternative, one process with all cores inside every convolution, meets at a barrier hundreds of times
a step; this meets once. On CPUs that other programs use as well, the difference is large.
"""

from __future__ import annotations

import datetime
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from pico_core.errors import PicoError

_PATIENCE = datetime.timedelta(hours=3)  # while one process evaluates, the others wait


class WorkerError(PicoError):
    """A training process ended before its time."""


class Team:
    """The processes that share a batch, as one of them sees them."""

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def share_of(self, count: int) -> range:
        """Which of `count` micro-batches this process computes."""
        return range(self.rank, count, self.size)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over the processes."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))


def team_size(wanted: int, micro_batches: int) -> int:
    """How many processes share a batch: `wanted` (0: one for each core), as far as micro-batches divide evenly."""
    most = max(1, wanted or available_cores())
    return max(size for size in range(1, micro_batches + 1) if micro_batches % size == 0 and size <= most)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_team(size: int, job: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Call `job(team, *arguments)` in `size` processes (in this one if alone), each with one thread.

    Signals to this process reach the others. Raises what `job` raised, as WorkerError if it was in another process.
    """
    if size == 1:
        with _one_thread():
            job(Team(), *arguments)
        return
    errors = get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="pico-train-") as folder:
        meeting = f"file://{Path(folder).as_posix()}/meeting"
        _set_thread_variables()
        context = start_processes(  # type: ignore[no-untyped-call]
            _work, (size, meeting, errors, job, arguments), size, join=False, start_method="spawn"
        )
        with _signals_passed_to(context.pids()):
            try:
                while not context.join():
                    pass
            except ProcessExitedException as error:
                msg = f"a training process ended: {error}" if errors.empty() else str(errors.get())
                raise WorkerError(msg) from error


def _work(
    rank: int, size: int, meeting: str, errors: Any, job: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    """What every process of a team does."""
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", meeting, _PATIENCE, size, rank)
        job(Team(rank, size), *arguments)
        dist.destroy_process_group()
    except (PicoError, OSError) as error:
        errors.put(str(error))
        raise SystemExit(1) from error


def _set_thread_variables() -> None:
    """Numeric libraries read these when they are imported, so they must be set before processes start."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _signals_passed_to(pids: list[int]) -> Iterator[None]:
    """Workers end by themselves after a signal, having saved; this process waits for them."""

    def pass_on(_number: int, _frame: object) -> None:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue

    # Ctrl-C reaches the whole process group already, but a SIGINT to this process alone does not: workers are asked
    # by SIGTERM, which they take for the same wish.
    # On Windows that would be their end, and Ctrl-C is all there is.
    wish = signal.SIG_IGN if os.name == "nt" else pass_on
    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on),
        signal.SIGINT: signal.signal(signal.SIGINT, wish),
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
