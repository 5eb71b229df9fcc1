"""Looks back: verify, status, history, config, and reports in every form."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from library_samples import (
    archive,
    drawing,
)
from library_samples import scene as piece_of_a_photo

from pico_core import PicoFile
from pico_library.cli import main
from pico_library.store import places

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos" / "2021").mkdir(parents=True)
    drawing(tmp_path / "Photos" / "0.png")
    drawing(tmp_path / "Photos" / "2021" / "1.png", 9)
    os.utime(tmp_path / "Photos" / "0.png", ns=(10**18, 1_622_862_182_000_000_000))
    return tmp_path / "Photos"


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
    assert "Originals now: 2 in an archive (" in capsys.readouterr().out
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
    assert "1  no picture" in table
    assert main(["report", "1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["saved"], facts["failed"], sum(facts["skipped"].values())) == (2, 1, 1)
    assert main(["report", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 4
    assert sum(int(row["before"]) for row in rows if row["outcome"] == "saved") == facts["bytes_before"]
    assert main(["report", "7"]) == 2


def test_shrink_for_programs_names_every_file_also_those_it_left_alone(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (library / "notes.txt").write_text("x")
    (library / "bad.png").write_bytes((library / "0.png").read_bytes()[:900])
    assert main(["shrink", str(library), "--dry-run", "--csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {Path(row["path"]).name: row["outcome"] for row in rows} == {
        "0.png": "saved",
        "1.png": "saved",
        "bad.png": "failed",
        "notes.txt": "skipped",
    }
    assert main(["shrink", str(library), "--dry-run", "--json"]) == 1
    photos = json.loads(capsys.readouterr().out)["photos"]
    numbers = {"score", "similarity"}
    assert [
        {name: value or "" for name, value in photo.items() if name not in numbers} for photo in photos
    ] == [
        {name: int(value) if value.isdigit() else value for name, value in row.items() if name not in numbers}
        for row in rows
    ]


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
    assert "no picture" in text


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
        (
            "[shrink]\nquality = 300\n",
            "quality = 300 does not work: '300' is not a whole number from 0 to 100",
        ),
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


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["shrink", "--help"]])
def test_help_is_given_whatever_the_settings_file_holds(
    words: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir(exist_ok=True)
    places.config_file().write_text("[shrink]\nqualty = 3\n")
    assert main(words) == 0
    assert "pico-library" in capsys.readouterr().out


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


def test_settings_file_that_cannot_be_written_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir(exist_ok=True)
    (home / "link").symlink_to("nowhere")
    monkeypatch.setenv(places.VARIABLE, str(home / "link"))
    assert main(["config", "--init"]) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert f"pico-library: {home / 'link' / 'config.toml'}: its folder cannot be created" in errors
