"""Opening: the headers of a .pico file become a lazy Pillow image; pixels are decoded when asked for."""

from __future__ import annotations

import io
import warnings
from typing import IO, TYPE_CHECKING

from PIL import Image, ImageFile, UnidentifiedImageError

from pico_core.container import Container
from pico_core.errors import NotPicoError, PicoError

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

_LARGEST_PREVIEW = 4096  # pixels a side; what claims more is no preview
_CARRIED = {"exif": "exif", "icc_profile": "icc", "xmp": "xmp", "thumbnail": "preview"}


def accepts(prefix: bytes) -> bool:
    """Tell whether a file that starts with these 16 bytes is ours: a `ftyp` box with major brand `pico`."""
    return prefix[4:12] == b"ftyppico"


class PicoImageFile(ImageFile.ImageFile):
    """A .pico file as a Pillow image, of mode L, LA, RGB or RGBA.

    Opening reads headers only. `info` holds `exif`, `icc_profile`, `xmp` and `thumbnail` (bytes, each only if
    the file has it), `quality` (0..100, or None), `level` (float) and `model` (hex id of the network weights
    that the pixels need, or None).
    """

    format = "PICO"
    format_description = "PICO learned image"
    n_frames = 1
    is_animated = False

    _container: Container | None = None
    _reduced: Image.Image | None = None
    _thumbnail_bounds: tuple[float, float] | None = None

    def _open(self) -> None:
        assert self.fp is not None
        try:
            container = Container(self.fp, allow_truncated=True)
            carried = _carried(container)
        except NotPicoError as error:
            raise SyntaxError(str(error)) from error
        except PicoError as error:
            # A SyntaxError would make Pillow try its other plug-ins and then drop our message. The long magic
            # number says that the file is ours, so the error that Pillow would end with is raised here.
            msg = f"cannot identify image file {self.filename or self.fp!r}: {error}"
            raise UnidentifiedImageError(msg) from error
        if container.trailing_bytes:
            warnings.warn(
                f"{self.filename or self.fp!r}: {container.trailing_bytes} bytes follow the end of the picture "
                "and are not read",
                stacklevel=2,
            )
        picture = container.picture
        self._container = container
        self._size = picture.width, picture.height
        self._mode = ("L" if picture.channels == 1 else "RGB") + ("A" if picture.has_alpha else "")
        self.info.update(carried)
        self.info["quality"] = picture.quality
        self.info["level"] = picture.level
        self.info["model"] = picture.model_id.hex() if picture.model_id else None
        self.tile = [ImageFile._Tile("pico", (0, 0, *self.size))]

    def load(self) -> PixelAccess | None:
        """Decode the pixels, or take them from the embedded preview if `draft` chose it.

        Raises OSError if the file is damaged or ends early (unless `ImageFile.LOAD_TRUNCATED_IMAGES`, which
        shows missing tiles in grey), or if it needs network weights that are not installed.
        """
        if self.tile:
            if self.fp is None:
                msg = "Operation on closed image"
                raise ValueError(msg)
            if self._reduced is not None:
                self.im = self._reduced.im
            else:
                self._decode(self.fp)
            self._release()
        return super().load()

    def _decode(self, fp: IO[bytes]) -> None:
        from pico_core import PicoFile

        try:
            # No limit on pixels: Pillow has applied its own when the file was opened.
            file = PicoFile(fp, max_pixels=None, allow_truncated=True)
            pixels = file.decode(on_missing="grey" if ImageFile.LOAD_TRUNCATED_IMAGES else "error")
        except PicoError as error:
            msg = f"cannot decode image file {self.filename or self.fp!r}: {error}"
            raise OSError(msg) from error
        self.load_prepare()
        self.frombytes(pixels)

    def _release(self) -> None:
        self.tile = []
        self.readonly = 0
        self._container = None
        self._reduced = None
        if self.fp is not None and self._exclusive_fp and self._close_exclusive_fp_after_loading:
            self.fp.close()
        self.fp = None

    def load_seek(self, pos: int) -> None:
        """Do nothing; having this method tells `ImageFile.Parser` to wait for the whole file."""

    def verify(self) -> None:
        """Check every checksum of the file without decoding it, then close it as Pillow's contract asks.

        Raises OSError naming the first damaged part.
        """
        if self._container is None:
            msg = "verify() must be called right after Image.open(), before the pixels are loaded"
            raise RuntimeError(msg)
        try:
            self._container.verify()
        except PicoError as error:
            msg = f"image file {self.filename or self.fp!r} is damaged: {error}"
            raise OSError(msg) from error
        finally:
            self._container = None
            super().verify()

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Become the embedded preview if that is at least `size` (width, height) along both sides.

        Returns None, and changes nothing, if there is no such preview, if the picture has an alpha channel
        (which a JPEG preview lacks) or if the preview shows another crop. `mode` is not changed.
        """
        if not self.tile or self._reduced is not None or self.mode not in ("L", "RGB") or size is None:
            return None
        preview = _open_preview(self.info.get("thumbnail", b""))
        if preview is None or not _shows_all_of(self.size, preview.size):
            return None
        if max(preview.size) < round(max(self.size) * self._wanted_scale(size)):
            return None
        self._reduced = preview.convert(self.mode)
        self._size = preview.size
        return self.mode, (0, 0, float(preview.width), float(preview.height))

    def _wanted_scale(self, size: tuple[int, int]) -> float:
        if self._thumbnail_bounds is None:
            return max(size[0] / self.width, size[1] / self.height)
        bounds = self._thumbnail_bounds
        return min(bounds[0] / self.width, bounds[1] / self.height)

    def thumbnail(
        self,
        size: tuple[float, float],
        resample: Image.Resampling = Image.Resampling.BICUBIC,
        reducing_gap: float | None = 2.0,
    ) -> None:
        """Shrink in place to fit `size`, from the embedded preview if that is no smaller than the result.

        Pillow asks `draft` for `reducing_gap` times more pixels than the result has, along both sides. That
        margin is for decoders that reduce coarsely; the preview was made with a good filter and needs none.
        `reducing_gap=None` decodes the whole picture.
        """
        self._thumbnail_bounds = size
        try:
            super().thumbnail(size, resample, reducing_gap)
        finally:
            self._thumbnail_bounds = None


def _carried(container: Container) -> dict[str, bytes]:
    """Read the metadata under the names that Pillow's own plug-ins give them, and check it.

    A damaged item raises PicoError, or is left out with a warning under `ImageFile.LOAD_TRUNCATED_IMAGES`.
    """
    found: dict[str, bytes] = {}
    for key, attribute in _CARRIED.items():
        try:
            data = getattr(container, attribute)
        except PicoError as error:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise
            warnings.warn(f"{key} is left out: {error}", stacklevel=2)
            continue
        if data is not None:
            found[key] = data
    return found


def _open_preview(data: bytes) -> Image.Image | None:
    """Decode a JPEG preview; None if it is damaged, in which case the whole picture is decoded instead."""
    from PIL import JpegImagePlugin

    try:
        preview = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        if max(preview.size) <= _LARGEST_PREVIEW:
            preview.load()
            return preview
    except (OSError, SyntaxError, ValueError):
        pass
    return None


def _shows_all_of(full: tuple[int, int], reduced: tuple[int, int]) -> bool:
    """Tell whether a reduced picture has the proportions of the full one, up to rounding to whole pixels.

    Cameras letterbox the preview in their EXIF, and a caller may pass one that is already turned upright.
    """
    long, short = (0, 1) if full[0] >= full[1] else (1, 0)
    scale = reduced[long] / full[long]
    return scale <= 1 and abs(reduced[short] - full[short] * scale) <= 1
