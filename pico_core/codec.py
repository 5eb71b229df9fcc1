"""Pixels <-> tile payloads: chooses the coder of every tile and runs tiles side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import avif, content, lossless
from .container import Coder, Tile
from .container_format import LEVELS_PER_UNIT
from .engines import Engine, engine_for
from .errors import CorruptError, PicoError
from .forks import SHARED
from .registry import Weights
from .tiling import WINDOW, Box, Grid
from .workers import in_order

_WORTH_EXACT = 1.5  # a drawing is stored losslessly up to this many times the bytes that it takes in AVIF

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


def encode_lossless(
    pixels: NDArray[np.uint8], grid: Grid, effort: int, profile: Profile | None = None
) -> list[Tile]:
    """Every tile of the pixels (height, width, 1 or 3) in the lossless coder."""

    def job(window: Box) -> Tile:
        with timed(profile, "lossless coding"):
            return Tile(Coder.WEBP_LOSSLESS, lossless.encode(_cut(pixels, window), effort))

    return list(in_order(job, grid.windows()))


class TileEncoder:
    """Codes the tiles of a picture (height, width, 1 or 3), at one level or at several.

    effort 0: networks only. 1: flat tiles are also tried losslessly, and drawings in AVIF. 2: every tile is tried
    losslessly, more thoroughly. What does not depend on the level is done once.
    """

    def __init__(self, pixels: NDArray[np.uint8], grid: Grid, effort: int, profile: Profile | None = None):
        self._pixels, self._grid, self._effort, self._profile = pixels, grid, effort, profile
        self._exact = _lossless_candidates(pixels, grid, effort, profile) if effort else [None] * grid.count
        self._has_avif = effort > 0 and avif.is_available()

    def tiles(
        self, weights: Weights, level: float, *, engine: str | None = None, quality: float | None = None
    ) -> list[Tile]:
        """Every tile in the coder that suits it, in raster order.

        A `quality` beyond what the networks give has all tiles in AVIF that are not lossless.
        """
        networks = _Networks(weights, level, engine, self._profile)
        beyond = quality is not None and self._has_avif
        highest = avif.quality_for_photographs(quality or 0) if beyond else None

        def job(index: int) -> Tile:
            if highest is not None:
                cut = _cut(self._pixels, self._grid.window(index))
                return _of_highest_quality(cut, highest, self._exact[index], self._profile)
            return self._tile(index, networks)

        settled = [c.tile if c is not None and c.cheap else None for c in self._exact]
        open_tiles = [index for index, tile in enumerate(settled) if tile is None]
        for index, tile in zip(open_tiles, in_order(job, open_tiles), strict=True):
            settled[index] = tile
        return [tile for tile in settled if tile is not None]

    def _tile(self, index: int, networks: _Networks) -> Tile:
        window, candidate = self._grid.window(index), self._exact[index]
        learned = networks.encode(_cut(self._pixels, window))
        drawing = None
        if self._has_avif:
            with timed(self._profile, "drawings"):
                drawing = _drawing(self._pixels, window, networks, learned)
        if candidate is not None and len(candidate.tile.payload) <= (
            candidate.accepted * len(learned) if drawing is None else _WORTH_EXACT * len(drawing.payload)
        ):
            return candidate.tile
        return drawing or Tile(Coder.LEARNED, learned)


def _of_highest_quality(
    pixels: NDArray[np.uint8], quality: int, exact: _Candidate | None, profile: Profile | None
) -> Tile:
    with timed(profile, "highest quality"):
        payload = avif.encode(pixels, quality)
    if exact is not None and len(exact.tile.payload) <= _WORTH_EXACT * len(payload):
        return exact.tile
    return Tile(Coder.AVIF, payload)


class _Networks:
    """The networks at a level, in an engine."""

    def __init__(self, weights: Weights, level: float, engine: str | None, profile: Profile | None):
        self.weights, self.level, self._profile = weights, level, profile
        self._engine_name = engine

    @property
    def _engine(self) -> Engine:
        """Made when the first tile needs it: a picture may have none for the networks."""
        return engine_for(self.weights, self._engine_name)

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        with timed(self._profile, "networks"):
            return self._engine.encode(pixels, _units(self.level))

    def decode(self, payload: bytes, window: Box, channels: int) -> NDArray[np.uint8]:
        with timed(self._profile, "networks"):
            return self._engine.decode(payload, window.width, window.height, channels, _units(self.level))


def _units(level: float) -> int:
    """A level that a file can store, in units of 1/4096."""
    return round(level * LEVELS_PER_UNIT)


def _drawing(pixels: NDArray[np.uint8], window: Box, networks: _Networks, learned: bytes) -> Tile | None:
    """The tile in AVIF if it may be a drawing, and if that keeps its edges better than `learned` in no more bytes."""
    score = content.drawing_score(_cut(pixels, _surroundings(window)))
    if score <= 0:
        return None
    cut = _cut(pixels, window)
    coded = networks.decode(learned, window, cut.shape[2])
    # A narrow tile has few bytes beside those that every AVIF file begins with.
    most_bytes = len(learned) + (avif.HEADER_BYTES if min(cut.shape[:2]) < WINDOW // 4 else 0)
    quality = avif.quality_for(networks.weights.quality_of_level(networks.level))
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

    return list(in_order(job, grid.windows()))


def decode_tiles(
    tiles: Iterable[tuple[Box, Callable[[], Tile]]],
    weights: Weights | None,
    channels: int,
    level: float,
    engine: str | None = None,
    profile: Profile | None = None,
) -> Generator[NDArray[np.uint8] | PicoError]:
    """The pixels (height, width, channels) of tiles given as windows and functions that read their bytes.

    `weights` is None where no tile was coded by networks. An error that concerns one tile is yielded in its
    place; the caller decides whether it may be missing. Once the generator is closed, nothing is read any more.
    """
    if weights is not None:
        engine_for(weights, engine)  # what concerns all tiles is raised at once

    def job(task: tuple[Box, Callable[[], Tile]]) -> NDArray[np.uint8] | PicoError:
        window, read = task
        try:
            with timed(profile, "container"):
                tile = read()
            return _decode_tile(tile, window, weights, channels, level, engine, profile)
        except PicoError as error:
            return error

    yield from in_order(job, tiles)


def _decode_tile(
    tile: Tile,
    window: Box,
    weights: Weights | None,
    channels: int,
    level: float,
    engine: str | None,
    profile: Profile | None,
) -> NDArray[np.uint8]:
    if tile.coder is Coder.WEBP_LOSSLESS:
        with timed(profile, "lossless coding"):
            return lossless.decode(tile.payload, window.height, window.width, channels)
    if tile.coder is Coder.AVIF:
        with timed(profile, "drawings"):
            return avif.decode(tile.payload, window.height, window.width, channels)
    if weights is None:
        msg = "a tile was coded by networks, but the file names no weights; the file is damaged"
        raise CorruptError(msg)
    own_level = tile.level(level)
    weights.check_level(own_level)
    return _Networks(weights, own_level, engine, profile).decode(tile.payload, window, channels)


def _surroundings(window: Box) -> Box:
    """The tile, and for a narrow one at the right or lower border as much beside it as makes it a whole window."""
    left, top = (
        max(0, min(window.left, window.right - WINDOW)),
        max(0, min(window.top, window.bottom - WINDOW)),
    )
    return Box(left, top, window.right, window.bottom)


def _cut(pixels: NDArray[np.uint8], window: Box) -> NDArray[np.uint8]:
    return pixels[window.top : window.bottom, window.left : window.right]
