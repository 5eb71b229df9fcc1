"""Making a study: originals are coded through pico-bench, cut, and written as lossless files under random names."""

from __future__ import annotations

import json
import random
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pico_bench.codecs import PILLOW_CODECS, Codec, Coded
from pico_bench.originals import Original
from pico_bench.store import Store
from pico_core.errors import OptionError, PicoError
from pico_core.tiling import Box
from pico_metrics.pictures import Pixels
from pico_study import plates, windows
from pico_study.database import DATABASE, PICTURES, Settings, StudyError, initialise, writing

ORIGINALS, CODED = "originals", "coded"
PRACTICE, ARTEFACT = "practice", "artefact"
FIGURES_OF_EACH_KIND = 3
# What the checks show beside the original, from plain to hard to see. They use codecs that everybody has.
_PRACTICE_CHECKS = (("jpeg", "4"), ("webp", "1"), ("jpeg", "8"))
_ARTEFACT_CHECKS = (
    *(("jpeg", "6"), ("webp", "2"), ("jpeg", "10"), ("jpeg2000", "24")),
    *(("webp", "8"), ("jpeg", "15"), ("jpeg2000", "26"), ("jpeg", "20")),
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What `create` was asked for."""

    originals: Sequence[Original]
    codecs: Sequence[Codec]
    settings: Settings
    window: tuple[int, int] = (768, 512)
    corners: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    cache: Path | None = None
    command: str = ""


@dataclass(frozen=True)
class Created:
    """What a new study holds."""

    pictures: int
    conditions: int
    variants: int
    failures: Sequence[str]


@dataclass
class _Exhibit:
    kind: str
    pixels: Pixels
    picture: int | None = None
    condition: int | None = None
    bits_per_pixel: float | None = None
    note: str = ""
    answer: str = ""


def create(folder: Path, plan: Plan, say: Say) -> Created:
    """Make the study in a folder that does not exist yet or is empty; it appears whole or not at all.

    An empty folder stays what it is, be it a mount or the one somebody works in; its database comes last. A codec
    that fails on a picture loses that variant, which is told to `say`. Raises OptionError, StudyError.
    """
    names = [codec.name for codec in plan.codecs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"two codecs are called {', '.join(twice)}; rename one"
        raise OptionError(msg)
    folder = folder.resolve()
    is_there = folder.exists()
    if is_there and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} exists and is not an empty folder; a study needs a folder of its own"
        raise OptionError(msg)
    unfinished = (folder if is_there else folder.parent) / f".{folder.name}.{secrets.token_hex(4)}.part"
    try:
        unfinished.mkdir(parents=True)
        (unfinished / PICTURES).mkdir()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        initialise(unfinished, plan.settings, now, secrets.token_urlsafe(18), plan.command)
        with writing(unfinished) as connection:
            created = _Maker(unfinished, plan, connection, say).make()
        if is_there:
            for path in sorted(unfinished.iterdir(), key=lambda path: path.name == DATABASE):
                path.rename(folder / path.name)
        else:
            unfinished.rename(folder)
    except OSError as error:
        msg = f"the study {folder} cannot be written: {error}"
        raise StudyError(msg) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return created


class _Maker:
    """Fills the tables of a new study and the folder of its pictures."""

    def __init__(self, folder: Path, plan: Plan, connection: sqlite3.Connection, say: Say) -> None:
        self._folder = folder
        self._plan = plan
        self._connection = connection
        self._say = say
        self._store = Store(plan.cache or folder / CODED)
        self._conditions: dict[tuple[str, str], int] = {}
        self._failures: list[str] = []
        self._random = random.SystemRandom()

    def make(self) -> Created:
        unknown = set(self._plan.corners) - {original.name for original in self._plan.originals}
        if unknown:
            msg = f"windows are chosen for pictures that are not there: {', '.join(sorted(unknown))}"
            raise OptionError(msg)
        variants = sum(self._picture(place, found.path) for place, found in enumerate(self._plan.originals))
        comparable = (
            "SELECT COUNT(*) FROM exhibits WHERE kind = 'variant' GROUP BY picture HAVING COUNT(*) > 1"
        )
        pictures = len(self._connection.execute(comparable).fetchall())
        if not pictures:
            msg = "no picture has two variants to compare; name two codecs, or one at two qualities"
            raise OptionError(msg)
        self._plates()
        return Created(len(self._plan.originals), len(self._conditions), variants, self._failures)

    def _picture(self, place: int, path: Path) -> int:
        original = windows.as_srgb(path, self._folder / ORIGINALS)
        box = windows.window_of(original, self._plan.window, self._plan.corners.get(original.name))
        height, width = original.pixels.shape[:2]
        size = (box.right - box.left, box.bottom - box.top)
        facts = (original.name, original.sha256, width, height, box.left, box.top, *size)
        added = self._connection.execute(
            "INSERT INTO pictures (name, sha256, original_width, original_height, window_left, window_top, "
            "width, height) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            facts,
        )
        picture = int(added.lastrowid or 0)
        shown = windows.cut(original.pixels, box)
        exhibits = [_Exhibit("original", shown, picture)]
        exhibits += self._variants(original, box, picture)
        variants = len(exhibits) - 1
        exhibits += self._checks(place, shown, picture)
        self._write(exhibits)
        self._say(f"{original.name}: {variants} variants, window {size[0]}x{size[1]}")
        return variants

    def _variants(self, original: Original, box: Box, picture: int) -> list[_Exhibit]:
        found = []
        for codec in self._plan.codecs:
            for quality in codec.qualities(original):
                try:
                    coded = self._code(original, codec, quality)
                except PicoError as error:
                    self._failures.append(f"{codec.name} {quality} on {original.name}: {error}")
                    self._say(self._failures[-1])
                    continue
                condition = self._condition(codec, original, quality)
                rate = 8 * coded.size / (original.pixels.shape[0] * original.pixels.shape[1])
                found.append(_Exhibit("variant", windows.cut(coded.pixels, box), picture, condition, rate))
        return found

    def _code(self, original: Original, codec: Codec, quality: str) -> Coded:
        """The coded picture, from a file that pico-bench or an earlier study kept, where there is one."""
        facts = {"image": original.sha256, "codec": dict(codec.identity(original, quality))}
        stored = self._store.read_file(facts)
        try:
            coded = codec.code(original, quality, stored)
        except PicoError:
            if stored is None:
                raise
            coded = codec.code(original, quality)  # the kept file is damaged; replace it
        if coded.content not in (None, stored):
            self._store.write_file(facts, coded.content or b"")
        return coded

    def _condition(self, codec: Codec, original: Original, quality: str) -> int:
        key = (codec.name, quality)
        if key not in self._conditions:
            identity = json.dumps(dict(codec.identity(original, quality)))
            added = self._connection.execute(
                "INSERT INTO conditions (codec, quality, identity) VALUES (?, ?, ?)", (*key, identity)
            )
            self._conditions[key] = int(added.lastrowid or 0)
        return self._conditions[key]

    def _checks(self, place: int, shown: Pixels, picture: int) -> list[_Exhibit]:
        """The practice and artefact checks that fall to this picture: they go round all pictures."""
        count = len(self._plan.originals)
        found = []
        for stage, checks in ((PRACTICE, _PRACTICE_CHECKS), (ARTEFACT, _ARTEFACT_CHECKS)):
            for number, (name, quality) in enumerate(checks):
                if number % count == place:
                    codec = PILLOW_CODECS[name if PILLOW_CODECS[name].missing() is None else "jpeg"]
                    pixels = codec.decode(codec.encode(shown, quality), shown.shape)
                    found.append(_Exhibit("check", pixels, picture, note=f"{stage} {name} {quality}"))
        return found

    def _plates(self) -> None:
        exhibits = []
        for kind in plates.KINDS:
            for figure in self._random.sample(plates.FIGURES, FIGURES_OF_EACH_KIND):
                pixels = plates.plate(kind, figure, self._random.getrandbits(32))
                exhibits.append(_Exhibit("plate", pixels, note=kind, answer=figure))
        self._write(exhibits)

    def _write(self, exhibits: Sequence[_Exhibit]) -> None:
        """Files of one length, in random order, under random names."""
        contents = [windows.as_png(exhibit.pixels) for exhibit in exhibits]
        length = max(map(len, contents)) + 12
        order = list(range(len(exhibits)))
        self._random.shuffle(order)
        for at in order:
            exhibit = exhibits[at]
            name = f"{secrets.token_hex(16)}.png"
            (self._folder / PICTURES / name).write_bytes(windows.as_long_as(contents[at], length))
            row = (exhibit.kind, name, exhibit.picture, exhibit.condition, exhibit.bits_per_pixel)
            self._connection.execute(
                "INSERT INTO exhibits (kind, file, picture, condition, bits_per_pixel, note, answer) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, exhibit.note, exhibit.answer),
            )
