"""A .pico file that is there already is taken over only where it is this very photo's, and never hides a newer one."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from library_samples import drawing, fingerprint, journal_of, scene
from PIL import Image, ImageEnhance, ImageFilter

from pico_codec import origin
from pico_codec.convert import decode_file
from pico_codec.files import partial_file
from pico_codec.source import read_source
from pico_core import PicoFile, encode
from pico_library.cli import main
from pico_library.model.reasons import Reason
from pico_library.model.records import Original, Outcome
from pico_library.run.restore import restore
from pico_library.store import originals

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos").mkdir()
    return tmp_path / "Photos"


def save(im: Image.Image, path: Path, seconds: int) -> Path:
    """A JPEG file of that time."""
    stream = io.BytesIO()
    im.save(stream, "JPEG", quality=95)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(stream.getvalue())
    os.utime(path, (seconds, seconds))
    return path


def retouched(im: Image.Image) -> Image.Image:
    """The photo with a face made brighter: so much like the one before that its .pico file passes."""
    edited = im.copy()
    box = (90, 60, 114, 84)
    edited.paste(ImageEnhance.Brightness(im.crop(box)).enhance(1.06), box)
    return edited


def without_the_plate(im: Image.Image) -> Image.Image:
    """The photo with a number plate made unreadable, which the look notices."""
    edited = im.copy()
    box = (90, 60, 114, 84)
    edited.paste(im.crop(box).filter(ImageFilter.GaussianBlur(3)), box)
    return edited


def lose_the_journal(home: Path) -> None:
    for file in home.glob("journal.*"):
        file.unlink()


@pytest.mark.parametrize(
    ("edit", "seconds", "reason"),
    [
        (retouched, 1_700_000_000, Reason.CHANGED_SINCE),
        (retouched, 1_600_000_000, Reason.NAME_TAKEN),
        (without_the_plate, 1_700_000_000, Reason.NAME_TAKEN),
    ],
)
def test_retouched_photo_stays_though_the_journal_was_lost(
    library: Path,
    home: Path,
    samples: Path,
    edit: Callable[[Image.Image], Image.Image],
    seconds: int,
    reason: Reason,
) -> None:
    """Also if the editor kept its date."""
    photo = save(scene(samples), library / "IMG.jpg", 1_600_000_000)
    assert main(["shrink", str(library)]) == 0
    lose_the_journal(home)
    save(edit(scene(samples)), photo, seconds)
    before = fingerprint(library)
    assert main(["shrink", str(library), "--delete-originals", "--yes"]) == 0
    assert fingerprint(library) == before
    assert journal_of(photo).reason == reason


def test_photo_whose_date_alone_changed_is_taken_over_when_the_journal_was_lost(
    library: Path, home: Path, samples: Path
) -> None:
    photo = save(scene(samples), library / "IMG.jpg", 1_600_000_000)
    assert main(["shrink", str(library)]) == 0
    os.utime(photo, (1_700_000_000, 1_700_000_000))  # as copying without dates leaves it
    lose_the_journal(home)
    assert main(["shrink", str(library), "--replace"]) == 0
    assert journal_of(photo).original is Original.TRASHED


@pytest.mark.parametrize(("seconds", "outcome"), [(0, Outcome.SAVED), (9, Outcome.SKIPPED)])
def test_pico_file_without_a_mark_is_judged_by_its_date(
    library: Path, samples: Path, seconds: int, outcome: Outcome
) -> None:
    """As pico-codec and Pillow write them."""
    photo = save(scene(samples), library / "IMG.jpg", 1_600_000_000 + seconds)
    source = read_source(photo.read_bytes())
    target = library / "IMG.jpg.pico"
    target.write_bytes(encode(source.pixels, quality=60, metadata=source.metadata))
    os.utime(target, (1_600_000_000, 1_600_000_000))
    assert main(["shrink", str(library)]) == 0
    assert journal_of(photo).outcome is outcome


def test_mark_stays_inside_the_pico_file(library: Path, tmp_path: Path, samples: Path) -> None:
    photo = save(scene(samples), library / "IMG.jpg", 1_600_000_000)
    assert main(["shrink", str(library)]) == 0
    with PicoFile(library / "IMG.jpg.pico") as file:
        _, digest = origin.parted(file.metadata)
    assert digest == hashlib.sha256(photo.read_bytes()).digest()
    for extension in ("jpg", "png"):
        restored = restore(library / "IMG.jpg.pico", tmp_path / f"restored.{extension}")
        assert restored.lost == ()
        assert (
            decode_file(
                library / "IMG.jpg.pico",
                tmp_path / f"decoded.{extension}",
                region=None,
                engine=None,
                overwrite=False,
            ).lost
            == []
        )
        assert read_source(restored.target.read_bytes()).metadata.extras == ()


def test_verify_tells_a_retouched_original_from_the_one_that_was_shrunk(
    library: Path, tmp_path: Path, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = save(scene(samples), library / "IMG.jpg", 1_600_000_000)
    out = tmp_path / "out"
    assert main(["shrink", str(library), "--output", str(out)]) == 0
    command = ["verify", str(out), "--against", str(library)]
    assert main(command) == 0
    save(retouched(scene(samples)), photo, 1_600_000_000)
    assert main(command) == 1
    assert "was made from other bytes than" in capsys.readouterr().err


def test_photo_of_the_same_time_is_taken_over_when_the_journal_was_lost(
    library: Path, home: Path, samples: Path
) -> None:
    photo = save(scene(samples), library / "IMG.jpg", 1_600_000_001)
    assert main(["shrink", str(library)]) == 0
    os.utime(library / "IMG.jpg.pico", (1_600_000_000, 1_600_000_000))  # as FAT rounds it
    lose_the_journal(home)
    assert main(["shrink", str(library), "--replace"]) == 0
    assert journal_of(photo).original is Original.TRASHED


def test_two_photos_that_look_alike_never_share_a_pico_file(tmp_path: Path, samples: Path) -> None:
    """Two folders are mirrored into one, and each has a photo of that name from the same burst."""
    first = save(scene(samples), tmp_path / "a" / "IMG.jpg", 1_600_000_000)
    second = save(retouched(scene(samples)), tmp_path / "b" / "IMG.jpg", 1_600_000_000)
    folders = [str(first.parent), str(second.parent)]
    assert main(["shrink", *folders, "--output", str(tmp_path / "out"), "--jobs", "1"]) == 0
    assert journal_of(first).outcome is Outcome.SAVED
    assert journal_of(second).reason == Reason.NAME_TAKEN


def test_nothing_but_a_file_of_its_own_is_taken_for_a_pico_file(library: Path, tmp_path: Path) -> None:
    for name in ("pipe", "dangling", "linked", "folder"):
        drawing(library / f"{name}.png")
    (tmp_path / "away").mkdir()
    assert main(["shrink", str(library / "linked.png"), "--output", str(tmp_path / "away")]) == 0
    (tmp_path / "home" / "journal.sqlite3").unlink()
    os.mkfifo(library / "pipe.png.pico")
    (library / "dangling.png.pico").symlink_to(tmp_path / "nowhere")
    (library / "linked.png.pico").symlink_to(tmp_path / "away" / "linked.png.pico")
    (library / "folder.png.pico").mkdir()
    before = fingerprint(library)
    assert main(["shrink", str(library), "--delete-originals", "--yes"]) == 0
    assert fingerprint(library) == before
    for name in ("pipe", "dangling", "linked", "folder"):
        assert journal_of(library / f"{name}.png").reason == Reason.NAME_TAKEN


def test_disk_that_ignores_case_never_answers_for_another_name(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`IMG.PNG` was shrunk to a disk where `IMG.png.pico` seems to exist then, too."""
    drawing(library / "IMG.PNG")
    assert main(["shrink", str(library)]) == 0
    real = Path.lstat

    def ignoring_case(self: Path) -> os.stat_result:
        return real(self.with_name(self.name.replace("png", "PNG")))

    monkeypatch.setattr(Path, "lstat", ignoring_case)
    assert originals.is_named_exactly(library / "IMG.PNG.pico")
    assert not originals.is_named_exactly(library / "IMG.png.pico")


def test_name_with_accents_is_known_in_either_spelling(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (library / "Vögel.jpg.pico").write_bytes(b"as the disk spells it: o and two dots")
    composed = library / "Vögel.jpg.pico"
    monkeypatch.setattr(Path, "lstat", lambda self: os.lstat(next(self.parent.iterdir())))
    assert originals.is_named_exactly(composed)


def test_disk_without_hard_links_gives_a_name_to_one_of_two_photos(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find out at the same moment that they must do without."""
    at_once = threading.Barrier(2)

    def refuse(*_: object) -> None:
        at_once.wait()
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    refused = []

    def publish(content: bytes) -> None:
        with partial_file(library) as partial:
            partial.stream.write(content)
            partial.sync()
            try:
                partial.take_name(library / "IMG.jpg.pico")
            except FileExistsError:
                refused.append(content)

    threads = [threading.Thread(target=publish, args=(content,)) for content in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (lost,) = refused
    assert (library / "IMG.jpg.pico").read_bytes() == (b"two" if lost == b"one" else b"one")
