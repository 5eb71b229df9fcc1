"""ISO base-media boxes (ISO/IEC 14496-12), and those of HEIF (ISO/IEC 23008-12): reading and writing them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pico_core.errors import CorruptError, UnsupportedVersionError

COMPACT_HEADER: Final = 8
LARGE_HEADER: Final = 16
UINT32_MAX: Final = 0xFFFF_FFFF
MAX_ENTRIES: Final = 65_535  # in any one list, so that a small file cannot ask for much memory


class Box(NamedTuple):
    """One box inside a buffer; all offsets count from the buffer's start."""

    kind: bytes
    start: int
    body: int
    end: int

    def __str__(self) -> str:
        return f"box {printable(self.kind)} at byte {self.start}"


class ItemInfo(NamedTuple):
    """What `infe` says of one item; `content_type` is empty unless `kind` is b'mime'."""

    id: int
    kind: bytes
    name: str
    content_type: str


class Extent(NamedTuple):
    """Where in the file the bytes of one item lie."""

    offset: int
    length: int


class Reference(NamedTuple):
    """One item pointing at others, as in b'thmb': `source` is a thumbnail of `targets`."""

    kind: bytes
    source: int
    targets: tuple[int, ...]


class Association(NamedTuple):
    """A property of an item, and whether a reader that does not know it must give up."""

    essential: bool
    property: Box


def printable(kind: bytes) -> str:
    """A four-character code for people to read, whatever bytes it holds."""
    return kind.decode("ascii") if kind.isalnum() else repr(kind)[1:]


# Writing


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of type `kind` (4 bytes) around `parts`."""
    size = COMPACT_HEADER + sum(map(len, parts))
    return b"".join((struct.pack(">I4s", size, kind), *parts))


def full_box(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    """A box that starts with a version byte and 24 flag bits, all zero here."""
    return box(kind, struct.pack(">I", version << 24), *parts)


def box_header(kind: bytes, body_length: int) -> bytes:
    """The header of a box whose body follows separately; 16 bytes long only when 8 cannot hold the size."""
    if COMPACT_HEADER + body_length <= UINT32_MAX:
        return struct.pack(">I4s", COMPACT_HEADER + body_length, kind)
    return struct.pack(">I4sQ", 1, kind, LARGE_HEADER + body_length)


def item_info_box(items: Sequence[ItemInfo]) -> bytes:
    """`iinf`: one `infe` (version 2) for each item, in the order given."""
    entries = [
        full_box(
            b"infe",
            struct.pack(">HH4s", item.id, 0, item.kind),
            item.name.encode() + b"\0",
            item.content_type.encode() + b"\0" if item.kind == b"mime" else b"",
            version=2,
        )
        for item in items
    ]
    return full_box(b"iinf", struct.pack(">H", len(entries)), *entries)


def item_reference_box(references: Iterable[Reference]) -> bytes:
    """`iref` (version 0): one box for each reference."""
    boxes = [
        box(
            entry.kind,
            struct.pack(f">HH{len(entry.targets)}H", entry.source, len(entry.targets), *entry.targets),
        )
        for entry in references
    ]
    return full_box(b"iref", *boxes)


def item_properties_box(properties: dict[int, list[tuple[bool, bytes]]]) -> bytes:
    """`iprp`: for each item its (essential, property box) pairs. Equal property boxes are stored once."""
    pool: dict[bytes, int] = {}
    entries = []
    for item_id, pairs in properties.items():
        numbers = [
            pool.setdefault(data, len(pool) + 1) | (0x80 if essential else 0) for essential, data in pairs
        ]
        entries.append(struct.pack(">HB", item_id, len(numbers)) + bytes(numbers))
    associations = full_box(b"ipma", struct.pack(">I", len(entries)), *entries)
    return box(b"iprp", box(b"ipco", *pool), associations)


def item_location_box(extents: dict[int, Extent], *, wide: bool) -> bytes:
    """`iloc` (version 0), one extent for each item; `wide` stores offsets and lengths in 8 bytes, not 4."""
    layout = ">HHHQQ" if wide else ">HHHII"
    entries = [struct.pack(layout, item_id, 0, 1, *extent) for item_id, extent in extents.items()]
    return full_box(b"iloc", struct.pack(">BBH", 0x88 if wide else 0x44, 0, len(entries)), *entries)


# Reading


def read_box(data: bytes, start: int, limit: int) -> Box:
    """The box at `start`, which must end at or before `limit`. Its body need not be in `data` yet.

    Raises CorruptError if its header is cut off or its size is impossible.
    """
    body = start + COMPACT_HEADER
    if body > limit:
        msg = f"byte {start}: {limit - start} bytes are left, too few for the header of a box"
        raise CorruptError(msg)
    size, kind = struct.unpack_from(">I4s", data, start)
    if size == 1:
        body = start + LARGE_HEADER
        if body > limit:
            msg = f"box {printable(kind)} at byte {start}: its 64-bit size is cut off"
            raise CorruptError(msg)
        (size,) = struct.unpack_from(">Q", data, start + COMPACT_HEADER)
    if not body - start <= size <= limit - start:
        allowed = f"{body - start} to {limit - start}"
        msg = f"box {printable(kind)} at byte {start}: its size is {size}, but must be {allowed}"
        raise CorruptError(msg)
    return Box(kind, start, body, start + size)


def children(data: bytes, start: int, end: int) -> list[Box]:
    """The boxes that fill `data[start:end]` exactly; CorruptError if they do not, or are too many."""
    found: list[Box] = []
    while start < end:
        check_entries(len(found) + 1, found[-1] if found else "headers")
        found.append(read_box(data, start, end))
        start = found[-1].end
    return found


def check_entries(number: int, where: object) -> None:
    """CorruptError if a list has more entries than any real file needs."""
    if number > MAX_ENTRIES:
        msg = f"{where}: {number} entries in one list; {MAX_ENTRIES} is the limit"
        raise CorruptError(msg)


def only(boxes: Iterable[Box], kind: bytes, where: str) -> Box:
    """The one box of type `kind`; CorruptError if there is none or more than one."""
    matches = [entry for entry in boxes if entry.kind == kind]
    if len(matches) != 1:
        count = "no" if not matches else str(len(matches))
        msg = f"{where}: {count} box {printable(kind)} where there must be one"
        raise CorruptError(msg)
    return matches[0]


class Cursor:
    """Reads the fields of one box from first to last, and never outside it."""

    __slots__ = ("box", "data", "position")

    def __init__(self, data: bytes, box: Box) -> None:
        self.data = data
        self.box = box
        self.position = box.body

    def version(self, known: int) -> int:
        """Flags of a full box; UnsupportedVersionError unless its version is `known`."""
        version, flags = divmod(self.unsigned(4), 1 << 24)
        if version != known:
            msg = f"{self.box}: version {version} is unknown here; a later release may read it"
            raise UnsupportedVersionError(msg)
        return flags

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        end = self.position + length
        if end > self.box.end:
            msg = f"{self.box}: byte {self.position}: {length} bytes expected, {self.left} left in the box"
            raise CorruptError(msg)
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def unsigned(self, width: int) -> int:
        """The next big-endian number, `width` bytes wide."""
        return int.from_bytes(self.take(width), "big")

    def text(self) -> str:
        """The next UTF-8 string, which ends with a zero byte."""
        end = self.data.find(b"\0", self.position, self.box.end)
        if end < 0:
            msg = f"{self.box}: byte {self.position}: a string without its final zero byte"
            raise CorruptError(msg)
        try:
            value = self.data[self.position : end].decode()
        except UnicodeDecodeError as error:
            msg = f"{self.box}: byte {self.position}: a string that is not UTF-8"
            raise CorruptError(msg) from error
        self.position = end + 1
        return value

    @property
    def left(self) -> int:
        """Bytes of the box not read yet."""
        return self.box.end - self.position

    def count(self, number: int, entry_length: int) -> range:
        """`range(number)`, refused at once if so many entries of `entry_length` bytes cannot be there."""
        if number * entry_length > self.left:
            msg = f"{self.box}: {number} entries announced, {self.left} bytes left for them"
            raise CorruptError(msg)
        return range(number)

    def finish(self) -> None:
        """CorruptError if bytes of the box are left over."""
        if self.left:
            msg = f"{self.box}: {self.left} bytes left over at byte {self.position}"
            raise CorruptError(msg)


def read_primary_item(data: bytes, source: Box) -> int:
    """Item id in `pitm`."""
    cursor = Cursor(data, source)
    cursor.version(0)
    item_id = cursor.unsigned(2)
    cursor.finish()
    return item_id


def read_item_infos(data: bytes, source: Box) -> dict[int, ItemInfo]:
    """The items of `iinf` by id, in file order; CorruptError if an id occurs twice."""
    cursor = Cursor(data, source)
    cursor.version(0)
    announced = cursor.unsigned(2)
    infos: dict[int, ItemInfo] = {}
    entries = children(data, cursor.position, source.end)
    for entry in entries:
        info = _read_item_info(data, entry)
        if info.id in infos:
            msg = f"{entry}: item {info.id} is described twice"
            raise CorruptError(msg)
        infos[info.id] = info
    if len(entries) != announced:
        msg = f"{source}: {announced} items announced, {len(entries)} described"
        raise CorruptError(msg)
    return infos


def _read_item_info(data: bytes, source: Box) -> ItemInfo:
    if source.kind != b"infe":
        msg = f"{source}: box infe expected here"
        raise CorruptError(msg)
    cursor = Cursor(data, source)
    cursor.version(2)
    item_id, protection, kind = cursor.unsigned(2), cursor.unsigned(2), cursor.take(4)
    if protection:
        msg = f"{source}: item {item_id} is protected; such items cannot be read"
        raise UnsupportedVersionError(msg)
    name = cursor.text()
    return ItemInfo(item_id, kind, name, cursor.text() if kind == b"mime" else "")


def read_item_locations(data: bytes, source: Box) -> dict[int, Extent]:
    """The extents of `iloc` by item id; CorruptError if an id occurs twice or an item is in pieces."""
    cursor = Cursor(data, source)
    cursor.version(0)
    widths, base = cursor.unsigned(1), cursor.unsigned(1)
    if widths not in (0x44, 0x88) or base:
        msg = f"{source}: offset, length and base sizes 0x{widths:02x}{base:02x} must be 0x4400 or 0x8800"
        raise CorruptError(msg)
    width = widths & 15
    locations: dict[int, Extent] = {}
    for _ in cursor.count(cursor.unsigned(2), 6 + 2 * width):
        item_id, reference, pieces = cursor.unsigned(2), cursor.unsigned(2), cursor.unsigned(2)
        if item_id in locations:
            msg = f"{source}: item {item_id} is located twice"
            raise CorruptError(msg)
        if reference or pieces != 1:
            msg = f"{source}: item {item_id} must lie in this file in one piece"
            raise CorruptError(msg)
        locations[item_id] = Extent(cursor.unsigned(width), cursor.unsigned(width))
    cursor.finish()
    return locations


def read_item_references(data: bytes, source: Box) -> list[Reference]:
    """The references of `iref`, in file order."""
    cursor = Cursor(data, source)
    cursor.version(0)
    references: list[Reference] = []
    total = 0
    for entry in children(data, cursor.position, source.end):
        fields = Cursor(data, entry)
        item_id, number = fields.unsigned(2), fields.unsigned(2)
        total += number
        check_entries(total, source)
        targets = tuple(fields.unsigned(2) for _ in fields.count(number, 2))
        fields.finish()
        references.append(Reference(entry.kind, item_id, targets))
    return references


def read_item_properties(data: bytes, source: Box) -> dict[int, list[Association]]:
    """The properties of each item in `iprp`; CorruptError if an item comes twice or a property is missing."""
    inner = children(data, source.body, source.end)
    container = only(inner, b"ipco", str(source))
    properties = children(data, container.body, container.end)
    cursor = Cursor(data, only(inner, b"ipma", str(source)))
    if cursor.version(0):
        msg = f"{cursor.box}: its flags must be 0"
        raise UnsupportedVersionError(msg)
    found: dict[int, list[Association]] = {}
    total = 0
    for _ in cursor.count(cursor.unsigned(4), 3):
        item_id = cursor.unsigned(2)
        numbers = cursor.take(cursor.unsigned(1))
        total += len(numbers)
        check_entries(total, cursor.box)
        if item_id in found:
            msg = f"{cursor.box}: item {item_id} has two lists of properties"
            raise CorruptError(msg)
        for number in numbers:
            if not 1 <= number & 0x7F <= len(properties):
                msg = f"{cursor.box}: item {item_id} has property {number & 0x7F} of {len(properties)}"
                raise CorruptError(msg)
        found[item_id] = [Association(bool(n & 0x80), properties[(n & 0x7F) - 1]) for n in numbers]
    cursor.finish()
    return found
