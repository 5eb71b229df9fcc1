"""The packages that only `--engine dask` needs."""

from __future__ import annotations

import importlib.util

from pico_core.errors import PicoError


class MissingExtraError(PicoError):
    """A package that only `--engine dask` needs is not installed."""


def require_extra(*, objects: bool) -> None:
    """Raise MissingExtraError if what the engine needs is not installed; `objects` for object stores too."""
    for package in ("distributed", *(("fsspec", "s3fs") if objects else ())):
        if importlib.util.find_spec(package) is None:
            msg = f"--engine dask needs {package}, which is not installed; pip install 'pillow-pico[dask]'"
            raise MissingExtraError(msg)
