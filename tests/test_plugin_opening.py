"""What `Image.open` promises for .pico files: lazy, exact about metadata, and a well-behaved Pillow image."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

import pillow_pico

MODES = ("L", "LA", "RGB", "RGBA")
SIZE = (90, 70)


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE, seed: int = 0) -> Image.Image:
    """Smooth colours with a little noise: something that every coder has to work for."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    bands = len(Image.new(mode, (1, 1)).getbands())
    planes = [
        (rows * (band + 2) + columns * 3 + rng.integers(0, 9, rows.shape)) % 256 for band in range(bands)
    ]
    return Image.frombytes(mode, size, np.stack(planes, axis=-1).astype(np.uint8).tobytes())


def lossless(im: Image.Image, **options: Any) -> bytes:
    return pillow_pico.to_bytes(im, lossless=True, **options)


def exif_bytes(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker of cameras"
    return exif.tobytes()


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><about>hills</about></x:xmpmeta>'
PROFILE = b"\0" * 16 + b"RGB " + bytes(range(200))


@pytest.fixture(scope="module")
def file_bytes() -> bytes:
    return lossless(picture(), exif=exif_bytes(), xmp=XMP, icc_profile=PROFILE)


@pytest.fixture
def path(tmp_path: Path, file_bytes: bytes) -> Path:
    path = tmp_path / "hills.pico"
    path.write_bytes(file_bytes)
    return path


def run(script: str, *arguments: object) -> str:
    """Run a script in a fresh interpreter that turns leaked file handles into errors."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(script)]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ResourceWarning" not in done.stderr, done.stderr
    return done.stdout


def test_importing_the_plugin_registers_the_format() -> None:
    assert Image.registered_extensions()[".pico"] == "PICO"
    assert Image.MIME["PICO"] == "image/x-pico"
    assert "PICO" in Image.OPEN
    assert "PICO" in Image.SAVE


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    run(
        """
        import sys
        import pillow_pico
        assert not {"numpy", "torch", "safetensors", "piexif"} & set(sys.modules)
        """
    )


def test_nothing_but_decoding_imports_the_networks(tmp_path: Path) -> None:
    path = tmp_path / "large.pico"
    path.write_bytes(
        lossless(picture(size=(600, 400)), exif=exif_bytes(), xmp=XMP, preview=preview((150, 100)))
    )
    run(
        """
        import sys
        import pillow_pico
        from PIL import Image
        path = sys.argv[1]
        with Image.open(path) as im:
            assert im.size == (600, 400)
            assert im.getexif()[0x0112] == 6
            assert im.info["xmp"]
        with Image.open(path) as im:
            im.verify()
        with Image.open(path) as im:
            im.thumbnail((120, 120))
            assert im.size == (120, 80)
        assert not {"torch"} & set(sys.modules)
        """,
        path,
    )


def preview(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    picture(size=size).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize("mode", MODES)
def test_native_modes_open_as_they_were_saved(mode: str) -> None:
    im = picture(mode)
    with Image.open(io.BytesIO(lossless(im))) as opened:
        assert (opened.format, opened.mode, opened.size) == ("PICO", mode, im.size)
        assert opened.get_format_mimetype() == "image/x-pico"
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(im))


def test_info_tells_what_the_file_carries(path: Path) -> None:
    with Image.open(path) as im:
        assert im.info["exif"] == exif_bytes()
        assert im.info["xmp"] == XMP
        assert im.info["icc_profile"] == PROFILE
        assert im.info["model"] is None
        assert {"quality", "level"} <= set(im.info)
        assert im.getexif()[0x010F] == "Maker of cameras"


def test_getxmp_reads_the_packet(path: Path) -> None:
    pytest.importorskip("defusedxml")
    with Image.open(path) as im:
        assert im.getxmp() == {"xmpmeta": {"about": "hills"}}


def test_absent_metadata_has_no_info_keys() -> None:
    with Image.open(io.BytesIO(lossless(picture(), preview=False))) as im:
        assert not {"exif", "xmp", "icc_profile", "thumbnail"} & set(im.info)
        assert dict(im.getexif()) == {}
        assert im.getxmp() == {}


def test_orientation_is_reported_and_not_applied(path: Path) -> None:
    with Image.open(path) as im:
        im.load()
        assert im.size == SIZE
        assert im.getexif()[0x0112] == 6


def test_opening_decodes_nothing(path: Path) -> None:
    with Image.open(path) as im:
        assert im.tile
        im.load()
        assert not im.tile


@pytest.mark.parametrize("kind", ["path", "str", "bytes path", "file", "memory", "formats"])
def test_every_way_to_open_gives_the_same_pixels(kind: str, path: Path, file_bytes: bytes) -> None:
    expected = np.asarray(picture())
    with path.open("rb") as file:
        ways = {
            "path": lambda: Image.open(path),
            "str": lambda: Image.open(str(path)),
            "bytes path": lambda: Image.open(bytes(path)),
            "file": lambda: Image.open(file),
            "memory": lambda: Image.open(io.BytesIO(file_bytes)),
            "formats": lambda: Image.open(path, formats=["PICO"]),
        }
        with ways[kind]() as im:
            np.testing.assert_array_equal(np.asarray(im), expected)


def test_stream_not_at_its_start_is_rewound_as_for_other_formats(file_bytes: bytes) -> None:
    stream = io.BytesIO(file_bytes)
    stream.seek(20)
    with Image.open(stream) as im:
        np.testing.assert_array_equal(np.asarray(im), np.asarray(picture()))


class Pipe(io.RawIOBase):
    """A stream that can be read once, and never moved."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


def test_pipe_can_be_opened(file_bytes: bytes) -> None:
    with Image.open(cast(IO[bytes], Pipe(file_bytes))) as im:
        np.testing.assert_array_equal(np.asarray(im), np.asarray(picture()))


def test_parser_fed_in_pieces_ends_with_the_picture(file_bytes: bytes) -> None:
    parser = ImageFile.Parser()
    for start in range(0, len(file_bytes), 1000):
        parser.feed(file_bytes[start : start + 1000])
    np.testing.assert_array_equal(np.asarray(parser.close()), np.asarray(picture()))


def test_loading_closes_our_file_and_leaves_the_callers_open(path: Path) -> None:
    im = Image.open(path)
    ours = im.fp
    im.load()
    assert ours is not None
    assert ours.closed
    with path.open("rb") as theirs:
        Image.open(theirs).load()
        assert not theirs.closed


def test_no_way_through_leaks_a_file_handle(path: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.pico").write_bytes(path.read_bytes()[:60])
    run(
        """
        import gc, pathlib, sys
        import pillow_pico
        from PIL import Image
        path, broken, copy = map(pathlib.Path, sys.argv[1:])
        with Image.open(path):
            pass
        Image.open(path).load()
        Image.open(path).verify()
        Image.open(path).copy().save(copy, lossless=True)
        Image.open(path).close()
        im = Image.open(path)
        im.thumbnail((20, 20))
        im.load()
        try:
            Image.open(broken)
        except OSError:
            pass
        gc.collect()
        """,
        path,
        tmp_path / "broken.pico",
        tmp_path / "copy.pico",
    )


def test_closed_image_says_so_instead_of_decoding(path: Path) -> None:
    im = Image.open(path)
    im.close()
    with pytest.raises(ValueError, match="closed"):
        im.load()
    with Image.open(path) as left:
        pass
    with pytest.raises(ValueError, match="closed"):
        left.load()


def test_one_frame_and_no_more(path: Path) -> None:
    with Image.open(path) as im:
        assert isinstance(im, pillow_pico.PicoImageFile)
        assert (im.n_frames, im.is_animated, im.tell()) == (1, False, 0)
        im.seek(0)
        with pytest.raises(EOFError):
            im.seek(1)
        np.testing.assert_array_equal(np.asarray(im), np.asarray(picture()))


def test_loading_again_changes_nothing(path: Path) -> None:
    with Image.open(path) as im:
        im.load()
        im.putpixel((0, 0), (1, 2, 3))
        im.load()
        assert im.getpixel((0, 0)) == (1, 2, 3)


def test_derived_images_have_the_pixels_and_the_metadata(path: Path) -> None:
    source = picture()
    with Image.open(path) as im:
        assert im.crop((3, 4, 30, 20)).tobytes() == source.crop((3, 4, 30, 20)).tobytes()
    with Image.open(path) as im:
        assert im.convert("L").tobytes() == source.convert("L").tobytes()
    with Image.open(path) as im:
        assert im.copy().info == im.info
        assert copy.deepcopy(im).tobytes() == source.tobytes()


def test_pickle_keeps_pixels_and_info(path: Path) -> None:
    with Image.open(path) as im:
        again = pickle.loads(pickle.dumps(im))
        assert again == im
        again.load()
        assert again.info == im.info
        assert again.draft(None, (10, 10)) is None


def test_threads_opening_and_saving_do_not_disturb_each_other() -> None:
    sources = [picture(mode, (60 + 7 * index, 50), seed=index) for index, mode in enumerate(MODES * 6)]

    def round_trip(im: Image.Image) -> bytes:
        with Image.open(io.BytesIO(lossless(im))) as opened:
            return opened.tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(round_trip, sources)) == [im.tobytes() for im in sources]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\x18ftyp",
        b"\0\0\0\x18ftypavif" + b"\0" * 40,
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1pico" + b"\0" * 40,
        b"ftyppico" + b"\0" * 40,
    ],
)
def test_files_of_others_are_declined(data: bytes) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(data), formats=["PICO"])


def test_broken_header_of_ours_is_explained() -> None:
    with pytest.raises(UnidentifiedImageError, match="cannot identify image file") as caught:
        Image.open(io.BytesIO(b"\0\0\0\x18ftyppico\0\0\0\0picomif1" + b"\0" * 40))
    assert caught.value.__cause__ is not None


def test_verify_accepts_a_sound_file_and_closes_it(path: Path) -> None:
    im = Image.open(path)
    file = im.fp
    im.verify()
    assert file is not None
    assert file.closed
    with pytest.raises(RuntimeError, match="right after"):
        im.verify()


def test_size_limit_of_pillow_warns_then_refuses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = SIZE[0] * SIZE[1]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Image.open(path).close()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(path).load()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels // 2 - 1)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    Image.open(path).load()
