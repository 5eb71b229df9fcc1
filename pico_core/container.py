"""A .pico file: the picture's header, the payloads of its tiles, and the metadata carried along.

docs/format.md specifies every byte. In short: `ftyp`, `meta` and `pidx` are the headers, and end in a
checksum over themselves; `mdat` follows with the items, whose checksums stand in `pidx`.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Sequence
from typing import IO, Final

from pico_core import boxes
from pico_core.boxes import Box, Extent
from pico_core.container_format import (
    CHECKSUM_BYTES,
    FORMAT_MAJOR,
    MAGIC,
    MAX_HEADER_BYTES,
    Coder,
    Extra,
    Metadata,
    Picture,
    Tile,
    checksum,
    storable_level,
    tile_count,
)
from pico_core.container_headers import Item, TileEntry, parse_headers
from pico_core.container_writer import write
from pico_core.errors import (
    CorruptError,
    NotPicoError,
    TrailingDataError,
    TruncatedError,
    UnsupportedVersionError,
)
from pico_core.forks import kept

__all__ = [
    "Coder",
    "Container",
    "Extra",
    "Metadata",
    "Picture",
    "Tile",
    "accept",
    "storable_level",
    "tile_count",
    "write",
]

_CHUNK: Final = 1 << 20
_FIRST_READ: Final = 4096
_MAX_TOP_BOXES: Final = 64
_FILE_TYPE_BYTES: Final = 16  # size, b"ftyp", major brand, format version
_EXIF_OFFSET_BYTES: Final = 4
#: What other files are often taken for a .pico file: the place and the bytes by which they are known.
_OTHER_KINDS: Final = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (8, b"WEBP", "WebP"),
)


def accept(prefix: bytes) -> bool:
    """Whether a file that starts with `prefix` (12 bytes suffice) is a .pico file, of whatever version."""
    return prefix[4 : 4 + len(MAGIC)] == MAGIC


class Container:
    """Reads a .pico file that starts at position 0 of a seekable binary stream, and leaves the stream open.

    Opening reads and checks the headers only: `picture`, `tile_count` and every size are then known to be
    consistent with each other and with the length of the stream. Items and tiles are read, and their
    checksums checked, when asked for. Any method may be called from several threads at once.

    With `allow_truncated`, a file whose end is missing opens too; what did not arrive raises TruncatedError
    when asked for, and `truncated` is True. `trailing_bytes` is how many bytes follow the end of the picture, as
    interrupted copies and some programs leave them: they are not read, and `verify` refuses them.

    Opening raises NotPicoError, UnsupportedVersionError, TruncatedError or CorruptError.
    """

    def __init__(self, stream: IO[bytes], *, allow_truncated: bool = False) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._size = self._end()
        top, self._header_bytes = self._read_headers()
        self._media = top[-1]
        self._headers = parse_headers(self._header_bytes, top)
        self.picture: Picture = self._headers.picture
        if not allow_truncated:
            self._check_present(self._media.end, str(self._media))
        self.truncated: bool = self._size < self._media.end
        self.trailing_bytes: int = max(0, self._size - self._media.end)

    @property
    def tile_count(self) -> int:
        """Tiles of the picture; its alpha plane, if it has one, has as many."""
        return len(self._headers.tiles)

    def read_tile(self, index: int) -> Tile:
        """Tile `index`, in raster order, its checksum checked.

        Raises IndexError outside 0 .. tile_count - 1, CorruptError if the checksum does not match,
        TruncatedError if the file ends before the tile does, UnsupportedVersionError if its coder is unknown.
        """
        return self._read_tile(self._headers.tiles, index, "tile")

    def read_alpha_tile(self, index: int) -> Tile:
        """Tile `index` of the alpha plane; as `read_tile`, and IndexError if the picture has no alpha."""
        return self._read_tile(self._headers.alpha_tiles, index, "alpha tile")

    @kept
    def preview(self) -> bytes | None:
        """The small JPEG file inside, if there is one. Raises CorruptError or TruncatedError."""
        return self._read_item(self._headers.preview)

    @kept
    def exif(self) -> bytes | None:
        """The Exif bytes as the source had them. Raises CorruptError or TruncatedError."""
        data = self._read_item(self._headers.exif)
        if data is None:
            return None
        exif = data[_EXIF_OFFSET_BYTES:]
        if len(data) < _EXIF_OFFSET_BYTES or int.from_bytes(data[:_EXIF_OFFSET_BYTES], "big") > len(exif):
            msg = f"item {self._headers.exif} (Exif): its TIFF header would lie outside its {len(data)} bytes"
            raise CorruptError(msg)
        return exif

    @kept
    def xmp(self) -> bytes | None:
        """The XMP packet as the source had it. Raises CorruptError or TruncatedError."""
        return self._read_item(self._headers.xmp)

    @property
    def icc(self) -> bytes | None:
        """The ICC profile as the source had it; None means sRGB."""
        return self._headers.icc

    @kept
    def extras(self) -> tuple[Extra, ...]:
        """The opaque items, in the order they were written. Raises CorruptError or TruncatedError."""
        infos = [self._headers.items[item_id].info for item_id in self._headers.extras]
        return tuple(Extra(info.name, info.content_type, self._read_item(info.id) or b"") for info in infos)

    @property
    def metadata(self) -> Metadata:
        """All metadata at once. Raises CorruptError or TruncatedError if any of it is damaged or missing."""
        return Metadata(self.exif, self.xmp, self.icc, self.extras)

    def verify(self, *, allow_trailing: bool = False) -> None:
        """Read the whole file and check all checksums, in little memory.

        Raises CorruptError or TruncatedError, also if the file changed since opening, and TrailingDataError if bytes
        follow its end, unless `allow_trailing`.
        """
        self._size = self._end()
        self._check_present(self._media.end, str(self._media))
        if self._size > self._media.end and not allow_trailing:
            msg = f"{self._size - self._media.end} bytes follow the end of the picture at byte {self._media.end}"
            raise TrailingDataError(msg)
        if self._read(Extent(0, len(self._header_bytes)), "headers") != self._header_bytes:
            msg = "headers: they changed while the file was open"
            raise CorruptError(msg)
        for item in self._headers.items.values():
            if not item.tiles:
                self._check_whole(item)
            for index, entry in enumerate(item.tiles):
                self._read_checked(entry, f"{item}, tile {index}")
        _ = self.exif

    def _end(self) -> int:
        """Where the stream ends. Some streams, mmap up to Python 3.12 for one, do not return that from `seek`."""
        with self._lock:
            self._stream.seek(0, io.SEEK_END)
            return self._stream.tell()

    # Headers

    def _read_headers(self) -> tuple[list[Box], bytes]:
        """The top-level boxes from `ftyp` to `pidx` and `mdat`, and all bytes up to the body of `mdat`."""
        data = self._read(Extent(0, min(self._size, _FIRST_READ)), "headers")
        _check_file_type(data)
        top = [self._top_box(data, 0)]
        while top[-1].kind != b"pidx":
            data = self._read_header_box(data, top[-1])
            top.append(self._top_box(data, top[-1].end))
            if len(top) > _MAX_TOP_BOXES:
                msg = f"{top[-1]}: more than {_MAX_TOP_BOXES} boxes, and no pidx among them"
                raise CorruptError(msg)
        data = self._read_header_box(data, top[-1])
        end = top[-1].end
        top.append(self._top_box(data, end))
        if data[end - CHECKSUM_BYTES : end] != checksum(data[: end - CHECKSUM_BYTES]):
            msg = (
                f"headers (bytes 0 to {end}): their checksum does not match; "
                "they are damaged, or a program that does not know .pico files has edited them"
            )
            raise CorruptError(msg)
        if top[-1].kind != b"mdat":
            msg = f"{top[-1]}: box mdat must come here, right after pidx"
            raise CorruptError(msg)
        return top, data[: top[-1].body]

    def _read_header_box(self, data: bytes, box: Box) -> bytes:
        """`data` grown, if it must, to reach past `box` and over the header of the box after it."""
        if box.kind == b"mdat":
            msg = f"{box}: box pidx must come before it"
            raise CorruptError(msg)
        if box.end > MAX_HEADER_BYTES:
            msg = f"{box}: the headers reach to byte {box.end}; {MAX_HEADER_BYTES} is the limit"
            raise CorruptError(msg)
        self._check_present(box.end, str(box))
        missing = min(box.end + boxes.LARGE_HEADER, self._size) - len(data)
        return data + self._read(Extent(len(data), missing), "headers") if missing > 0 else data

    def _top_box(self, data: bytes, start: int) -> Box:
        """The top-level box at `start`, which may reach beyond the end of the stream."""
        self._check_present(start + boxes.COMPACT_HEADER, "headers")
        if data[start : start + 4] == b"\0\0\0\1":
            self._check_present(start + boxes.LARGE_HEADER, "headers")
        return boxes.read_box(data, start, 1 << 64)

    def _check_present(self, end: int, what: str) -> None:
        if end > self._size:
            msg = f"{what}: needed up to byte {end}, but the file ends at byte {self._size}"
            raise TruncatedError(msg)

    # Items

    def _read(self, extent: Extent, what: str) -> bytes:
        """The bytes of `extent`, all of them, or TruncatedError."""
        self._check_present(extent.offset + extent.length, what)
        with self._lock:
            self._stream.seek(extent.offset)
            data = self._stream.read(extent.length)
            while 0 < len(data) < extent.length and (more := self._stream.read(extent.length - len(data))):
                data += more
        if len(data) != extent.length:
            msg = f"{what}: the file became shorter while it was open"
            raise TruncatedError(msg)
        return data

    def _read_item(self, item_id: int | None) -> bytes | None:
        if item_id is None:
            return None
        item = self._headers.items[item_id]
        data = self._read(item.extent, str(item))
        if checksum(data) != item.checksum:
            raise _mismatch(str(item))
        return data

    def _check_whole(self, item: Item) -> None:
        """Check an item of any size without holding it in memory."""
        digest = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
        for offset in range(0, item.extent.length, _CHUNK):
            length = min(_CHUNK, item.extent.length - offset)
            digest.update(self._read(Extent(item.extent.offset + offset, length), str(item)))
        if digest.digest() != item.checksum:
            raise _mismatch(str(item))

    def _read_tile(self, tiles: Sequence[TileEntry], index: int, what: str) -> Tile:
        if not 0 <= index < len(tiles):
            msg = f"{what} {index} of {len(tiles)}"
            raise IndexError(msg)
        entry = tiles[index]
        payload = self._read_checked(entry, f"{what} {index} (from byte {entry.offset})")
        try:
            return Tile(Coder(entry.coder), payload, entry.rise)
        except ValueError:
            msg = f"{what} {index}: its coder {entry.coder} is unknown here; a later release may read it"
            raise UnsupportedVersionError(msg) from None

    def _read_checked(self, entry: TileEntry, what: str) -> bytes:
        payload = self._read(Extent(entry.offset, entry.length), what)
        if checksum(payload) != entry.checksum:
            raise _mismatch(what)
        return payload


def _mismatch(what: str) -> CorruptError:
    return CorruptError(f"{what}: the checksum does not match; the file is damaged there")


def _check_file_type(data: bytes) -> None:
    """NotPicoError unless `data` starts as a .pico file does; TruncatedError if it ends too early to tell."""
    if data[4 : 4 + len(MAGIC)] != MAGIC[: max(0, len(data) - 4)]:
        raise NotPicoError(_what_instead(data))
    if len(data) < _FILE_TYPE_BYTES:
        msg = f"the file has {len(data)} bytes, too few for any .pico file"
        raise TruncatedError(msg)
    size, major = int.from_bytes(data[:4], "big"), int.from_bytes(data[12:14], "big")
    if size < _FILE_TYPE_BYTES:
        msg = f"box ftyp at byte 0: its size is {size}, too small for a brand and a version"
        raise CorruptError(msg)
    if major != FORMAT_MAJOR:
        msg = f"format version {major}, this release reads {FORMAT_MAJOR}; a later release may read the file"
        raise UnsupportedVersionError(msg)


def _what_instead(data: bytes) -> str:
    """What a file is that does not start as a .pico file does, as far as its first bytes tell."""
    for place, magic, kind in _OTHER_KINDS:
        if data.startswith(magic, place):
            article = "an" if kind == "AVIF" else "a"
            return f"the file is {article} {kind} picture and no .pico file"
    return "the file does not begin as a .pico file does"
