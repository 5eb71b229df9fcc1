"""Ways back: undo and restore, whatever happened to originals and .pico files meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from library_samples import (
    EXIF_DATE,
    archive,
    drawing,
    files_below,
    fingerprint,
    journal_of,
    pico_library,
)
from library_samples import scene as piece_of_a_photo
from PIL import Image, PngImagePlugin

from pico_codec.cli import main as codec
from pico_codec.source import read_source_file
from pico_library.cli import main
from pico_library.model.records import Original, Outcome
from pico_library.store import places
from pico_library.store.journal import Journal

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos" / "2021").mkdir(parents=True)
    drawing(tmp_path / "Photos" / "0.png")
    drawing(tmp_path / "Photos" / "2021" / "1.png", 9)
    os.utime(tmp_path / "Photos" / "0.png", ns=(10**18, 1_622_862_182_000_000_000))
    return tmp_path / "Photos"


@pytest.mark.parametrize("mode", ["--replace", "--archive"])
def test_undo_brings_every_original_back_as_it_was(mode: str, library: Path) -> None:
    before = fingerprint(library)
    arguments = ["shrink", str(library), "--replace"] if mode == "--replace" else archive(library)
    assert main(arguments) == 0
    assert fingerprint(library) == {}
    assert main(["undo", "1"]) == 0
    assert fingerprint(library) == before
    assert not list(library.rglob("*.pico"))
    assert not list((library.parent / "home").rglob("*.trashinfo"))
    record = journal_of(library / "0.png")
    assert (record.outcome, record.original) == (Outcome.UNDONE, Original.KEPT)
    assert main(["undo", "1"]) == 3, "nothing is left to undo"
    assert main(arguments) == 0, "what was undone can be done again"


def test_original_is_found_in_a_trash_that_holds_its_namesakes_and_a_library(
    library: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands of other files no note is read, or each photo would take as long as all before it."""
    (library / "2022").mkdir()
    drawing(library / "2022" / "1.png", 5)
    before = fingerprint(library)
    notes = home / "share" / "Trash" / "info"
    notes.mkdir(parents=True)
    for number in range(50):
        (notes / f"IMG_{number}.jpg.trashinfo").write_text(f"[Trash Info]\nPath=/photos/IMG_{number}.jpg\n")
    read = Path.read_text
    looked_at = []

    def watched(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        looked_at.append(self.name)
        return read(self, encoding, errors)

    monkeypatch.setattr(Path, "read_text", watched)
    assert main(["shrink", str(library), "--replace"]) == 0
    assert not [name for name in looked_at if name.startswith("IMG_")]
    assert main(["undo", "1"]) == 0
    assert fingerprint(library) == before


def test_undo_of_a_run_beside_removes_only_what_the_run_wrote(library: Path) -> None:
    assert main(["shrink", str(library)]) == 0
    (library / "0.png.pico").write_bytes(b"changed by somebody")
    assert main(["undo", "1"]) == 0
    assert [path.name for path in library.rglob("*.pico")] == ["0.png.pico"]


def test_undo_keeps_the_pico_file_of_a_photo_whose_name_another_took(library: Path) -> None:
    assert main(["shrink", str(library)]) == 0
    drawing(library / "0.png", 99)
    assert main(["undo", "1"]) == 1
    assert [path.name for path in library.rglob("*.pico")] == ["0.png.pico"]


def test_undo_of_replacing_keeps_pico_files_of_an_earlier_run(library: Path) -> None:
    assert main(["shrink", str(library)]) == 0
    assert main(archive(library)) == 0
    before = sorted(path.name for path in library.rglob("*.pico"))
    assert main(["undo", "2"]) == 0
    assert sorted(path.name for path in library.rglob("*.p*")) == sorted(["0.png", "1.png", *before])


def test_undo_removes_what_its_run_wrote_even_if_another_run_had_written_the_same(
    library: Path, tmp_path: Path
) -> None:
    for folder in ("first", "second"):
        assert main(["shrink", str(library), "--output", str(tmp_path / folder)]) == 0
    assert main(["undo", "2"]) == 0
    assert files_below(tmp_path / "second") == []
    assert files_below(tmp_path / "first") == ["0.png.pico", "1.png.pico"]
    assert main(["undo", "1"]) == 0
    assert files_below(tmp_path / "first") == []


def test_undo_removes_a_pico_file_that_was_written_anew(library: Path) -> None:
    assert main(["shrink", str(library)]) == 0
    (library / "0.png.pico").unlink()
    assert main(archive(library)) == 0
    assert main(["undo", "2"]) == 0
    assert files_below(library) == ["0.png", "1.png", "1.png.pico"]


def test_undo_never_removes_a_pico_file_that_no_run_wrote(library: Path) -> None:
    photo = library / "0.png"
    assert codec(["encode", str(photo), f"{photo}.pico"]) == 0
    times = photo.stat()
    os.utime(f"{photo}.pico", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert main(["shrink", str(photo)]) == 0
    assert main(["undo", "1"]) == 0
    assert main(["shrink", str(photo), "--archive", str(library.parent / "archive")]) == 0
    assert main(["undo", "2"]) == 0
    assert files_below(library) == ["0.png", "0.png.pico", "1.png"]


def test_undo_says_what_cannot_come_back(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(library / "0.png"), "--delete-originals", "--yes"]) == 0
    assert main(archive(library)) == 0
    gone = journal_of(library / "2021" / "1.png").original_at
    assert gone is not None
    gone.unlink()
    capsys.readouterr()
    assert main(["undo", "1"]) == 1
    assert "removed for good; `pico-library restore`" in capsys.readouterr().err
    assert main(["undo", "2"]) == 1
    assert "is no longer at" in capsys.readouterr().err
    assert len(list(library.rglob("*.pico"))) == 2, "no .pico file goes before its original is back"
    assert main(["undo", "9"]) == 2


def test_undo_tells_in_words_what_the_disk_refuses_and_what_to_do(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library / "0.png")]) == 0
    assert main(archive(library / "2021")) == 0
    unlink, opening = Path.unlink, Path.open

    def refuse_to_remove(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".pico":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        unlink(self, missing_ok)

    def refuse_to_open(self: Path, *how: Any, **more: Any) -> Any:
        if self.name == "1.png":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return opening(self, *how, **more)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse_to_remove)
        patch.setattr(Path, "open", refuse_to_open)
        assert main(["undo", "1"]) == 1
        assert main(["undo", "2"]) == 1
    removal, reading = capsys.readouterr().err.splitlines()
    assert removal.endswith(
        "0.png: its original is in its place, but its .pico file cannot be removed (Read-only file system); "
        "see that its folder may be written to, and run undo again"
    )
    assert "1.png: input/output error at " in reading
    assert reading.endswith("see that its disk is connected and that you may read it, and run undo again")
    assert main(["undo", "1"]) == 0


def test_undo_never_replaces_a_file_that_took_the_name(library: Path) -> None:
    assert main(archive(library)) == 0
    (library / "0.png").write_bytes(b"another photo")
    assert main(["undo", "1"]) == 1
    assert (library / "0.png").read_bytes() == b"another photo"
    assert (library / "2021" / "1.png").exists()
    assert (library / "0.png.pico").exists()


def test_original_put_back_by_hand_can_leave_again(library: Path) -> None:
    assert main(archive(library)) == 0
    where = journal_of(library / "0.png").original_at
    assert where is not None
    where.rename(library / "0.png")
    assert main(["shrink", str(library), "--replace"]) == 0
    record = journal_of(library / "0.png")
    assert record.original is Original.TRASHED
    assert main(["undo", "2"]) == 0
    assert (library / "0.png").exists()
    assert (library / "0.png.pico").exists(), "it is of the first run"


def test_archive_inside_the_library_is_refused(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = fingerprint(library)
    assert main(["shrink", str(library), "--archive", str(library / "originals")]) == 2
    assert "choose a folder outside" in capsys.readouterr().err
    assert fingerprint(library) == before
    assert not list(library.rglob("*.pico"))


def test_undo_that_was_killed_can_be_finished(library: Path) -> None:
    before = fingerprint(library)
    assert main(archive(library)) == 0
    done = pico_library("undo", "1", PICO_LIBRARY_FAULT="restored=kill")
    assert done.returncode == -signal.SIGKILL
    assert main(["undo", "1"]) == 0
    assert fingerprint(library) == before
    assert not list(library.rglob("*.pico"))
    assert main(["undo", "1"]) == 3, "nothing is left to undo"


@pytest.mark.parametrize("mode", ["--replace", "--archive"])
def test_undo_goes_on_when_the_original_was_put_back_by_hand(mode: str, library: Path) -> None:
    before = fingerprint(library)
    assert main(["shrink", str(library), "--replace"] if mode == "--replace" else archive(library)) == 0
    where = journal_of(library / "0.png").original_at
    assert where is not None
    where.rename(library / "0.png")
    assert main(["undo", "1"]) == 0
    assert fingerprint(library) == before
    assert not list(library.rglob("*.pico"))


def test_undo_gives_back_the_date_and_tags_that_the_archive_could_not_hold(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive lies on a disk of another kind, which the system refuses in these ways."""
    photo = library / "0.png"
    try:
        os.setxattr(photo, "user.xdg.tags", b"grandma")
    except OSError:
        pytest.skip("this disk has no extended attributes")
    before, away = fingerprint(library), library.parent / "archive"
    link, set_attribute, utime = os.link, os.setxattr, os.utime

    def link_within(source: Path, target: Path) -> None:
        if (away in Path(source).parents) != (away in Path(target).parents):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    def set_at_home(path: Path, name: str, value: bytes) -> None:
        if away in path.parents:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        set_attribute(path, name, value)

    def date_at_home(path: Path, ns: tuple[int, int]) -> None:
        utime(path, ns=(0, 0) if away in path.parents else ns)

    monkeypatch.setattr(os, "link", link_within)
    monkeypatch.setattr(os, "setxattr", set_at_home)
    monkeypatch.setattr(os, "utime", date_at_home)
    assert main(archive(library)) == 0
    assert main(["undo", "1"]) == 0
    assert fingerprint(library) == before
    assert os.getxattr(photo, "user.xdg.tags") == b"grandma"


def test_restored_picture_has_every_byte_of_metadata_and_its_date(tmp_path: Path, samples: Path) -> None:
    folder = tmp_path / "Photos"
    folder.mkdir()
    im = piece_of_a_photo(samples)
    icc = b"\0\0\0\x80lcms" + bytes(120)
    im.save(folder / "a.jpg", quality=97, exif=EXIF_DATE, comment=b"a comment", icc_profile=icc, xmp=b"<x/>")
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "me")
    texts.add_itxt("Title", "caf\u00e9")
    drawing(folder / "b.png")
    with Image.open(folder / "b.png") as plain:
        plain.save(folder / "b.png", pnginfo=texts, dpi=(300, 300), compress_level=0, exif=EXIF_DATE)
    for path in folder.iterdir():
        os.utime(path, ns=(10**18, 1_622_862_182_000_000_000))
        path.chmod(0o640)
    sources = {path.name: read_source_file(path) for path in folder.iterdir()}
    assert main(["shrink", str(folder), "--delete-originals", "--yes"]) == 0
    assert main(["restore", str(folder)]) == 0
    for name, source in sources.items():
        again = read_source_file(folder / name)
        assert (again.metadata.exif, again.metadata.xmp, again.metadata.icc) == (
            source.metadata.exif,
            source.metadata.xmp,
            source.metadata.icc,
        )
        assert sorted(map(repr, again.metadata.extras)) == sorted(map(repr, source.metadata.extras))
        assert again.pixels.shape == source.pixels.shape
        status = (folder / name).stat()
        assert (status.st_mtime_ns, status.st_mode & 0o777) == (1_622_862_182_000_000_000, 0o640)


def test_restore_replaces_nothing_and_names_what_a_format_cannot_hold(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    before = fingerprint(library)
    assert main(["restore", str(library)]) == 1
    assert "exists already; move it away" in capsys.readouterr().err
    assert fingerprint(library) == before
    assert main(["restore", str(library), "--format", "webp", "--output", str(library.parent / "out")]) == 0
    written = sorted(
        path.relative_to(library.parent / "out") for path in (library.parent / "out").rglob("*.webp")
    )
    assert written == [Path("0.webp"), Path("2021/1.webp")]
    assert main(["restore", str(library.parent / "out")]) == 3


def test_undo_takes_several_runs_back_the_newest_first(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a day of watching: every batch is a run of its own."""
    before = fingerprint(library)
    assert main(["shrink", str(library / "0.png")]) == 0
    assert main(["shrink", str(library / "2021")]) == 0
    assert main(archive(library)) == 0
    capsys.readouterr()
    assert main(["undo", "1-3"]) == 0
    assert "Undid 2 photos of runs 1-3; 2 originals brought back." in capsys.readouterr().out
    assert fingerprint(library) == before
    assert not list(library.rglob("*.pico"))
    assert main(["history"]) == 0
    assert capsys.readouterr().out.count("undone") == 3
    assert main(["undo", "1-3"]) == 3
    assert "Nothing to undo in runs 1-3." in capsys.readouterr().out


def test_undo_of_several_runs_leaves_the_others_alone_and_names_what_stays(library: Path) -> None:
    for photo in (library / "0.png", library / "2021" / "1.png"):
        assert main(["shrink", str(photo)]) == 0
    drawing(library / "2.png", 5)
    assert main(["shrink", str(library)]) == 0
    drawing(library / "0.png", 20)  # its .pico file is all that is left of the first
    assert main(["undo", "1-2"]) == 1
    assert files_below(library) == ["0.png", "0.png.pico", "1.png", "2.png", "2.png.pico"]
    with Journal(places.journal_file()) as journal:
        assert [run.state for run in journal.runs()] == ["finished", "undone", "finished"]


@pytest.mark.parametrize("runs", ["2-3", "7-99999999999999999999", "8"])
def test_runs_that_there_are_not_are_named(
    runs: str, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    assert main(["undo", runs]) == 2
    assert f"{runs}: there is no such run" in capsys.readouterr().err


@pytest.mark.parametrize("runs", ["", "-", "1-", "one", "1-2-3", "2-1"])
def test_numbers_of_runs_that_are_none_are_refused(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["undo", runs]) == 2
    assert "as in 7 or 3-9" in capsys.readouterr().err


def test_undo_puts_nothing_where_a_disk_is_only_mounted(library: Path, tmp_path: Path) -> None:
    before = fingerprint(library)
    assert main(archive(library)) == 0
    library.rename(tmp_path / "disk")
    library.mkdir()  # what is left of the place when the disk is away
    assert main(["undo", "1"]) == 1
    library.rmdir()  # which it could not if anything lay there
    (tmp_path / "disk").rename(library)
    assert main(["undo", "1"]) == 0
    assert fingerprint(library) == before


def test_undo_in_a_folder_that_was_renamed_says_so_and_leaves_the_originals_where_they_are(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(archive(library)) == 0
    library.rename(tmp_path / "Pictures")
    assert main(["undo", "1"]) == 1
    assert "was it renamed" in capsys.readouterr().err
    assert not library.exists()
    (tmp_path / "Pictures").rename(library)
    assert main(["undo", "1"]) == 0


def test_undo_with_a_damaged_journal_says_that_photos_may_be_missing(
    library: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library), "--replace"]) == 0
    _forget_the_last_photo_without_a_trace()
    assert main(["undo", "1"]) == 1
    assert "journal.sqlite3: is damaged (" in capfd.readouterr().err
    assert (library / "0.png").is_file(), "what is still known is undone all the same"


def _forget_the_last_photo_without_a_trace() -> None:
    """Lower the count of rows on the page that holds the photos, as a damaged disk might."""
    file = places.journal_file()
    with contextlib.closing(sqlite3.connect(file)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'photos'").fetchone()
    content = bytearray(file.read_bytes())
    count = (page - 1) * size + 3
    assert content[count : count + 2] == b"\0\2"
    content[count + 1] = 1
    file.write_bytes(content)
