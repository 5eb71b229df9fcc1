"""One picture file into another: to .pico, and from .pico to whatever Pillow writes, metadata included."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pico_codec import origin, returned
from pico_codec.files import OutputError, check_output, write_whole
from pico_codec.source import read_source_file
from pico_core import Extra, Metadata, PicoFile, encode

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_JPEG_KINDS = frozenset({"JPEG", "MPO"})
_EXIF_WRITERS = frozenset({"PNG", "WEBP", "AVIF", "TIFF"}) | _JPEG_KINDS
_XMP_WRITERS = frozenset({"JPEG", "PNG", "WEBP", "AVIF", "MPO"})
_ICC_WRITERS = frozenset({"JPEG", "PNG", "WEBP", "AVIF", "TIFF", "MPO"})
#: The formats lose something at their default settings; a decoded picture should not lose twice.
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    **{kind: {"quality": 95, "subsampling": "4:4:4"} for kind in ("JPEG", "MPO", "PDF")},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90},
}
#: Into these Pillow writes fewer colours, or no transparency, and does not tell.
_POORER_KINDS = frozenset({"GIF", "BMP", "DIB", "PPM"})
_LARGEST_ICO = 256
_ICNS_SIDES = (32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Encoded:
    """What became of a file: sizes in bytes, pixels, and what the source held and the .pico file does not."""

    before: int
    after: int
    pixels: int
    left_behind: str | None


def encode_file(source: Path, target: Path, options: Mapping[str, Any], *, overwrite: bool) -> Encoded:
    """Encode a picture file as `target`; `options` are those of `pico_core.encode`.

    Raises OutputError if the target must not be written, UnsuitableError if a .pico file cannot hold the
    source, and `source.FILE_ERRORS`. After an error the target is as it was.
    """
    if target.suffix.lower() != ".pico":
        msg = "is not named *.pico; call the output so"
        raise OutputError(msg)
    real = check_output(target, overwrite=overwrite)
    _check_distinct(source, real)
    picture = read_source_file(source)
    data = encode(picture.pixels, metadata=picture.metadata, **options)
    write_whole(real, data, overwrite=overwrite)
    height, width = picture.pixels.shape[:2]
    return Encoded(source.stat().st_size, len(data), width * height, picture.left_behind)


@dataclass(frozen=True)
class Decoded:
    """What became of a .pico file: names of what it carries and the target's format cannot.

    `trailing` is how many bytes follow the end of its picture; they are not read.
    """

    lost: list[str]
    trailing: int


def decode_file(
    source: Path,
    target: Path,
    *,
    region: tuple[int, int, int, int] | None,
    engine: str | None,
    overwrite: bool,
) -> Decoded:
    """Decode a .pico file, or the region (left, top, right, bottom) of it, in the format that `target` names.

    Raises as `encode_file` does.
    """
    kind = _format_of(target)
    real = check_output(target, overwrite=overwrite)
    _check_distinct(source, real)
    with PicoFile(source) as file:
        pixels = file.decode(engine=engine) if region is None else file.decode_region(region, engine=engine)
        metadata, trailing = file.metadata, file.trailing_bytes
    data, extras, lost = picture_bytes(pixels, metadata, kind)
    write_whole(real, data, overwrite=overwrite)
    return Decoded([*lost, *(extra.name for extra in extras)], trailing)


def picture_bytes(
    pixels: NDArray[np.uint8], metadata: Metadata, kind: str, quality: int | None = None
) -> tuple[bytes, list[Extra], list[str]]:
    """Write a picture (height, width, 1..4) in one of Pillow's formats, with all the metadata that it can hold.

    `quality` (0 to 100) counts for formats that lose something, in place of the default, which loses little.

    Returns the file, the extras that did not go in, and names of other metadata that did not. Raises OutputError.
    """
    metadata, _ = origin.parted(metadata)
    mode = _MODES[pixels.shape[2]]
    im = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0])
    _check_size(kind, im)
    options, lost = _save_options(kind, metadata)
    if quality is not None and "quality" in options:
        options["quality"] = quality
    if kind == "ICO":
        options["sizes"] = [im.size]  # or Pillow would write squares, and the picture shrunk to fit into them
    stream = io.BytesIO()
    try:
        im.save(stream, kind, **options)
    except (OSError, ValueError) as error:
        msg = f"{kind} cannot hold {mode} pixels ({error}); choose .png or .webp"
        raise OutputError(msg) from error
    data = stream.getvalue()
    lost += _lost_of_pixels(kind, data, im)
    return *returned.into(kind, data, metadata.extras, metadata.exif), lost


def _check_size(kind: str, im: Image.Image) -> None:
    """OutputError if a format cannot hold a picture of this size: Pillow would shrink or stretch it."""
    holds = None
    if kind == "ICO" and max(im.size) > _LARGEST_ICO:
        holds = f"at most {_LARGEST_ICO}x{_LARGEST_ICO} pixels"
    elif kind == "ICNS" and (im.width != im.height or im.width not in _ICNS_SIDES):
        *sides, last = map(str, _ICNS_SIDES)
        holds = f"squares of {', '.join(sides)} and {last} pixels a side only"
    if holds is not None:
        msg = f"{kind} holds {holds}, and the picture has {im.width}x{im.height}; choose .png"
        raise OutputError(msg)


def _lost_of_pixels(kind: str, data: bytes, im: Image.Image) -> list[str]:
    """Names of what of a picture's pixels is not in the file that was written of it."""
    if kind not in _POORER_KINDS:
        return []
    with Image.open(io.BytesIO(data)) as written:
        before, after = (np.asarray(one.convert("RGBA")) for one in (im, written))
    seen = (before[..., 3] > 0) & (after[..., 3] > 0)
    lost = []
    if np.any(before[seen][:, :3] != after[seen][:, :3]):
        lost.append("all of the colours")
    if np.any(before[..., 3] != after[..., 3]):
        lost.append("all of the transparency")
    return lost


def _format_of(target: Path) -> str:
    Image.init()
    kind = Image.registered_extensions().get(target.suffix.lower())
    if kind is None or kind not in Image.SAVE or kind == "PICO":
        msg = f"{target.suffix or 'a name without an extension'} is not an output format; .png always works"
        raise OutputError(msg)
    return kind


def _check_distinct(source: Path, target: Path) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        msg = "is the input itself; choose another output"
        raise OutputError(msg)


def _save_options(kind: str, metadata: Metadata) -> tuple[dict[str, Any], list[str]]:
    """Options that make Pillow write the metadata, and names of the items that the format cannot hold."""
    options = dict(_SAVE_OPTIONS.get(kind, {}))
    lost = []
    if metadata.icc and kind in _ICC_WRITERS:
        options["icc_profile"] = metadata.icc
    elif metadata.icc:
        lost.append("ICC profile")
    if metadata.exif and kind not in _EXIF_WRITERS:
        lost.append("EXIF")
    elif (
        metadata.exif and kind not in _JPEG_KINDS
    ):  # for those `returned` does: Pillow writes one segment at most
        options["exif"] = metadata.exif
        if kind == "TIFF":  # it has no block of EXIF, and Pillow spoils text that is not ASCII
            lost.append("EXIF as it was (its tags are written anew)")
    too_long = kind in _JPEG_KINDS and len(metadata.xmp or b"") > returned.LARGEST_JPEG_XMP
    if metadata.xmp and kind in _XMP_WRITERS and not too_long:
        options.update(_xmp_option(kind, metadata.xmp))
    elif metadata.xmp:
        lost.append("XMP")
    return options, lost


def _xmp_option(kind: str, xmp: bytes) -> dict[str, Any]:
    if kind != "PNG":
        return {"xmp": xmp}
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", xmp)
    return {"pnginfo": texts}
