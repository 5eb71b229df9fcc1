"""Pools of threads that take jobs as long as the program lives, also while it ends.

Python's own refuse them from the moment on at which the main thread ends, though other threads go on and exit handlers
run: by then `Image.save` has emptied the file that it was to write.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class LastingPool(Executor):
    """Hands jobs to another pool; those that it refuses run at once, in the thread that brings them.

    Without another pool all of them do. `here` makes the context that jobs run in there.
    """

    def __init__(
        self, pool: Executor | None, here: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        self._pool, self._here = pool, here

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As Executor.submit; what the job raises is in the future, in either case."""
        if self._pool is not None:
            try:
                return self._pool.submit(fn, *args, **kwargs)
            except RuntimeError:
                pass  # raised for no other reason than that no thread takes the job
        future: Future[T] = Future()
        try:
            with self._here():
                future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future
