"""Sidecars follow their photo into another folder, and what happens to them later follows, too."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from library_samples import drawing, files_below, fingerprint, journal_of

from pico_library.cli import main
from pico_library.scan import Photo
from pico_library.sidecars import are_behind

pytestmark = pytest.mark.usefixtures("home", "verifier")

HOUR = 3600 * 10**9


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos").mkdir()
    return tmp_path / "Photos"


def write(path: Path, text: str, hour: int) -> Path:
    """A sidecar that was written so many hours after the first of them."""
    path.write_text(text)
    time = 1_622_862_182_000_000_000 + hour * HOUR
    os.utime(path, ns=(time, time))
    return path


def refusal_of(sidecar: Path) -> Callable[[Path], bytes]:
    """`Path.read_bytes`, with a file that may not be read: root may read every one."""
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == sidecar:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(path)

    return refuse


def shrunk_with_a_sidecar(library: Path) -> tuple[list[str], Path]:
    """What was asked for to have a photo and its sidecar in another folder, and that folder."""
    drawing(library / "a.png")
    write(library / "a.xmp", "one star", 0)
    out = library.parent / "out"
    asked = ["shrink", str(library), "--output", str(out)]
    assert main(asked) == 0
    assert main(asked) == 3
    return asked, out


def test_sidecars_follow_into_the_output_folder(library: Path, tmp_path: Path) -> None:
    drawing(library / "IMG_1.png")
    for name in ("IMG_1.xmp", "IMG_1.png.xmp", "IMG_1.AAE", "other.xmp"):
        (library / name).write_text(name)
        os.utime(library / name, ns=(10**18, 1_622_862_182_000_000_000))
    before = fingerprint(library)
    assert main(["shrink", str(library), "--output", str(tmp_path / "out")]) == 0
    assert fingerprint(library) == before
    copied = fingerprint(tmp_path / "out")
    assert copied == {name: before[name] for name in ("IMG_1.AAE", "IMG_1.png.xmp", "IMG_1.xmp")}


def test_sidecar_that_cannot_be_copied_is_named_and_the_pico_file_is_known(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing(library / "a.png")
    (library / "a.xmp").write_text("stars")
    asked = ["shrink", str(library), "--output", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refusal_of(library / "a.xmp"))
        assert main(asked) == 1
    said = capsys.readouterr().err
    assert (
        f"{library / 'a.xmp'}, which belongs to it, cannot be copied to {tmp_path / 'out' / 'a.xmp'}" in said
    )
    assert "(Permission denied); see that you may read the one" in said
    assert files_below(tmp_path / "out") == ["a.png.pico"]
    assert main(asked) == 0, "it is tried again"
    assert files_below(tmp_path / "out") == ["a.png.pico", "a.xmp"]
    assert main(["undo", "1"]) == 0
    assert files_below(tmp_path / "out") == ["a.xmp"]


def test_sidecar_that_came_or_changed_later_follows_without_the_photo_being_coded_anew(library: Path) -> None:
    """As RAW editors write them, all the time."""
    asked, out = shrunk_with_a_sidecar(library)
    before = (out / "a.png.pico").stat()
    write(library / "a.xmp", "five stars", 1)
    write(library / "a.png.xmp", "a second one", 1)
    assert main(asked) == 0
    assert (out / "a.xmp").read_text() == "five stars"
    assert (out / "a.png.xmp").read_text() == "a second one"
    assert (out / "a.xmp").stat().st_mtime_ns == (library / "a.xmp").stat().st_mtime_ns
    assert (out / "a.png.pico").stat().st_ino == before.st_ino
    assert journal_of(library / "a.png").wrote is False
    assert main(asked) == 3, "there is nothing left to do"
    assert files_below(out) == ["a.png.pico", "a.png.xmp", "a.xmp"]
    assert main(["undo", "1"]) == 0
    assert files_below(out) == ["a.png.xmp", "a.xmp"], "the run that wrote the .pico file still knows it"


def test_copy_that_its_owner_changed_stays(library: Path) -> None:
    asked, out = shrunk_with_a_sidecar(library)
    write(library / "a.xmp", "two stars", 1)
    write(out / "a.xmp", "three stars", 2)
    assert main(asked) == 3
    assert (out / "a.xmp").read_text() == "three stars"


def test_sidecar_with_another_date_alone_is_not_copied_again(library: Path) -> None:
    asked, out = shrunk_with_a_sidecar(library)
    write(library / "a.xmp", "one star", 1)
    before = fingerprint(out)
    assert main(asked) == 3
    assert fingerprint(out) == before


@pytest.mark.parametrize("there", ["link", "folder"])
def test_no_link_or_folder_in_the_place_of_a_copy_is_replaced(there: str, library: Path) -> None:
    asked, out = shrunk_with_a_sidecar(library)
    (out / "a.xmp").unlink()
    if there == "link":
        elsewhere = write(library.parent / "elsewhere.xmp", "another's", -1)
        (out / "a.xmp").symlink_to(elsewhere)
    else:
        (out / "a.xmp").mkdir()
    assert main(asked) == 3
    assert (out / "a.xmp").is_symlink() == (there == "link")
    assert (out / "a.xmp").is_dir() == (there == "folder")


def test_changed_sidecar_that_cannot_be_read_is_named_and_its_copy_stays(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, out = shrunk_with_a_sidecar(library)
    write(library / "a.xmp", "five stars", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refusal_of(library / "a.xmp"))
        assert main(asked) == 1
    assert f"{library / 'a.xmp'}, which belongs to it, cannot be copied" in capsys.readouterr().err
    assert (out / "a.xmp").read_text() == "one star"
    assert main(asked) == 0, "it is tried again"
    assert (out / "a.xmp").read_text() == "five stars"


def test_sidecars_beside_the_originals_are_no_business_of_a_run(library: Path) -> None:
    drawing(library / "a.png")
    assert main(["shrink", str(library)]) == 0
    write(library / "a.xmp", "one star", 0)
    assert main(["shrink", str(library)]) == 3


def test_sidecars_in_object_stores_make_no_photo_undone(library: Path) -> None:
    """Of a disk nothing could be told about copies there, and each run would do every photo again."""
    photo = drawing(library / "a.png")
    write(library / "a.xmp", "one star", 0)
    there = Photo(str(library), "a.png", "s3://bucket/out", photo.stat(), True, ("a.xmp",))
    assert not are_behind(there)
    assert are_behind(replace(there, target_folder=str(library / "out")))
