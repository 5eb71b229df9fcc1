"""HEIC and HEIF files: pixels as their cameras mean them, EXIF, XMP, and what else they hold, as the coded bytes it is.

`pi-heif` decodes the picture. Its container (ISO/IEC 23008-12) is read here: EXIF and XMP byte for byte, and every
picture beside the photo (gain map, depth map, mattes) as opaque items, with the box that describes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from pico_codec.carried import EXIF, OPAQUE
from pico_core import boxes
from pico_core.boxes import Box
from pico_core.container import Extra, Metadata
from pico_core.errors import CorruptError, PicoError

#: What Pillow calls the format.
FORMAT = "HEIF"
#: The names of the items: of the box that describes the others, of each of these, and of further boxes and bytes.
DESCRIPTION, ITEM, BOX, TRAILER = "HEIF meta", "HEIF item", "HEIF box", "HEIF trailer"

_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_CODING = frozenset({b"ftyp", b"meta", b"mdat", b"free", b"skip", b"wide"})
_XMP_TYPE = b"application/rdf+xml"
_ORIENTATION = 0x0112
_UNDONE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
#: Primary colours (ISO/IEC 23091-2) that are taken for sRGB where no ICC profile says more.
_USUAL_PRIMARIES = frozenset({1, 2, 5, 6})


class MissingDecoderError(PicoError):
    """The package that decodes HEIC is not installed."""


def is_heif(data: bytes) -> bool:
    """Whether a file is HEIC or HEIF by its first 12 bytes."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def let_pillow_read() -> None:
    """Have Pillow open HEIC and HEIF files, as upright pictures. Raises MissingDecoderError."""
    Image.init()
    if FORMAT in Image.OPEN:
        return
    try:
        import pi_heif
    except ImportError as error:
        msg = "HEIC pictures need the package pi-heif, which is not installed; pip install pi-heif"
        raise MissingDecoderError(msg) from error
    pi_heif.register_heif_opener()


def has_unknown_colours(info: dict[Any, Any]) -> bool:
    """Whether the colours are others than sRGB, and no ICC profile goes along that says so; `info` is Pillow's."""
    described = info.get("nclx_profile")
    if info.get("icc_profile") or not isinstance(described, dict):
        return False
    return described.get("color_primaries") not in _USUAL_PRIMARIES


def turned_back(im: Image.Image, metadata: Metadata) -> Image.Image:
    """The pixels that the metadata's orientation turns into an upright picture.

    The container says how its picture stands, and EXIF may say otherwise, or the same again. EXIF travels as it is:
    so that whoever obeys it sees the picture upright, its turn is undone once. Raises CorruptError if the pixels
    cannot be decoded.
    """
    try:
        im.load()
    except (RuntimeError, ValueError, EOFError, OSError) as error:
        msg = f"the HEIC picture is damaged ({error}); restore it from a copy"
        raise CorruptError(msg) from error
    bare = Image.new("L", (1, 1))
    bare.info.update({"exif": metadata.exif or b"", "xmp": metadata.xmp or b""})
    undo = _UNDONE.get(bare.getexif().get(_ORIENTATION, 1))
    return im if undo is None else im.transpose(undo)


def from_heif(data: bytes, known: Metadata) -> Metadata:
    """All metadata of a file; `known` is the ICC profile that Pillow found in it. Raises CorruptError.

    Small pictures of the photo itself (`thmb`) are left out.
    """
    container = _Container(data)
    exif = next((container.content(item) for item in container.about_photo(b"Exif")), b"")
    xmp = next((container.content(item) for item in container.about_photo(b"mime")), None)
    extras = [*container.further_items(), *container.further_boxes()]
    return replace(known, exif=_bare_exif(exif), xmp=xmp or None, extras=tuple(extras))


def _bare_exif(payload: bytes) -> bytes | None:
    """EXIF as other formats have it, from an item that begins with the distance to its TIFF header."""
    if len(payload) < 4:
        return None
    tiff = payload[4 + int.from_bytes(payload[:4], "big") :]
    return EXIF + tiff if tiff else None


@dataclass(frozen=True)
class _Item:
    kind: bytes
    content_type: bytes
    pieces: tuple[
        tuple[int, int, int], ...
    ]  # how it is stored (0: in the file, 1: in `idat`), where, how long


class _Container:
    """The items of a file and how they refer to each other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._top, self._end = _top_boxes(data)
        meta = boxes.only(self._top, b"meta", "HEIF")
        self._meta = meta
        inner = {box.kind: box for box in boxes.children(data, meta.body + 4, meta.end)}
        self._idat = inner.get(b"idat")
        self._primary = _Fields(data, inner[b"pitm"]).id() if b"pitm" in inner else 0
        self._references = list(_references(data, inner[b"iref"])) if b"iref" in inner else []
        locations = _locations(data, inner[b"iloc"]) if b"iloc" in inner else {}
        self._items = {
            number: _Item(kind, content_type, locations.get(number, ()))
            for number, kind, content_type in (_infos(data, inner[b"iinf"]) if b"iinf" in inner else ())
        }
        if self._primary not in self._items:
            msg = "HEIF: no item is the primary one; restore the file from a copy"
            raise CorruptError(msg)

    def about_photo(self, kind: bytes) -> list[int]:
        """The items of EXIF or XMP that describe the photo, and no other picture."""
        found = []
        for number, item in self._items.items():
            if item.kind != kind or (kind == b"mime" and item.content_type != _XMP_TYPE):
                continue
            about = self._targets(b"cdsc", number)
            if not about or self._primary in about:
                found.append(number)
        return found

    def further_items(self) -> Iterator[Extra]:
        """What is neither photo nor thumbnail nor the photo's EXIF and XMP, behind the box that describes it."""
        used = self._parts([self._primary])
        small = [n for n in self._items if self._primary in self._targets(b"thmb", n)]
        used |= self._parts(small)
        used |= {*self.about_photo(b"Exif")[:1], *self.about_photo(b"mime")[:1]}
        # The photo's transparency is among its pixels already.
        used |= self._parts(
            [n for n in self._items if self._primary in self._targets(b"auxl", n) and self._is_alpha(n)]
        )
        rest = [number for number in self._items if number not in used and self.content(number)]
        if not rest:
            return
        yield Extra(DESCRIPTION, OPAQUE, self._data[self._meta.start : self._meta.end])
        for number in rest:
            kind = self._items[number].kind.decode("latin-1").strip()
            yield Extra(f"{ITEM} {number} ({self._auxiliary(number) or kind})", OPAQUE, self.content(number))

    def further_boxes(self) -> Iterator[Extra]:
        """Boxes of other programs, such as the video of a motion photo, and what lies behind all boxes."""
        for box in self._top:
            if box.kind not in _CODING:
                name = f"{BOX} {boxes.printable(box.kind)}"
                yield Extra(name, OPAQUE, self._data[box.body : box.end])
        rest = self._data[self._end :]
        if rest.strip(b"\0"):
            yield Extra(TRAILER, OPAQUE, rest)

    def content(self, number: int) -> bytes:
        """The bytes of an item. Raises CorruptError if they are not all there."""
        content = b""
        for method, start, length in self._items[number].pieces:
            base, limit = 0, len(self._data)
            if method == 1 and self._idat is not None:
                base, limit = self._idat.body, self._idat.end
            stop = base + start + length if length else limit
            if method > 1 or stop > limit:
                msg = f"HEIF: item {number} lies outside of the file; restore the file from a copy"
                raise CorruptError(msg)
            content += self._data[base + start : stop]
        return content

    def _targets(self, kind: bytes, source: int) -> set[int]:
        return {
            target
            for its_kind, its_source, targets in self._references
            if (its_kind, its_source) == (kind, source)
            for target in targets
        }

    def _parts(self, numbers: Sequence[int]) -> set[int]:
        """Items and the tiles that they are made of."""
        found, waiting = set(), list(numbers)
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting += self._targets(b"dimg", number)
        return found

    def _is_alpha(self, number: int) -> bool:
        return "alpha" in (self._auxiliary(number) or "") or "auxid:1" in (self._auxiliary(number) or "")

    def _auxiliary(self, number: int) -> str | None:
        """What kind of auxiliary picture an item is, as its property `auxC` names it."""
        data, meta = self._data, self._meta
        for outer in boxes.children(data, meta.body + 4, meta.end):
            if outer.kind != b"iprp":
                continue
            inner = boxes.children(data, outer.body, outer.end)
            pool = [
                box for one in inner if one.kind == b"ipco" for box in boxes.children(data, one.body, one.end)
            ]
            for one in inner:
                if one.kind == b"ipma":
                    for index in _associations(data, one).get(number, ()):
                        if 0 < index <= len(pool) and pool[index - 1].kind == b"auxC":
                            text = data[pool[index - 1].body + 4 : pool[index - 1].end]
                            return text.partition(b"\0")[0].decode("latin-1")
        return None


class _Fields:
    """The fields of a full box, one after the other; their widths depend on its version."""

    def __init__(self, data: bytes, box: Box) -> None:
        self._cursor = boxes.Cursor(data, box)
        self.version, self.flags = divmod(self._cursor.unsigned(4), 1 << 24)
        self.number = self._cursor.unsigned
        self.take = self._cursor.take

    def id(self, wide_from: int = 1) -> int:
        """An item's number, which is longer from some version on."""
        return self.number(4 if self.version >= wide_from else 2)

    @property
    def position(self) -> int:
        """Where the next field begins."""
        return self._cursor.position


def _top_boxes(data: bytes) -> tuple[list[Box], int]:
    """The boxes of a file, and where they end: some cameras put other bytes behind them."""
    found: list[Box] = []
    position = 0
    while position < len(data):
        if data[position : position + 4] == bytes(4) and data[position + 4 : position + 8].isalnum():
            found.append(Box(data[position + 4 : position + 8], position, position + 8, len(data)))
            return found, len(data)  # a size of 0 is one to the end of the file
        try:
            found.append(boxes.read_box(data, position, len(data)))
        except CorruptError:
            break
        position = found[-1].end
    return found, position


def _infos(data: bytes, source: Box) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, kind and content type of each item."""
    outer = _Fields(data, source)
    outer.id()
    for box in boxes.children(data, outer.position, source.end):
        fields = _Fields(data, box)
        if fields.version < 2:
            continue
        number = fields.id(wide_from=3)
        fields.number(2)
        kind = fields.take(4)
        _, _, rest = data[fields.position : box.end].partition(b"\0")
        yield number, kind, rest.partition(b"\0")[0] if kind == b"mime" else b""


def _references(data: bytes, source: Box) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    outer = _Fields(data, source)
    for box in boxes.children(data, outer.position, source.end):
        cursor = boxes.Cursor(data, box)
        width = 4 if outer.version else 2
        number, count = cursor.unsigned(width), cursor.unsigned(2)
        yield box.kind, number, tuple(cursor.unsigned(width) for _ in cursor.count(count, width))


def _locations(data: bytes, source: Box) -> dict[int, tuple[tuple[int, int, int], ...]]:
    """How each item is stored, and its pieces: see `_Item`."""
    fields = _Fields(data, source)
    widths = fields.number(2)
    offset_width, length_width, base_width, index_width = (widths >> shift & 15 for shift in (12, 8, 4, 0))
    found: dict[int, tuple[tuple[int, int, int], ...]] = {}
    for _ in range(fields.id(wide_from=2)):
        number = fields.id(wide_from=2)
        method = fields.number(2) & 15 if fields.version else 0
        fields.number(2)
        base = fields.number(base_width)
        pieces = []
        for _ in range(fields.number(2)):
            if fields.version:
                fields.number(index_width)
            pieces.append((method, base + fields.number(offset_width), fields.number(length_width)))
        found[number] = tuple(pieces)
    return found


def _associations(data: bytes, source: Box) -> dict[int, list[int]]:
    """The properties of each item, as numbers in the list of all, from 1."""
    fields = _Fields(data, source)
    found: dict[int, list[int]] = {}
    for _ in range(fields.number(4)):
        number = fields.id()
        wide = bool(fields.flags & 1)
        count = fields.number(1)
        found[number] = [fields.number(2 if wide else 1) & (0x7FFF if wide else 0x7F) for _ in range(count)]
    return found
