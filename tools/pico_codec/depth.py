"""How many bits a sample of a picture file has: Pillow cuts deep files of some formats to 8 bits, and does not tell."""

from __future__ import annotations

import re
from collections.abc import Callable

from PIL import Image

from pico_codec.carried_seldom import jpeg2000_codestream
from pico_core import boxes
from pico_core.boxes import Box
from pico_core.errors import FormatError

_LONGEST_PPM_HEADER = 4096  # bytes, comments included
_TIFF_BITS = 258
_SIZ_COUNT, _SIZ_COMPONENTS = 40, 42  # where a codestream has the number of its components, and the first
_HIGH_BITDEPTH, _TWELVE_BIT = 0x40, 0x20
_AV1_CONFIGURATION = re.compile(rb"av1C..(.)", re.DOTALL)


def bits_a_sample(kind: str, data: bytes, im: Image.Image) -> int:
    """The most bits that a sample has in a file of a format that Pillow would cut to 8; 8 for all others.

    `im` is the file as Pillow opened it. Of a file that is cut off before it says, 8: its pixels cannot be read anyhow.
    """
    if kind == "TIFF":
        return int(max(getattr(im, "tag_v2", {}).get(_TIFF_BITS, (8,))))
    if kind == "HEIF":
        return int(im.info.get("bit_depth", 8))
    look = _LOOKS.get(kind)
    try:
        return 8 if look is None else look(data)
    except IndexError:
        return 8


def _png(data: bytes) -> int:
    return data[24]


def _ppm(data: bytes) -> int:
    """As many as white has, the third number of the header; 1 for files of one bit, which have none."""
    header = re.sub(rb"#[^\r\n]*", b"", data[2:_LONGEST_PPM_HEADER])
    numbers = re.findall(rb"\d+", header)
    white = 1 if data[:2] in (b"P1", b"P4") or len(numbers) < 3 else int(numbers[2])
    return white.bit_length()


def _sgi(data: bytes) -> int:
    return 8 * data[3]


def _jpeg2000(data: bytes) -> int:
    start = jpeg2000_codestream(data)
    count = int.from_bytes(data[start + _SIZ_COUNT : start + _SIZ_COMPONENTS], "big")
    first = start + _SIZ_COMPONENTS
    return max(((data[first + 3 * number] & 0x7F) + 1 for number in range(count)), default=8)


def _avif(data: bytes) -> int:
    try:
        found = _configurations_of_the_picture(data)
    except FormatError:  # boxes of a form that is not known here
        found = []
    described = data.partition(b"mdat")[0]
    flags = [one[2] for one in found] or [ord(one) for one in _AV1_CONFIGURATION.findall(described)]
    return max((_av1_bits(one) for one in flags), default=8)


def _av1_bits(flags: int) -> int:
    if not flags & _HIGH_BITDEPTH:
        return 8
    return 12 if flags & _TWELVE_BIT else 10


def _configurations_of_the_picture(data: bytes) -> list[bytes]:
    """The `av1C` of the picture that is shown, or of the parts it is made of; those of a gain map do not count."""
    meta = boxes.only(_top_boxes(data), b"meta", "AVIF")
    inner = boxes.children(data, meta.body + 4, meta.end)
    primary = boxes.read_primary_item(data, boxes.only(inner, b"pitm", "AVIF"))
    shown = {primary}
    for box in inner:
        if box.kind == b"iref":
            for reference in boxes.read_item_references(data, box):
                if (reference.kind, reference.source) == (b"dimg", primary):
                    shown.update(reference.targets)
    properties = boxes.read_item_properties(data, boxes.only(inner, b"iprp", "AVIF"))
    used = [one.property for item in shown for one in properties.get(item, ())]
    return [data[one.body : one.end] for one in used if one.kind == b"av1C"]


def _top_boxes(data: bytes) -> list[Box]:
    found = [boxes.read_box(data, 0, len(data))]
    while found[-1].kind != b"meta":
        found.append(boxes.read_box(data, found[-1].end, len(data)))
    return found


_LOOKS: dict[str, Callable[[bytes], int]] = {
    "AVIF": _avif,
    "JPEG2000": _jpeg2000,
    "PNG": _png,
    "PPM": _ppm,
    "SGI": _sgi,
}
