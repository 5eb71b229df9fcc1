"""The lines of text of the original pictures: from transcripts, or found once and remembered by the pictures' hash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pico_bench.originals import Original
from pico_bench.store import hash_of
from pico_core.errors import OptionError
from pico_metrics.text import character_accuracy
from pico_metrics.text_regions import PACKAGE, Outline, Region, find_regions, missing_package, readings

REGIONS = "text.jsonl"
_VERSION = 1  # rises when the same picture and package give other regions


@dataclass(frozen=True)
class Lines:
    """The text of one picture; `key` is the hash of everything that readings of it depend on."""

    regions: tuple[Region, ...]
    key: str
    read: float  # share of the characters that the recogniser reads in the original; 1 without a transcript

    @property
    def characters(self) -> int:
        """How many there are, white space not counted."""
        return sum(len("".join(region.text.split())) for region in self.regions)


class TextSource:
    """Where text is and what it says, for any original.

    With `truth`, a JSON file that maps names of pictures to lists of {"outline": four corners, "text": transcript},
    the pictures that it does not name have no text. Raises OptionError if that file cannot be used.
    """

    def __init__(self, folder: Path, truth: Path | None = None) -> None:
        self._path = folder / REGIONS
        self._truth = None if truth is None else read_truth(truth)
        self._known: dict[str, Lines] = {}
        self._load()

    def missing(self) -> str | None:
        """Why text cannot be measured here, in one line; None if it can."""
        reason = missing_package()
        return None if reason is None else f"text metrics left out: {reason}"

    def of(self, original: Original) -> Lines | None:
        """The text of a picture, None if it has none. Raises InvalidImageError, OptionError."""
        given = None
        if self._truth is not None:
            given = self._truth.get(original.path.name, self._truth.get(original.name, ()))
        facts = {
            "image": original.sha256,
            "reader": f"{PACKAGE} {version(PACKAGE)}",
            "version": _VERSION,
            "truth": None if given is None else [asdict(region) for region in given],
        }
        key = hash_of(facts)
        if key not in self._known:
            self._known[key] = self._look(original, given, key)
            self._remember(original.name, self._known[key])
        lines = self._known[key]
        return lines if lines.regions else None

    def _look(self, original: Original, given: Sequence[Region] | None, key: str) -> Lines:
        if given is None:
            return Lines(find_regions(original.pixels), key, 1.0)
        if not given:
            return Lines((), key, 1.0)
        read = readings(original.pixels, [region.outline for region in given])
        pairs = zip([region.text for region in given], read, strict=True)
        return Lines(tuple(given), key, character_accuracy(pairs))

    def _load(self) -> None:
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                record = json.loads(line)
                regions = tuple(_region(entry) for entry in record["regions"])
                self._known[record["key"]] = Lines(regions, record["key"], float(record["read"]))
            except (ValueError, KeyError, TypeError):
                continue  # cut off when a run was stopped; it is looked for again

    def _remember(self, picture: str, lines: Lines) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        record = {"key": lines.key, "picture": picture, "read": lines.read}
        text = json.dumps({**record, "regions": [asdict(region) for region in lines.regions]})
        whole = not self._path.exists() or not self._path.stat().st_size or _ends_a_line(self._path)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(f"{'' if whole else chr(10)}{text}\n")


def read_truth(path: Path) -> dict[str, tuple[Region, ...]]:
    """The transcripts of a JSON file, by name of picture. Raises OptionError."""
    try:
        found = json.loads(path.read_text("utf-8"))
        truth = {str(name): tuple(_region(entry) for entry in entries) for name, entries in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"{path} cannot be read as transcripts: {error!r}; it must map names of pictures to lists of "
            '{"outline": [[x, y], [x, y], [x, y], [x, y]], "text": "..."}'
        )
        raise OptionError(msg) from error
    empty = [name for name, regions in truth.items() if any(not region.text.strip() for region in regions)]
    if empty:
        msg = f"{path} has lines without text in {', '.join(empty[:3])}; remove them"
        raise OptionError(msg)
    return truth


def _region(entry: Any) -> Region:
    outline: Outline = tuple((float(x), float(y)) for x, y in entry["outline"])
    if len(outline) != 4:
        msg = f"an outline has {len(outline)} corners instead of 4"
        raise ValueError(msg)
    return Region(outline, str(entry["text"]))


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) == b"\n"
