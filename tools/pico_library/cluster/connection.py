"""The way to workers: those of a scheduler that runs already, or some of this machine's own for as long as it takes."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pico_library.cluster.agreement import ClusterError, Installed, check_workers, look_around

#: Deaths of workers over one photo that are put down to chance.
ALLOWED_DEATHS = 2
_SECONDS_TO_ANSWER = 15
_SECONDS_TO_JOIN = 60


@contextmanager
def own_workers(count: int, memory: int | None) -> Iterator[Any]:
    """A client of so many processes on this machine, of one thread each, that share `memory` bytes."""
    import dask
    import distributed

    start: Any = distributed
    # Without encryption other users of this machine could have the workers run programs of theirs.
    secured = importlib.util.find_spec("cryptography") is not None
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_DEATHS}),
        start.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            memory_limit="auto" if memory is None else memory // count,
            dashboard_address=None,
            security=start.Security.temporary() if secured else None,
            silence_logs=logging.CRITICAL,
            preload=["pico_library.cluster.workers"],
        ) as cluster,
        _client(cluster) as client,
    ):
        yield client


@contextmanager
def workers_of(scheduler: str) -> Iterator[Any]:
    """A client of the scheduler at an address, which has at least one worker. Raises ClusterError."""
    from distributed.comm.addressing import get_address_host_port

    try:
        get_address_host_port(scheduler)  # of what is no address the client takes half a minute to let go
        client = _client(scheduler)
    except (OSError, ValueError) as error:
        msg = f"no scheduler answers at {scheduler} ({error}); start one with `dask scheduler`, or see the address"
        raise ClusterError(msg) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_SECONDS_TO_JOIN)
        except TimeoutError as error:
            msg = f"the scheduler at {scheduler} has no workers; start some with `dask worker {scheduler}`"
            raise ClusterError(msg) from error
        yield client


def _client(where: Any) -> Any:
    import distributed

    for name in ("distributed", "distributed.client"):  # each has a level of its own
        logging.getLogger(name).setLevel(
            logging.CRITICAL
        )  # deaths are dealt with, and told as what became of photos
    connect: Any = distributed.Client
    return connect(where, timeout=_SECONDS_TO_ANSWER, set_as_default=False)


def require_agreement(client: Any, expected: Installed, folders: Sequence[str]) -> None:
    """Raise ClusterError unless every worker has the same program and weights, and sees these folders."""
    check_workers(client.run(look_around, list(folders), on_error="return"), expected)
