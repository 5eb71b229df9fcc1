"""Originals leave only when their .pico file stands for them, as it is then: whatever changes meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from library_samples import (
    ENDINGS,
    ask,
    check_that_the_next_run_finishes,
    drawing,
    files_below,
    fingerprint,
    folder_of_drawings,
    journal_of,
)

from pico_library.cli import main
from pico_library.model.reasons import Reason
from pico_library.model.records import Original, Record
from pico_library.store.journal import Journal

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 2)


def test_original_that_changes_while_it_is_read_stays(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor saves the photo while the verifier looks at it."""
    from pico_library.check.verifier import Verifier

    check = Verifier.check_against

    def edit_first(self: Verifier, target: Path, original: Path, *, keep_extras: bool = False) -> object:
        checked = check(self, target, original, keep_extras=keep_extras)
        drawing(original, 77)
        return checked

    monkeypatch.setattr(Verifier, "check_against", edit_first)
    assert main(ask("delete", library)) == 0
    assert files_below(library) == ["0.png", "1.png"]
    assert journal_of(library / "0.png").reason == Reason.CHANGING


@pytest.mark.parametrize("mode", ENDINGS)
def test_original_that_changes_when_it_is_about_to_leave_stays(
    mode: str, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor saves the photo while the journal notes that it is leaving."""
    record = Journal.record

    def edit_then(self: Journal, *records: Record) -> None:
        record(self, *records)
        for one in records:
            if one.original is Original.LEAVING:
                drawing(one.path, 77)

    monkeypatch.setattr(Journal, "record", edit_then)
    assert main(ask(mode, library)) == 0
    assert files_below(library) == ["0.png", "0.png.pico", "1.png", "1.png.pico"]
    assert journal_of(library / "0.png").original is Original.KEPT
    assert (library / "0.png").read_bytes() == drawing(library.parent / "edited.png", 77).read_bytes()


@pytest.mark.parametrize("mode", ENDINGS)
@pytest.mark.parametrize("video", ["IMG_1.MOV", "img_1.mp4"])
def test_photo_whose_video_arrives_while_it_is_shrunk_stays(
    video: str, mode: str, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phones bring the two parts of a Live Photo one after the other."""
    from pico_library.check.verifier import Verifier

    check = Verifier.check_against
    photo = drawing(library / "0.png").rename(library / "IMG_1.JPG")

    def arrive(self: Verifier, target: Path, original: Path, *, keep_extras: bool = False) -> object:
        (library / video).write_bytes(b"a video")
        return check(self, target, original, keep_extras=keep_extras)

    monkeypatch.setattr(Verifier, "check_against", arrive)
    assert main([*ask(mode, library), "--skip-extras"]) == 0
    assert files_below(library) == ["1.png.pico", "IMG_1.JPG", "IMG_1.JPG.pico", video]
    assert journal_of(photo).original is Original.KEPT
    assert main(ask(mode, library)) == 0
    assert files_below(library) == ["1.png.pico", "IMG_1.JPG.pico", video]


@pytest.mark.parametrize("disk", ["the same", "another"])
def test_original_that_changes_on_its_way_to_the_archive_stays(
    disk: str, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor saves the photo anew after the archive has it."""
    link, photo = os.link, library / "0.png"

    def save_anew(source: Path, target: Path) -> None:
        if source == photo and disk == "another":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)
        if Path(target).name == photo.name:
            drawing(library.parent / "edited.png", 77).replace(photo)

    monkeypatch.setattr(os, "link", save_anew)
    assert main(ask("archive", library)) == 1
    assert photo.read_bytes() == drawing(library.parent / "edited.png", 77).read_bytes()
    assert files_below(library.parent / "archive") == ["1.png"]
    assert journal_of(photo).original is Original.KEPT


def test_file_that_appears_under_the_name_meanwhile_is_never_replaced(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pico_library.check.verifier import Verifier

    check = Verifier.check_against

    def appear(self: Verifier, target: Path, original: Path, *, keep_extras: bool = False) -> object:
        original.with_name(original.name + ".pico").write_bytes(b"precious")
        return check(self, target, original, keep_extras=keep_extras)

    monkeypatch.setattr(Verifier, "check_against", appear)
    assert main(ask("delete", library)) == 0
    assert sorted(path.read_bytes() for path in library.glob("*.pico")) == [b"precious"] * 2
    assert journal_of(library / "0.png").reason == Reason.NAME_TAKEN
    assert len(list(library.glob("*.png"))) == 2


def test_library_shrunk_beside_first_can_be_replaced_later(library: Path) -> None:
    before = {path: path.read_bytes() for path in library.iterdir()}
    assert main(ask("beside", library)) == 0
    written = {path: path.stat().st_ino for path in library.glob("*.pico")}
    check_that_the_next_run_finishes("replace", library, before)
    assert {path: path.stat().st_ino for path in library.glob("*.pico")} == written, (
        "nothing was encoded again"
    )


def test_pico_file_that_goes_bad_after_its_check_lets_no_original_go(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pico_library.photo import Pipeline

    let_go = Pipeline._let_go

    def spoil(self: Pipeline, record: Record) -> object:
        assert record.target is not None
        record.target.write_bytes(record.target.read_bytes()[:-1])
        return let_go(self, record)

    monkeypatch.setattr(Pipeline, "_let_go", spoil)
    before = fingerprint(library)
    assert main(ask("delete", library)) == 1
    assert fingerprint(library) == before
    assert "is no longer what was verified, so its original stays" in capsys.readouterr().err
    assert journal_of(library / "0.png").original is Original.KEPT


def test_damaged_pico_file_lets_no_original_go(library: Path) -> None:
    assert main(ask("beside", library)) == 0
    content = bytearray((library / "0.png.pico").read_bytes())
    content[-50] ^= 1
    (library / "0.png.pico").write_bytes(content)
    assert main(ask("delete", library)) == 0
    assert files_below(library) == ["0.png", "0.png.pico", "1.png.pico"]
    assert journal_of(library / "0.png").reason == Reason.NAME_TAKEN


def test_hard_linked_original_is_not_removed(library: Path) -> None:
    (library.parent / "second-name.png").hardlink_to(library / "0.png")
    assert main(ask("replace", library)) == 0
    assert (library / "0.png").exists()
    assert not (library / "0.png.pico").exists()
    assert not (library / "1.png").exists()


def test_real_photos_are_replaced_through_the_real_verifier(library: Path, samples: Path) -> None:
    (library / "flowers.jpg").write_bytes((samples / "flowers.jpg").read_bytes())
    assert main(ask("replace", library)) == 0
    assert files_below(library) == ["0.png.pico", "1.png.pico", "flowers.jpg.pico"]


@pytest.mark.parametrize("mode", ["replace", "archive"])
def test_original_in_a_folder_that_may_not_be_written_to_says_so(
    mode: str, library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may write to every folder, so the system's two answers are given here."""
    assert main(ask("beside", library)) == 0
    unlink = os.unlink

    def refuse_to_remove(path: Any) -> None:
        if Path(os.fsdecode(path)).parent == library:
            refuse_access()
        unlink(path)

    monkeypatch.setattr(os, "access", lambda path, _: Path(os.fsdecode(path)) != library)
    monkeypatch.setattr(os, "rename", refuse_access)
    monkeypatch.setattr(os, "unlink", refuse_to_remove)
    capsys.readouterr()
    assert main(ask(mode, library)) == 1
    said = capsys.readouterr().err
    assert f"(Permission denied); see that its folder {library} may be written to" in said
    assert "--archive" not in said
    assert (library / "0.png").exists()


def test_original_that_the_trash_does_not_take_can_go_to_an_archive(
    library: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "share" / "Trash").write_text("a file where the folder should be")
    assert main(ask("replace", library)) == 1
    assert "cannot be moved to the Trash (File exists); use --archive DIR instead" in capsys.readouterr().err
    assert files_below(library) == ["0.png", "0.png.pico", "1.png", "1.png.pico"]
    assert main(ask("archive", library)) == 0


def refuse_access(*_: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
