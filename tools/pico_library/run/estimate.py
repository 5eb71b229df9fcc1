"""How much smaller a library would become, from a sample: in less than a minute, however large the library is.

Photos are drawn with a chance in proportion to their bytes, evenly over folders, cameras and sizes: then the mean of
their ratios is that of the whole library. They are encoded, but not decoded and compared, and nothing is written.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from pico_codec.source import FILE_ERRORS
from pico_library.encoding import size_of
from pico_library.model.photo import Photo
from pico_library.model.reasons import SkipError
from pico_library.model.settings import Settings

SECONDS = 45.0
_MOST_CANDIDATES = 240  # of which the camera is looked up
_MOST_ENCODED = 60
_FEWEST = 5  # for an interval


@dataclass(frozen=True)
class Estimate:
    """The share by which photos of so many bytes become smaller, from `low` to `high`, as 19 of 20 samples say.

    Both are None if too few could be encoded in the time.
    """

    photos: int
    size: int
    encoded: int
    low: float | None
    high: float | None


def estimate(
    photos: Sequence[Photo],
    settings: Settings,
    seconds: float = SECONDS,
    told: Callable[[int, int], object] = lambda _done, _all: None,
) -> Estimate:
    """Encode a sample; `told` is called after each photo with how many are done, and how many there are to be."""
    began = time.monotonic()
    total = sum(photo.status.st_size for photo in photos)
    few = len(photos) <= _MOST_ENCODED
    drawn = list(photos) if few else sorted(_drawn(photos, _MOST_CANDIDATES), key=_kind)
    sample = [drawn[place] for place in _spread(len(drawn), _MOST_ENCODED)]
    ratios: dict[str, float | None] = {}
    points: list[tuple[float, int]] = []  # the ratio and the bytes of each photo drawn
    for number, photo in enumerate(sample):
        if photo.key not in ratios:  # a large one may have been drawn twice, and counts twice
            ratios[photo.key] = _ratio_or_none(photo, settings)
        if (ratio := ratios[photo.key]) is not None:
            points.append((ratio, photo.status.st_size))
        told(number + 1, len(sample))
        if time.monotonic() - began > seconds and len(points) >= _FEWEST:
            break
    encoded = sum(ratio is not None for ratio in ratios.values())
    low, high = _of_few(points, len(photos)) if few else _of_many([ratio for ratio, _ in points])
    return Estimate(len(photos), total, encoded, low, high)


def _ratio_or_none(photo: Photo, settings: Settings) -> float | None:
    with contextlib.suppress(*FILE_ERRORS):  # a damaged one becomes nothing
        return _ratio(photo, settings)
    return None


def _ratio(photo: Photo, settings: Settings) -> float:
    """The size of the .pico file to that of the photo; 1 if the photo would be left alone."""
    content = photo.path.read_bytes()
    try:
        return size_of(content, settings) / max(1, len(content))
    except SkipError:
        return 1.0


def _drawn(photos: Sequence[Photo], count: int) -> list[Photo]:
    """The photos at so many even distances in the row of all bytes; a large one may be there several times."""
    row = sorted(photos, key=lambda photo: (photo.folder, photo.status.st_size))
    ends = list(itertools.accumulate(photo.status.st_size for photo in row))
    step = max(1, ends[-1]) / count
    places = (bisect.bisect_left(ends, (number + 0.5) * step) for number in range(count))
    return [row[min(place, len(row) - 1)] for place in places]


def _kind(photo: Photo) -> tuple[str, str, str, int]:
    return photo.folder, _camera(photo.path), Path(photo.name).suffix.lower(), photo.status.st_size


def _camera(path: Path) -> str:
    with contextlib.suppress(*FILE_ERRORS), Image.open(path) as im:
        exif = im.getexif()
        return f"{exif.get(ExifTags.Base.Make, '')} {exif.get(ExifTags.Base.Model, '')}"
    return ""


def _spread(length: int, count: int) -> Iterator[int]:
    """Places in a row, at most so many; wherever one stops, those so far lie evenly over it (van der Corput)."""
    seen: set[int] = set()
    bits = max(1, math.ceil(math.log2(max(2, length))))
    for number in range(1 << bits) if length else ():
        place = int(f"{number:0{bits}b}"[::-1], 2) * length >> bits
        if place not in seen:
            seen.add(place)
            yield place
            if len(seen) >= count:
                return


def _of_few(points: Sequence[tuple[float, int]], count: int) -> tuple[float | None, float | None]:
    """The interval from some or all of a few photos, each drawn with the same chance: of the ratio of two sums."""
    taken = len(points)
    before = sum(size for _, size in points)
    if not before or (taken < count and taken < _FEWEST):
        return None, None
    ratio = sum(ratio * size for ratio, size in points) / before
    if taken >= count:
        return 1 - ratio, 1 - ratio
    off = [(one - ratio) * size for one, size in points]
    spread = math.sqrt(sum(one**2 for one in off) / (taken - 1) * taken * (1 - taken / count)) / before
    return _around(1 - ratio, spread, taken)


def _of_many(ratios: Sequence[float]) -> tuple[float | None, float | None]:
    """The interval from photos that were drawn with a chance in proportion to their bytes: of the mean."""
    if len(ratios) < _FEWEST:
        return None, None
    spread = statistics.stdev(ratios) / math.sqrt(len(ratios))
    return _around(1 - statistics.fmean(ratios), spread, len(ratios))


def _around(middle: float, spread: float, taken: int) -> tuple[float, float]:
    freedom = taken - 1
    times = (
        1.96 + 2.5 / freedom + 3 / freedom**2
    )  # Student's t for 95 %, within 0.02 from 4 degrees of freedom on
    return max(0.0, middle - times * spread), min(1.0, middle + times * spread)
