"""Pairs of pictures for the look at content: damage that is known, and honest reconstructions, measured."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pico_bench.damage import SIDE, Scene, map_scene, page_scene, scene
from pico_core import decode, encode, registry
from pico_core.tiling import Box
from pico_look.comparison import WINDOW_SIDE
from pico_look.content import measures, smeared
from pico_look.general import badness, worst_score
from pico_look.planes import block_error, half_luma
from pico_look.structures import Answers, answers
from pico_metrics.faces import find_faces
from pico_metrics.pictures import Pixels

_SMEARED = 128  # pixels a side of a place from a lower quality
_LEAST_DEVIATION = 15.0  # levels, of such a place
_MOST_FOR_FACES = 1_500_000  # pixels
_MEGAPIXELS_PER_SCENE, _MOST_SCENES = 2.0, 4


@dataclass(frozen=True)
class Measured:
    """One pair: an honest reconstruction (`kind` is empty), or a place that differs."""

    ground: str  # the folder, or what was drawn
    name: str
    quality: int
    case: str  # honest, removed, inserted, respelled, or from a lower quality
    kind: str
    strong: float
    several: float
    smeared: float
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
            float(smeared(found).max()),
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
            "removed": answers(marked, after_plain),
            "inserted": answers(plain, after_marked),
            "respelled": answers(marked, after_other),
        }
        for mark in found.marks:
            names = ("respelled",) if mark.kind == "letters" else ("removed", "inserted")
            for case in names:
                yield _within(
                    mark.box, cases[case], Measured(ground, name, quality, case, mark.kind, 0, 0, 0)
                )


def measure_smeared(ground: str, name: str, pixels: Pixels, code: Coder) -> Iterator[Measured]:
    """Faces, and a place that is not flat, as much lower qualities give them."""
    boxes = [("face", box) for box in _faces(pixels)]
    random = np.random.default_rng(zlib.crc32(name.encode()))
    left, top = (int(random.integers(0, max(1, side - _SMEARED))) for side in pixels.shape[1::-1])
    place = Box(left, top, min(left + _SMEARED, pixels.shape[1]), min(top + _SMEARED, pixels.shape[0]))
    if pixels[place.top : place.bottom, place.left : place.right].std() > _LEAST_DEVIATION:
        boxes.append(("place", place))
    before = half_luma(pixels)
    for quality in (10, 20):
        found = answers(before, half_luma(code(pixels, quality, 1)))
        for kind, box in boxes:
            yield _within(box, found, Measured(ground, name, 60, f"from quality {quality}", kind, 0, 0, 0))


def _faces(pixels: Pixels) -> Iterator[Box]:
    height, width = pixels.shape[:2]
    for face in find_faces(pixels) if height * width < _MOST_FOR_FACES else ():
        left, top = max(0, int(face.left)), max(0, int(face.top))
        yield Box(
            left, top, min(width, max(left + 1, int(face.right))), min(height, max(top + 1, int(face.bottom)))
        )


def _within(box: Box, found: Answers, about: Measured) -> Measured:
    """What is measured in the windows that a box touches."""
    rows = slice(box.top // WINDOW_SIDE, (box.bottom - 1) // WINDOW_SIDE + 1)
    columns = slice(box.left // WINDOW_SIDE, (box.right - 1) // WINDOW_SIDE + 1)
    both = measures(found)
    return replace(
        about,
        strong=max(float(measure.strong[rows, columns].max()) for measure in both),
        several=max(float(measure.several[rows, columns].max()) for measure in both),
        smeared=float(smeared(found)[rows, columns].max()),
    )
