"""Pairs of pictures for the look at content: damage that is known, and honest reconstructions, measured."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pico_bench.damage import SIDE, Mark, Scene, map_scene, page_scene, scene
from pico_core import decode, encode, registry
from pico_look.comparison import WINDOW_SIDE
from pico_look.content import Measures, measures
from pico_look.general import badness, worst_score
from pico_look.planes import block_error, half_luma
from pico_look.structures import answers
from pico_metrics.pictures import Pixels

_MEGAPIXELS_PER_SCENE, _MOST_SCENES = 2.0, 4


@dataclass(frozen=True)
class Measured:
    """One pair: an honest reconstruction (`kind` is empty), or a mark that is gone, new or spelled another way."""

    ground: str  # the folder, or what was drawn
    name: str
    quality: int
    case: str  # honest, removed, inserted or respelled
    kind: str
    strong: float
    several: float
    score: float = 100.0
    block_error: float = 0.0

    @property
    def for_choosing(self) -> bool:
        """Whether limits may be chosen on it; the other half is for reporting."""
        return zlib.crc32(self.name.encode()) % 2 == 0


class Coder:
    """Reconstructions by the codec; those that were made are kept in a folder, if there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._weights = registry.default_id().hex()[:8]

    def __call__(self, pixels: Pixels, quality: int, effort: int) -> Pixels:
        """Encode and decode; effort 0 is the networks alone."""
        if self._folder is None:
            return decode(encode(pixels, quality=quality, effort=effort, preview=False))
        content = hashlib.sha256(
            str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()
        ).hexdigest()
        path = self._folder / f"{content[:24]}-q{quality}-e{effort}-{self._weights}.npy"
        if not path.exists():
            part = path.with_suffix(".part")
            with part.open("wb") as stream:
                np.save(stream, decode(encode(pixels, quality=quality, effort=effort, preview=False)))
            part.rename(path)
        kept: Pixels = np.load(path)
        return kept


def measure_honest(
    ground: str, name: str, pixels: Pixels, qualities: Sequence[int], code: Coder
) -> Iterator[Measured]:
    """A whole picture against its reconstructions."""
    before = half_luma(pixels)
    for quality in qualities:
        decoded = code(pixels, quality, 1)
        after = half_luma(decoded)
        found = answers(before, after)
        lost, new = measures(found)
        score, _ = worst_score(pixels, decoded, badness(before, after, found))
        yield Measured(
            ground,
            name,
            quality,
            "honest",
            "",
            float(max(lost.strong.max(), new.strong.max())),
            float(max(lost.several.max(), new.several.max())),
            score,
            block_error(pixels, decoded)[0],
        )


def scenes_of(name: str, pixels: Pixels) -> Iterator[tuple[str, Scene]]:
    """Crops of a picture with marks; one for every two megapixels."""
    count = min(_MOST_SCENES, max(1, round(pixels.shape[0] * pixels.shape[1] / 1e6 / _MEGAPIXELS_PER_SCENE)))
    for number in range(count if min(pixels.shape[:2]) >= SIDE else 0):
        random = np.random.default_rng(zlib.crc32(f"{name}{number}".encode()))
        top, left = (int(random.integers(0, side - SIDE + 1)) for side in pixels.shape[:2])
        yield name, scene(np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE]), random)


def drawn_scenes(count: int) -> Iterator[tuple[str, str, Scene]]:
    """Maps that had once been JPEGs, and pages of print."""
    for number in range(count):
        yield "maps", f"map {number}", map_scene(np.random.default_rng([number, 0]))
        yield "pages", f"page {number}", page_scene(np.random.default_rng([number, 1]))


def measure_scene(
    ground: str, name: str, found: Scene, qualities: Sequence[int], code: Coder, effort: int
) -> Iterator[Measured]:
    """Every mark of a scene as removed, as inserted or as spelled another way, and the scene as it is."""
    marked, plain = half_luma(found.marked), half_luma(found.plain)
    for quality in qualities:
        after_plain, after_marked, after_other = (
            half_luma(code(pixels, quality, effort))
            for pixels in (found.plain, found.marked, found.respelled)
        )
        cases = {
            "removed": measures(answers(marked, after_plain)),
            "inserted": measures(answers(plain, after_marked)),
            "respelled": measures(answers(marked, after_other)),
        }
        for mark in found.marks:
            names = ("respelled",) if mark.kind == "letters" else ("removed", "inserted")
            for case in names:
                yield _of_mark(ground, name, quality, case, mark, cases[case])


def _of_mark(
    ground: str, name: str, quality: int, case: str, mark: Mark, found: tuple[Measures, Measures]
) -> Measured:
    rows = slice(mark.box.top // WINDOW_SIDE, (mark.box.bottom - 1) // WINDOW_SIDE + 1)
    columns = slice(mark.box.left // WINDOW_SIDE, (mark.box.right - 1) // WINDOW_SIDE + 1)
    strong = max(float(measure.strong[rows, columns].max()) for measure in found)
    several = max(float(measure.several[rows, columns].max()) for measure in found)
    return Measured(ground, name, quality, case, mark.kind, strong, several)
