"""Pixels <-> tile payloads: chooses the coder of every tile and runs tiles side by side.

A worker takes a tile through networks and entropy coder, so the entropy coding of one tile overlaps with the
networks of another.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import avif, content, lossless, registry
from .container import Coder, Tile
from .errors import CorruptError, OptionError, PicoError, ShutdownError
from .forks import SHARED, kept
from .pools import LastingPool
from .registry import Weights
from .tiling import ALIGNMENT, WINDOW, Box, Grid, pad_to_alignment

if TYPE_CHECKING:
    from .entropy import TileCoder
    from .networks.inference import Networks

PRECISIONS = ("auto", "float32", "bfloat16")
_WORTH_EXACT = 1.5  # a drawing is stored losslessly up to this many times the bytes that it takes in AVIF
_LOOKAHEAD = 2  # tiles that wait, beyond one for every worker

S = TypeVar("S")
T = TypeVar("T")
Profile = dict[str, float]


@contextmanager
def timed(profile: Profile | None, part: str) -> Iterator[None]:
    """Add the seconds of the block to `profile[part]`, where a profile is wanted.

    Parts run side by side in several workers, so they may add up to more than the wall time.
    """
    if profile is None:
        yield
        return
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    with SHARED:
        profile[part] = profile.get(part, 0.0) + seconds


class LearnedCodec:
    """The learned tile coder for one set of weights; may be used from several threads."""

    def __init__(self, weights: Weights):
        self.weights = weights
        self._networks: dict[str, Networks] = {}

    @kept
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

        with SHARED:
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


def forget(weights: Weights) -> None:
    """Let go of the memory that these weights take; they are loaded again where a file asks for them."""
    _codecs.pop(weights.id, None)
    registry.remove(weights.id)


def encode_lossless(
    pixels: NDArray[np.uint8], grid: Grid, effort: int, profile: Profile | None = None
) -> list[Tile]:
    """Every tile of the pixels (height, width, 1 or 3) in the lossless coder."""

    def job(window: Box) -> Tile:
        with timed(profile, "lossless coding"):
            return Tile(Coder.WEBP_LOSSLESS, lossless.encode(_cut(pixels, window), effort))

    with _plain_workers() as (pool, count):
        return list(_in_order(job, grid.windows(), pool, count))


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

    effort 0: networks only. 1: flat tiles are also tried losslessly, and drawings in AVIF. 2: every tile is tried
    losslessly, more thoroughly.
    """
    exact = _lossless_candidates(pixels, grid, effort, profile) if effort else [None] * grid.count
    settled = [c.tile if c is not None and c.cheap else None for c in exact]

    def job(index: int) -> Tile:
        window = grid.window(index)
        cut = _cut(pixels, window)
        with timed(profile, "networks"):
            symbols, z = codec.analyse(cut, level, precision)
        with timed(profile, "entropy coding"):
            learned = codec.tile_coder.encode(symbols, z, level)
        with timed(profile, "drawings"):
            drawing = None
            if effort and avif.is_available():
                drawing = _drawing(pixels, window, codec, level, precision, (symbols, z, learned))
        candidate = exact[index]
        if candidate is not None and len(candidate.tile.payload) <= (
            candidate.accepted * len(learned) if drawing is None else _WORTH_EXACT * len(drawing.payload)
        ):
            return candidate.tile
        return drawing or Tile(Coder.LEARNED, learned)

    open_tiles = [index for index, tile in enumerate(settled) if tile is None]
    if open_tiles:
        pool, count = _network_workers(codec, precision)
        for index, tile in zip(open_tiles, _in_order(job, open_tiles, pool, count), strict=True):
            settled[index] = tile
    return [tile for tile in settled if tile is not None]


def _drawing(
    pixels: NDArray[np.uint8],
    window: Box,
    codec: LearnedCodec,
    level: float,
    precision: str,
    learned: tuple[NDArray[np.int16], NDArray[np.int16], bytes],
) -> Tile | None:
    """The tile in AVIF if it may be a drawing, and if that keeps its edges better than `learned` in no more bytes.

    `learned` are the tile's symbols, hyperlatent and bytes.
    """
    score = content.drawing_score(_cut(pixels, _surroundings(window)))
    if score <= 0:
        return None
    cut, (symbols, z, payload) = _cut(pixels, window), learned
    coded = codec.synthesise(symbols, z, window, cut.shape[2], level, precision)
    # A narrow tile has few bytes beside those that every AVIF file begins with.
    most_bytes = len(payload) + (avif.HEADER_BYTES if min(cut.shape[:2]) < WINDOW // 4 else 0)
    quality = avif.quality_for(codec.weights.quality_of_level(level))
    drawing = avif.encode_drawing(cut, quality, score, most_bytes, avif.edge_error(cut, coded))
    return None if drawing is None else Tile(Coder.AVIF, drawing)


@dataclass(frozen=True)
class _Candidate:
    """A losslessly coded tile that the networks' version is compared with."""

    tile: Tile
    cheap: bool  # so small that the networks need not be asked
    accepted: float  # chosen up to this many times the bytes of the networks


def _lossless_candidates(
    pixels: NDArray[np.uint8], grid: Grid, effort: int, profile: Profile | None
) -> list[_Candidate | None]:
    """Lossless versions of the tiles that may be better off with one, in raster order."""

    def job(window: Box) -> _Candidate | None:
        cut = _cut(pixels, window)
        with timed(profile, "lossless coding"):
            flat = content.is_flat(cut)
            if not flat and effort < 2:
                return None
            payload = lossless.encode(cut, effort)
        cheap = flat and 8 * len(payload) < lossless.CHEAP_BITS_PER_PIXEL * window.width * window.height
        return _Candidate(
            Tile(Coder.WEBP_LOSSLESS, payload), cheap, lossless.ACCEPTED_FACTOR if flat else 1.0
        )

    with _plain_workers() as (pool, count):
        return list(_in_order(job, grid.windows(), pool, count))


def decode_tiles(
    tiles: Iterable[tuple[Box, Callable[[], Tile]]],
    codec: LearnedCodec | None,
    channels: int,
    level: float,
    precision: str,
    profile: Profile | None = None,
) -> Generator[NDArray[np.uint8] | PicoError]:
    """The pixels (height, width, channels) of tiles given as windows and functions that read their bytes.

    `codec` is None where no tile was coded by networks. An error that concerns one tile is yielded in its
    place; the caller decides whether it may be missing. Once the generator is closed, nothing is read any more.
    """

    def job(task: tuple[Box, Callable[[], Tile]]) -> NDArray[np.uint8] | PicoError:
        window, read = task
        try:
            with timed(profile, "container"):
                tile = read()
            return _decode_tile(tile, window, codec, channels, level, precision, profile)
        except PicoError as error:
            return error

    if codec is None:
        with _plain_workers() as (pool, count):
            yield from _in_order(job, tiles, pool, count)
    else:
        yield from _in_order(job, tiles, *_network_workers(codec, precision))


def _decode_tile(
    tile: Tile,
    window: Box,
    codec: LearnedCodec | None,
    channels: int,
    level: float,
    precision: str,
    profile: Profile | None,
) -> NDArray[np.uint8]:
    if tile.coder is Coder.WEBP_LOSSLESS:
        with timed(profile, "lossless coding"):
            return lossless.decode(tile.payload, window.height, window.width, channels)
    if tile.coder is Coder.AVIF:
        with timed(profile, "drawings"):
            return avif.decode(tile.payload, window.height, window.width, channels)
    if codec is None:
        msg = "a tile was coded by networks, but the file names no weights; the file is damaged"
        raise CorruptError(msg)
    own_level = tile.level(level)
    codec.weights.check_level(own_level)
    with timed(profile, "entropy coding"):
        symbols, z = codec.read(tile.payload, window, own_level)
    with timed(profile, "networks"):
        return codec.synthesise(symbols, z, window, channels, own_level, precision)


def _network_workers(codec: LearnedCodec, precision: str) -> tuple[Executor, int]:
    """Threads for coding with networks, and their number; the networks are ready.

    They are made by a worker, whose arithmetic takes no other thread: in a forked child whose parent used torch, the
    caller's thread would wait for helpers that were not forked along.
    """
    try:
        from .networks.workers import pool
    except RuntimeError as error:
        if threading.main_thread().is_alive():
            raise
        msg = f"torch cannot be imported any more ({error}); import torch before the main thread ends"
        raise ShutdownError(msg) from error

    workers, count = pool()
    workers.submit(codec.networks, precision).result()
    return workers, count


@contextmanager
def _plain_workers() -> Iterator[tuple[Executor, int]]:
    """Threads for coding that needs no networks, and so no torch."""
    count = min(8, os.cpu_count() or 1)
    try:
        from concurrent.futures.thread import ThreadPoolExecutor
    except RuntimeError:  # too late for this import; see pico_core/__init__.py
        yield LastingPool(None), 1
        return
    with ThreadPoolExecutor(count, thread_name_prefix="pico-lossless") as pool:
        yield LastingPool(pool), count


def _in_order(job: Callable[[S], T], tasks: Iterable[S], pool: Executor, workers: int) -> Generator[T]:
    """Results in the order of the tasks, computed in the pool, never more than a few ahead of the reader.

    Closing it waits for the jobs that run: what they read belongs to the caller, who may go on to use it.
    """
    pending: deque[Future[T]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(job, task))
            if len(pending) >= workers + _LOOKAHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        wait([future for future in pending if not future.cancel()])


def _surroundings(window: Box) -> Box:
    """The tile, and for a narrow one at the right or lower border as much beside it as makes it a whole window."""
    left, top = (
        max(0, min(window.left, window.right - WINDOW)),
        max(0, min(window.top, window.bottom - WINDOW)),
    )
    return Box(left, top, window.right, window.bottom)


def _cut(pixels: NDArray[np.uint8], window: Box) -> NDArray[np.uint8]:
    return pixels[window.top : window.bottom, window.left : window.right]
