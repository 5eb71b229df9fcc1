"""The web application: one page for raters, its few calls, and the pictures of a trial.

Every request must name this server by an address or a name that it was started for (against DNS rebinding), and
every call that changes something must come from its own page (against forged requests). No addresses of raters are
written down anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pico_core.errors import OptionError, PicoError
from pico_study.sessions import Sessions
from pico_study.way import RefusedError, UnknownError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

INSTALL = "pip install 'pillow-pico[study]'"
PAGE_HEADER = "x-pico-study"
RATER_HEADER = "x-pico-rater"
_LONGEST_BODY = 8192
_LONGEST_WORD = 64
_TOO_MUCH = "too much was sent"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES = {
    "study.js": "text/javascript",
    "viewer.js": "text/javascript",
    "outbox.js": "text/javascript",
    "study.css": "text/css",
    "icon.svg": "image/svg+xml",
}


def application(sessions: Sessions, key: str | None, names: Sequence[str] = ()) -> Starlette:
    """The application for a study; it closes `sessions` when it ends.

    With a `key`, it answers only to browsers that came by a link with it.

    `names` are host names it may be called by, besides localhost and numeric addresses.
    Raises OptionError if Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.base import BaseHTTPMiddleware
        from starlette.routing import Route
    except ImportError as error:
        msg = f"the web application needs Starlette and Uvicorn: {INSTALL}"
        raise OptionError(msg) from error

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        sessions.close()

    views = _Views(sessions, key)
    guard = _Guard(key, frozenset({"localhost", *(name.lower() for name in names)}))
    routes = [
        Route("/", views.page),
        Route("/web/{name}", views.file),
        Route("/api/study", views.study),
        Route("/api/begin", views.begin, methods=["POST"]),
        Route("/api/state", views.state),
        Route("/api/answer", views.answer, methods=["POST"]),
        Route("/api/withdraw", views.withdraw, methods=["POST"]),
        Route("/picture/{token}/{role}", views.picture),
    ]
    handlers: Any = {PicoError: _failed}
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=guard)]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan)


def _cookie_of(key: str) -> str:
    """The name of a study's cookie: browsers keep one of each name for all the ports of a host."""
    return f"pico-study-key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


class _Guard:
    """What a request must fulfil before anything else looks at it."""

    def __init__(self, key: str | None, names: frozenset[str]) -> None:
        self._key = key
        self._names = names

    async def __call__(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = self._refusal(request) or self._entrance(request) or await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._is_ours(host):
            return _error(421, "this server does not go by that name; start it with --name to allow it")
        if request.method == "POST":
            origin = request.headers.get("origin")
            foreign = origin is not None and origin.partition("://")[2] != host
            if foreign or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
                return _error(403, "only the study's own page may do this")
            if PAGE_HEADER not in request.headers:
                return _error(403, "only the study's own page may do this")
        return self._refusal_of_body(request)

    def _refusal_of_body(self, request: Request) -> Response | None:
        """What the headers say of the body; `_body` counts what comes."""
        length = request.headers.get("content-length")
        if length is None:
            return None
        if "transfer-encoding" in request.headers or not length.isdecimal():
            return _error(400, "the length of what was sent is not clear")
        return _error(413, _TOO_MUCH) if int(length) > _LONGEST_BODY else None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self._names:
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _entrance(self, request: Request) -> Response | None:
        """A link with the right key sets a cookie and leads to the page; without either there is no way in."""
        from starlette.responses import PlainTextResponse, RedirectResponse

        if self._key is None:
            return None
        given = request.query_params.get("key")
        if (
            given is not None
            and request.url.path == "/"
            and hmac.compare_digest(given.encode(), self._key.encode())
        ):
            response = RedirectResponse("/", 303)
            response.set_cookie(
                _cookie_of(self._key), self._key, max_age=90 * 86400, httponly=True, samesite="lax"
            )
            return response
        if hmac.compare_digest(request.cookies.get(_cookie_of(self._key), "").encode(), self._key.encode()):
            return None
        return PlainTextResponse("Open the whole link that the organiser of this study sent you.\n", 401)


class _Views:
    """The answers to requests. Those that touch the database run in worker threads."""

    def __init__(self, sessions: Sessions, key: str | None) -> None:
        self._sessions = sessions
        self._entrance = "/" if key is None else f"/?key={key}"

    def page(self, request: Request) -> Response:
        return _file("page.html", "text/html")

    def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            return _error(404, "there is no such file")
        return _file(name, _FILES[name])

    def study(self, request: Request) -> Response:
        """What the page says before a rater consents."""
        settings = self._sessions.settings
        paragraphs = [part.strip() for part in settings.consent.split("\n\n") if part.strip()]
        content = {"title": settings.title, "consent": paragraphs, "trials": settings.trials}
        return _json({**content, "ties": settings.ties, "simulated": self._sessions.simulated()})

    async def begin(self, request: Request) -> Response:
        content = await _body(request)
        if content.get("consent") is not True:
            msg = "consent is needed to take part"
            raise RefusedError(msg)
        response: Response = await _threaded(self._begin)
        return response

    def _begin(self) -> Response:
        if self._sessions.simulated():
            msg = "This study holds simulated raters; people cannot take part."
            raise RefusedError(msg)
        rater = self._sessions.begin()
        return _json({"rater": rater.secret, **self._state(rater.secret)})

    def state(self, request: Request) -> Response:
        """Where the rater stands, and the address that a link to go on elsewhere begins with."""
        return _json(self._state(_rater(request)))

    def _state(self, secret: str) -> dict[str, Any]:
        return {**self._sessions.state(secret), "entrance": self._entrance}

    async def answer(self, request: Request) -> Response:
        content = await _body(request)
        token, choice = _word(content.get("trial")), _word(content.get("choice"))
        view, milliseconds = content.get("view"), content.get("milliseconds")
        if token is None or choice is None:
            msg = "an answer needs a trial and a choice; reload the page"
            raise RefusedError(msg)
        if not (isinstance(view, dict) and isinstance(milliseconds, int)):
            msg = "an answer needs a time and how the pictures were seen; reload the page"
            raise RefusedError(msg)
        secret = _rater(request)
        state = await _threaded(lambda: self._sessions.answer(secret, token, choice, milliseconds, view))
        return _json(state)

    async def withdraw(self, request: Request) -> Response:
        await _body(request)
        secret = _rater(request)
        await _threaded(lambda: self._sessions.withdraw(secret))
        return _json({})

    def picture(self, request: Request) -> Response:
        """A picture, with no header that differs between those of a trial."""
        from starlette.responses import Response as Plain

        content = self._sessions.picture(request.path_params["token"], request.path_params["role"])
        return Plain(
            content, media_type="image/png", headers={"Cache-Control": "private, max-age=86400, immutable"}
        )


async def _threaded(function: Callable[[], Any]) -> Any:
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(function)


def _rater(request: Request) -> str:
    return request.headers.get(RATER_HEADER, "")


def _word(content: object) -> str | None:
    """A token or choice, if it can be one."""
    fits = isinstance(content, str) and content.isascii() and len(content) <= _LONGEST_WORD
    return str(content) if fits else None


class _TooMuchError(RefusedError):
    """A body is longer than any that the page sends."""


async def _bytes(request: Request) -> bytes:
    """The body, of which no more is read than the limit allows, whatever the headers say."""
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > _LONGEST_BODY:
            raise _TooMuchError(_TOO_MUCH)
    return bytes(found)


async def _body(request: Request) -> dict[str, Any]:
    data = await _bytes(request)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        msg = "this is not JSON; reload the page"
        raise RefusedError(msg) from error
    if not isinstance(content, dict):
        msg = "this is not what the page sends; reload it"
        raise RefusedError(msg)
    return content


def _file(name: str, kind: str) -> Response:
    from starlette.responses import Response as Plain

    content = (resources.files("pico_study") / "web" / name).read_bytes()
    return Plain(content, media_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})


def _json(content: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(content, status)


def _error(status: int, message: str) -> Response:
    return _json({"error": message}, status)


def _failed(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 503)
    return _error(status, str(error))


_STATUSES: dict[type[Exception], int] = {UnknownError: 404, _TooMuchError: 413, RefusedError: 400}
