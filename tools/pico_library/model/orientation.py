"""How a picture is turned by what EXIF says; needs neither numpy nor anything of the codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION, _SHORT = 0x0112, 3


def orientation_of(exif: bytes | None) -> int:
    """The orientation (1 to 8) that EXIF gives; 1, as it is stored, where it gives none that makes sense."""
    tiff = (exif or b"").removeprefix(b"Exif\0\0")
    order: object = {b"II*\0": "little", b"MM\0*": "big"}.get(tiff[:4])
    if order != "little" and order != "big":
        return 1

    def number(at: int, length: int) -> int:
        return int.from_bytes(tiff[at : at + length], order)

    directory = number(4, 4)
    for entry in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if number(entry, 2) == _ORIENTATION and number(entry + 2, 2) == _SHORT:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
        if entry > len(tiff):
            break
    return 1


def upright(im: Image.Image, orientation: int) -> Image.Image:
    """The picture turned as an EXIF orientation says; the same object if that is 1."""
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return im if turn is None else im.transpose(turn)
