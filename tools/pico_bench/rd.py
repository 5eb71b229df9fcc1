"""Rate and distortion: every codec at every quality on every picture, measured once and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pico_bench.codecs import Codec, Coded
from pico_bench.machine import describe
from pico_bench.originals import Original
from pico_bench.store import Store, json_number
from pico_bench.text_source import Lines, TextSource
from pico_core.errors import PicoError
from pico_metrics.catalogue import Metric, TextMetric

SIZE = "bytes"  # the one number of a coded picture that is no metric
RUN = "run.json"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One picture coded by one codec at one quality.

    A metric that the picture is too small for, or that asks for text where there is none, is absent.
    """

    image: str
    codec: str
    quality: str
    bpp: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """The rows of one call of `pico-bench rd`, and what a reader of them must know."""

    rows: Sequence[Row]
    settings: Mapping[str, Mapping[str, str]]  # by codec: the identity of its first row
    sizes: Mapping[str, tuple[int, int]]  # by picture: width and height
    notes: Sequence[str]  # what was left out because it cannot be had here
    failures: Sequence[str] = ()  # what was left out because it failed
    command: str = ""
    text: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by picture: what text it holds
    machine: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)  # by picture: of its pixels

    @property
    def text_remark(self) -> str:
        """How much text the pictures hold, in a sentence; "" if they hold none or it was not looked for."""
        if not self.text:
            return ""
        lines, characters = (
            int(sum(facts[key] for facts in self.text.values())) for key in ("lines", "characters")
        )
        right = sum(facts["read"] * facts["characters"] for facts in self.text.values()) / characters
        known = "" if right == 1 else f", of which the recogniser reads {100 * right:.1f} % in the originals"
        return f"{len(self.text)} of them hold text: {lines} lines, {characters} characters{known}."

    def save(self, folder: Path) -> None:
        """Write `run.json` for `pico-bench report`; it appears whole or not at all."""
        unfinished = folder / f"{RUN}.part"
        content = asdict(self)
        for row in content["rows"]:
            row["values"] = {name: json_number(value) for name, value in row["values"].items()}
        unfinished.write_text(json.dumps(content, indent=1), "utf-8")
        unfinished.replace(folder / RUN)

    @staticmethod
    def load(folder: Path) -> Run:
        """Read `run.json`. Raises OSError, or ValueError or KeyError for another file of that name."""
        found: dict[str, Any] = json.loads((folder / RUN).read_text("utf-8"))
        sizes = {name: (int(width), int(height)) for name, (width, height) in found["sizes"].items()}
        rows = [
            Row(**{**row, "values": {name: float(value) for name, value in row["values"].items()}})
            for row in found["rows"]
        ]
        same = {key: found[key] for key in ("settings", "notes", "failures", "command")}
        lately = ("text", "machine", "hashes")  # older runs lack them
        more = {key: found[key] for key in lately if key in found}
        return Run(rows, sizes=sizes, **same, **more)


def measure(
    originals: Sequence[Original],
    codecs: Sequence[Codec],
    metrics: Iterable[Metric | TextMetric],
    store: Store,
    say: Say,
    text: TextSource | None = None,
) -> Run:
    """Measure what the store does not know yet, and return everything asked for.

    Without `text` there are no values of text metrics. A codec that fails on a picture loses that row; why is told
    to `say` and kept among the failures.
    """
    rows: list[Row] = []
    notes: list[str] = []
    failures: list[str] = []
    sizes: dict[str, tuple[int, int]] = {}
    hashes: dict[str, str] = {}
    settings: dict[str, Mapping[str, str]] = {}
    texts: dict[str, Mapping[str, float]] = {}
    wanted = list(metrics)
    about_text = any(isinstance(metric, TextMetric) for metric in wanted)
    for found in originals:
        original = Original(found.path)  # a fresh one, so that the pixels of one picture at a time are held
        try:
            height, width = original.pixels.shape[:2]
            lines = text.of(original) if text is not None and about_text else None
        except PicoError as error:
            failures.append(str(error))
            say(failures[-1])
            continue
        sizes[original.name] = (width, height)
        hashes[original.name] = original.sha256
        if lines is not None:
            texts[original.name] = {
                "lines": len(lines.regions),
                "characters": lines.characters,
                "read": lines.read,
            }
        too_small = [m.title for m in wanted if min(height, width) < m.least_side]
        if too_small:
            notes.append(f"{original.name} is too small for {', '.join(too_small)}")
        for codec in codecs:
            for quality in codec.qualities(original):
                try:
                    row, identity = _row(original, codec, quality, wanted, store, lines)
                except PicoError as error:
                    failures.append(f"{codec.name} {quality} on {original.name}: {error}")
                    say(failures[-1])
                    continue
                rows.append(row)
                settings.setdefault(codec.name, identity)
            say(f"{original.name}: {codec.name}")
    return Run(rows, settings, sizes, notes, failures, text=texts, machine=describe(), hashes=hashes)


def _row(
    original: Original,
    codec: Codec,
    quality: str,
    metrics: Sequence[Metric | TextMetric],
    store: Store,
    lines: Lines | None,
) -> tuple[Row, Mapping[str, str]]:
    identity = codec.identity(original, quality)
    about_file = {"image": original.sha256, "codec": dict(identity)}
    notes = {"picture": original.name}
    measured = _Measured(original, codec, quality, about_file, store)

    def number(name: str, version: int, compute: Callable[[], float], **more: str) -> float:
        facts = {**about_file, "metric": name, "version": version, **more}
        value = store.get(facts)
        if value is None:
            value = compute()
            store.put(facts, value, notes)
        return value

    size = number(SIZE, 1, lambda: measured.coded.size)
    height, width = original.pixels.shape[:2]
    values = {}
    for metric in metrics:
        if min(height, width) < metric.least_side:
            continue
        if isinstance(metric, Metric):
            values[metric.name] = number(metric.name, metric.version, partial(measured.by, metric))
        elif lines is not None:
            compute = partial(measured.by_text, metric, lines)
            values[metric.name] = number(metric.name, metric.version, compute, text=lines.key)
    return Row(original.name, codec.name, quality, 8 * size / (width * height), values), identity


class _Measured:
    """A coded picture that is made, or decoded from its kept file, only when a number of it is missing."""

    def __init__(
        self, original: Original, codec: Codec, quality: str, facts: Mapping[str, Any], store: Store
    ) -> None:
        self._task = (original, codec, quality, facts, store)
        self._coded: Coded | None = None

    @property
    def coded(self) -> Coded:
        if self._coded is None:
            original, codec, quality, facts, store = self._task
            stored = store.read_file(facts)
            try:
                self._coded = codec.code(original, quality, stored)
            except PicoError:
                if stored is None:
                    raise
                self._coded = codec.code(original, quality)  # the kept file is damaged; replace it
            if self._coded.content not in (None, stored):
                store.write_file(facts, self._coded.content or b"")
        return self._coded

    def by(self, metric: Metric) -> float:
        """Its value of a metric."""
        return metric.function(self._task[0].pixels, self.coded.pixels)

    def by_text(self, metric: TextMetric, lines: Lines) -> float:
        """Its value of a metric of text."""
        return metric.function(self._task[0].pixels, self.coded.pixels, lines.regions)
