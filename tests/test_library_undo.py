"""Ways back and looks back: undo, restore, verify, status, history, config, and reports in every form."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from library_samples import (
    EXIF_DATE,
    drawing,
    fingerprint,
    journal_of,
    pico_library,
)
from library_samples import scene as piece_of_a_photo
from PIL import Image, PngImagePlugin

from pico_codec.source import read_source_file
from pico_core import PicoFile
from pico_library import places
from pico_library.cli import main
from pico_library.journal import Original, Outcome

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos" / "2021").mkdir(parents=True)
    drawing(tmp_path / "Photos" / "0.png")
    drawing(tmp_path / "Photos" / "2021" / "1.png", 9)
    os.utime(tmp_path / "Photos" / "0.png", ns=(10**18, 1_622_862_182_000_000_000))
    return tmp_path / "Photos"


def archive(library: Path) -> list[str]:
    return ["shrink", str(library), "--archive", str(library.parent / "archive")]


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


def test_undo_says_what_cannot_come_back(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(library / "0.png"), "--delete-originals"]) == 0
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
    assert main(["shrink", str(folder), "--delete-originals"]) == 0
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


def test_damaged_pico_file_is_not_restored_and_verify_names_it(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    assert main(["verify", str(library)]) == 0
    assert main(["verify", str(library), "--against", str(library)]) == 0
    content = bytearray((library / "0.png.pico").read_bytes())
    content[-30] ^= 1
    (library / "0.png.pico").write_bytes(content)
    (library / "0.png").unlink()
    assert main(["restore", str(library / "0.png.pico")]) == 1
    assert not (library / "0.png").exists()
    capsys.readouterr()
    assert main(["verify", str(library)]) == 1
    output = capsys.readouterr()
    assert "0.png.pico" in output.err
    assert "1 .pico file fine. 1 NOT" in output.out


def test_verify_notices_another_good_file_and_a_missing_original(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    shutil.copyfile(library / "2021" / "1.png.pico", library / "0.png.pico")
    assert main(["verify", str(library / "0.png.pico")]) == 1
    assert "not the file that was written" in capsys.readouterr().err
    (library / "2021" / "1.png").unlink()
    assert main(["verify", str(library), "--against", str(library)]) == 1
    assert "its original is not at" in capsys.readouterr().err


def test_status_and_history_tell_what_happened(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 3
    assert main(["history"]) == 3
    assert main(archive(library)) == 0
    capsys.readouterr()
    assert main(["status"]) == 0
    assert "Originals of shrunk photos: 2 in an archive" in capsys.readouterr().out
    assert main(["status", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["photos"]["saved"], facts["at_work"], facts["originals"]["archived"]) == (2, False, 2)
    assert main(["history"]) == 0
    assert re.search(r"1  \d{4}-.*archive\s+finished\s+2\s+0\s+0", capsys.readouterr().out)
    assert main(["history", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert (run["mode"], run["counts"]) == ("archive", {"saved": 2})


def test_report_in_every_form_tells_the_same(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (library / "notes.txt").write_text("x")
    (library / "bad.png").write_bytes((library / "0.png").read_bytes()[:900])
    assert main(["shrink", str(library)]) == 1
    capsys.readouterr()
    assert main(["report"]) == 0
    table = capsys.readouterr().out
    assert "2 photos" in table
    assert "1  not a JPEG, PNG or WebP picture" in table
    assert main(["report", "1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["saved"], facts["failed"], sum(facts["skipped"].values())) == (2, 1, 1)
    assert main(["report", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 4
    assert sum(int(row["before"]) for row in rows if row["outcome"] == "saved") == facts["bytes_before"]
    assert main(["report", "7"]) == 2


class Links(HTMLParser):
    """Everything a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def page(tmp_path: Path, samples: Path) -> Path:
    """A report page about a real photo with a name that is no markup."""
    folder = tmp_path / "Photos"
    folder.mkdir()
    piece_of_a_photo(samples).save(folder / "<b>&amp;.jpg", quality=95)
    (folder / "notes.txt").write_text("x")
    assert main(["shrink", str(folder)]) == 0
    assert main(["report", "--html", str(tmp_path / "report.html")]) == 0
    return tmp_path / "report.html"


def test_page_is_one_file_that_fetches_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    assert len(links.found) == 2, "before and after"
    assert all(link.startswith("data:image/webp;base64,") for link in links.found)
    assert "<b>&amp;.jpg" not in text
    assert "&lt;b&gt;&amp;amp;.jpg" in text
    assert "not a JPEG, PNG or WebP picture" in text


def test_page_shows_slider_histogram_and_reasons_in_a_browser(page: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("this test needs Chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--virtual-time-budget=2000", f"--user-data-dir={page.parent / 'browser'}", "--dump-dom"]
    moved = page.with_name("moved.html")
    script = (
        "<script>const i = document.querySelector('.slider input'); i.value = 20;"
        "i.dispatchEvent(new Event('input'));"
        "document.title = getComputedStyle(document.querySelector('.after')).clipPath + ' '"
        "+ [...document.images].every(i => i.naturalWidth > 100) + ' '"
        "+ document.querySelectorAll('svg rect').length + ' ' + document.querySelectorAll('details').length"
        "</script></html>"
    )
    moved.write_text(page.read_text(encoding="utf-8").replace("</html>", script), encoding="utf-8")
    done = subprocess.run(
        [browser, *options, moved.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    title = re.search(r"<title>(.*)</title>", done.stdout)
    assert title is not None
    assert title[1] == "inset(0px 0px 0px 20%) true 40 1"


def test_settings_file_lies_under_the_command_line(
    library: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places.config_file().write_text('[shrink]\nquality = 33\nexclude = ["2021"]\nmin-saving = "5%"\n')
    assert main(["config"]) == 0
    shown = capsys.readouterr().out
    assert "quality = 33" in shown
    assert "min-saving = 0.05" in shown
    assert main(["shrink", str(library)]) == 0
    assert [path.name for path in library.rglob("*.pico")] == ["0.png.pico"]
    with PicoFile(library / "0.png.pico") as file:
        assert file.quality == 33
    (library / "0.png.pico").unlink()
    assert main(["shrink", str(library), "--quality", "44"]) == 0
    with PicoFile(library / "0.png.pico") as file:
        assert file.quality == 44


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[shrink]\nqualty = 3\n", "qualty is not a setting; there are "),
        ("[shrink]\nquality = 300\n", "quality = 300 does not work: 300 is not from 0 to 100"),
        ("[shrink]\nreplace = 1\n", "replace = 1; write true or false"),
        ("[shrink]\nexclude = 'a'\n", "exclude = 'a'; write a list"),
        ("[shrik]\nquality = 3\n", "[shrik] is not a command"),
        ("quality = 3\n", "quality stands outside a section"),
        ("[shrink\n", "cannot be read"),
        ("[shrink]\ndelete-originals = true\n", "delete-originals is not a setting"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_done(
    text: str, message: str, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places.config_file().write_text(text)
    assert main(["shrink", str(library)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(places.config_file()) in error
    assert not list(library.rglob("*.pico"))


def test_settings_file_that_init_writes_changes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config"]) == 0
    before = capsys.readouterr().out.splitlines()[1:]
    assert main(["config", "--init"]) == 0
    capsys.readouterr()
    assert main(["config"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == before
    text = places.config_file().read_text().replace("# quality = 60", "quality = 61")
    places.config_file().write_text(text)
    assert main(["config"]) == 0
    assert "quality = 61" in capsys.readouterr().out
    assert main(["config", "--init"]) == 1, "a file that exists is not replaced"
