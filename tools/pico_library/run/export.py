"""Pictures to share, made from .pico files: JPEG or AVIF, as large and as talkative as one likes."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from pico_codec import origin
from pico_codec.files import OutputError, partial_file, remove_leftovers
from pico_codec.source import FILE_ERRORS
from pico_core import Metadata, PicoFile
from pico_library.check.checking import read_from_disk
from pico_library.model.orientation import orientation_of, upright
from pico_library.run.restore import TakenError, is_named_pico, name_of
from pico_library.run.scaling import within

FORMATS = {"jpg": "JPEG", "avif": "AVIF"}
#: By what pictures are written that people look at on a screen and send on.
DEFAULT_QUALITIES = {"jpg": 85, "avif": 65}
_MAKER_NOTE = 0x927C  # of a form that only its maker knows: there may be a place in it


@dataclass(frozen=True)
class Sharing:
    """How pictures are made. `quality` is that of the format, `max_side` the longer side in pixels at most.

    Without `location` no place goes along, without `metadata` nothing but the colour profile.
    """

    extension: str = "jpg"
    quality: int | None = None
    max_side: int | None = None
    metadata: bool = True
    location: bool = True


def shared_name(pico: Path, sharing: Sharing) -> str:
    """The name of the picture: `IMG.avif` from `IMG.jpg.pico`."""
    return name_of(pico, sharing.extension)


def export(pico: Path, target: Path, sharing: Sharing) -> int:
    """Write the picture of a .pico file, upright; return how many bytes follow its end there, which are not read.

    An existing target is an OutputError. Raises FILE_ERRORS.
    """
    if not is_named_pico(pico) or os.path.lexists(target):
        raise TakenError(target)
    status = pico.stat()
    with PicoFile(read_from_disk(pico), max_pixels=None) as file:
        file.verify(allow_trailing=True)
        trailing = file.trailing_bytes
        metadata = origin.parted(file.metadata)[0]
        im = upright(within(file.decode(), sharing.max_side), orientation_of(metadata.exif))
    data = _written(im, metadata, sharing)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target.parent)
        with partial_file(target.parent) as partial:
            partial.stream.write(data)
            partial.sync()
            partial.open_up()
            os.utime(partial.path, ns=(status.st_atime_ns, status.st_mtime_ns))
            partial.take_name(target)
    except OSError as error:
        if os.path.lexists(target):
            raise TakenError(target) from error
        msg = f"cannot write {target} ({error.strerror or error}); choose another folder with --output"
        raise OutputError(msg) from error
    return trailing


def _written(im: Image.Image, metadata: Metadata, sharing: Sharing) -> bytes:
    kind = FORMATS[sharing.extension]
    if kind == "JPEG" and im.mode in ("LA", "RGBA"):
        im = _on_white(im)
    quality = DEFAULT_QUALITIES[sharing.extension] if sharing.quality is None else sharing.quality
    options: dict[str, Any] = {"quality": quality}
    if kind == "JPEG":
        options |= {"optimize": True, "progressive": True}
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if sharing.metadata:
        options["exif"] = _exif(metadata.exif, location=sharing.location)
        if sharing.location and metadata.xmp and len(metadata.xmp) < _LARGEST_XMP:
            options["xmp"] = metadata.xmp
    stream = io.BytesIO()
    im.save(stream, kind, **options)
    return stream.getvalue()


_LARGEST_XMP = 65_000  # more does not fit into a segment of a JPEG file


def _exif(block: bytes | None, *, location: bool) -> bytes:
    """EXIF for a picture that stands upright; without `location`, without the places in it."""
    exif = Image.Exif()
    with contextlib.suppress(*FILE_ERRORS):  # damaged EXIF is shared as far as it can be read
        exif.load(block or b"")
    details = exif.get_ifd(ExifTags.IFD.Exif)
    exif.pop(ExifTags.Base.Orientation, None)
    exif.pop(ExifTags.IFD.IFD1, None)
    if location:
        exif.get_ifd(ExifTags.IFD.GPSInfo)  # read here, it is written again
    else:
        exif.pop(ExifTags.IFD.GPSInfo, None)
        details.pop(_MAKER_NOTE, None)
    return exif.tobytes()


def _on_white(im: Image.Image) -> Image.Image:
    white = Image.new("RGBA", im.size, "white")
    white.alpha_composite(im.convert("RGBA"))
    return white.convert("RGB")
