"""Command `pico-thumbnail`: a .pico file as a small PNG, made from its preview, for file managers.

A file manager starts this once for every picture of a folder, so what it imports is what it costs: no numpy,
unless a file has no preview, or has transparency.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from pico_core.container import Container
from pico_core.errors import CorruptError, PicoError
from pico_library.model.orientation import orientation_of, upright

if TYPE_CHECKING:
    from PIL import Image

USAGE = """usage: pico-thumbnail INPUT OUTPUT SIZE

Write a PNG of at most SIZE x SIZE pixels of the .pico file INPUT, a path or a file:// address, to OUTPUT.
"""
LARGEST_SIZE = 4096
_LARGEST_PREVIEW = 4096  # pixels a side; what claims more is no preview
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


class ThumbnailError(PicoError):
    """A thumbnail cannot be made, or cannot be written."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 if the PNG was written, 1 if not, 2 if the command line is wrong."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if len(arguments) != 3 or not arguments[2].isdecimal() or not 1 <= int(arguments[2]) <= LARGEST_SIZE:
        print(f"{USAGE}SIZE is a number from 1 to {LARGEST_SIZE}.", file=sys.stderr)
        return 2
    source, target, size = arguments
    try:
        write_thumbnail(path_of(source), target, int(size))
    except ThumbnailError as error:
        print(f"pico-thumbnail: {error}", file=sys.stderr)
        return 1
    return 0


def write_thumbnail(source: str, target: str, size: int) -> None:
    """Write a PNG of at most `size` pixels a side; `target` appears whole or stays as it was.

    Raises ThumbnailError.
    """
    try:
        with open(source, "rb") as stream:  # noqa: PTH123 (pathlib takes a tenth of the time there is)
            status = os.fstat(stream.fileno())
            container = Container(stream, allow_truncated=True)
            im = small_picture(stream, container, size)
            icc = container.icc
    except (PicoError, OSError, MemoryError) as error:
        msg = f"{source}: no thumbnail, because {_words(error)}"
        raise ThumbnailError(msg) from error
    picture = container.picture
    facts = {
        "Thumb::URI": uri_of(source),
        "Thumb::MTime": str(int(status.st_mtime)),
        "Thumb::Size": str(status.st_size),
        "Thumb::Mimetype": "image/x-pico",
        "Thumb::Image::Width": str(picture.width),
        "Thumb::Image::Height": str(picture.height),
    }
    try:
        _write_png(im, target, facts, icc)
    except OSError as error:
        msg = f"{target}: cannot be written ({_words(error)})"
        raise ThumbnailError(msg) from error


def small_picture(stream: IO[bytes], container: Container, size: int) -> Image.Image:
    """The picture upright and at most `size` pixels a side, of mode L, LA, RGB or RGBA; never enlarged.

    It comes from the preview, and from decoding the picture where there is none. `container` has read the headers
    of `stream`. Raises PicoError, OSError.
    """
    im = preview_of(container)
    if im is None:
        im = _decoded(stream)
    elif container.picture.has_alpha:
        im = _with_alpha(im, container)
    im.thumbnail((size, size))
    return upright(im, orientation_of(container.exif))


def preview_of(container: Container) -> Image.Image | None:
    """The preview as it is stored, without alpha and not turned; None if there is none that shows the whole picture.

    Raises CorruptError if it is damaged.
    """
    data = container.preview
    if data is None:
        return None
    import io

    from PIL import JpegImagePlugin

    picture = container.picture
    try:
        im = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        if max(im.size) > _LARGEST_PREVIEW or not shows_all((picture.width, picture.height), im.size):
            return None
        im.load()
    except (OSError, SyntaxError, ValueError) as error:
        msg = f"the preview is damaged ({error})"
        raise CorruptError(msg) from error
    return im.convert("L" if picture.channels == 1 else "RGB")


def shows_all(full: tuple[int, int], reduced: tuple[int, int]) -> bool:
    """Whether a reduced picture has the proportions of the full one, up to rounding: some previews are cropped."""
    long, short = (0, 1) if full[0] >= full[1] else (1, 0)
    scale = reduced[long] / full[long]
    return abs(reduced[short] - full[short] * scale) <= 1


def path_of(source: str) -> str:
    """The path that a file:// address means; a path is returned as it is."""
    if not source.startswith("file:"):
        return source
    from urllib.parse import unquote_to_bytes, urlsplit

    parts = urlsplit(source, allow_fragments=False)
    return os.fsdecode(unquote_to_bytes(parts.path + ("?" + parts.query if parts.query else "")))


def uri_of(path: str) -> str:
    """The file:// address of a path, as the thumbnail cache of desktops wants it."""
    return "file://" + "".join(
        chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in os.fsencode(_absolute(path))
    )


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (see above)


def _decoded(stream: IO[bytes]) -> Image.Image:
    """The whole picture, decoded; this imports numpy."""
    from PIL import Image

    from pico_core import PicoFile

    pixels = PicoFile(stream).decode()
    return Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0])


def _with_alpha(im: Image.Image, container: Container) -> Image.Image:
    """Give the preview, which shows the picture on white, its transparency back. This imports numpy."""
    import numpy as np
    from PIL import Image

    from pico_core import codec
    from pico_core.mosaic import Mosaic
    from pico_core.tiling import Box, Grid

    picture = container.picture
    grid = Grid(picture.width, picture.height)
    mosaic = Mosaic(grid, Box(0, 0, picture.width, picture.height), 1)
    tiles = ((grid.window(i), lambda i=i: container.read_alpha_tile(i)) for i in range(container.tile_count))
    decoded = codec.decode_tiles(tiles, None, 1, picture.level, "auto", None)
    for index, pixels in enumerate(decoded):
        if isinstance(pixels, PicoError):
            raise pixels
        mosaic.add(index, pixels)
    alpha = Image.fromarray(mosaic.finish()[..., 0]).resize(im.size, Image.Resampling.BOX)
    opacity = np.asarray(alpha, np.float32)[..., None] / 255
    on_white = np.asarray(im.convert("RGB"), np.float32)
    colours = (on_white - 255 * (1 - opacity)) / np.maximum(opacity, 1 / 255)
    result = Image.fromarray(np.clip(colours + 0.5, 0, 255).astype(np.uint8))
    result.putalpha(alpha)
    return result


def _write_png(im: Image.Image, target: str, facts: dict[str, str], icc: bytes | None) -> None:
    from PIL import PngImagePlugin

    texts = PngImagePlugin.PngInfo()
    for name, value in facts.items():
        texts.add_text(name, value)
    partial = f"{_absolute(target)}.{os.getpid()}.pico-part"
    try:
        with open(partial, "xb") as stream:  # noqa: PTH123
            im.save(stream, "PNG", pnginfo=texts, icc_profile=icc, compress_level=3)
        os.replace(partial, target)  # noqa: PTH105
    finally:
        if os.path.lexists(partial):
            os.unlink(partial)  # noqa: PTH108


def _words(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "there is too little memory"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


if __name__ == "__main__":
    sys.exit(main())
