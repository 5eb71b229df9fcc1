"""Ctrl-C, where Python's way of raising KeyboardInterrupt between any two steps would lose what they did."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


def raises_here() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt in the thread that asks: the main one, and nobody else handles it."""
    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return raises and threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Have KeyboardInterrupt raised after the steps inside, which must be few, and not between them."""
    if not raises_here():
        yield
        return
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
