"""Pixels <-> tile payloads: runs the networks and, beside them in a second thread, the entropy coder."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import lossless
from .container import Coder, Tile
from .errors import OptionError, PicoError
from .registry import Weights
from .tiling import ALIGNMENT, Box, Grid, pad_to_alignment

if TYPE_CHECKING:
    from .entropy import TileCoder
    from .networks.inference import Networks

PRECISIONS = ("auto", "float32", "bfloat16")
_LOOKAHEAD = 4  # tiles that the entropy coder may be ahead of, or behind, the networks

T = TypeVar("T")
Profile = dict[str, float]


@contextmanager
def timed(profile: Profile | None, part: str) -> Iterator[None]:
    """Add the wall seconds of the block to `profile[part]`, where a profile is wanted."""
    if profile is None:
        yield
        return
    start = time.perf_counter()
    yield
    profile[part] = profile.get(part, 0.0) + time.perf_counter() - start


class LearnedCodec:
    """The learned tile coder for one set of weights; may be used from several threads."""

    def __init__(self, weights: Weights):
        self.weights = weights
        self._networks: dict[str, Networks] = {}
        self._lock = threading.Lock()

    @cached_property
    def tile_coder(self) -> TileCoder:
        """The entropy coder with this model's tables."""
        from .entropy import Table, TileCoder

        latent = [Table(frequencies) for frequencies in self.weights.latent_frequencies()]
        hyper = [[Table(f) for f in anchor] for anchor in self.weights.hyper_frequencies()]
        return TileCoder(self.weights.scale_path, latent, hyper)

    def networks(self, precision: str) -> Networks:
        """The networks in `auto`, `float32` or `bfloat16` precision. The first call imports torch."""
        if precision not in PRECISIONS:
            msg = f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}"
            raise OptionError(msg)
        from .networks.inference import Networks, best_precision

        with self._lock:
            if precision == "auto":
                precision = best_precision()
            if precision not in self._networks:
                from .scale_path import Z_LIMIT

                self._networks[precision] = Networks(self.weights.network_arrays(), precision, Z_LIMIT)
            return self._networks[precision]

    def analyse(
        self, pixels: NDArray[np.uint8], level: float, precision: str = "auto"
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Pixels (h, w, 1 or 3) -> symbols and hyperlatent of one tile, as the entropy coder takes them."""
        colour = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
        symbols, z = self.networks(precision).analyse(pad_to_alignment(colour)[None], level)
        return symbols[0], z[0]

    def read(self, payload: bytes, window: Box, level: float) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """The symbols and hyperlatent that a tile's bytes hold; integers only, the same on every machine."""
        rows, columns = -(-window.height // ALIGNMENT), -(-window.width // ALIGNMENT)
        return self.tile_coder.decode(payload, rows, columns, level)

    def synthesise(
        self,
        symbols: NDArray[np.int16],
        z: NDArray[np.int16],
        window: Box,
        channels: int,
        level: float,
        precision: str = "auto",
    ) -> NDArray[np.uint8]:
        """Symbols and hyperlatent of one tile -> pixels (window height, window width, channels)."""
        padded = self.networks(precision).synthesise(symbols[None], z[None], level)[0]
        pixels: NDArray[np.uint8] = padded[: window.height, : window.width]
        if channels == 1:
            pixels = np.rint(pixels.mean(2, keepdims=True)).astype(np.uint8)
        return pixels


_codecs: dict[bytes, LearnedCodec] = {}


def codec_for(weights: Weights) -> LearnedCodec:
    """The one codec of these weights in this process."""
    return _codecs.setdefault(weights.id, LearnedCodec(weights))


def encode_lossless(
    pixels: NDArray[np.uint8], grid: Grid, effort: int, profile: Profile | None = None
) -> list[Tile]:
    """Every tile of the pixels (height, width, 1 or 3) in the lossless coder."""
    with timed(profile, "lossless coding"):
        return [
            Tile(Coder.WEBP_LOSSLESS, lossless.encode(_cut(pixels, window), effort))
            for window in grid.windows()
        ]


def encode_tiles(
    pixels: NDArray[np.uint8],
    grid: Grid,
    codec: LearnedCodec,
    level: float,
    effort: int,
    precision: str,
    profile: Profile | None = None,
) -> list[Tile]:
    """Every tile of the pixels (height, width, 1 or 3) in the coder that suits it.

    effort 0: networks only. 1: graphic tiles are also tried losslessly. 2: every tile is, more thoroughly.
    """

    def jobs() -> Iterator[Callable[[], Tile]]:
        for window in grid.windows():
            yield _encode_tile(_cut(pixels, window), codec, level, effort, precision, profile)

    return list(_in_worker(jobs()))


def _encode_tile(
    pixels: NDArray[np.uint8],
    codec: LearnedCodec,
    level: float,
    effort: int,
    precision: str,
    profile: Profile | None,
) -> Callable[[], Tile]:
    """Run the networks on a tile now, and return the rest of its coding for the other thread."""
    exact: bytes | None = None
    graphic = effort > 0 and lossless.is_graphic(pixels)
    if graphic or effort > 1:
        with timed(profile, "lossless coding"):
            exact = lossless.encode(pixels, effort)
        if graphic and 8 * len(exact) < lossless.CHEAP_BITS_PER_PIXEL * pixels.shape[0] * pixels.shape[1]:
            tile = Tile(Coder.WEBP_LOSSLESS, exact)
            return lambda: tile
    with timed(profile, "networks"):
        symbols, z = codec.analyse(pixels, level, precision)

    def finish() -> Tile:
        with timed(profile, "entropy coding"):
            learned = codec.tile_coder.encode(symbols, z, level)
        accepted = len(learned) * (lossless.ACCEPTED_FACTOR if graphic else 1)
        if exact is not None and len(exact) <= accepted:
            return Tile(Coder.WEBP_LOSSLESS, exact)
        return Tile(Coder.LEARNED, learned)

    return finish


def decode_tiles(
    tiles: Iterable[tuple[Box, Callable[[], Tile]]],
    codec: Callable[[], LearnedCodec],
    channels: int,
    level: float,
    precision: str,
    profile: Profile | None = None,
) -> Iterator[NDArray[np.uint8] | PicoError]:
    """The pixels (height, width, channels) of tiles given as windows and functions that read their bytes.

    Reading and entropy decoding run in a second thread, ahead of the networks. An error that concerns one
    tile is yielded in its place; the caller decides whether it may be missing. `codec` is asked for only
    when a learned tile turns up.
    """

    def prepare(window: Box, read: Callable[[], Tile]) -> Callable[[], NDArray[np.uint8]]:
        with timed(profile, "container"):
            tile = read()
        if tile.coder is Coder.WEBP_LOSSLESS:
            with timed(profile, "lossless coding"):
                exact = lossless.decode(tile.payload, window.height, window.width, channels)
            return lambda: exact
        learned = codec()
        with timed(profile, "entropy coding"):
            symbols, z = learned.read(tile.payload, window, level)
        return lambda: learned.synthesise(symbols, z, window, channels, level, precision)

    def attempt(window: Box, read: Callable[[], Tile]) -> Callable[[], NDArray[np.uint8]] | PicoError:
        try:
            return prepare(window, read)
        except PicoError as error:
            return error

    jobs = ((lambda window=window, read=read: attempt(window, read)) for window, read in tiles)
    for prepared in _in_worker(jobs):
        if isinstance(prepared, PicoError):
            yield prepared
            continue
        with timed(profile, "networks"):
            pixels = prepared()
        yield pixels


def _in_worker(jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Results of the jobs in order, each run in one other thread while this one goes on taking jobs."""
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="pico-entropy") as worker:
        try:
            for job in jobs:
                pending.append(worker.submit(job))
                if len(pending) > _LOOKAHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _cut(pixels: NDArray[np.uint8], window: Box) -> NDArray[np.uint8]:
    return pixels[window.top : window.bottom, window.left : window.right]
