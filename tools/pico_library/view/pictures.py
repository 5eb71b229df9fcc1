"""Pictures decoded for the gallery: one at a time, the newest wish first, the last ones kept in memory."""

from __future__ import annotations

import io
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pico_core import PicoFile
from pico_core.container import Container
from pico_core.errors import PicoError
from pico_library.model.orientation import orientation_of, upright
from pico_library.thumbnail import small_picture
from pico_library.view.catalogue import Entry

TILE_SIDE = 480  # pixels of the small pictures that are made where a file has no preview
CACHE_BYTES = 256 * 2**20
_WEBP_SIDE = 16_383  # the most that the format holds
_LOOK_AGAIN_SECONDS = 0.5  # whether whoever waits is still there


class AbandonedError(PicoError):
    """Nobody waits for the picture any more."""


class Rendered(NamedTuple):
    """A picture as a browser takes it."""

    content_type: str
    data: bytes


class Pictures:
    """Decodes pictures and keeps the last ones, up to `cache_bytes`. Methods may be called from several threads.

    `wanted` tells whether somebody still waits; if not, AbandonedError is raised instead of decoding. Further
    errors are those of reading and decoding.
    """

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._cache = _Cache(cache_bytes)
        self._turns = _Turns()

    def full(self, entry: Entry, wanted: Callable[[], bool]) -> Rendered:
        """Every pixel as decoded, upright, with the ICC profile: lossless WebP; PNG if it is grey or very large."""
        return self._made(f"full {entry.id}", entry, wanted, urgent=True, make=_full)

    def remains(self, entry: Entry, wanted: Callable[[], bool]) -> Rendered:
        """The same of a damaged file, grey where nothing can be decoded any more."""
        return self._made(f"remains {entry.id}", entry, wanted, urgent=True, make=_remains)

    def tile(self, entry: Entry, wanted: Callable[[], bool]) -> Rendered:
        """At most TILE_SIDE pixels a side, for files without a preview."""
        return self._made(f"tile {entry.id}", entry, wanted, urgent=False, make=_tile)

    def upright_original(self, path: Path, entry: Entry, wanted: Callable[[], bool]) -> Rendered:
        """An original whose orientation browsers may not follow, turned without loss."""
        return self._made(f"original {entry.id}", entry, wanted, urgent=True, make=lambda _: _turned(path))

    def _made(
        self,
        name: str,
        entry: Entry,
        wanted: Callable[[], bool],
        *,
        urgent: bool,
        make: Callable[[Entry], Rendered],
    ) -> Rendered:
        key = f"{name} {entry.version}"
        if (kept := self._cache.get(key)) is not None:
            return kept
        with self._turns.one(wanted, urgent=urgent):
            if (kept := self._cache.get(key)) is not None:  # whoever came before wanted the same
                return kept
            made = make(entry)
            self._cache.put(key, made)
            return made


class _Turns:
    """Lets one thread work at a time: urgent ones first, and of these the one that came last."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: set[tuple[bool, int]] = set()
        self._numbers = itertools.count()
        self._busy = False

    @contextmanager
    def one(self, wanted: Callable[[], bool], *, urgent: bool) -> Iterator[None]:
        with self._changed:
            ticket = (urgent, next(self._numbers))
            self._waiting.add(ticket)
            try:
                while self._busy or max(self._waiting) != ticket:
                    self._changed.wait(_LOOK_AGAIN_SECONDS)
                    _insist(wanted)
                _insist(wanted)
                self._busy = True
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()


class _Cache:
    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Rendered] = OrderedDict()

    def get(self, key: str) -> Rendered | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, made: Rendered) -> None:
        with self._lock:
            self._kept[key] = made
            self._held += len(made.data)
            while self._held > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._held -= len(dropped.data)


def _insist(wanted: Callable[[], bool]) -> None:
    if not wanted():
        msg = "nobody waits for the picture any more"
        raise AbandonedError(msg)


def _full(entry: Entry) -> Rendered:
    with PicoFile(entry.path) as file:
        return _decoded(file, file.decode(), entry)


def _remains(entry: Entry) -> Rendered:
    with PicoFile(entry.path, allow_truncated=True) as file:
        return _decoded(file, file.decode(on_missing="grey"), entry)


def _decoded(file: PicoFile, pixels: NDArray[np.uint8], entry: Entry) -> Rendered:
    im = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0])
    return lossless(upright(im, entry.orientation), file.container.icc)


def _tile(entry: Entry) -> Rendered:
    with entry.path.open("rb") as stream:
        container = Container(stream)
        im = small_picture(stream, container, TILE_SIDE)
        return _saved(im, "WEBP", quality=85, method=2, icc_profile=container.icc)


def _turned(path: Path) -> Rendered:
    with Image.open(path) as im:
        profile = im.info.get("icc_profile")
        return lossless(upright(im, orientation_of(im.info.get("exif"))), profile)


def lossless(im: Image.Image, profile: bytes | None) -> Rendered:
    """Every pixel of the picture and its ICC profile, in what a browser shows."""
    if max(im.size) > _WEBP_SIDE or im.mode in ("L", "LA"):  # a profile for grey does not fit WebP's colours
        return _saved(im, "PNG", compress_level=1, icc_profile=profile)
    return _saved(im, "WEBP", lossless=True, exact=True, method=0, quality=0, icc_profile=profile)


def _saved(im: Image.Image, kind: str, **options: Any) -> Rendered:
    stream = io.BytesIO()
    im.save(stream, kind, **{name: value for name, value in options.items() if value is not None})
    return Rendered(f"image/{kind.lower()}", stream.getvalue())
