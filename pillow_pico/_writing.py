"""Saving: a Pillow image, its metadata and the caller's options become the bytes of a .pico file."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile
from PIL.ExifTags import IFD

from pillow_pico._thumbnails import without_stale_thumbnail

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pico_core.container import Metadata

_OPTIONS: dict[str, tuple[type, ...]] = {
    "quality": (int,),
    "level": (int, float),
    "target_bytes": (int,),
    "lossless": (int,),
    "effort": (int,),
    "preview": (bool, bytes),
}
_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX"})
_OTHER_COLOUR_SPACES = frozenset({"CMYK", "YCbCr", "HSV", "LAB"})
_ICC_COLOUR_SPACE = slice(16, 20)
_UNREADABLE_EXIF = (SyntaxError, ValueError, TypeError, LookupError, EOFError, OSError, struct.error)


def to_bytes(im: Image.Image, **options: Any) -> bytes:
    """Encode an image to the bytes of a .pico file; `options` are those of `im.save("x.pico", ...)`.

    `Image.save` empties the target before the encoder runs. Where an existing file must survive an error,
    encode with this function and write the bytes when they are there.

    Raises ValueError or TypeError for a bad option or an impossible size, OSError for a mode that the format
    cannot hold and for network weights that are missing.
    """
    from pico_core import encode
    from pico_core.errors import ImageTooLargeError, InvalidImageError, OptionError, PicoError

    if 0 in im.size:
        msg = f"cannot write an empty image ({im.width} x {im.height} pixels) as PICO"
        raise ValueError(msg)
    im.load()  # metadata may lie behind the pixels, in PNG for one
    mode = _stored_mode(im)
    metadata = _metadata(im, options)
    given = _given(options)
    try:
        return encode(_pixels(im, mode), metadata=metadata, **given)
    except (OptionError, InvalidImageError, ImageTooLargeError) as error:
        raise ValueError(str(error)) from error
    except PicoError as error:
        msg = f"cannot write the image as PICO: {error}"
        raise OSError(msg) from error


def save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """Write one image, once it is encoded in memory. Pillow calls this for `im.save("x.pico")`."""
    if im.encoderinfo.get("append"):
        msg = "cannot append to a PICO file: it holds one picture"
        raise ValueError(msg)
    _write(fp, to_bytes(im, **im.encoderinfo))


def _write(fp: IO[bytes], data: bytes) -> None:
    """Write all of the data now, past the buffer of a real file.

    On a full disk Pillow closes the file and then removes it. Data left in the buffer would make that closing
    fail too, and half a file would stay.
    """
    raw = getattr(fp, "raw", None)
    if not isinstance(raw, io.RawIOBase):
        fp.write(data)
        return
    fp.flush()
    rest = memoryview(data)
    while rest:
        rest = rest[_written(raw, rest) :]
    if fp.seekable():
        fp.seek(raw.tell())  # the buffer's own idea of the position is stale


def _written(raw: io.RawIOBase, data: memoryview) -> int:
    count = raw.write(data)
    if count is None:
        msg = "the file takes no data now; it must be opened in blocking mode"
        raise BlockingIOError(msg)
    return count


def save_all(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """Write the only frame; several raise ValueError. Pillow calls this for `save_all=True`."""
    if getattr(im, "n_frames", 1) > 1 or im.encoderinfo.get("append_images"):
        msg = "cannot write several frames as PICO: it holds one picture; save each frame to its own file"
        raise ValueError(msg)
    save(im, fp, filename)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Keep the encoder's options, checked for type. None means the default; other names are ignored."""
    given = {name: options[name] for name in _OPTIONS if options.get(name) is not None}
    for name, value in given.items():
        if not isinstance(value, _OPTIONS[name]):
            kinds = " or ".join(kind.__name__ for kind in _OPTIONS[name])
            msg = f"{name} must be {kinds}, not {value!r}"
            raise TypeError(msg)
    return given


def _stored_mode(im: Image.Image) -> str:
    """Choose the mode, of the four that the format holds, that loses nothing an 8-bit picture can show."""
    if im.mode in _GREY_MODES:
        return "LA" if im.has_transparency_data else "L"
    if im.mode in _COLOUR_MODES:
        return "RGBA" if im.has_transparency_data else "RGB"
    if im.mode in _OTHER_COLOUR_SPACES:
        return "RGB"
    msg = (
        f"cannot write mode {im.mode} as PICO, which holds 8 bits a sample: bring the values to 0..255 first"
    )
    if im.mode.startswith("I;16"):
        msg += ", for example with im.convert('I').point(lambda value: value / 256).convert('L')"
    raise OSError(msg)


def _pixels(im: Image.Image, mode: str) -> npt.NDArray[np.uint8]:
    import numpy as np

    return np.asarray(im if im.mode == mode else im.convert(mode))


def _metadata(im: Image.Image, options: dict[str, Any]) -> Metadata:
    from pico_core.container import Metadata

    return Metadata(
        exif=_exif(im, options),
        xmp=_item(im, options, "xmp"),
        icc=_icc_profile(im, options),
    )


def _item(im: Image.Image, options: dict[str, Any], name: str) -> bytes | None:
    """Take metadata from the options if named there (None clears it), else what the image was opened with."""
    data = options.get(name, im.info.get(name))
    if not data:  # Pillow's own writers take an empty text too for none
        return None
    if isinstance(data, str) and name == "xmp":
        data = data.encode()
    if not isinstance(data, bytes | bytearray | memoryview):
        msg = f"{name} must be bytes, not {type(data).__name__}"
        raise TypeError(msg)
    return bytes(data)


def _icc_profile(im: Image.Image, options: dict[str, Any]) -> bytes | None:
    profile = _item(im, options, "icc_profile")
    converted = im.mode in _OTHER_COLOUR_SPACES and "icc_profile" not in options
    if profile and converted and profile[_ICC_COLOUR_SPACE] != b"RGB ":
        return None  # it describes inks or L*a*b* values, and would make viewers misread the RGB stored
    return profile


def _exif(im: Image.Image, options: dict[str, Any]) -> bytes | None:
    block = _chosen_exif(im, options)
    if block is None or isinstance(im, ImageFile.ImageFile) or block != im.info.get("exif"):
        return block  # nothing was edited, or the caller says what it is to be
    # The picture was made of another one, whose block it has: a crop, for instance.
    return without_stale_thumbnail(block, im)


def _chosen_exif(im: Image.Image, options: dict[str, Any]) -> bytes | None:
    exif = options.get("exif")
    if not isinstance(exif, Image.Exif):
        return _item(im, options, "exif")
    edited = exif.tobytes()
    empty = len(edited) == len(Image.Exif().tobytes())
    if empty and not _is_own(exif, im):
        return None
    original = _item(im, {}, "exif")
    if original and edited in _rewritten(im):
        # Pillow's rewriting loses thumbnails and moves maker notes, so an unedited block travels as it came.
        return original
    return None if empty else edited


def _is_own(exif: Image.Exif, im: Image.Image) -> bool:
    """Whether this is the object that the image hands out, and not one that is to replace what it has."""
    try:
        return exif is im.getexif()
    except _UNREADABLE_EXIF:
        return False


def _rewritten(im: Image.Image) -> Iterator[bytes]:
    """What Pillow may make of the EXIF block that an image was opened with, nothing edited.

    `getexif` takes over an orientation that only the XMP packet has, and a look at a part that the block lacks makes
    Pillow write that part, empty.
    """
    for looks in ((), (IFD.GPSInfo,), (IFD.Exif,), (IFD.Exif, IFD.GPSInfo)):
        fresh = Image.new("1", (1, 1))
        fresh.info = dict(im.info)
        try:
            exif = fresh.getexif()
            for part in looks:
                exif.get_ifd(part)
            yield exif.tobytes()
        except _UNREADABLE_EXIF:
            return
