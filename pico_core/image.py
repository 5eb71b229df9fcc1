"""The public API: `encode` pixels to a .pico file, open one as `PicoFile`, `decode` it to pixels."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import codec, registry
from .codec import Profile, timed
from .container import Coder, Container, Metadata, Picture, Tile, storable_level, write
from .errors import FormatError, ImageTooLargeError, InvalidImageError, OptionError, PicoError
from .mosaic import Mosaic, missing_tile
from .preview import make_preview
from .registry import Weights
from .tiling import MAX_SIDE, Box, Grid

DEFAULT_QUALITY = 60
MAX_PIXELS = 1 << 28  # 268 megapixels: what `PicoFile` decodes unless told otherwise

Source: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes]


@dataclass(frozen=True)
class _Planes:
    """The picture as the tile coders take it."""

    colour: NDArray[np.uint8]  # (height, width, 1 or 3)
    alpha: NDArray[np.uint8] | None  # (height, width, 1)

    @property
    def grid(self) -> Grid:
        return Grid(self.colour.shape[1], self.colour.shape[0])


def encode(
    pixels: NDArray[np.uint8],
    *,
    quality: int | None = None,
    level: float | None = None,
    target_bytes: int | None = None,
    lossless: bool = False,
    effort: int = 1,
    metadata: Metadata | None = None,
    preview: bytes | bool = True,
    engine: str | None = None,
    profile: Profile | None = None,
) -> bytes:
    """Encode a picture as the bytes of a .pico file.

    `pixels` is uint8, (height, width) or (height, width, channels) with 1 (grey), 2 (grey, alpha), 3 (RGB) or
    4 (RGB, alpha) channels, 1 to 65,535 a side. Alpha is always coded exactly.

    Give at most one of these:

    - `quality`, 0 to 100 (default 60). From 96 on, photographs are coded in AVIF if Pillow has it.
    - `level`, a finer scale, from 0 to the highest level of the weights.
    - `target_bytes`: the best quality whose file is not larger.
    - `lossless`: every pixel exactly.

    The others:

    - `effort`: 0 uses the networks only. 1 also tries the lossless coder on flat tiles, and AVIF on drawings if Pillow
      has it. 2 tries the lossless coder on all tiles.
    - `metadata`: EXIF, XMP, ICC profile and extras to store.
    - `preview`: True embeds a small JPEG in large pictures, False embeds none, bytes are the JPEG to embed.
    - `engine`: `native`, `numpy` or `torch`. None means what the environment variable PICO_ENGINE says, else native.
    - `profile` receives the wall seconds spent in each part.

    Raises InvalidImageError for pixels of another shape or type, OptionError for options out of range or in
    conflict, and OptionError when even quality 0 exceeds `target_bytes`.
    """
    planes = _planes(pixels)
    _check_options(quality, level, target_bytes, lossless, effort)
    settings = _Settings(effort, metadata or Metadata(), _preview(pixels, preview), engine, profile)
    if lossless:
        return _encode_lossless(planes, settings)
    weights = registry.get(registry.default_id())
    alpha = _encode_alpha(planes, settings)
    if target_bytes is not None:
        return _encode_to_fit(planes, alpha, weights, settings, target_bytes)
    if level is not None:
        if level > weights.max_level:
            msg = f"level is {level}; the weights in use know 0 to {weights.max_level:g}"
            raise OptionError(msg)
        return _encode_at(planes, alpha, weights, settings, storable_level(level), None)
    chosen = DEFAULT_QUALITY if quality is None else quality
    return _encode_at(planes, alpha, weights, settings, weights.level_of_quality(chosen), chosen)


@dataclass(frozen=True)
class _Settings:
    effort: int
    metadata: Metadata
    preview: bytes | None
    engine: str | None
    profile: Profile | None


def _planes(pixels: NDArray[np.uint8]) -> _Planes:
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        msg = f"the pixels are {kind}; they must be a numpy array of uint8"
        raise InvalidImageError(msg)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4:
        msg = f"the pixels have shape {pixels.shape}; it must be (height, width) or (height, width, 1 to 4)"
        raise InvalidImageError(msg)
    height, width, channels = pixels.shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        msg = f"the picture is {width}x{height} pixels; each side must be 1 to {MAX_SIDE}"
        raise InvalidImageError(msg)
    if channels % 2:
        return _Planes(pixels, None)
    return _Planes(pixels[..., :-1], pixels[..., -1:])


def _check_options(
    quality: int | None, level: float | None, target_bytes: int | None, lossless: bool, effort: int
) -> None:
    given = {
        "quality": quality is not None,
        "level": level is not None,
        "target_bytes": target_bytes is not None,
        "lossless": lossless,
    }
    names = [name for name, used in given.items() if used]
    if len(names) > 1:
        msg = f"{' and '.join(names)} exclude each other; give one"
        raise OptionError(msg)
    if isinstance(quality, bool) or not (
        quality is None or (isinstance(quality, int) and 0 <= quality <= 100)
    ):
        msg = f"quality is {quality!r}; it must be an integer from 0 to 100"
        raise OptionError(msg)
    if target_bytes is not None and not (isinstance(target_bytes, int) and target_bytes >= 1):
        msg = f"target_bytes is {target_bytes!r}; it must be an integer of at least 1"
        raise OptionError(msg)
    if effort not in (0, 1, 2):
        msg = f"effort is {effort!r}; it must be 0, 1 or 2"
        raise OptionError(msg)
    if level is not None:
        if not isinstance(level, int | float):
            msg = f"level is {level!r}; it must be a number"
            raise OptionError(msg)
        storable_level(level)


def _preview(pixels: NDArray[np.uint8], wanted: bytes | bool) -> bytes | None:
    if isinstance(wanted, bytes):
        if not wanted.startswith(b"\xff\xd8\xff"):
            msg = "the preview is not a JPEG file; pass JPEG bytes, True or False"
            raise OptionError(msg)
        return wanted
    if not isinstance(wanted, bool):
        msg = f"preview is {wanted!r}; pass JPEG bytes, True or False"
        raise OptionError(msg)
    return make_preview(pixels if pixels.ndim == 3 else pixels[..., None]) if wanted else None


def _encode_alpha(planes: _Planes, settings: _Settings) -> list[Tile]:
    if planes.alpha is None:
        return []
    return codec.encode_lossless(planes.alpha, planes.grid, settings.effort, settings.profile)


def _encode_lossless(planes: _Planes, settings: _Settings) -> bytes:
    tiles = codec.encode_lossless(planes.colour, planes.grid, settings.effort, settings.profile)
    return _file(planes, tiles, _encode_alpha(planes, settings), settings, 0.0, None, None)


def _encode_at(
    planes: _Planes,
    alpha: list[Tile],
    weights: Weights,
    settings: _Settings,
    level: float,
    quality: int | None,
) -> bytes:
    encoder = codec.TileEncoder(planes.colour, planes.grid, settings.effort, settings.profile)
    tiles = encoder.tiles(weights, level, engine=settings.engine, quality=quality)
    return _file(planes, tiles, alpha, settings, level, quality, weights.id)


def _encode_to_fit(
    planes: _Planes, alpha: list[Tile], weights: Weights, settings: _Settings, target_bytes: int
) -> bytes:
    """The file of a quality that fits while the next does not, by bisection.

    Sizes rise with quality, but not always by each step: where pictures are tiny, one further up may fit again.
    """
    encoder = codec.TileEncoder(planes.colour, planes.grid, settings.effort, settings.profile)
    best: bytes | None = None
    low, high = 0, 100
    while low <= high:
        quality = 100 if best is None and high == 100 and low == 0 else (low + high) // 2
        level = weights.level_of_quality(quality)
        tiles = encoder.tiles(weights, level, engine=settings.engine, quality=quality)
        content = _file(planes, tiles, alpha, settings, level, quality, weights.id)
        if len(content) <= target_bytes:
            best, low = content, quality + 1
        else:
            smallest, high = len(content), quality - 1
    if best is None:
        msg = f"the picture takes {smallest} bytes at quality 0, more than the target of {target_bytes}"
        raise OptionError(msg)
    return best


def _file(
    planes: _Planes,
    tiles: list[Tile],
    alpha: list[Tile],
    settings: _Settings,
    level: float,
    quality: int | None,
    model_id: bytes | None,
) -> bytes:
    height, width, channels = planes.colour.shape
    if not any(tile.coder is Coder.LEARNED for tile in tiles):
        model_id = None
    picture = Picture(width, height, channels, planes.alpha is not None, level, quality, model_id)
    stream = io.BytesIO()
    with timed(settings.profile, "container"):
        write(stream, picture, tiles, alpha_tiles=alpha, metadata=settings.metadata, preview=settings.preview)
        return stream.getvalue()


class PicoFile:
    """A .pico file, opened: headers are read at once, metadata and tiles when they are asked for.

    `source` is a path, the file's bytes, or a seekable binary stream (which is not closed). With
    `allow_truncated`, a file that ends early opens all the same and its missing tiles are found on decoding. Bytes
    that follow the end of the picture are not read; `trailing_bytes` counts them.

    Raises FormatError subclasses for damaged files, OSError from the file system.
    """

    def __init__(
        self, source: Source, *, max_pixels: int | None = MAX_PIXELS, allow_truncated: bool = False
    ) -> None:
        self._owned: IO[bytes] | None = None
        if isinstance(source, bytes):
            stream: IO[bytes] = io.BytesIO(source)
        elif isinstance(source, str | os.PathLike):
            stream = self._owned = Path(source).open("rb")  # noqa: SIM115 (closed by close)
        else:
            stream = source
        try:
            self.container = Container(stream, allow_truncated=allow_truncated)
        except BaseException:
            self.close()
            raise
        self._max_pixels = max_pixels
        self._grid = Grid(self.width, self.height)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> PicoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def picture(self) -> Picture:
        """The picture's header."""
        return self.container.picture

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return self.picture.width

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.picture.height

    @property
    def channels(self) -> int:
        """Channels of the decoded array: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha."""
        return self.picture.channels + self.picture.has_alpha

    @property
    def level(self) -> float:
        """Level that the picture was encoded at; 0 if that was lossless."""
        return self.picture.level

    @property
    def quality(self) -> int | None:
        """Quality that was asked for, if one was."""
        return self.picture.quality

    @property
    def model_id(self) -> str | None:
        """Id of the weights that the file needs, in hexadecimal; None if no tile was coded by networks."""
        return self.picture.model_id.hex() if self.picture.model_id is not None else None

    @property
    def metadata(self) -> Metadata:
        """EXIF, XMP, ICC profile and extras, byte for byte as they were given."""
        return self.container.metadata

    @property
    def preview(self) -> bytes | None:
        """The embedded JPEG preview, if there is one."""
        return self.container.preview

    @property
    def trailing_bytes(self) -> int:
        """How many bytes follow the end of the picture; 0 in a file as it was written."""
        return self.container.trailing_bytes

    def verify(self, *, allow_trailing: bool = False) -> None:
        """Read the whole file and check every checksum, without decoding.

        Raises FormatError subclasses: TrailingDataError if bytes follow its end, unless `allow_trailing`.
        """
        self.container.verify(allow_trailing=allow_trailing)

    def decode(
        self,
        *,
        on_missing: Literal["error", "grey"] = "error",
        engine: str | None = None,
        profile: Profile | None = None,
    ) -> NDArray[np.uint8]:
        """The picture, (height, width, channels) of uint8.

        A tile that is damaged or missing raises its FormatError, or is grey with `on_missing="grey"`.
        Raises ImageTooLargeError beyond `max_pixels`, UnknownModelError where the weights are not installed.
        """
        box = Box(0, 0, self.width, self.height)
        return self._decode(box, on_missing, engine, profile)

    def decode_region(
        self,
        box: tuple[int, int, int, int],
        *,
        on_missing: Literal["error", "grey"] = "error",
        engine: str | None = None,
    ) -> NDArray[np.uint8]:
        """The pixels inside box (left, top, right, bottom), reading and decoding only the tiles it touches.

        Equal to the same part of `decode`. Raises OptionError if the box is empty or leaves the picture.
        """
        region = Box(*box)
        inside = (
            0 <= region.left < region.right <= self.width and 0 <= region.top < region.bottom <= self.height
        )
        if not inside:
            msg = (
                f"region {tuple(region)} is empty or leaves the picture of {self.width}x{self.height} pixels"
            )
            raise OptionError(msg)
        return self._decode(region, on_missing, engine, None)

    def _decode(
        self, box: Box, on_missing: str, engine: str | None, profile: Profile | None
    ) -> NDArray[np.uint8]:
        if self._max_pixels is not None and box.width * box.height > self._max_pixels:
            msg = (
                f"decoding {box.width}x{box.height} pixels exceeds the limit of {self._max_pixels} pixels; "
                "pass a larger max_pixels if you trust the file"
            )
            raise ImageTooLargeError(msg)
        colour = self._decode_plane(box, False, on_missing == "grey", engine, profile)
        if not self.picture.has_alpha:
            return colour
        alpha = self._decode_plane(box, True, on_missing == "grey", engine, profile)
        return np.concatenate([colour, alpha], axis=2)

    def _decode_plane(
        self, box: Box, alpha: bool, grey: bool, engine: str | None, profile: Profile | None
    ) -> NDArray[np.uint8]:
        channels = 1 if alpha else self.picture.channels
        read = self.container.read_alpha_tile if alpha else self.container.read_tile
        indices = list(self._grid.tiles_touching(box))
        tiles = ((self._grid.window(i), lambda i=i: read(i)) for i in indices)
        mosaic = Mosaic(self._grid, box, channels)
        weights = None if alpha else self._weights()
        with closing(codec.decode_tiles(tiles, weights, channels, self.level, engine, profile)) as decoded:
            for index, pixels in zip(indices, decoded, strict=True):
                if isinstance(pixels, PicoError):
                    if not (grey and isinstance(pixels, FormatError)):
                        raise pixels
                    pixels = missing_tile(self._grid.window(index), channels)
                mosaic.add(index, pixels)
        return mosaic.finish()

    def _weights(self) -> Weights | None:
        if self.picture.model_id is None:
            return None
        weights = registry.get(self.picture.model_id)
        weights.check_level(self.level)
        return weights


def decode(
    source: Source, *, max_pixels: int | None = MAX_PIXELS, engine: str | None = None
) -> NDArray[np.uint8]:
    """The pixels (height, width, channels) of a .pico file; see `PicoFile` for arguments and errors.

    Warns (UserWarning) if bytes follow the end of the picture.
    """
    with PicoFile(source, max_pixels=max_pixels) as file:
        if file.trailing_bytes:
            warnings.warn(f"{file.trailing_bytes} bytes follow the end of the picture", stacklevel=2)
        return file.decode(engine=engine)


__all__ = ["DEFAULT_QUALITY", "MAX_PIXELS", "PicoFile", "decode", "encode"]
