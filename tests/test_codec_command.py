"""The command pico-codec, as a user runs it, and the file handling behind it."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from pico_codec import carried
from pico_codec.cli import main
from pico_codec.files import partial_file, remove_leftovers
from pico_codec.source import Unsuitable, UnsuitableError, read_source, read_source_file
from pico_core import Extra, Metadata, PicoFile, encode

EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"


def pico_codec(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pico_codec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def jpeg(im: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    im.save(stream, "JPEG", **options)
    return stream.getvalue()


def app1(payload: bytes) -> bytes:
    return struct.pack(">HH", 0xFFE1, len(payload) + 2) + payload


def with_heads(*heads: bytes, **options: object) -> bytes:
    """A JPEG file with these segments behind its first."""
    plain = jpeg(Image.new("RGB", (9, 8)), **options)
    return plain[:20] + b"".join(heads) + plain[20:]


def there_and_back(path: Path) -> bytes:
    """What the command makes of a JPEG file by way of a .pico file."""
    pico, again = path.with_suffix(".pico"), path.with_name("again.jpg")
    assert main(["encode", "--lossless", str(path), str(pico)]) == 0
    assert main(["decode", str(pico), str(again), "--force"]) == 0
    return again.read_bytes()


@pytest.fixture(scope="module")
def lake_pico(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo with EXIF and orientation 6, encoded by the command with its default options."""
    path = tmp_path_factory.mktemp("encoded") / "train.pico"
    done = pico_codec("encode", samples / "lake.jpg", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(path) in done.stdout
    return path


@pytest.fixture(scope="module")
def small_pico(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny lossless file, for everything that needs no networks."""
    folder = tmp_path_factory.mktemp("small")
    Image.linear_gradient("L").resize((40, 30)).save(folder / "small.png")
    assert main(["encode", "--lossless", str(folder / "small.png"), str(folder / "small.pico")]) == 0
    return folder / "small.pico"


@pytest.fixture
def tiny_disk(disk_of: Callable[[int], Path]) -> Path:
    """A folder on a file system of 16 kB."""
    return disk_of(16)


def test_photo_comes_back_with_its_metadata(samples: Path, lake_pico: Path, tmp_path: Path) -> None:
    with Image.open(samples / "lake.jpg") as original:
        pixels, exif = np.asarray(original), original.info["exif"]
    assert lake_pico.stat().st_size < (samples / "lake.jpg").stat().st_size / 2
    for name in ("out.png", "out.jpg", "out.webp"):
        assert pico_codec("decode", lake_pico, tmp_path / name).returncode == 0
        with Image.open(tmp_path / name) as decoded:
            assert decoded.size == original.size, (
                "the picture must not be turned: the EXIF tag still says how"
            )
            assert decoded.info["exif"].removeprefix(b"Exif\0\0") == exif.removeprefix(b"Exif\0\0")
            error = np.abs(np.asarray(decoded).astype(float) - pixels).mean()
        assert error < 12


def test_region_equals_the_same_part_of_the_whole(lake_pico: Path, tmp_path: Path) -> None:
    box = (450, 100, 578, 300)
    assert main(["decode", str(lake_pico), str(tmp_path / "all.png"), "--precision", "float32"]) == 0
    region = ["--region", ",".join(map(str, box)), "--precision", "float32"]
    assert main(["decode", str(lake_pico), str(tmp_path / "part.png"), *region]) == 0
    with Image.open(tmp_path / "all.png") as whole, Image.open(tmp_path / "part.png") as part:
        np.testing.assert_array_equal(np.asarray(part), np.asarray(whole.crop(box)))


def test_target_bytes_are_kept(samples: Path, tmp_path: Path) -> None:
    with Image.open(samples / "lake.jpg") as photo:
        photo.crop((0, 0, 256, 256)).save(tmp_path / "crop.png")
    assert (
        main(["encode", str(tmp_path / "crop.png"), str(tmp_path / "crop.pico"), "--target-bytes", "4000"])
        == 0
    )
    assert 2000 < (tmp_path / "crop.pico").stat().st_size <= 4000


def test_every_metadata_segment_of_a_jpeg_returns(samples: Path, tmp_path: Path) -> None:
    """dunes.jpg has EXIF, XMP and IPTC."""
    original = (samples / "dunes.jpg").read_bytes()
    assert main(["encode", "--lossless", str(samples / "dunes.jpg"), str(tmp_path / "dunes.pico")]) == 0
    assert main(["decode", str(tmp_path / "dunes.pico"), str(tmp_path / "dunes.jpg")]) == 0
    again = (tmp_path / "dunes.jpg").read_bytes()
    with Image.open(io.BytesIO(original)) as one, Image.open(io.BytesIO(again)) as other:
        assert other.info["exif"] == one.info["exif"]
        assert other.info["xmp"] == one.info["xmp"]
    kept = read_source(again).metadata.extras
    assert kept == read_source(original).metadata.extras
    assert any(extra.name == "JPEG APP13" and b"8BIM" in extra.data for extra in kept)


def test_orientation_of_a_webp_file_survives_into_a_jpeg(tmp_path: Path) -> None:
    """EXIF has no prefix in a WebP file, and needs one in a JPEG file."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    plain = exif.tobytes().removeprefix(b"Exif\0\0")
    Image.new("RGB", (9, 8)).save(tmp_path / "a.webp", exif=plain, lossless=True)
    assert read_source_file(tmp_path / "a.webp").metadata.exif == plain
    assert main(["encode", "--lossless", str(tmp_path / "a.webp"), str(tmp_path / "a.pico")]) == 0
    for name in ("a.jpg", "a.mpo"):
        assert main(["decode", str(tmp_path / "a.pico"), str(tmp_path / name)]) == 0
        with Image.open(tmp_path / name) as decoded:
            assert decoded.getexif()[ExifTags.Base.Orientation] == 6


def test_exif_longer_than_a_segment_returns_to_a_jpeg(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = EXIF + bytes(range(256)) * 600
    first, second = app1(exif[:60_000]), app1(b"Exif\0\0" + exif[60_000:120_000])
    (tmp_path / "a.jpg").write_bytes(
        with_heads(first, second, app1(b"Exif\0\0" + exif[120_000:]), dpi=(300, 300))
    )
    assert read_source_file(tmp_path / "a.jpg").metadata.exif == exif
    again = there_and_back(tmp_path / "a.jpg")
    assert read_source(again).metadata == read_source_file(tmp_path / "a.jpg").metadata
    assert not capsys.readouterr().err


@pytest.mark.parametrize(("length", "fits"), [(65_504, True), (65_505, False)])
def test_xmp_longer_than_a_segment_is_named(
    length: int, fits: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xmp = b"<x:xmpmeta/>".ljust(length)
    data = encode(np.zeros((8, 8, 3), np.uint8), lossless=True, metadata=Metadata(xmp=xmp))
    (tmp_path / "a.pico").write_bytes(data)
    assert main(["decode", str(tmp_path / "a.pico"), str(tmp_path / "a.jpg")]) == 0
    assert read_source_file(tmp_path / "a.jpg").metadata.xmp == (xmp if fits else None)
    assert ("cannot carry XMP" in capsys.readouterr().err) is not fits


def test_xmp_that_is_not_utf8_survives_into_a_png(tmp_path: Path) -> None:
    xmp = "<x:xmpmeta title='caf\u00e9'/>".encode("utf-16")
    data = encode(np.zeros((8, 8, 3), np.uint8), lossless=True, metadata=Metadata(xmp=xmp))
    (tmp_path / "a.pico").write_bytes(data)
    assert main(["decode", str(tmp_path / "a.pico"), str(tmp_path / "a.png")]) == 0
    assert read_source_file(tmp_path / "a.png").metadata.xmp == xmp


def test_density_of_a_scan_survives(tmp_path: Path) -> None:
    (tmp_path / "scan.jpg").write_bytes(jpeg(Image.new("L", (9, 8)), dpi=(600, 600)))
    again = there_and_back(tmp_path / "scan.jpg")
    with Image.open(io.BytesIO(again)) as decoded:
        assert decoded.info["dpi"] == (600, 600)
    assert again.count(b"JFIF\0") == 1


def test_thumbnail_and_shape_of_pixels_in_a_jfif_segment_survive(tmp_path: Path) -> None:
    plain = jpeg(Image.new("L", (9, 8)))
    for name, fields in (("thumbnail", b"\0\0\1\0\1\2\1abcdef"), ("wide pixels", b"\0\0\2\0\1\0\0")):
        jfif = b"JFIF\0\1\2" + fields
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(plain[:2] + struct.pack(">HH", 0xFFE0, len(jfif) + 2) + jfif + plain[20:])
        again = there_and_back(path)
        assert again[6:].startswith(jfif), name
        assert again.count(b"JFIF\0") == 1


@pytest.mark.parametrize(
    "heads",
    [
        [XMP + b"<first/>", XMP + b"<second/>"],
        [XMP + b"<first/>", EXIF, XMP + b"<second/>", b"http://ns.adobe.com/xmp/extension/\0more"],
        [XMP + b"<first/>", XMP],
        [b"Exif\0\xffMM\0*\0\0\0\x08"],
        [EXIF, b"Exif\0"],
    ],
    ids=["two XMP", "two XMP among others", "empty XMP", "EXIF of a wrong form", "short EXIF"],
)
def test_segments_that_pillow_passes_over_survive(heads: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(with_heads(*map(app1, heads)))
    again = there_and_back(tmp_path / "a.jpg")
    found = [again[start:stop] for marker, start, stop in carried.jpeg_segments(again) if marker == 0xE1]
    assert sorted(found) == sorted(heads)
    assert read_source(again).metadata == read_source_file(tmp_path / "a.jpg").metadata


def test_pieces_of_a_colour_profile_that_is_not_whole_survive(tmp_path: Path) -> None:
    piece = b"ICC_PROFILE\0\1\2half of a profile"
    (tmp_path / "a.jpg").write_bytes(with_heads(struct.pack(">HH", 0xFFE2, len(piece) + 2) + piece))
    assert piece in there_and_back(tmp_path / "a.jpg")


def test_metadata_that_the_output_cannot_hold_are_named(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(samples / "lake.jpg") as photo:
        photo.crop((0, 0, 64, 48)).save(tmp_path / "small.jpg", exif=photo.info["exif"], comment=b"hello")
    assert main(["encode", "--lossless", str(tmp_path / "small.jpg"), str(tmp_path / "small.pico")]) == 0
    assert main(["decode", str(tmp_path / "small.pico"), str(tmp_path / "small.bmp")]) == 0
    assert "cannot carry EXIF, JPEG COM" in capsys.readouterr().err


def test_alpha_comes_back_exactly(tmp_path: Path) -> None:
    im = Image.effect_noise((50, 40), 60).convert("RGB")
    im.putalpha(Image.linear_gradient("L").resize(im.size))
    im.save(tmp_path / "in.png")
    assert main(["encode", str(tmp_path / "in.png"), str(tmp_path / "x.pico")]) == 0
    assert main(["decode", str(tmp_path / "x.pico"), str(tmp_path / "out.png")]) == 0
    with Image.open(tmp_path / "out.png") as out:
        assert out.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(out)[..., 3], np.asarray(im)[..., 3])


def test_existing_output_survives_without_force(
    small_pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "holiday.png"
    target.write_bytes(b"precious")
    assert main(["decode", str(small_pico), str(target)]) == 1
    assert target.read_bytes() == b"precious"
    assert f"pico-codec: {target}: exists already" in capsys.readouterr().err
    assert main(["decode", str(small_pico), str(target), "--force"]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_input_is_never_its_own_output(small_pico: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pico"
    copy.write_bytes(small_pico.read_bytes())
    assert main(["encode", str(copy), str(copy), "--force"]) == 1
    (tmp_path / "link.pico").symlink_to(copy)
    assert main(["encode", str(copy), str(tmp_path / "link.pico"), "--force"]) == 1
    assert copy.read_bytes() == small_pico.read_bytes()


def test_damaged_input_leaves_nothing_behind(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.jpg").write_bytes((samples / "lake.jpg").read_bytes()[:60_000])
    assert main(["encode", str(tmp_path / "cut.jpg"), str(tmp_path / "cut.pico")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cut.jpg"]
    assert f"pico-codec: {tmp_path / 'cut.jpg'}: image file is truncated" in capsys.readouterr().err


def test_full_disk_leaves_nothing_behind(tiny_disk: Path, tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 90).save(tmp_path / "noise.png")
    done = pico_codec("encode", "--lossless", tmp_path / "noise.png", tiny_disk / "noise.pico")
    assert done.returncode == 1
    assert "noise.pico: cannot be written: No space left on device" in done.stderr
    assert not list(tiny_disk.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["encode", "a.jpg"],
        ["encode", "a.jpg", "b.pico", "--quality", "101"],
        ["encode", "a.jpg", "b.pico", "--quality", "50", "--lossless"],
        ["encode", "a.jpg", "b.pico", "--effort", "3"],
        ["encode", "a.jpg", "b.pico", "--target-bytes", "0"],
        ["decode", "a.pico", "b.png", "--region", "1,2,3"],
        ["decode", "a.pico", "b.png", "--precision", "float16"],
        ["info"],
        ["polish", "a.jpg"],
    ],
)
def test_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "missing.jpg", "b.pico"], "missing.jpg: no such file or directory"),
        (["encode", "small.pico", "b.png"], "b.png: is not named *.pico; call the output so"),
        (["encode", "small.pico", "nowhere/b.pico"], "there is no folder nowhere; create it first"),
        (
            ["encode", "text.txt", "b.pico"],
            "text.txt: not a picture in a format that Pillow reads; convert it",
        ),
        (["decode", "text.txt", "b.png"], "only .pico files can be read here"),
        (["decode", "small.pico", "b.doc"], "b.doc: .doc is not an output format; .png always works"),
        (["decode", "small.pico", "b.pico"], ".png always works"),
        (
            ["decode", "small.pico", "b.png", "--region", "0,0,41,30"],
            "leaves the picture of 40x30 pixels; choose",
        ),
        (["decode", "cut.pico", "b.png"], "cut.pico: "),
        (["verify", "folder"], "folder: is a directory"),
    ],
)
def test_failure_says_what_is_wrong_with_which_file(
    arguments: list[str],
    message: str,
    small_pico: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.pico").write_bytes(small_pico.read_bytes())
    Path("cut.pico").write_bytes(small_pico.read_bytes()[:-3])
    Path("text.txt").write_text("not a picture")
    Path("folder").mkdir()
    before = sorted(Path().iterdir())
    assert main(arguments) == 1
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.startswith("pico-codec: ")
    assert output.err.count("\n") == 1, "one line a problem"
    assert sorted(Path().iterdir()) == before


def test_info_as_json(lake_pico: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", str(lake_pico)]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"], facts["channels"]) == (578, 771, 3)
    assert (facts["quality"], facts["model_installed"]) == (60, True)
    assert sum(facts["tiles"].values()) == 4
    assert facts["bytes"] == lake_pico.stat().st_size
    assert facts["exif_bytes"] == 5_086


def test_info_for_people_goes_on_after_a_bad_file(
    small_pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.pico").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["info", str(tmp_path / "bad.pico"), str(small_pico)]) == 1
    output = capsys.readouterr()
    assert "40 x 30, grey" in output.out
    assert "lossless" in output.out
    assert "bad.pico" in output.err


def test_verify_names_the_damaged_file_only(
    lake_pico: Path, small_pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(lake_pico.read_bytes())
    content[-1000] ^= 1
    (tmp_path / "flipped.pico").write_bytes(content)
    assert main(["verify", str(tmp_path / "flipped.pico"), str(small_pico)]) == 1
    output = capsys.readouterr()
    assert output.out == f"{small_pico}: fine\n"
    assert "flipped.pico" in output.err


@pytest.mark.parametrize("command", ["info", "verify"])
def test_looking_into_files_never_imports_torch(command: str, lake_pico: Path) -> None:
    program = (
        "import sys; from pico_codec.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 10 * ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, command, str(lake_pico)], capture_output=True, check=False
    )
    assert done.returncode == 0


def test_leftovers_go_and_files_at_work_stay(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.pico-part").write_bytes(b"left by a killed process")
    (tmp_path / "photo.pico-part").write_bytes(b"not hidden, so not ours")
    with (tmp_path / ".fedcba9876543210.pico-part").open("wb") as at_work:
        fcntl.flock(at_work, fcntl.LOCK_EX)
        assert remove_leftovers(tmp_path) == 1
        left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".fedcba9876543210.pico-part", "photo.pico-part"]


def test_partial_file_vanishes_unless_published(tmp_path: Path) -> None:
    def write_half_and_fail() -> None:
        with partial_file(tmp_path) as partial:
            partial.stream.write(b"half")
            assert partial.path.parent == tmp_path
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half_and_fail()
    assert not list(tmp_path.iterdir())
    with partial_file(tmp_path) as partial:
        partial.stream.write(b"whole")
        partial.publish(tmp_path / "file", overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"whole")]


def test_partial_file_never_replaces_what_appeared_meanwhile(tmp_path: Path) -> None:
    with partial_file(tmp_path) as partial:
        partial.stream.write(b"late")
        (tmp_path / "file").write_bytes(b"first")
        with pytest.raises(FileExistsError):
            partial.publish(tmp_path / "file", overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"first")]


segments = st.lists(
    st.builds(
        Extra,
        st.sampled_from(["JPEG COM", "JPEG APP1", "JPEG APP3", "JPEG APP13", "JPEG APP0", "JPEG APP2"]),
        st.just("application/octet-stream"),
        st.binary(min_size=1, max_size=300) | st.just(b"\xff\xd9" * 9) | st.just(b"\0" * 65_533),
    ),
    max_size=6,
)
jfif_segments = st.builds(
    lambda fields: Extra("JPEG APP0", "application/octet-stream", b"JFIF\0\1\1\1" + fields),
    st.binary(min_size=6, max_size=300),
)


@given(st.lists(jfif_segments, max_size=2), segments, st.binary(max_size=40))
def test_carried_jpeg_segments_survive_going_there_and_back(
    first: list[Extra], extras: list[Extra], tail: bytes
) -> None:
    extras = first + [e for e in extras if not e.data.startswith((b"MPF\0", b"ICC_PROFILE\0"))]
    trailer = [Extra("JPEG trailer", "application/octet-stream", tail + b"!")]
    whole, others = carried.into_jpeg(jpeg(Image.new("RGB", (9, 9), "red")), [*extras, *trailer], EXIF)
    assert not others
    source = read_source(whole)
    assert source.left_behind is None
    assert list(source.metadata.extras) == [*extras, *trailer]
    assert source.metadata.exif == EXIF
    assert source.pixels.shape == (9, 9, 3)


@given(st.binary(max_size=400))
def test_damaged_pictures_never_crash_the_search_for_metadata(noise: bytes) -> None:
    carried.from_jpeg(b"\xff\xd8" + noise, Metadata())
    carried.from_png(b"\x89PNG\r\n\x1a\n" + noise, Metadata(xmp=b"<x/>"))
    carried.from_webp(b"RIFF\x40\x00\x00\x00WEBP" + noise, Metadata())


def test_png_text_is_carried(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "me")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    Image.new("L", (8, 8)).save(tmp_path / "a.png", pnginfo=texts, dpi=(300, 300))
    assert main(["encode", "--lossless", str(tmp_path / "a.png"), str(tmp_path / "a.pico")]) == 0
    with PicoFile(tmp_path / "a.pico") as file:
        assert file.metadata.xmp == b"<x:xmpmeta/>"
        names = {extra.name: extra.data for extra in file.metadata.extras}
    assert names["PNG tEXt"] == b"Author\0me"
    assert "PNG pHYs" in names


def test_long_trailer_is_named_and_short_one_carried() -> None:
    photo = jpeg(Image.new("RGB", (16, 16)))
    assert read_source(photo + b"\0" * 9).metadata.extras == ()
    (extra,) = read_source(photo + b"SEFH...SEFT").metadata.extras
    assert (extra.name, extra.data) == ("JPEG trailer", b"SEFH...SEFT")
    assert "motion photo" in (read_source(photo + b"\0\0\0\x18ftypmp42" * 9999).left_behind or "")


def test_second_picture_of_a_multi_picture_file_is_named(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "two.jpg", "MPO", save_all=True, append_images=pictures[1:])
    source = read_source_file(tmp_path / "two.jpg")
    assert source.pixels.shape == (32, 32, 3)
    assert "further pictures" in (source.left_behind or "")


def unsuitable_pictures() -> Iterator[tuple[bytes, Unsuitable]]:
    frames = [Image.new("L", (8, 8), level) for level in (0, 200)]
    animation = io.BytesIO()
    frames[0].save(animation, "WEBP", save_all=True, append_images=frames[1:])
    deep = io.BytesIO()
    Image.new("I;16", (8, 8), 40_000).save(deep, "PNG")
    yield b"just text", Unsuitable.NOT_A_PICTURE
    yield animation.getvalue(), Unsuitable.SEVERAL_PICTURES
    yield deep.getvalue(), Unsuitable.DEEP
    yield jpeg(Image.new("CMYK", (8, 8))), Unsuitable.COLOUR_SPACE


@pytest.mark.parametrize(("data", "reason"), list(unsuitable_pictures()))
def test_what_a_pico_file_cannot_hold_is_refused_with_a_reason(data: bytes, reason: Unsuitable) -> None:
    with pytest.raises(UnsuitableError) as caught:
        read_source(data)
    assert caught.value.reason == reason


def png(header: tuple[int, int], row: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of two pixels; `header` is its depth and colour type."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, *header, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    lengths = ((struct.pack(">I", len(data)), kind + data) for kind, data in parts)
    whole = (length + body + struct.pack(">I", zlib.crc32(body)) for length, body in lengths)
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def test_sixteen_bit_colour_png_is_refused() -> None:
    """Pillow reads such a file as 8-bit RGB and does not tell."""
    deep = png((16, 2), bytes(range(12)))
    with Image.open(io.BytesIO(deep)) as im:
        assert im.mode == "RGB"
    with pytest.raises(UnsuitableError, match="more than 8 bits"):
        read_source(deep)


@pytest.mark.parametrize("most", [256, 1023, 65535])
def test_deep_colour_ppm_is_refused(most: int) -> None:
    """Pillow reads such a file as 8-bit RGB, too."""
    deep = b"P6 # by hand\n2 1\n%d\n" % most + bytes(12)
    with Image.open(io.BytesIO(deep)) as im:
        assert im.mode == "RGB"
    with pytest.raises(UnsuitableError, match="more than 8 bits"):
        read_source(deep)


@pytest.mark.parametrize(
    "data", [b"P6 2 1 255\n" + bytes(6), b"P5 2 1 15\n\1\2", b"P4 2 1\n\x40", b"P3 2 1 9 " + b"1 " * 6]
)
def test_pnm_of_eight_bits_or_less_is_read(data: bytes) -> None:
    assert read_source(data).pixels.shape[:2] == (1, 2)


@pytest.mark.parametrize(("bits", "row"), [(1, b"\x40"), (2, b"\x30"), (4, b"\x0f"), (8, b"\0\xff")])
def test_transparent_grey_of_every_depth_stays_transparent(bits: int, row: bytes) -> None:
    """Pillow spreads samples of 2 and 4 bits over 0 to 255, but not the transparent one."""
    white = struct.pack(">H", 2**bits - 1)
    assert read_source(png((bits, 0), row, (b"tRNS", white))).pixels.tolist() == [[[0, 255], [255, 0]]]


def itxt(text: bytes, compressed: int = 0) -> tuple[bytes, bytes]:
    return b"iTXt", b"XML:com.adobe.xmp\0" + bytes([compressed, 0]) + b"\0\0" + text


TIFFS = (EXIF.removeprefix(b"Exif\0\0"), b"II*\0\x08\0\0\0\0\0\0\0\0\0")


@pytest.mark.parametrize(
    ("chunks", "extra"),
    [
        ([itxt(b"<only/>")], []),
        ([itxt(zlib.compress(b"<only/>"), 1), (b"eXIf", TIFFS[0])], []),
        ([itxt(b"<first/>"), itxt(b"<second/>")], [itxt(b"<first/>")]),
        ([itxt(b"junk", 1)], [itxt(b"junk", 1)]),
        ([(b"eXIf", TIFFS[0]), (b"eXIf", TIFFS[1])], [(b"eXIf", TIFFS[0])]),
    ],
    ids=["one", "compressed", "two XMP", "XMP that cannot be read", "two EXIF"],
)
def test_png_chunks_that_pillow_passes_over_are_carried(
    chunks: list[tuple[bytes, bytes]], extra: list[tuple[bytes, bytes]]
) -> None:
    extras = read_source(png((8, 2), bytes(6), *chunks)).metadata.extras
    assert [(one.name, one.data) for one in extras] == [
        (f"PNG {kind.decode()}", data) for kind, data in extra
    ]


def webp(*more: tuple[bytes, bytes], flags: int = 0xFF) -> bytes:
    """A WebP file with EXIF and XMP and further chunks; `flags` clears bits of its VP8X."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "WEBP", lossless=True, exif=TIFFS[0], xmp=b"<own/>")
    body = bytearray(stream.getvalue()[8:])
    body[12] &= flags
    for kind, data in more:
        body += kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + bytes(body)


@pytest.mark.parametrize(
    ("data", "extra"),
    [
        (webp(), []),
        (webp((b"XMP ", b"<second/>")), [("WebP XMP ", b"<second/>")]),
        (webp((b"EXIF", TIFFS[1])), [("WebP EXIF", TIFFS[1])]),
        (webp(flags=0xF3), [("WebP EXIF", TIFFS[0]), ("WebP XMP ", b"<own/>")]),
    ],
    ids=["one", "two XMP", "two EXIF", "no flags"],
)
def test_webp_chunks_that_pillow_passes_over_are_carried(data: bytes, extra: list[tuple[str, bytes]]) -> None:
    assert [(one.name, one.data) for one in read_source(data).metadata.extras] == extra


def test_samples_are_read_unchanged(samples: Path) -> None:
    """Reading must not alter a source: the same bytes before and after."""
    for path in sorted(samples.glob("*.jpg")):
        before = hashlib.sha256(path.read_bytes()).digest()
        source = read_source_file(path)
        with Image.open(path) as im:
            assert source.metadata.exif == im.info["exif"]
            assert source.pixels.shape == (im.height, im.width, len(im.getbands()))
        assert hashlib.sha256(path.read_bytes()).digest() == before
