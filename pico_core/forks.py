"""What threads share may be used in a child that another thread forks: no lock is left taken there for ever.

A fork copies every lock as it is, but only the thread that forks. Whatever another one had locked would stay locked.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")

#: Held while weights and networks are loaded, and where threads add something up. It is one, so that no two can be
#: taken in different orders, and a fork takes it too: it waits until what is being loaded is there.
SHARED = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=SHARED.acquire, after_in_parent=SHARED.release, after_in_child=SHARED.release)


class kept(Generic[T]):  # noqa: N801 (a decorator, as functools.cached_property is)
    """A property that is computed once and kept. Threads that ask at the same time may compute it twice.

    Before Python 3.12, functools.cached_property holds a lock of its own meanwhile, for all objects of the class.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value = self._compute(instance)
        instance.__dict__[self._name] = value
        return value
