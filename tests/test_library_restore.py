"""Ways back where something is in the way: pipes, full disks, later runs, and what a killed process left behind."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_samples import EXIF_DATE, archive, closed_to, drawing, pico_library
from PIL import ExifTags, Image

from pico_codec import returned
from pico_codec.convert import picture_bytes
from pico_codec.source import read_source_file
from pico_core import Metadata, encode
from pico_core.container import Extra
from pico_core.errors import CorruptError, PicoError
from pico_library.cli import main
from pico_library.run import restore as restoring
from pico_library.store.scan import scan

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos").mkdir()
    drawing(tmp_path / "Photos" / "0.png")
    drawing(tmp_path / "Photos" / "1.png", 9)
    return tmp_path / "Photos"


def with_metadata(path: Path, metadata: Metadata) -> Path:
    path.write_bytes(encode(np.zeros((8, 8, 3), np.uint8), lossless=True, metadata=metadata))
    return path


def other_disk(folder: Path) -> Callable[[Path, Path], None]:
    """`os.link`, with everything outside a folder on another disk than what is in it."""
    link = os.link

    def linked(source: Path, target: Path) -> None:
        if Path(source).is_relative_to(folder) != Path(target).is_relative_to(folder):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    return linked


@pytest.mark.parametrize("command", ["verify", "restore"])
def test_pipe_named_like_a_pico_file_is_reported_and_the_others_are_done(
    command: str, library: Path, tmp_path: Path
) -> None:
    assert main(["shrink", str(library)]) == 0
    os.mkfifo(library / "00.png.pico")
    options = ["--output", str(tmp_path / "out")] if command == "restore" else []
    done = pico_library(command, library, *options)
    assert done.returncode == 1
    assert "00.png.pico: is a pipe, socket or device and no file; move it away" in done.stderr
    assert ("Restored 2 pictures" if command == "restore" else "2 .pico files fine") in done.stdout


def test_restore_onto_a_full_disk_names_the_place_and_leaves_nothing(
    library: Path, disk_of: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    disk = disk_of(64)
    room = os.statvfs(disk)
    (disk / "other.bin").write_bytes(bytes(room.f_bavail * room.f_frsize))
    capsys.readouterr()
    assert main(["restore", str(library), "--output", str(disk)]) == 1
    message = f"cannot write {disk / '0.png'} (No space left on device); choose another folder with --output"
    assert message in capsys.readouterr().err
    assert [path.name for path in disk.iterdir()] == ["other.bin"]


def test_restore_into_something_that_is_no_folder_is_named(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    (tmp_path / "file").write_bytes(b"")
    assert main(["restore", str(library), "--output", str(tmp_path / "file")]) == 2
    assert (
        f"{tmp_path / 'file'}: is no folder; choose another folder with --output" in capsys.readouterr().err
    )


def test_restored_file_whose_comment_differs_is_discarded(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same names of items are not enough: it is their bytes that have to come back."""
    drawing(library / "0.png")
    content = (library / "0.png").read_bytes()
    (library / "0.png").write_bytes(content[:33] + b"\0\0\0\x04tEXtKey\0\x4b\x70\xc2\x00" + content[33:])
    assert main(["shrink", str(library)]) == 0
    into_png = returned.into_png

    def garble(data: bytes, items: Sequence[Extra]) -> tuple[bytes, list[Extra]]:
        return into_png(data, [replace(one, data=one.data[::-1]) for one in items])

    monkeypatch.setattr(returned, "into_png", garble)
    with pytest.raises(CorruptError, match="tEXt did not come back"):
        restoring.restore(library / "0.png.pico", tmp_path / "0.png")
    assert not (tmp_path / "0.png").exists()


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"], ids=["bare", "with prefix"])
@pytest.mark.parametrize("length", [0, 70_000])
def test_exif_of_any_format_comes_back_in_every_other(
    length: int, prefix: bytes, extension: str, tmp_path: Path
) -> None:
    """In JPEG and PNG sources EXIF has a prefix, in WebP sources none; in a JPEG file it may take two segments."""
    bare = EXIF_DATE.removeprefix(b"Exif\0\0") + bytes(length)
    pico = with_metadata(tmp_path / "a.pico", Metadata(exif=prefix + bare))
    restored = restoring.restore(pico, tmp_path / f"a.{extension}")
    assert restored.lost == ()
    with Image.open(restored.target) as im:
        assert im.info["exif"].removeprefix(b"Exif\0\0") == bare
        assert im.getexif()[ExifTags.Base.DateTime] == "2021:06:05 04:03:02"


def test_xmp_that_no_jpeg_can_hold_is_named_with_what_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xmp = "<x:xmpmeta/>".encode("utf-16") * 3000
    pico = with_metadata(tmp_path / "a.pico", Metadata(xmp=xmp))
    assert main(["restore", str(pico)]) == 0
    message = "a.jpg: note: only the .pico file holds XMP; choose --format png or webp to keep XMP"
    assert message in capsys.readouterr().err
    for extension in ("png", "webp"):
        assert main(["restore", str(pico), "--format", extension]) == 0
        assert read_source_file(tmp_path / f"a.{extension}").metadata.xmp == xmp
    assert not capsys.readouterr().err


def test_density_of_a_scan_comes_back(library: Path) -> None:
    """Without EXIF it is in the JFIF segment, which Pillow writes anew."""
    with Image.open(library / "0.png") as scan:
        scan.save(library / "scan.jpg", quality=100, subsampling=0, dpi=(600, 600))
    assert main(["shrink", str(library / "scan.jpg"), "--delete-originals", "--yes"]) == 0
    assert main(["restore", str(library / "scan.jpg.pico")]) == 0
    with Image.open(library / "scan.jpg") as restored:
        assert restored.info["dpi"] == (600, 600)


def test_density_of_a_scan_comes_back_in_a_png_and_is_not_said_to_be_lost(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(library / "0.png") as scan:
        scan.save(library / "scan.jpg", quality=100, subsampling=0, dpi=(600, 600))
    assert main(["shrink", str(library / "scan.jpg")]) == 0
    capsys.readouterr()
    assert main(["restore", str(library / "scan.jpg.pico"), "--format", "png"]) == 0
    assert not capsys.readouterr().err
    with Image.open(library / "scan.png") as restored:
        assert restored.info["dpi"] == pytest.approx((600, 600), abs=0.01)


@pytest.mark.parametrize("command", ["verify", "restore"])
def test_folder_that_cannot_be_listed_is_named_and_the_others_are_done(
    command: str,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (library / "closed").mkdir()
    assert main(["shrink", str(library)]) == 0
    listing = os.scandir

    def refuse(folder: str) -> object:
        if str(folder).endswith("closed"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), folder)
        return listing(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list every folder
    options = ["--output", str(tmp_path / "out")] if command == "restore" else []
    assert main([command, str(library), *options]) == 1
    assert main([command, str(library / "closed")]) == 1
    monkeypatch.undo()
    output = capsys.readouterr()
    message = "cannot be looked into (Input/output error); see that you may read it"
    assert output.err == f"pico-library: {library / 'closed'}: {message}\n" * 2
    assert ("Restored 2 pictures" if command == "restore" else "2 .pico files fine") in output.out


@pytest.mark.parametrize("command", ["shrink", "restore", "verify", "view", "watch"])
def test_path_below_a_folder_that_cannot_be_entered_is_named_with_what_to_do(
    command: str, library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may enter every folder, and some versions of Python raise here, where others see nothing."""
    closed_to(library, monkeypatch)
    assert main([command, str(library)]) == 1
    message = (
        f"{library}: cannot be looked at (Permission denied); see that you may open the folder that it is in"
    )
    assert capsys.readouterr().err == f"pico-library: {message}\n"


def test_search_below_a_folder_that_cannot_be_entered_raises_an_error_of_the_project(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_to(library, monkeypatch)
    for search in (restoring.find, scan):
        with pytest.raises(PicoError, match="Photos: cannot be looked at"):
            list(search([library]))  # type: ignore[operator]


def test_undo_of_a_run_before_the_one_in_which_the_original_left_says_which_comes_first(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    assert main(archive(library)) == 0
    assert main(["undo", "1"]) == 1
    assert "0.png: its original left with run 2; first say: pico-library undo 2" in capsys.readouterr().err
    assert main(["undo", "2"]) == 0
    assert main(["undo", "1"]) == 0
    assert sorted(path.name for path in library.iterdir()) == ["0.png", "1.png"]


def test_undo_leaves_no_litter_of_one_that_was_killed_while_it_copied(library: Path) -> None:
    assert main(archive(library)) == 0
    (library / ".0123456789abcdef.pico-part").write_bytes(b"half of an original")
    assert main(["undo", "1"]) == 0
    assert sorted(path.name for path in library.iterdir()) == ["0.png", "1.png"]


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_original_that_cannot_leave_its_folder_has_one_place_and_leaves_in_the_next_run(
    mode: str,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A folder that one may read, but not take from: the archive must not keep a second name or a copy."""
    assert main(["shrink", str(library)]) == 0
    with monkeypatch.context() as patch:
        unlink = Path.unlink

        def refuse(self: Path, missing_ok: bool = False) -> None:
            if self.suffix == ".png" and self.parent == library:
                raise PermissionError(13, "Permission denied")
            unlink(self, missing_ok)

        patch.setattr(Path, "unlink", refuse)
        if mode == "copy":
            patch.setattr(os, "link", other_disk(library))
        assert main(archive(library)) == 1
    assert "0.png: its original cannot be moved to" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "archive").rglob("*") if path.is_file()]
    assert main(archive(library)) == 0
    assert sorted(path.name for path in library.iterdir()) == ["0.png.pico", "1.png.pico"]
    assert sorted(path.name for path in (tmp_path / "archive").rglob("*.png")) == ["0.png", "1.png"]


def test_originals_come_back_from_an_archive_that_is_read_only(
    library: Path, disk_of: Callable[[int], Path]
) -> None:
    disk = disk_of(512)
    before = {path.name: path.read_bytes() for path in library.iterdir()}
    assert main(["shrink", str(library), "--archive", str(disk / "archive")]) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert main(["undo", "1"]) == 0
    assert {path.name: path.read_bytes() for path in library.iterdir()} == before


def test_photo_that_may_not_be_read_says_what_to_do(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opening = os.open

    def refuse(path: Path, *how: int) -> int:
        if Path(path).name == "0.png":
            raise PermissionError(13, "Permission denied")
        return opening(path, *how)

    monkeypatch.setattr(os, "open", refuse)
    assert main(["shrink", str(library)]) == 1
    assert "0.png: cannot be read (Permission denied); see that you may read it" in capsys.readouterr().err
    assert (library / "1.png.pico").exists()


def test_original_that_cannot_come_back_says_what_to_do(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(archive(library)) == 0
    monkeypatch.setenv("PICO_LIBRARY_FAULT", "copied=ENOSPC")
    monkeypatch.setattr(os, "link", other_disk(library))
    assert main(["undo", "1"]) == 1
    assert "(No space left on device); see that its folder has room" in capsys.readouterr().err
    monkeypatch.undo()


@pytest.mark.parametrize("command", ["verify", "restore"])
def test_pico_file_is_done_once_however_many_paths_lead_to_it(
    command: str, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    below = library / "2024"
    below.mkdir()
    (library / "1.png").rename(below / "1.png")
    assert main(["shrink", str(library)]) == 0
    capsys.readouterr()
    paths = [below, library, below / "1.png.pico", library / "2024" / ".." / "0.png.pico", library]
    options = ["--output", str(tmp_path / "out")] if command == "restore" else []
    assert main([command, *map(str, paths), *options]) == 0
    said = "Restored 2 pictures.\n" if command == "restore" else "2 .pico files fine.\n"
    assert capsys.readouterr() == (said, "")
    if command == "restore":
        names = [
            str(path.relative_to(tmp_path / "out")) for path in sorted((tmp_path / "out").rglob("*.png"))
        ]
        assert names == ["0.png", "1.png"], "as the first path has it that leads there"


def test_folder_that_cannot_be_listed_is_named_once_however_many_paths_lead_to_it(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = os.scandir
    closed = library / "closed"
    closed.mkdir()

    def refuse(folder: str) -> object:
        if str(folder) == str(closed):
            raise OSError(errno.EIO, os.strerror(errno.EIO), folder)
        return listing(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert main(["restore", str(library), str(closed)]) == 1
    told = capsys.readouterr()
    assert told.out == "Restored 0 pictures. Failed: 1, see above.\n"
    assert told.err.count("cannot be looked into") == 1


@pytest.mark.parametrize("name", ["a.jpg", ".jpg", "photo.jpg", ".pico"])
@pytest.mark.parametrize("command", ["restore", "verify", "verify --against"])
def test_picture_that_is_no_pico_file_is_called_that_and_not_damaged(
    command: str, name: str, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(library / "0.png") as im:
        im.save(library / name, "JPEG")
    against = ["--against", str(library)] if "--" in command else []
    assert main([command.split()[0], str(library / name), *against]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"pico-library: {library / name}: ")
    assert error.endswith("; only .pico files can be read here\n")


@pytest.mark.parametrize("name", ["a.bin", "scan", ".pico", "holiday.png", "holiday.PNG.PICO"])
def test_pico_file_of_another_name_is_restored_under_that_name_and_an_ending(
    name: str, library: Path, tmp_path: Path
) -> None:
    with_metadata(library / name, Metadata())
    assert main(["restore", str(library / name), "--output", str(tmp_path / "out")]) == 0
    expected = {"holiday.png": "holiday.png", "holiday.PNG.PICO": "holiday.PNG"}.get(name, f"{name}.jpg")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [expected]


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture with more than twice as many pixels as Pillow may open; each of its tiles has fewer."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500_000)
    pixels = np.zeros((1100, 1000, 3), np.uint8)
    (tmp_path / "a.pico").write_bytes(encode(pixels, lossless=True, metadata=Metadata(exif=EXIF_DATE)))
    return tmp_path / "a.pico"


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_picture_above_the_limit_of_pillow_is_restored_and_the_limit_holds_for_others_all_the_while(
    extension: str, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, opening = set(), Image.open

    def look(*arguments: Any, **options: Any) -> Image.Image:
        limits.add(Image.MAX_IMAGE_PIXELS)
        return opening(*arguments, **options)

    monkeypatch.setattr(Image, "open", look)
    restored = restoring.restore(large, large.with_suffix(f".{extension}"))
    assert restored.lost == ()
    assert (limits, Image.MAX_IMAGE_PIXELS) == ({500_000}, 500_000)


def test_what_a_python_prints_when_it_starts_does_not_disturb_reading_back(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = tmp_path / "site"
    noisy.mkdir()
    (noisy / "sitecustomize.py").write_text("print('welcome')\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(noisy), os.environ.get("PYTHONPATH", "")]))
    assert restoring.restore(large, large.with_suffix(".png")).lost == ()


def test_picture_above_the_limit_of_pillow_that_cannot_be_read_back_is_discarded(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*arguments: Any) -> tuple[bytes, list[Extra], list[str]]:
        data, left, lost = picture_bytes(*arguments)
        return data[: len(data) // 2], left, lost

    monkeypatch.setattr(restoring, "picture_bytes", half)
    with pytest.raises(CorruptError, match="cannot be read back"):
        restoring.restore(large, large.with_suffix(".png"))
    assert list(large.parent.glob("*a*")) == [large]
    assert Image.MAX_IMAGE_PIXELS == 500_000


def test_many_names_that_are_taken_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        drawing(tmp_path / f"{number:02}.png", number)
    assert main(["shrink", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["restore", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9
    assert lines[0].endswith("00.png exists already; move it away, or choose another folder with --output")
    assert lines[-1] == "pico-library: 12 more: exist already; choose another folder with --output"


def test_pico_file_with_bytes_behind_it_is_restored_and_verify_complains(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    longer = library / "0.png.pico"
    with longer.open("ab") as stream:
        stream.write(b"tail")
    capsys.readouterr()
    out = tmp_path / "out"
    note = f"{longer}: note: 4 bytes follow the end of the picture; not read"
    assert main(["restore", str(library), "--output", str(out)]) == 0
    assert note in capsys.readouterr().err
    assert np.array_equal(np.asarray(Image.open(out / "0.png")), np.asarray(Image.open(library / "0.png")))
    assert main(["export", str(longer), "--output", str(tmp_path / "shared")]) == 0
    assert note in capsys.readouterr().err
    assert main(["verify", str(library)]) == 1
    told = capsys.readouterr()
    assert f"{longer}: 4 bytes follow the end of the picture" in told.err
    assert "1 .pico file fine. 1 NOT" in told.out
