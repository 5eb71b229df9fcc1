"""Packs: training pictures decoded once, in part files that are memory-mapped.

A pack is a folder of `*.pico-pack` parts, each complete in itself, so parts can be copied one by one and packs
can be merged by putting their parts into one folder. A part is

    8 bytes   b"PICOPACK"
    8 bytes   length of the header, little endian
    header    JSON: {"entries": [{"name", "width", "height", "encoding", "offset", "size", "licence"}, ...]}
    padding   to a multiple of 4096
    data      of each entry at its offset from here: `raw`, RGB bytes (height, width, 3), or `file`, a picture file

A pack of `raw` entries trains at once. A pack of `file` entries is ten times smaller, for carrying to another
machine; packing it there again makes the raw one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pico_core.errors import OptionError, PicoError

from .files import write_whole
from .outlines import KINDS, Outlines, place_of, read_outlines, write_outlines
from .pictures import PICTURES, read_picture

SUFFIX = ".pico-pack"
PART_BYTES = 15 * 2**20  # small enough for tools that move files of up to 16 MiB, and a few at a time
UNFINISHED = ".unfinished"  # a folder for parts until all are written; where there is one, some are missing
_MAGIC = b"PICOPACK"
_ALIGNMENT = 4096

T = TypeVar("T")


class PackError(PicoError):
    """A pack is damaged, or is not what it is used for."""


@dataclass(frozen=True)
class Entry:
    """One picture of a part, as the part's header describes it."""

    name: str
    width: int
    height: int
    encoding: str  # raw or file
    offset: int
    size: int
    licence: str = ""

    def __post_init__(self) -> None:
        numbers = (self.width, self.height, self.offset, self.size)
        sound = all(type(number) is int for number in numbers) and min(numbers) >= 0
        sound = sound and isinstance(self.name, str) and isinstance(self.licence, str)
        if sound and self.encoding == "raw":
            sound = self.size == 3 * self.width * self.height > 0
        if not sound or self.encoding not in ("raw", "file"):
            msg = f"an entry that cannot be: {self}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Photo:
    """A picture of a pack."""

    entry: Entry
    part: Path
    _data: NDArray[np.uint8]  # the part's data, memory-mapped

    @property
    def stored(self) -> NDArray[np.uint8]:
        """The bytes as they lie in the part."""
        return self._data[self.entry.offset : self.entry.offset + self.entry.size]

    def pixels(self) -> NDArray[np.uint8]:
        """RGB (height, width, 3): a view into the map for `raw`, decoded for `file`."""
        if self.entry.encoding == "raw":
            return self.stored.reshape(self.entry.height, self.entry.width, 3)
        with Image.open(io.BytesIO(self.stored.tobytes())) as image:
            return np.asarray(image.convert("RGB"))


class Pack:
    """The pictures of a pack's folder, in the order of their names. Raises PackError."""

    def __init__(self, folder: Path):
        self.folder = folder
        if (folder / UNFINISHED).exists():
            raise PackError(_unfinished(folder))
        parts = sorted(folder.glob(f"*{SUFFIX}"))
        if not parts:
            msg = f"{folder} holds no pack; make one with: pico-train pack FOLDER --out {folder}"
            raise PackError(msg)
        photos = [photo for part in parts for photo in _open_part(part)]
        self.photos = sorted(photos, key=lambda photo: photo.entry.name)
        for a, b in pairwise(self.photos):
            if a.entry.name == b.entry.name:
                msg = (
                    f"{folder} holds {a.entry.name} twice, in {a.part.name} and {b.part.name}; pack it again"
                )
                raise PackError(msg)

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the pictures and their order: what random crops depend on."""
        entries = [(p.entry.name, p.entry.width, p.entry.height) for p in self.photos]
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]

    @property
    def megapixels(self) -> float:
        """Millions of pixels in all."""
        return sum(p.entry.width * p.entry.height for p in self.photos) / 1e6

    @property
    def is_raw(self) -> bool:
        """Whether pixels can be mapped as they are."""
        return all(photo.entry.encoding == "raw" for photo in self.photos)


def spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items, or all if there are fewer, evenly from the first on."""
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def is_pack(folder: Path) -> bool:
    """Whether a folder holds parts of a pack."""
    return any(folder.glob(f"*{SUFFIX}"))


def _open_part(path: Path) -> Iterator[Photo]:
    with path.open("rb") as file:
        magic, length = file.read(8), int.from_bytes(file.read(8), "little")
        header = file.read(length) if magic == _MAGIC and length <= path.stat().st_size else b""
    try:
        entries = [Entry(**values) for values in json.loads(header)["entries"]]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is not a part of a pack, or is damaged; copy or make it again"
        raise PackError(msg) from error
    start = _aligned(16 + length)
    if path.stat().st_size < start + max((e.offset + e.size for e in entries), default=0):
        msg = f"{path} ends before its last picture does; copy or make it again"
        raise PackError(msg)
    # Copy on write: nobody writes, but PyTorch complains about arrays that it could not write to.
    data = np.memmap(path, np.uint8, "c", start)
    return (Photo(entry, path, data) for entry in entries)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


@dataclass(frozen=True)
class Packing:
    """How pictures are stored."""

    max_side: int = 0  # reduce longer sides to this; 0: keep every size
    webp_quality: int = 0  # store picture files, WebP of this quality where they change; 0: raw pixels
    part_bytes: int = PART_BYTES
    least_side: int = 64  # leave out smaller pictures
    most_bytes: int = 0  # of pictures; take as many as fit, from all over the sources; 0: all


@dataclass(frozen=True)
class Packed:
    """What `pack` did."""

    photos: int
    megapixels: float
    parts: int
    bytes: int
    left_out: tuple[str, ...]  # a line for each picture that was not taken, and why


def pack(sources: Sequence[Path], out: Path, packing: Packing) -> Packed:
    """Pack the pictures of folders and of other packs. Raises OptionError, PackError, OSError.

    Outlines of text and faces come along. `out` must not hold a pack yet.
    """
    if is_pack(out) and (out / UNFINISHED).exists():
        raise OptionError(_unfinished(out))
    if is_pack(out) or any(place_of(out, kind).exists() for kind in KINDS):
        commands = " or ".join(KINDS.values())
        msg = f"{out} already holds a pack, or what {commands} found in one; choose another folder, or remove that"
        raise OptionError(msg)
    for source in sources:
        if not source.is_dir():
            msg = f"{source} is no folder; give folders of pictures, or packs"
            raise OptionError(msg)
    items = [(source, list(_items(source))) for source in sources]
    _check_names(item for _, found in items for item in found)
    with _all_or_nothing(out) as unfinished:
        writer, left_out, masks = _Writer(unfinished, packing.part_bytes), [], _Masks()
        for source, found in items:
            room = packing.most_bytes / len(items) if packing.most_bytes else math.inf
            for item in tqdm(
                _mixed(found) if packing.most_bytes else found,
                desc=f"packing {source.name}",
                unit="picture",
                leave=False,
            ):
                try:
                    entry, data, factor = _encoded(item, packing)
                except (OSError, ValueError, Image.DecompressionBombError) as error:
                    left_out.append(f"{item.name}: {error}")
                    continue
                if len(data) > room:
                    break
                room -= len(data)
                writer.add(entry, data)
                masks.add(source, item.name, factor)
        writer.finish()
        if not writer.photos:
            msg = f"none of the folders holds a picture that can be used; left out: {left_out[:3]}"
            raise OptionError(msg)
        masks.write(unfinished)
    return Packed(writer.photos, writer.pixels / 1e6, writer.parts, writer.bytes, tuple(left_out))


@contextmanager
def _all_or_nothing(out: Path) -> Iterator[Path]:
    """A folder whose files move to `out` at the end, or are removed.

    What a process left that was killed before it moved them makes place.
    """
    unfinished = out / UNFINISHED
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    names = sorted(path.name for path in unfinished.iterdir())
    try:
        for name in names:
            (unfinished / name).replace(out / name)
    except BaseException:
        for name in names:
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(unfinished)
        raise
    unfinished.rmdir()


def _mixed(items: Sequence[T]) -> list[T]:
    """In an order in which the first ones, however many, lie all over."""
    golden = (5**0.5 - 1) / 2
    order = sorted(range(len(items)), key=lambda index: index * golden % 1)
    return [items[index] for index in order]


def _unfinished(folder: Path) -> str:
    parts = f"{folder / UNFINISHED} and {folder}/*{SUFFIX}"
    return f"the pack in {folder} was not finished; remove {parts}, and run pico-train pack again"


def _check_names(items: Iterable[_Item]) -> None:
    """No two pictures may have the same name in a pack."""
    seen: set[str] = set()
    for item in items:
        if item.name in seen:
            msg = f"two pictures would be called {item.name} in the pack; give folders of different names, each once"
            raise OptionError(msg)
        seen.add(item.name)


@dataclass(frozen=True)
class _Item:
    """A picture to pack: a file, or an entry of another pack."""

    name: str
    source: Path | Photo
    licence: str

    def read(self) -> tuple[Image.Image, bytes | None]:
        """The picture, and its file's bytes where it can be stored as the file that it is."""
        if isinstance(self.source, Photo):
            stored = self.source.stored.tobytes() if self.source.entry.encoding == "file" else None
            return Image.fromarray(self.source.pixels()), stored
        content = self.source.read_bytes()
        picture = read_picture(content)
        return picture.image, content if picture.unchanged else None


def _items(source: Path) -> Iterator[_Item]:
    if is_pack(source):
        yield from (_Item(p.entry.name, p, p.entry.licence) for p in Pack(source).photos)
        return
    licences = _licences(source)
    for path in sorted(p for p in source.rglob("*") if p.suffix.lower() in PICTURES):
        name = f"{source.name}/{path.relative_to(source).as_posix()}"
        yield _Item(name, path, licences.get(name, licences.get(name.partition("/")[2], "")))


def _licences(folder: Path) -> dict[str, str]:
    """Licence by file, from a MANIFEST.csv in the folder or beside it that has these columns."""
    for path in (folder / "MANIFEST.csv", folder.parent / "MANIFEST.csv"):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                return {row.get("file", ""): row.get("licence", "") for row in csv.DictReader(file)}
    return {}


def _encoded(item: _Item, packing: Packing) -> tuple[Entry, bytes, float]:
    """An entry without its offset, its data, and the factor by which it was reduced."""
    image, stored = item.read()
    if min(image.size) < packing.least_side:
        msg = f"{image.width}x{image.height} pixels, smaller than {packing.least_side} a side"
        raise ValueError(msg)
    factor = min(1.0, packing.max_side / max(image.size)) if packing.max_side else 1.0
    if factor < 1:
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image, stored = image.resize(size, Image.Resampling.LANCZOS), None
    encoding = "file" if packing.webp_quality else "raw"
    if packing.webp_quality and stored is None:
        stream = io.BytesIO()
        image.save(stream, "WEBP", quality=packing.webp_quality, method=6)
        stored = stream.getvalue()
    data = stored if packing.webp_quality and stored is not None else image.tobytes()
    return Entry(item.name, image.width, image.height, encoding, 0, len(data), item.licence), data, factor


class _Writer:
    """Collects entries and writes a part whenever the next would make it too large."""

    def __init__(self, folder: Path, part_bytes: int):
        self._folder, self._part_bytes = folder, part_bytes
        self._entries: list[Entry] = []
        self._data: list[bytes] = []
        self._size = 0
        self.parts = self.photos = self.pixels = self.bytes = 0

    def add(self, entry: Entry, data: bytes) -> None:
        """Put a picture into the current part or the next."""
        overhead = _ALIGNMENT + 400 * (len(self._entries) + 1)
        if self._entries and self._size + len(data) + overhead > self._part_bytes:
            self.finish()
        self._entries.append(Entry(**{**asdict(entry), "offset": self._size}))
        self._data.append(data)
        self._size += len(data)
        self.photos, self.pixels = self.photos + 1, self.pixels + entry.width * entry.height

    def finish(self) -> None:
        """Write the current part, if it holds anything."""
        if not self._entries:
            return
        header = json.dumps({"entries": [asdict(entry) for entry in self._entries]}).encode()
        start = _aligned(16 + len(header))
        head = (_MAGIC + len(header).to_bytes(8, "little") + header).ljust(start, b"\0")
        digest = hashlib.sha256(header).hexdigest()[:8]
        path = self._folder / f"part-{self.parts:04d}-{digest}{SUFFIX}"
        write_whole(path, [head, *self._data])
        self.bytes += start + self._size
        self.parts, self._entries, self._data, self._size = self.parts + 1, [], [], 0


class _Masks:
    """Carries outlines from packs to the pack that is made of them, scaled as the pictures were."""

    def __init__(self) -> None:
        self._of_source: dict[tuple[Path, str], Outlines | None] = {}
        self._outlines: dict[str, Outlines] = {kind: {} for kind in KINDS}

    def add(self, source: Path, name: str, factor: float) -> None:
        """Take over the outlines of one picture."""
        for kind, outlines in self._outlines.items():
            if (source, kind) not in self._of_source:
                self._of_source[source, kind] = read_outlines(source, kind)
            known = self._of_source[source, kind]
            if known is not None and name in known:
                outlines[name] = [[[x * factor, y * factor] for x, y in outline] for outline in known[name]]

    def write(self, out: Path) -> None:
        """Write those of each kind, if every source had some."""
        for kind, outlines in self._outlines.items():
            of_kind = [known for (_, its_kind), known in self._of_source.items() if its_kind == kind]
            if of_kind and None not in of_kind:
                write_outlines(out, kind, outlines)


def summary_of(packs: Sequence[Pack]) -> dict[str, Any]:
    """What the pictures of packs are, for a model card: how many, how large, under which licences.

    Remarks in parentheses that sources add to a licence are left out.
    """
    photos = [photo for pack_ in packs for photo in pack_.photos]
    licences = Counter(photo.entry.licence.partition(" (")[0].strip() or "not stated" for photo in photos)
    megapixels = sum(pack_.megapixels for pack_ in packs)
    return {
        "pictures": len(photos),
        "megapixels": round(megapixels, 1),
        "licences": dict(licences.most_common()),
    }
