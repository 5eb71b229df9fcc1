"""The web server behind `pico-library view`: it answers this machine's own browser only, and changes nothing.

It listens on 127.0.0.1. A request must name that host (another web page that made its own name point here does
not), must not come from another site, and must know the secret that the address begins with. Files have random
ids, and only those that the catalogue found have one: no path is ever taken from a request.
"""

from __future__ import annotations

import hmac
import json
import secrets
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import IO, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from pico_codec.cli import explain
from pico_codec.source import FILE_ERRORS
from pico_core.container import Container
from pico_library.view.before import find_before
from pico_library.view.catalogue import Catalogue, Entry
from pico_library.view.facts import facts_of, in_words
from pico_library.view.peer import is_this_user
from pico_library.view.pictures import AbandonedError, Pictures, Rendered
from pico_library.view.previews import preview_jpeg

HOST = "127.0.0.1"
_PAGE = {
    "": ("page.html", "text/html; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
    "page.css": ("gallery.css", "text/css; charset=utf-8"),
    "gallery.js": ("gallery.js", "text/javascript; charset=utf-8"),
    "layout.js": ("js/layout.js", "text/javascript; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "stage.js": ("js/stage.js", "text/javascript; charset=utf-8"),
}
# What the gallery has in common with pico.html.
_PACKAGE_OF = dict.fromkeys(("gallery.css", "js/layout.js", "js/stage.js"), "pico_web")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_INVITED = "open"
_PLAIN_PORT = 80  # which browsers do not name
_MOST_AT_ONCE = 1000  # entries in one answer
_CHUNK = 1 << 18
_WAIT_SECONDS = 2.0  # for new entries
_SIGN_SECONDS = 5.0  # between signs of life to an open page
_IDLE_SECONDS = 60


class Presence:
    """Whether a page is open somewhere, so that a server that nobody looks at any more can end."""

    def __init__(self, *, patience: float = 15.0, first_patience: float = 120.0) -> None:
        self._lock = threading.Lock()
        self._patience = patience
        self._pages = 0
        self._give_up_at = time.monotonic() + first_patience

    def __enter__(self) -> None:
        with self._lock:
            self._pages += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._pages -= 1
            self._give_up_at = time.monotonic() + self._patience

    def over(self) -> bool:
        """Whether no page has been open for longer than the patience."""
        with self._lock:
            return self._pages == 0 and time.monotonic() > self._give_up_at


class Viewer(ThreadingHTTPServer):
    """The server. It may be asked for from when it is made; `serve_forever` in a thread answers.

    Raises OSError if the port cannot be had.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, roots: Sequence[Path], port: int = 0) -> None:
        self.token = secrets.token_urlsafe(18)
        self._tickets: set[str] = set()
        self.catalogue = Catalogue(roots)
        self.pictures = Pictures()
        self.presence = Presence()
        super().__init__((HOST, port), _Handler)
        self.catalogue.start()

    @property
    def port(self) -> int:
        """The port that was found free, or asked for."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """Where the page is, with the secret."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    @property
    def opened(self) -> str:
        """What an address ends with so that the page shows one picture large; empty where it is to show all."""
        chosen = self.catalogue.chosen
        return "" if chosen is None else f"#{chosen}"

    def invitation(self) -> str:
        """An address that leads to the page once. Whoever lists processes can read what a browser is started with."""
        ticket = secrets.token_urlsafe(18)
        self._tickets.add(ticket)
        return f"http://{HOST}:{self.port}/{_INVITED}/{ticket}"

    def admits(self, ticket: str, connection: socket.socket) -> bool:
        """Whether that is an invitation's ticket which nobody has used; it is used now.

        Raises _RefusedError where somebody else comes with it, who may have read it in the list of processes.
        """
        if ticket not in self._tickets:
            return False
        if not is_this_user(connection):
            message = "this browser is another user's; use the whole address that pico-library printed"
            raise _RefusedError(HTTPStatus.FORBIDDEN, message)
        try:
            self._tickets.remove(ticket)  # of several threads one succeeds
        except KeyError:
            return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a browser hung up; anything else is a fault of the program, and goes to the terminal."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _RefusedError(Exception):
    """The request gets this status and message instead of what it wanted."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: Viewer
    protocol_version = "HTTP/1.1"
    server_version = "pico-library"
    sys_version = ""
    timeout = _IDLE_SECONDS
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    _has_begun = False  # whether anything of an answer to the present request was written

    def do_GET(self) -> None:
        """Answer, whatever happens."""
        self._has_begun = False
        try:
            self._check_origin()
            self._route()
        except _RefusedError as refused:
            self._fail(refused.status, str(refused))
        except AbandonedError:
            self.close_connection = True
        except ConnectionError:
            raise
        except FileNotFoundError:
            self._fail(HTTPStatus.GONE, "the file is not there any more; reload the page once it is back")
        except FILE_ERRORS as error:
            self._fail(HTTPStatus.UNPROCESSABLE_ENTITY, explain(error))
        self.wfile.flush()

    def do_HEAD(self) -> None:
        """Answer as to GET, without the body."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no proper request, or another method than GET and HEAD, under the same headers."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status, message = HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered here"
        self.close_connection = True
        self._plain(status, message or status.phrase)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal quiet."""

    # Who asks

    def _check_origin(self) -> None:
        hosts = self.headers.get_all("Host") or []
        names, port = {HOST, "localhost"}, self.server.port
        own = {f"{name}:{port}" for name in names} | (names if port == _PLAIN_PORT else set())
        if len(hosts) != 1 or hosts[0].lower() not in own:
            raise _RefusedError(HTTPStatus.MISDIRECTED_REQUEST, "this is not the host that was asked for")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "other web pages get nothing here")

    def _route(self) -> None:
        url = urlsplit(self.path)
        _, token, *rest = [*url.path.split("/"), ""]
        if token == _INVITED and self.command == "GET" and self.server.admits(rest[0], self.connection):
            self._lead_to_the_page()
            return
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "use the whole address that pico-library printed")
        parts = rest[:-1]
        if not parts:
            self._lead_to_the_page()
        elif len(parts) == 1 and parts[0] in _PAGE:
            if parts == [""]:
                self.server.catalogue.look_again()
            self._page(*_PAGE[parts[0]])
        elif parts == ["list"]:
            self._list(parse_qs(url.query).get("from", ["0"])[0])
        elif parts == ["alive"]:
            self._alive()
        elif len(parts) == 2 and parts[0] in self._OF_ENTRIES:
            entry = self.server.catalogue.get(parts[1])
            if entry is None:
                raise _RefusedError(HTTPStatus.NOT_FOUND, "there is no such picture")
            self._OF_ENTRIES[parts[0]](self, entry)
        else:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    # Answers

    def _lead_to_the_page(self) -> None:
        headers = {"Location": f"/{self.server.token}/{self.server.opened}", "Cache-Control": "no-store"}
        self._answer(b"", "text/plain", headers, HTTPStatus.SEE_OTHER)

    def _page(self, name: str, content_type: str) -> None:
        data = resources.files(_PACKAGE_OF.get(name, "pico_library.view")).joinpath(name).read_bytes()
        self._answer(data, content_type, {"Cache-Control": "no-store"})

    def _list(self, start: str) -> None:
        count = int(start) if start.isdecimal() and len(start) < 9 else 0
        entries, complete = self.server.catalogue.since(count, _WAIT_SECONDS)
        self._json(
            {
                "title": self.server.catalogue.title,
                "entries": [_as_json(entry) for entry in entries[:_MOST_AT_ONCE]],
                "complete": complete and len(entries) <= _MOST_AT_ONCE,
            }
        )

    def _alive(self) -> None:
        self.close_connection = True
        self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        with self.server.presence:
            while self.command == "GET" and self._wanted():
                self.wfile.write(b":\n\n")
                self.wfile.flush()
                time.sleep(_SIGN_SECONDS)

    def _tile(self, entry: Entry) -> None:
        tag = f'"{entry.version}"'
        caching = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
        if self.headers.get("If-None-Match") == tag:
            self._head(HTTPStatus.NOT_MODIFIED, caching)
            return
        with entry.path.open("rb") as stream:
            jpeg = preview_jpeg(Container(stream, allow_truncated=True), entry.orientation)
        if jpeg is not None:
            self._answer(jpeg, "image/jpeg", caching)
        else:
            self._rendered(self.server.pictures.tile(entry, self._wanted), caching)

    def _picture(self, entry: Entry) -> None:
        self._rendered(self.server.pictures.full(entry, self._wanted), {"Cache-Control": "no-store"})

    def _remains(self, entry: Entry) -> None:
        self._rendered(self.server.pictures.remains(entry, self._wanted), {"Cache-Control": "no-store"})

    def _original(self, entry: Entry) -> None:
        before = find_before(entry)
        if before is None:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "the original is not to be found")
        unkept = {"Cache-Control": "no-store"}
        if not before.as_it_is:
            self._rendered(self.server.pictures.upright_original(before.path, entry, self._wanted), unkept)
            return
        with before.path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            described = {"Content-Type": before.content_type, "Content-Length": str(size), **unkept}
            self._head(HTTPStatus.OK, described)
            if self.command == "GET":
                self._send_bytes(stream, size)

    def _facts(self, entry: Entry) -> None:
        before = find_before(entry) if entry.width else None
        self._json({"facts": facts_of(entry, before), "before": before is not None})

    _OF_ENTRIES: ClassVar[dict[str, Callable[[_Handler, Entry], None]]] = {
        "tile": _tile,
        "picture": _picture,
        "remains": _remains,
        "original": _original,
        "facts": _facts,
    }

    # Writing

    def _send_bytes(self, stream: IO[bytes], size: int) -> None:
        """Send so many bytes of a file; if it has become shorter, end the connection, so that the browser learns it."""
        while size and (data := stream.read(min(size, _CHUNK))):
            self.wfile.write(data)
            size -= len(data)
        if size:
            self.close_connection = True

    def _fail(self, status: HTTPStatus, message: str) -> None:
        """Say why there is no answer. Amid an answer, words would become a part of it: then the connection ends."""
        if self._has_begun:
            self.close_connection = True
        else:
            self._plain(status, message)

    def _json(self, content: object) -> None:
        data = json.dumps(content, separators=(",", ":")).encode("ascii")
        self._answer(data, "application/json", {"Cache-Control": "no-store"})

    def _plain(self, status: HTTPStatus, message: str) -> None:
        data = (message + "\n").encode("utf-8", "replace")
        headers = {"Allow": "GET, HEAD"} if status is HTTPStatus.METHOD_NOT_ALLOWED else {}
        headers |= {"Cache-Control": "no-store"}
        self._answer(data, "text/plain; charset=utf-8", headers, status)

    def _rendered(self, picture: Rendered, headers: dict[str, str]) -> None:
        self._answer(picture.data, picture.content_type, headers)

    def _answer(
        self, data: bytes, content_type: str, headers: dict[str, str], status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self._head(status, {"Content-Type": content_type, "Content-Length": str(len(data)), **headers})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self._has_begun = True
        self.send_response(status)
        for name, value in {**_ALWAYS, **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _wanted(self) -> bool:
        """Whether the browser is still connected."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or self.connection.recv(1, socket.MSG_PEEK) != b""
        except (OSError, ValueError):
            return False


def _as_json(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "name": entry.name,
        "version": entry.version,
        "size": in_words(entry.size),
        "bytes": entry.size,
        "taken": entry.taken,
        "dated": entry.dated,
        "width": entry.width,
        "height": entry.height,
        "preview": entry.has_preview,
        "error": entry.error,
    }
