"""What is left alone and why, and what a .pico file carries of a photo that holds more, there and back."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from library_samples import (
    EXIF_DATE,
    drawing,
    fingerprint,
    journal_of,
    one_verifier,
    use_own_folders,
)
from library_samples import scene as piece_of_a_photo
from PIL import Image

from pico_codec import origin
from pico_codec.source import read_source
from pico_core import PicoFile
from pico_library.cli import main
from pico_library.model import extras
from pico_library.model.reasons import Reason, more_inside
from pico_library.model.records import Outcome
from pico_library.report.words import in_words
from pico_library.store.scan import Choice, is_placeholder, scan

VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256)) * 400
GAIN_MAP_XMP = b'<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
MOTION_XMP = b'<x:xmpmeta GCamera:MotionPhoto="1"/>'


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_own_folders(monkeypatch, tmp_path / "home")


@pytest.fixture(scope="module", autouse=True)
def _verifier() -> Iterator[None]:
    with one_verifier():
        yield


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos").mkdir()
    return tmp_path / "Photos"


@pytest.fixture(scope="module")
def scene(samples: Path) -> Image.Image:
    return piece_of_a_photo(samples)


def jpeg(im: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    im.save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def ultra_hdr(im: Image.Image) -> bytes:
    """A photo with a gain map as a second picture behind it, which MPF points at."""
    stream = io.BytesIO()
    gain_map = im.convert("L").reduce(2)
    im.save(stream, "MPO", save_all=True, append_images=[gain_map], quality=95)
    data = stream.getvalue()
    segment = b"http://ns.adobe.com/xap/1.0/\0" + GAIN_MAP_XMP
    added = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    with Image.open(io.BytesIO(data)) as mpo:
        assert mpo.n_frames == 2  # type: ignore[attr-defined]
    return extras.repair_multi_picture(data[:2] + added + data[2:])


def second_picture(data: bytes) -> bytes:
    """Its pixels, found as a reader of MPF finds it; Pillow itself shows no second picture of HDR photos."""
    with Image.open(io.BytesIO(data.replace(b"hdrgm:Version", b"hdrgm:version"))) as im:
        im.seek(1)
        return im.tobytes()


def more_than_a_photo(im: Image.Image) -> dict[str, tuple[bytes, Reason]]:
    stream = io.BytesIO()
    im.save(stream, "MPO", save_all=True, append_images=[im.reduce(2)], quality=95)
    plain = jpeg(im, exif=EXIF_DATE)
    return {
        "ultra.jpg": (ultra_hdr(im), Reason.GAIN_MAP),
        "preview.jpg": (stream.getvalue(), Reason.SEVERAL),
        "pixel.jpg": (jpeg(im, xmp=MOTION_XMP) + VIDEO, Reason.MOTION),
        "samsung.jpg": (plain + bytes(66_000) + b"MotionPhoto_Data" + VIDEO, Reason.MOTION),
        "panorama.jpg": (plain + b"Panorama_Shot_Info" + bytes(70_000) + b"SEFT", Reason.PANORAMA),
        "unknown.jpg": (plain + b"what is this?" * 6000, Reason.TRAILER),
    }


def test_every_kind_of_more_than_a_photo_has_its_own_reason(
    library: Path, scene: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = more_than_a_photo(scene)
    for name, (content, _) in kinds.items():
        (library / name).write_bytes(content)
    (library / "IMG_1.JPG").write_bytes(jpeg(scene))
    (library / "IMG_1.MOV").write_bytes(VIDEO)
    before = fingerprint(library)
    assert main(["shrink", str(library), "--delete-originals", "--yes", "--skip-extras"]) == 0
    assert fingerprint(library) == before
    assert not list(library.glob("*.pico"))
    for name, (_, reason) in kinds.items():
        assert journal_of(library / name).reason == reason, name
    output = capsys.readouterr().out
    for reason in (Reason.GAIN_MAP, Reason.PANORAMA, Reason.LIVE_PHOTO):
        assert f"1  {in_words(reason)}" in output
    assert f"2  {in_words(Reason.MOTION)}" in output


def test_what_a_photo_holds_more_comes_back_byte_for_byte(library: Path, scene: Image.Image) -> None:
    kinds = more_than_a_photo(scene)
    for name, (content, _) in kinds.items():
        (library / name).write_bytes(content)
    assert main(["shrink", str(library), "--delete-originals", "--yes", "--min-saving", "0"]) == 0
    assert not list(library.glob("*.jpg"))
    assert main(["restore", str(library)]) == 0
    for name, (content, _) in kinds.items():
        restored = (library / name).read_bytes()
        one, other = (extras.parts_of(read_source(data), data) for data in (content, restored))
        assert other.behind == one.behind, name
        assert len(one.behind) > 1000
        assert (one.multi_picture is None) == (other.multi_picture is None)
        if one.multi_picture is not None:
            assert second_picture(restored) == second_picture(content), "the index points at it"


def test_original_goes_in_a_later_run_that_would_skip_what_holds_more(
    library: Path, scene: Image.Image
) -> None:
    for name, (content, _) in more_than_a_photo(scene).items():
        (library / name).write_bytes(content)
    assert main(["shrink", str(library), "--min-saving", "0"]) == 0
    assert (
        main(["shrink", str(library), "--delete-originals", "--yes", "--skip-extras", "--min-saving", "0"])
        == 0
    )
    assert not list(library.glob("*.jpg"))
    assert main(["verify", str(library)]) == 0


def test_photo_of_a_live_photo_is_shrunk_and_its_video_stays(library: Path, scene: Image.Image) -> None:
    (library / "IMG_1.JPG").write_bytes(jpeg(scene))
    (library / "IMG_1.mov").write_bytes(VIDEO)
    assert main(["shrink", str(library), "--delete-originals", "--yes"]) == 0
    assert sorted(path.name for path in library.iterdir()) == ["IMG_1.JPG.pico", "IMG_1.mov"]


@given(st.binary(max_size=300), st.lists(st.binary(max_size=60), max_size=3), st.booleans())
def test_whatever_lies_behind_a_picture_is_never_dropped_in_silence(
    behind: bytes, heads: list[bytes], several: bool
) -> None:
    reason = more_inside(heads, behind, several=several)
    assert (reason is None) == (not behind and not several)


@given(st.binary(max_size=200))
def test_damaged_multi_picture_index_is_left_alone(noise: bytes) -> None:
    payload = b"MPF\0" + noise
    data = b"\xff\xd8\xff\xe2" + struct.pack(">H", len(payload) + 2) + payload + b"\xff\xd9behind"
    assert len(extras.repair_multi_picture(data)) == len(data)


def test_names_never_collide(library: Path, scene: Image.Image, tmp_path: Path) -> None:
    for name in ("IMG.jpg", "IMG.JPG", "IMG.jpeg"):
        (library / name).write_bytes(jpeg(scene))
    drawing(library / "IMG.png")
    names = sorted(path.name for path in library.iterdir())
    assert main(["shrink", str(library), "--delete-originals", "--yes"]) == 0
    assert sorted(path.name for path in library.iterdir()) == [f"{name}.pico" for name in names]
    assert main(["restore", str(library), "--output", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_raw_pico_pipes_and_links_have_reasons_and_loops_end(library: Path) -> None:
    drawing(library / "a.png")
    (library / "IMG_2.CR2").write_bytes(b"raw")
    (library / "orphan.jpg.pico").write_bytes(b"?")
    os.mkfifo(library / "pipe.jpg")
    (library / "loop").symlink_to(library)
    (library / "broken.jpg").symlink_to("nowhere")
    (library / ".Trash-0").mkdir()
    drawing(library / ".Trash-0" / "old.png")
    found = scan([library])
    assert [photo.name for photo in found.photos] == ["a.png"]
    assert {skipped.path.name: skipped.reason for skipped in found.skipped} == {
        "IMG_2.CR2": Reason.RAW,
        "orphan.jpg.pico": Reason.ALREADY_PICO,
        "pipe.jpg": Reason.NOT_A_FILE,
        "loop": Reason.LINK,
        "broken.jpg": Reason.LINK,
    }


def test_folder_that_cannot_be_listed_does_not_end_the_run(
    library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing(library / "a.png")
    (library / "closed").mkdir()
    listing = os.scandir

    def refuse(folder: str) -> object:
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied", folder)
        return listing(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list every folder
    assert main(["shrink", str(library)]) == 1
    monkeypatch.undo()
    assert "closed: cannot be looked into (Permission denied)" in capsys.readouterr().err
    assert (library / "a.png.pico").exists()


def test_decompression_bomb_is_left_alone(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (library / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + b"\0\0\0\x50IDAT" + bytes(99)
    )
    drawing(library / "fine.png")
    assert main(["shrink", str(library)]) == 0
    assert f"1  {in_words(Reason.TOO_LARGE)}" in capsys.readouterr().out
    assert (library / "fine.png.pico").exists()


def test_placeholders_are_known_by_what_their_systems_say() -> None:
    class Status:
        st_size = 5_000_000

    def status(**fields: int) -> os.stat_result:
        one = Status()
        for name, value in fields.items():
            setattr(one, name, value)
        return one  # type: ignore[return-value]

    assert is_placeholder(status(st_blocks=0))
    assert is_placeholder(status(st_blocks=8, st_flags=0x40000000))
    assert is_placeholder(status(st_file_attributes=0x400000))
    assert not is_placeholder(status(st_blocks=9800, st_flags=0, st_file_attributes=0x20))


def test_empty_blocks_on_this_disk_are_a_placeholder(library: Path) -> None:
    with (library / "cloud.jpg").open("wb") as stream:
        stream.truncate(5_000_000)
    drawing(library / "a.png")
    assert [skipped.reason for skipped in scan([library]).skipped] == [Reason.PLACEHOLDER]


def test_include_and_exclude_choose_by_name_and_folder(library: Path) -> None:
    for name in ("a.png", "b.jpg", "Screenshots/c.png", "2021/d.PNG"):
        (library / name).parent.mkdir(exist_ok=True)
        drawing(library / "x.png").rename(library / name)

    def taken(**choice: tuple[str, ...]) -> list[str]:
        return [photo.name for photo in scan([library], Choice(**choice)).photos]  # type: ignore[arg-type]

    assert taken(include=("*.png",)) == ["a.png", "d.PNG", "c.png"]
    assert taken(exclude=("screenshots",)) == ["a.png", "b.jpg", "d.PNG"]
    assert taken(exclude=("2021/*", "b.*")) == ["a.png", "c.png"]


def test_pico_file_too_unlike_for_a_later_run_can_be_moved_away(library: Path, scene: Image.Image) -> None:
    (library / "a.jpg").write_bytes(jpeg(scene))
    assert main(["shrink", str(library), "--quality", "0", "--max-difference", "2"]) == 0
    score = journal_of(library / "a.jpg").score
    assert score is not None
    archive = ["--archive", str(library.parent / "archive"), "--max-difference", str(0.8 * score)]
    assert main(["shrink", str(library), *archive]) == 0
    assert journal_of(library / "a.jpg").reason == Reason.TOO_UNLIKE
    (library / "a.jpg.pico").unlink()
    assert main(["shrink", str(library), *archive]) == 0
    assert journal_of(library / "a.jpg").outcome is Outcome.SAVED


def test_photo_whose_name_leaves_no_room_for_the_ending_is_left_alone(library: Path) -> None:
    long = drawing(library / "a.png").rename(library / f"{'a' * 247}.png")
    assert main(["shrink", str(library)]) == 0
    assert journal_of(long).reason == Reason.LONG_NAME


def test_extended_attributes_follow(library: Path, tmp_path: Path) -> None:
    photo = drawing(library / "a.png")
    try:
        os.setxattr(photo, "user.xdg.tags", b"holiday")
    except OSError:
        pytest.skip("this disk has no extended attributes")
    assert main(["shrink", str(library), "--delete-originals", "--yes"]) == 0
    assert os.getxattr(library / "a.png.pico", "user.xdg.tags") == b"holiday"
    assert main(["restore", str(library)]) == 0
    assert os.getxattr(photo, "user.xdg.tags") == b"holiday"


def test_target_size_is_kept_and_a_share_counts_from_the_original(library: Path, scene: Image.Image) -> None:
    (library / "a.jpg").write_bytes(jpeg(scene))
    drawing(library / "b.png")
    assert main(["shrink", str(library), "--target-size", "20%", "--max-difference", "2"]) == 0
    for name in ("a.jpg", "b.png"):
        assert (library / f"{name}.pico").stat().st_size <= 0.2 * (library / name).stat().st_size
    with PicoFile(library / "a.jpg.pico") as file:
        assert file.quality is not None
    (library / "a.jpg.pico").unlink()
    assert main(["shrink", str(library), "--target-size", "100B"]) == 0
    assert journal_of(library / "a.jpg").reason == Reason.NO_FIT


def test_photo_beyond_the_memory_allowed_is_left_alone(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("1", (9000, 9000)).save(library / "huge.png")
    drawing(library / "small.png")
    assert main(["shrink", str(library), "--max-memory", "2GB", "--jobs", "4"]) == 0
    assert journal_of(library / "huge.png").reason == Reason.NO_MEMORY
    assert journal_of(library / "small.png").outcome is Outcome.SAVED


def test_real_camera_files_keep_their_metadata(shared: Path, library: Path) -> None:
    for path in sorted((shared / "data" / "camera-files" / "jpg").glob("*.jpg"))[:8]:
        (library / path.name).write_bytes(path.read_bytes())
    sources = {path: read_source(path.read_bytes()) for path in library.iterdir()}
    assert main(["shrink", str(library), "--min-saving", "0"]) == 0
    checked = 0
    for path, source in sources.items():
        target = path.with_name(path.name + ".pico")
        if target.exists():
            with PicoFile(target) as file:
                assert origin.parted(file.metadata)[0] == source.metadata
            checked += 1
    assert checked >= 2
