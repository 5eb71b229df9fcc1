"""An object store that can be told to fail, and workers that can be told to die, for the tests of `--engine dask`."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from library_samples import drawing

from pico_library.store import objects as storage

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Fault = Callable[[App, dict[str, Any], Callable[..., Any]], Iterable[bytes]]

BUCKET = "photos"
ROOT = f"s3://{BUCKET}/library"
_WITH_A_DISK_ON = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"')


class ObjectStore:
    """S3 as moto serves it, on a port of this machine; every upload goes through `fault`, if there is one."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self._app: App = DomainDispatcherApplication(create_backend_app)
        self.fault: Fault | None = None
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
        if request["REQUEST_METHOD"] == "PUT" and self.fault is not None:
            return self.fault(self._app, request, begin)
        return self._app(request, begin)

    def close(self) -> None:
        self._server.shutdown()


def refuse(app: App, request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
    """A store that lets nobody write."""
    request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
    begin("403 Forbidden", [("Content-Type", "application/xml")])
    return [b"<Error><Code>AccessDenied</Code><Message>not for you</Message></Error>"]


def cut_short(app: App, request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
    """A store that keeps less than it was given, and says that all is well."""
    return app(_with_body(request, request["wsgi.input"].read(int(request["CONTENT_LENGTH"]))[:-40]), begin)


def know_no_conditions(app: App, request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
    """A store of the older kind, which cannot be asked to keep what exists."""
    if "HTTP_IF_NONE_MATCH" not in request:
        return app(request, begin)
    request["wsgi.input"].read(int(request["CONTENT_LENGTH"]))
    begin("501 Not Implemented", [("Content-Type", "application/xml")])
    return [b"<Error><Code>NotImplemented</Code><Message>A header implies something else</Message></Error>"]


def be_overtaken(app: App, request: dict[str, Any], begin: Callable[..., Any]) -> Iterable[bytes]:
    """Somebody else writes there between the moment when nothing was there and the upload."""
    other = _with_body(request, b"precious")
    other.pop("HTTP_IF_NONE_MATCH", None)
    list(app(other, lambda *_: None))
    return app(request, begin)


def _with_body(request: dict[str, Any], body: bytes) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in request.items()
        if not key.startswith(("HTTP_X_AMZ_CHECKSUM", "HTTP_X_AMZ_SDK", "HTTP_CONTENT_MD5"))
    }
    return {**kept, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """An empty object store, known to this process and all that it starts."""
    store = ObjectStore()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", store.address)
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        _forget_stores()
        urlopen(Request(f"{store.address}/moto-api/reset", method="POST")).close()
        system().mkdir(BUCKET)
        yield store
    store.close()


def _forget_stores() -> None:
    """Clients are kept for the life of a process, with the address they once had."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    storage.objects.cache_clear()


def system() -> Any:
    """The bucket as it is, past all that pico-library might remember."""
    import fsspec

    return fsspec.filesystem("s3", use_listings_cache=False)


def objects() -> dict[str, bytes]:
    """Every object in the store."""
    return {f"s3://{name}": system().cat_file(name) for name in system().find(BUCKET)}


@contextmanager
def mortal_worker(
    scheduler: str, fault: str = "", own_disk: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, which nobody starts again when it dies of the fault.

    Where others see the folder `own_disk`, it has an empty disk of its own.
    """
    program = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        scheduler,
        "--no-nanny",
        "--nthreads",
        "1",
    ]
    options = ["--no-dashboard", "--memory-limit", "0", "--death-timeout", "30"]
    environment = {**os.environ, "PICO_LIBRARY_FAULT": fault}
    if own_disk is not None:
        program = [*_WITH_A_DISK_ON, str(own_disk), *program]
    with subprocess.Popen(
        program + options, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def drawn(shade: int) -> bytes:
    stream = io.BytesIO()
    place = Path(os.environ["PICO_LIBRARY_HOME"]).parent / "drawn.png"
    stream.write(drawing(place, shade).read_bytes())
    place.unlink()
    return stream.getvalue()
