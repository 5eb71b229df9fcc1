"""How well the look notices content that is gone: `python -m pico_bench.look --photographs DIR ...`.

Draws lines, wires, roads, dots and words into crops of photographs, into maps and into pages of print, and has the
codec code both with and without them: the share of marks whose place is noticed, by kind and quality. Whole
photographs against their own reconstructions give the share that is refused though nothing is wrong.
Each quality has its own limit (`pico_look.limit_at`). Half of the pictures, by a hash of their names, is for choosing
the limits (`--fit`), the other half is reported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pico_bench.look_cases import (
    Coder,
    Measured,
    drawn_scenes,
    measure_honest,
    measure_scene,
    measure_smeared,
    scenes_of,
)
from pico_bench.originals import SUFFIXES, read_rgb
from pico_bench.tables import Table, as_text
from pico_core.errors import InvalidImageError
from pico_look.comparison import LARGEST_BLOCK_ERROR, general_strength, limit_at
from pico_look.content import SEVERAL_LIMIT, SMEARED_LIMIT, STRONG_LIMIT
from pico_metrics.pictures import Pixels

_LEAST_SIDE = 256  # of whole photographs
_LOW = (0, 10, 20)  # qualities whose reconstructions should not pass
_CHOSEN_AT = 60  # quality
_DRAWN = ("maps", "pages")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m pico_bench.look", description=__doc__)
    parser.add_argument("--photographs", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument(
        "--lettered", type=Path, action="append", default=[], metavar="FOLDER", help="pages, signs"
    )
    parser.add_argument("--whole", type=Path, action="append", default=[], metavar="FOLDER", help="no marks")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth picture of --whole (1)")
    parser.add_argument("--drawn", type=int, default=40, metavar="N", help="maps, and pages, to draw (40)")
    parser.add_argument("--quality", type=int, nargs="+", default=[40, 60, 75, 90], metavar="Q")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep reconstructions here for the next time"
    )
    parser.add_argument("--fit", action="store_true", help="print limits chosen on the other half")
    arguments = parser.parse_args(argv)
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    found = list(_measured(arguments, Coder(arguments.keep)))
    if arguments.fit:
        names = {folder.name for folder in (*arguments.photographs, *arguments.whole)}
        choosing = [one for one in found if one.for_choosing and one.ground in names]
        print(as_text(limits(choosing)), end="\n\n")
    reported = [one for one in found if not one.for_choosing]
    print(as_text(noticed(reported, arguments.quality)), end="\n\n")
    print(as_text(refused(reported)))
    return 0


def _measured(arguments: argparse.Namespace, code: Coder) -> Iterator[Measured]:
    for ground, name, drawn in drawn_scenes(arguments.drawn):
        yield from measure_scene(ground, name, drawn, arguments.quality, code, 0)
    for folder in (*arguments.photographs, *arguments.lettered):
        for name, pixels in _pictures(folder, 1):
            for _, marked in scenes_of(name, pixels):
                yield from measure_scene(folder.name, name, marked, arguments.quality, code, 1)
            print(f"{folder.name} {name}", file=sys.stderr)
    for folder in (*arguments.photographs, *arguments.lettered, *arguments.whole):
        qualities = (
            sorted({*_LOW, *arguments.quality}) if folder in arguments.photographs else arguments.quality
        )
        for name, pixels in _pictures(folder, arguments.every if folder in arguments.whole else 1):
            if min(pixels.shape[:2]) >= _LEAST_SIDE:
                yield from measure_honest(folder.name, name, pixels, qualities, code)
                if folder in arguments.photographs:
                    yield from measure_smeared(folder.name, name, pixels, code)
            print(f"{folder.name} {name}, whole", file=sys.stderr)


def _pictures(folder: Path, every: int) -> Iterator[tuple[str, Pixels]]:
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[::every]:
        try:
            yield path.name, read_rgb(path)
        except InvalidImageError as error:
            print(error, file=sys.stderr)


def limits(found: Sequence[Measured]) -> Table:
    """What few of the honest photographs at quality 60 exceed, by how few."""
    honest = [one for one in found if one.case == "honest" and one.quality == _CHOSEN_AT]
    rows = [["honest photographs", "strong", "several", "smeared", "score", "block error"]]
    for share in (0.95, 0.98, 0.99, 0.995, 1.0):
        values = (
            np.quantile([one.strong for one in honest], share),
            np.quantile([one.several for one in honest], share),
            np.quantile([one.smeared for one in honest], share),
            np.quantile([one.score for one in honest], 1 - share),
            np.quantile([one.block_error for one in honest], share),
        )
        rows.append([f"{100 * share:.1f} % of {len(honest)} within", *(f"{value:.3f}" for value in values)])
    return rows


def noticed(found: Sequence[Measured], qualities: Sequence[int]) -> Table:
    """The share of marks that are noticed, by kind, and by ground."""
    rows = [["what", "marks", *(f"quality {quality}" for quality in qualities)]]
    damaged = [one for one in found if one.case != "honest"]
    for ground, drawn in (("photographs", False), ("maps and pages", True)):
        for case, kind in dict.fromkeys((one.case, one.kind) for one in damaged):
            chosen = [
                one for one in damaged if (one.case, one.kind, one.ground in _DRAWN) == (case, kind, drawn)
            ]
            if chosen:
                rows.append(_shares(f"{ground}: {kind} {case}", chosen, qualities, _notices))
    return rows


def refused(found: Sequence[Measured]) -> Table:
    """The share of honest whole pictures that are refused, for content and on the whole."""
    honest = [one for one in found if one.case == "honest"]
    qualities = sorted({one.quality for one in honest})
    rows = [["honest pictures", "count", *(f"quality {quality}" for quality in qualities)]]
    for ground in (*dict.fromkeys(one.ground for one in honest), "all"):
        chosen = [one for one in honest if ground in (one.ground, "all")]
        for why, test in (("content", _notices), ("general", _differs), ("either", _refuses)):
            rows.append(_shares(f"{ground}, {why}", chosen, qualities, test))
    return [*rows, _shares("all, by the limit of quality 60", honest, qualities, _refuses_for_60)]


def _shares(
    name: str, chosen: Sequence[Measured], qualities: Sequence[int], test: Callable[[Measured], bool]
) -> list[str]:
    """A row: how many there are at one quality, and the share that passes the test at each."""
    by_quality = [[test(one) for one in chosen if one.quality == quality] for quality in qualities]
    shares = (f"{100 * np.mean(passed):.1f} %" if passed else "-" for passed in by_quality)
    return [name, str(max(map(len, by_quality), default=0)), *shares]


def _content(one: Measured) -> float:
    """The strength of what is gone or new."""
    return max(
        one.strong / float(STRONG_LIMIT),
        one.several / float(SEVERAL_LIMIT),
        one.smeared / float(SMEARED_LIMIT),
    )


def _general(one: Measured) -> float:
    return max(general_strength(one.score), one.block_error / LARGEST_BLOCK_ERROR)


def _notices(one: Measured) -> bool:
    return _content(one) > limit_at(one.quality)


def _differs(one: Measured) -> bool:
    return _general(one) > limit_at(one.quality)


def _refuses(one: Measured) -> bool:
    return _notices(one) or _differs(one)


def _refuses_for_60(one: Measured) -> bool:
    return max(_content(one), _general(one)) > limit_at(_CHOSEN_AT)


if __name__ == "__main__":
    sys.exit(main())
