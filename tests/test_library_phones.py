"""What phones make is shrunk by default, and whatever else their files hold comes along whole."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from heif_samples import coded, heif
from library_samples import files_below, journal_of
from PIL import Image, ImageOps

from pico_codec import carried_tiff
from pico_core import PicoFile, decode
from pico_library.cli import main
from pico_library.model.extras import TIFF_REST
from pico_library.model.reasons import Reason
from pico_library.report.words import in_words

pytest.importorskip("pi_heif", reason="needs pi-heif")
pytestmark = pytest.mark.usefixtures("home", "verifier")

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><!-- as it is --></x:xmpmeta>"
VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos").mkdir()
    return tmp_path / "Photos"


@pytest.fixture
def scene(samples: Path) -> Image.Image:
    with Image.open(samples / "lake.jpg") as photo:
        return photo.crop((60, 60, 252, 188)).convert("RGB")


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Phone"
    exif[0x0112] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


def of_a_phone(scene: Image.Image) -> bytes:
    """A HEIC photo that was taken with the phone upright, with a gain map and the video of a motion photo."""
    gain_map = coded(scene.convert("L").resize((48, 32)).convert("RGB"))
    return heif(
        coded(scene), exif=exif_of(6), xmp=XMP, gain_map=gain_map, quarter_turns=3, video=VIDEO[:2000]
    )


def test_heic_is_replaced_restored_as_jpeg_and_brought_back(
    library: Path, scene: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = library / "IMG_1.HEIC"
    photo.write_bytes(of_a_phone(scene))
    content = photo.read_bytes()
    assert main(["shrink", str(library), "--replace", "--yes", "--min-saving", "0"]) == 0
    assert files_below(library) == ["IMG_1.HEIC.pico"]
    capsys.readouterr()
    assert main(["restore", str(library), "--output", str(library / "back")]) == 0
    said = capsys.readouterr().err
    assert "only the .pico file holds the HDR gain map, the video of a motion photo" in said
    with Image.open(library / "back" / "IMG_1.jpg") as im:
        assert im.format == "JPEG"
        assert im.info["exif"] == b"Exif\0\0" + exif_of(6)
        assert im.info["xmp"] == XMP
        assert ImageOps.exif_transpose(im).size == (scene.height, scene.width)
    assert main(["undo", "1"]) == 0
    assert photo.read_bytes() == content


def test_heic_holds_more_than_a_photo_and_is_left_alone_on_request(library: Path, scene: Image.Image) -> None:
    (library / "map.heic").write_bytes(heif(coded(scene), gain_map=coded(scene.resize((48, 32)))))
    (library / "motion.heic").write_bytes(heif(coded(scene), video=VIDEO))
    (library / "plain.heic").write_bytes(heif(coded(scene)))
    (library / "IMG_2.HEIC").write_bytes(heif(coded(scene)))
    (library / "IMG_2.MOV").write_bytes(VIDEO)
    assert main(["shrink", str(library), "--skip-extras", "--min-saving", "0"]) == 0
    assert [path.name for path in library.glob("*.pico")] == ["plain.heic.pico"]
    assert journal_of(library / "map.heic").reason == Reason.GAIN_MAP
    assert journal_of(library / "motion.heic").reason == Reason.MOTION
    assert journal_of(library / "IMG_2.HEIC").reason == Reason.LIVE_PHOTO


def test_heic_of_ten_bits_is_left_alone_with_that_reason(library: Path, scene: Image.Image) -> None:
    (library / "deep.heic").write_bytes(heif(coded(scene, depth=10)))
    main(["shrink", str(library)])
    assert journal_of(library / "deep.heic").reason == Reason.DEEP


def test_video_that_takes_most_of_the_file_is_named_as_what_leaves_too_little_saving(
    library: Path, scene: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO()
    scene.save(stream, "JPEG", quality=95)
    (library / "motion.jpg").write_bytes(stream.getvalue() + VIDEO * 200)
    (library / "photo.jpg").write_bytes(stream.getvalue())
    assert main(["shrink", str(library)]) == 0
    assert journal_of(library / "motion.jpg").reason == Reason.LARGE_EXTRAS
    assert in_words(Reason.LARGE_EXTRAS) in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_whatever_follows_a_picture_comes_back_byte_for_byte(
    kind: str, library: Path, scene: Image.Image
) -> None:
    photo = library / f"photo.{kind.lower()}"
    scene.save(photo, kind, lossless=True)
    photo.write_bytes(photo.read_bytes() + VIDEO * 10)
    assert main(["shrink", str(library), "--delete-originals", "--yes", "--min-saving", "0"]) == 0
    assert main(["restore", str(library)]) == 0
    assert photo.read_bytes().endswith(VIDEO * 10)


def test_tiff_is_shrunk_with_all_that_it_says(library: Path, scene: Image.Image) -> None:
    """A tag that EXIF has no place for travels with everything else of the file but its pixels."""
    photo = library / "scan.tif"
    scene.save(photo, "TIFF", tiffinfo={0xC000: "a word of the scanner"})
    content = photo.read_bytes()
    assert main(["shrink", str(library), "--delete-originals", "--yes"]) == 0
    with PicoFile(library / "scan.tif.pico") as file:
        (rest,) = [extra.data for extra in file.metadata.extras if extra.name == TIFF_REST]
    assert rest == carried_tiff.without_pixels(content)
    assert b"a word of the scanner" in rest
    assert len(rest) < len(content) - scene.width * scene.height * 3 + 1
    assert main(["restore", str(library)]) == 0
    with Image.open(library / "scan.png") as im:
        assert np.array_equal(np.asarray(im), decode((library / "scan.tif.pico").read_bytes()))


@pytest.mark.parametrize("transparent", [True, False])
def test_picture_that_is_not_what_its_name_says_comes_back_as_what_it_was(
    transparent: bool, library: Path, scene: Image.Image
) -> None:
    photo = library / "photo.jpg"
    im = scene.copy()
    if transparent:
        im.putalpha(128)
    im.save(photo, "PNG")
    assert main(["shrink", str(library), "--output", str(library / "small")]) == 0
    assert main(["restore", str(library / "small"), "--output", str(library / "back")]) == 0
    with Image.open(library / "back" / "photo.jpg") as back:
        assert (back.format, back.mode) == ("PNG", im.mode)


def test_folders_of_programs_are_named_and_left_alone(
    library: Path, scene: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["Library.photoslibrary/originals", "Previews.lrdata", "@eaDir/IMG.jpg", "#recycle"]
    for name in [*names, "Holiday"]:
        (library / name).mkdir(parents=True)
        scene.save(library / name / "a.jpg", quality=95)
    assert main(["shrink", str(library)]) == 0
    assert [str(path.relative_to(library)) for path in library.rglob("*.pico")] == ["Holiday/a.jpg.pico"]
    said = capsys.readouterr().out
    assert f"4  {in_words(Reason.PROGRAM_FOLDER)}" in said
    for name in names:
        assert name.split("/")[0] in said
    assert main(["shrink", str(library / "Previews.lrdata")]) == 0, "whoever names one gets it"


def test_kinds_that_are_no_photos_count_apart(
    library: Path, scene: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("clip.mov", "letter.pdf", "Thumbs.db", "dance.gif"):
        (library / name).write_bytes(zlib.compress(name.encode()))
    scene.save(library / "a.jpg", quality=95)
    assert main(["shrink", str(library)]) == 0
    said = capsys.readouterr().out
    assert f"1  {in_words(Reason.VIDEO)}" in said
    assert f"2  {in_words(Reason.NO_PICTURE)}" in said
    assert f"1  {in_words(Reason.NOT_A_PHOTO)}" in said
