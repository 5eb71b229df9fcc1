"""What the headers of a .pico file say, after checking that they do not contradict themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pico_core import boxes
from pico_core.boxes import Association, Box, Cursor, Extent, ItemInfo, Reference
from pico_core.container_format import (
    ALPHA_URN,
    CHECKSUM_BYTES,
    CODEC_CONFIGURATION,
    CODEC_VERSION,
    LEVELS_PER_UNIT,
    MAX_SIDE,
    MAX_TILE_BYTES,
    NO_MODEL,
    NO_QUALITY,
    OVERLAP,
    TILE_ENTRY,
    WINDOW,
    XMP_TYPE,
    Coder,
    Picture,
    tile_count,
)
from pico_core.errors import CorruptError, UnsupportedVersionError

_KNOWN_PROPERTIES = frozenset({b"picC", b"ispe", b"pixi", b"colr", b"auxC"})


class TileEntry(NamedTuple):
    """Where one tile lies, and what must be there; `coder` may be one that this release does not know."""

    coder: int
    rise: int
    offset: int
    length: int
    checksum: bytes


class Item(NamedTuple):
    """One item of the file: in tiles, or whole with one checksum."""

    info: ItemInfo
    extent: Extent
    checksum: bytes
    tiles: Sequence[TileEntry]

    def __str__(self) -> str:
        return f"item {self.info.id} ({boxes.printable(self.info.kind)}, from byte {self.extent.offset})"


@dataclass(frozen=True, slots=True)
class Headers:
    """The checked headers: the picture, all items by id, and which of them (by id) plays which part."""

    picture: Picture
    items: dict[int, Item]
    tiles: Sequence[TileEntry]
    alpha_tiles: Sequence[TileEntry]
    icc: bytes | None
    preview: int | None
    exif: int | None
    xmp: int | None
    extras: Sequence[int]


class _Described(NamedTuple):
    """What the boxes inside `meta` say, each by itself."""

    primary: int
    infos: dict[int, ItemInfo]
    extents: dict[int, Extent]
    properties: dict[int, list[Association]]
    references: list[Reference]


class _Checks(NamedTuple):
    """What `pidx` says of one item: its checksum, or (coder, rise, length, checksum) of each tile."""

    checksum: bytes
    tiles: list[tuple[int, int, int, bytes]]


def parse_headers(data: bytes, top: Sequence[Box]) -> Headers:
    """Headers from `data`, the file up to the body of `mdat`; `top` ends with the boxes `pidx` and `mdat`.

    Raises CorruptError where they contradict themselves, UnsupportedVersionError where they ask for more
    than this release knows.
    """
    described = _read_meta(data, boxes.only(top, b"meta", "file"))
    items = _match_items(described, _read_index(data, top[-2]))
    _check_layout(items.values(), top[-1])
    primary = items[described.primary]
    if primary.info.kind != b"pico":
        msg = f"{primary}: the primary item must be of type pico"
        raise CorruptError(msg)
    pointing = {(r.kind, r.source) for r in described.references if described.primary in r.targets}
    infos = described.infos.values()
    alpha = _only_item(
        info
        for info in infos
        if _points(info, b"pico", b"auxl", pointing) and _is_alpha(data, described, info.id)
    )
    xmp = _only_item(
        info for info in infos if _points(info, b"mime", b"cdsc", pointing) and info.content_type == XMP_TYPE
    )
    picture, tiles = _read_picture(data, described, primary, has_alpha=alpha is not None)
    return Headers(
        picture=picture,
        items=items,
        tiles=tiles,
        alpha_tiles=() if alpha is None else _read_alpha(data, described, items[alpha], picture),
        icc=_read_profile(data, described),
        preview=_only_item(info for info in infos if _points(info, b"jpeg", b"thmb", pointing)),
        exif=_only_item(info for info in infos if _points(info, b"Exif", b"cdsc", pointing)),
        xmp=xmp,
        extras=[info.id for info in infos if info.kind == b"mime" and info.id != xmp],
    )


# Boxes, each by itself


def _read_meta(data: bytes, meta: Box) -> _Described:
    """The boxes of `meta`; those of unknown types are skipped."""
    cursor = Cursor(data, meta)
    cursor.version(0)
    inner = boxes.children(data, cursor.position, meta.end)
    where = str(meta)
    handler = Cursor(data, boxes.only(inner, b"hdlr", where))
    handler.version(0)
    if handler.take(8)[4:] != b"pict":
        msg = f"{handler.box}: the handler must be pict"
        raise CorruptError(msg)
    has_references = any(entry.kind == b"iref" for entry in inner)
    return _Described(
        boxes.read_primary_item(data, boxes.only(inner, b"pitm", where)),
        boxes.read_item_infos(data, boxes.only(inner, b"iinf", where)),
        boxes.read_item_locations(data, boxes.only(inner, b"iloc", where)),
        boxes.read_item_properties(data, boxes.only(inner, b"iprp", where)),
        boxes.read_item_references(data, boxes.only(inner, b"iref", where)) if has_references else [],
    )


def _read_index(data: bytes, source: Box) -> dict[int, _Checks]:
    """What `pidx` says of each item, by id."""
    cursor = Cursor(data, source)
    cursor.version(0)
    found: dict[int, _Checks] = {}
    total = 0
    for _ in cursor.count(cursor.unsigned(2), 4 + CHECKSUM_BYTES):
        item_id, tiles = cursor.unsigned(2), cursor.unsigned(2)
        if item_id in found:
            msg = f"{source}: item {item_id} occurs twice"
            raise CorruptError(msg)
        total += tiles
        boxes.check_entries(total, source)
        whole = b"" if tiles else cursor.take(CHECKSUM_BYTES)
        found[item_id] = _Checks(whole, list(TILE_ENTRY.iter_unpack(cursor.take(tiles * TILE_ENTRY.size))))
    cursor.take(CHECKSUM_BYTES)
    cursor.finish()
    return found


# Items, as all boxes together describe them


def _match_items(described: _Described, checks: dict[int, _Checks]) -> dict[int, Item]:
    """The items by id; CorruptError unless all boxes speak of the same ones."""
    known = described.infos.keys()
    _check_same_items("iloc", described.extents.keys(), known, complete=True)
    _check_same_items("pidx", checks.keys(), known, complete=True)
    _check_same_items("ipma", described.properties.keys(), known)
    _check_same_items("iref", {n for r in described.references for n in (r.source, *r.targets)}, known)
    _check_same_items("pitm", {described.primary}, known)
    return {n: _match_item(info, described.extents[n], checks[n]) for n, info in described.infos.items()}


def _check_same_items(
    kind: str, ids: Collection[int], known: Collection[int], *, complete: bool = False
) -> None:
    """Box `kind` may speak only of items in `iinf`; if `complete`, it must speak of all of them."""
    if strangers := set(ids) - set(known):
        msg = f"item {min(strangers)}: box {kind} speaks of it, box iinf does not"
        raise CorruptError(msg)
    if complete and (missing := set(known) - set(ids)):
        msg = f"item {min(missing)}: box iinf speaks of it, box {kind} does not"
        raise CorruptError(msg)


def _match_item(info: ItemInfo, extent: Extent, checks: _Checks) -> Item:
    if bool(checks.tiles) != (info.kind == b"pico"):
        msg = (
            f"item {info.id} ({boxes.printable(info.kind)}): items of type pico, and no others, are in tiles"
        )
        raise CorruptError(msg)
    entries = []
    offset = extent.offset
    for index, (coder, rise, length, digest) in enumerate(checks.tiles):
        if not 1 <= length <= MAX_TILE_BYTES:
            msg = f"item {info.id}, tile {index}: {length} bytes; must be 1 to {MAX_TILE_BYTES}"
            raise CorruptError(msg)
        if rise and coder in (Coder.WEBP_LOSSLESS, Coder.AVIF):
            msg = f"item {info.id}, tile {index}: a level of its own, which only learned tiles have"
            raise CorruptError(msg)
        entries.append(TileEntry(coder, rise, offset, length, digest))
        offset += length
    if entries and offset != extent.offset + extent.length:
        msg = f"item {info.id}: its tiles take {offset - extent.offset} bytes, box iloc says {extent.length}"
        raise CorruptError(msg)
    return Item(info, extent, checks.checksum, entries)


def _check_layout(items: Iterable[Item], media: Box) -> None:
    """The items must fill `mdat` exactly: no byte shared, none unused."""
    end = media.body
    for item in sorted(items, key=lambda item: item.extent):
        if item.extent.length == 0:
            msg = f"{item}: it has no bytes"
            raise CorruptError(msg)
        if item.extent.offset != end:
            what = "overlaps what lies before it" if item.extent.offset < end else "leaves a gap before it"
            msg = f"{item}: it {what}; it must start at byte {end}"
            raise CorruptError(msg)
        end += item.extent.length
    if end != media.end:
        msg = f"{media}: it ends at byte {media.end}, but its items end at byte {end}"
        raise CorruptError(msg)


# Parts that items play


def _points(info: ItemInfo, kind: bytes, reference: bytes, pointing: set[tuple[bytes, int]]) -> bool:
    """Whether an item is of type `kind` and refers to the picture by a reference of that type."""
    return info.kind == kind and (reference, info.id) in pointing


def _only_item(candidates: Iterable[ItemInfo]) -> int | None:
    """Id of the one candidate, None if there is none; CorruptError if there are several."""
    found = [info.id for info in candidates]
    if len(found) > 1:
        msg = f"items {found[0]} and {found[1]} both claim a part that only one item can play"
        raise CorruptError(msg)
    return found[0] if found else None


def _properties(described: _Described, item_id: int, kind: bytes) -> list[Box]:
    return [entry.property for entry in described.properties.get(item_id, ()) if entry.property.kind == kind]


def _is_alpha(data: bytes, described: _Described, item_id: int) -> bool:
    for source in _properties(described, item_id, b"auxC"):
        cursor = Cursor(data, source)
        cursor.version(0)
        # Compared where it lies: an item may list the same box of 16 MB 255 times.
        if data.startswith(ALPHA_URN.encode() + b"\0", cursor.position, source.end):
            return True
    return False


def _read_profile(data: bytes, described: _Described) -> bytes | None:
    """The ICC profile, if the picture's colours are described by one."""
    sources = _properties(described, described.primary, b"colr")
    profiles = [box for box in sources if data[box.body : min(box.end, box.body + 4)] == b"prof"]
    if len(profiles) > 1 or any(box.end == box.body + 4 for box in profiles):
        msg = f"item {described.primary}: its ICC profile is empty, or there are several"
        raise CorruptError(msg)
    return data[profiles[0].body + 4 : profiles[0].end] if profiles else None


def _read_picture(
    data: bytes, described: _Described, item: Item, *, has_alpha: bool
) -> tuple[Picture, Sequence[TileEntry]]:
    """The picture or plane that a tiled item holds, and its tiles, which must fit it."""
    for association in described.properties.get(item.info.id, ()):
        if association.essential and association.property.kind not in _KNOWN_PROPERTIES:
            msg = f"{item}: it needs {association.property}, unknown here; a later release may read it"
            raise UnsupportedVersionError(msg)
    width, height = _read_size(data, described, item)
    configuration = boxes.only(_properties(described, item.info.id, b"picC"), b"picC", str(item))
    picture = _read_configuration(data, configuration, width, height, has_alpha)
    for source in _properties(described, item.info.id, b"pixi"):
        cursor = Cursor(data, source)
        cursor.version(0)
        if cursor.take(cursor.unsigned(1)) != b"\x08" * picture.channels:
            msg = f"{source}: it must say {picture.channels} channels of 8 bits, as {configuration} does"
            raise CorruptError(msg)
    if len(item.tiles) != tile_count(width, height):
        msg = f"{item}: {len(item.tiles)} tiles; {width} x {height} pixels take {tile_count(width, height)}"
        raise CorruptError(msg)
    if picture.model_id is None and any(entry.coder == Coder.LEARNED for entry in item.tiles):
        msg = f"{configuration}: a learned tile needs a model id, and there is none"
        raise CorruptError(msg)
    return picture, item.tiles


def _read_size(data: bytes, described: _Described, item: Item) -> tuple[int, int]:
    source = boxes.only(_properties(described, item.info.id, b"ispe"), b"ispe", str(item))
    cursor = Cursor(data, source)
    cursor.version(0)
    width, height = cursor.unsigned(4), cursor.unsigned(4)
    cursor.finish()
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        msg = f"{source}: {width} x {height} pixels; sides must be 1 to {MAX_SIDE}"
        raise CorruptError(msg)
    return width, height


def _read_configuration(data: bytes, source: Box, width: int, height: int, has_alpha: bool) -> Picture:
    """The fields of `picC`; a later minor version may append more."""
    cursor = Cursor(data, source)
    if (version := cursor.unsigned(1)) != CODEC_VERSION:
        msg = (
            f"{source}: codec version {version}, this release reads {CODEC_VERSION}; a later one may read it"
        )
        raise UnsupportedVersionError(msg)
    fields = bytes([version]) + cursor.take(CODEC_CONFIGURATION.size - 1)
    _, channels, quality, level, window, overlap, model_id = CODEC_CONFIGURATION.unpack(fields)
    if (window, overlap) != (WINDOW, OVERLAP):
        known = f"{WINDOW} pixels that share {OVERLAP}"
        msg = f"{source}: tiles of {window} pixels that share {overlap}; this release reads {known}"
        raise UnsupportedVersionError(msg)
    if channels not in (1, 3) or (quality > 100 and quality != NO_QUALITY):
        msg = (
            f"{source}: {channels} channels, quality {quality}; must be 1 or 3, and 0 to 100 or {NO_QUALITY}"
        )
        raise CorruptError(msg)
    return Picture(
        width=width,
        height=height,
        channels=channels,
        has_alpha=has_alpha,
        level=level / LEVELS_PER_UNIT,
        quality=None if quality == NO_QUALITY else quality,
        model_id=None if model_id == NO_MODEL else model_id,
    )


def _read_alpha(data: bytes, described: _Described, item: Item, picture: Picture) -> Sequence[TileEntry]:
    """Tiles of the alpha plane, which must be a grey picture coded as the colours are."""
    plane, tiles = _read_picture(data, described, item, has_alpha=True)
    if plane != replace(picture, channels=1):
        msg = (
            f"{item}: the alpha plane must have 1 channel, and size, level, quality and model of the picture"
        )
        raise CorruptError(msg)
    if any(entry.coder in (Coder.LEARNED, Coder.AVIF) for entry in tiles):
        msg = f"{item}: the alpha plane has a tile that is not lossless; alpha is stored exactly"
        raise CorruptError(msg)
    return tiles
