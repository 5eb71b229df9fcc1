"""Reports about odd libraries: names that are no text, none, one or hundreds of photos, and the page in a browser."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from library_browser import chromium
from library_samples import ask, command, drawing, pico_library, scene

from pico_library.cli import main
from pico_library.model.reasons import Reason
from pico_library.model.records import Identity, Original, Outcome, Record
from pico_library.report.facts import Report, as_csv, gather_all
from pico_library.report.page import page
from pico_library.report.table import savings_table, unlike
from pico_library.store.journal import Journal

WIDTHS = (1366, 390)


pytestmark = pytest.mark.usefixtures("home", "verifier")


def record(name: str, outcome: Outcome, reason: str | None = None, after: int | None = None) -> Record:
    """What the journal would hold of a photo of 100 kB that is nowhere."""
    return Record(
        path=Path("/nowhere", name),
        identity=Identity(1, 1, 100_000, 1),
        outcome=outcome,
        reason=reason,
        before=100_000,
        after=after,
        score=None if after is None else 0.5,
        similarity=None if after is None else 70.0,
        kind=None if after is None else "lost line",
        crop=None if after is None else (120, 340, 152, 372),
        run=1,
    )


def no_reading_of(photo: Path) -> Callable[..., int]:
    """`os.open`, with a photo whose disk is in trouble."""
    opened = os.open

    def refuse(path: str | Path, *how: int) -> int:
        if Path(path) == photo:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *how)

    return refuse


def large_report() -> Report:
    saved = [record(f"IMG_{n}.jpg", Outcome.SAVED, after=300 * n) for n in range(300)]
    skipped = [record(f"{n}.gif", Outcome.SKIPPED, "not a JPEG, PNG or WebP picture") for n in range(450)]
    failed = [record(f"{'a' * 200}{n}.jpg", Outcome.FAILED, "damaged " + "x" * 120) for n in range(2)]
    return Report(saved, skipped, failed, None)


def test_names_that_are_no_text_leave_the_terminal_and_the_table_whole(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    name = b"a\xff\n\x1b[31m.png"
    path = os.fsencode(tmp_path) + b"/" + name
    try:
        Path(os.fsdecode(path)).write_bytes(drawing(tmp_path / "whole.png").read_bytes()[:900])
    except OSError:
        pytest.skip("this file system takes only names that are text")
    assert main(["shrink", str(tmp_path)]) == 1
    strict = {"PYTHONIOENCODING": "utf-8:strict", "PYTHONUTF8": "0"}
    shown = pico_library("report", **strict)
    assert shown.returncode == 0
    assert "a???[31m.png: " in shown.stdout
    assert "Failed 1:" in shown.stdout
    capfdbinary.readouterr()
    assert main(["report", "--csv"]) == 0
    table = capfdbinary.readouterr().out
    assert name in table
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8", "surrogateescape"))))
    assert os.fsdecode(path) in {row["path"] for row in rows}


@pytest.mark.parametrize("where", ["--beside", "--archive"])
def test_names_that_are_no_text_do_not_end_a_run(where: str, tmp_path: Path) -> None:
    """Where the terminal takes UTF-8 and nothing else."""
    photos = tmp_path / "photos"
    photos.mkdir()
    try:
        drawing(photos / "0.png").rename(os.fsdecode(os.fsencode(photos) + b"/\xff.png"))
    except OSError:
        pytest.skip("this file system takes only names that are text")
    options = [where, os.fsdecode(os.fsencode(tmp_path) + b"/\xfe")] if where == "--archive" else ["--csv"]
    done = subprocess.run(
        command("shrink", photos, *options),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.returncode == 0, done.stderr
    assert (b"/\xff.png.pico\n" if where == "--beside" else b"/?. To put it back") in done.stdout


@pytest.mark.parametrize("later", ["another photo", "a damaged one", "trouble"])
@pytest.mark.parametrize("mode", ["archive", "replace"])
def test_original_is_counted_where_it_lies_whatever_a_later_run_met_under_its_name(
    mode: str, later: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody may empty an archive of which the journal says that it holds no original."""
    library = tmp_path / "Photos"
    library.mkdir()
    photo = drawing(library / "0.png")
    assert main(ask(mode, library)) == 0
    drawing(photo, 40)
    if later == "a damaged one":
        photo.write_bytes(photo.read_bytes()[:900])
    with monkeypatch.context() as patch:
        if later == "trouble":
            patch.setattr(os, "open", no_reading_of(photo))
        assert main(["shrink", str(library)]) == (0 if later == "another photo" else 1)
    outcome = "skipped" if later == "another photo" else "failed"
    place, words = {"archive": ("archived", "in an archive"), "replace": ("trashed", "in the Trash")}[mode]
    capsys.readouterr()
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "Shrunk:   1 photo; " in shown
    assert f"{outcome.capitalize() + ':':10}1\n" in shown
    assert f"Originals now: 1 {words} (" in shown
    assert main(["status", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["photos"] == {"saved": 1, "skipped": 0, "failed": 0, "undone": 0, outcome: 1}
    assert facts["originals"][place] == 1
    assert main(["report"]) == 0
    shown = capsys.readouterr().out
    assert "0.png" in shown.splitlines()[2]
    assert f"{outcome.capitalize()} 1" in shown
    assert main(["report", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["saved"], facts["originals"][place]) == (1, 1)
    assert [(one["run"], one["outcome"]) for one in facts["photos"]] == [(1, "saved"), (2, outcome)]
    assert main(["report", "--html", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert f"originals: 1 {words} (" in text
    assert "All 1 file that the journal knows" in text


MADE = replace(record("a.jpg", Outcome.SAVED, after=5), digest=b"1" * 32, target_digest=b"t" * 32)
OTHER = replace(MADE, digest=b"2" * 32)  # another photo of that name
FAILED = replace(record("a.jpg", Outcome.FAILED), digest=MADE.digest)
ARCHIVED = MADE.with_original(Original.ARCHIVED, Path("/archive/a.jpg"))
LEAVING = FAILED.with_original(Original.LEAVING, Path("/archive/a.jpg"))
TRASHED = MADE.with_original(Original.TRASHED)  # where, the system does not tell
DELETED = MADE.with_original(Original.DELETED)
UNDONE = replace(MADE, outcome=Outcome.UNDONE)


@pytest.mark.parametrize(
    ("records", "shrunk", "places"),
    [
        ([UNDONE], 0, {}),
        ([MADE, UNDONE], 1, {Original.KEPT: 1}),
        ([ARCHIVED, FAILED], 1, {Original.ARCHIVED: 1}),
        ([ARCHIVED, OTHER], 1, {Original.ARCHIVED: 1, Original.KEPT: 1}),
        ([ARCHIVED, TRASHED], 1, {Original.ARCHIVED: 1, Original.TRASHED: 1}),
        ([TRASHED, replace(TRASHED, digest=OTHER.digest)], 1, {Original.TRASHED: 2}),
        ([TRASHED, MADE], 1, {Original.KEPT: 1}),
        ([ARCHIVED, ARCHIVED], 1, {Original.ARCHIVED: 1}),
        ([ARCHIVED, ARCHIVED, OTHER], 1, {Original.ARCHIVED: 1, Original.KEPT: 1}),
        ([LEAVING], 0, {Original.LEAVING: 1}),
        ([MADE, LEAVING], 1, {Original.LEAVING: 1}),
        ([OTHER, LEAVING], 1, {Original.KEPT: 1, Original.LEAVING: 1}),
        ([DELETED, FAILED], 1, {Original.DELETED: 1}),
        ([DELETED, OTHER], 1, {Original.KEPT: 1}),
    ],
)
def test_photo_counts_once_and_its_originals_once_for_each_place(
    records: list[Record], shrunk: int, places: dict[Original, int], tmp_path: Path
) -> None:
    """What a row of runs did with one name, the last one last."""
    with Journal(tmp_path / "journal") as journal:
        for one in records:
            journal.record(replace(one, run=journal.start_run("beside", [], {})))
        report = gather_all(journal)
    assert (len(report.saved), dict(report.originals)) == (shrunk, places)
    assert len(report.failed) == (records[-1].outcome is Outcome.FAILED)


@pytest.mark.parametrize(("place", "why"), [("", "not a regular file"), ("missing/page.html", "no folder")])
def test_page_that_cannot_be_written_is_named(
    place: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--html", str(tmp_path / place)]) == 1
    message = capsys.readouterr().err
    assert f"pico-library: {tmp_path / place}: " in message
    assert why in message


def test_page_replaces_an_earlier_page_and_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, earlier, empty = tmp_path / "photo.jpg", tmp_path / "page.html", tmp_path / "empty"
    photo.write_bytes(b"\xff\xd8\xff the only copy")
    empty.touch()
    for target in (earlier, earlier, empty):
        assert main(["report", "--html", str(target)]) == 3
    assert main(["report", "--html", str(photo)]) == 1
    assert f"{photo}: exists already" in capsys.readouterr().err
    assert photo.read_bytes() == b"\xff\xd8\xff the only copy"


def test_page_about_nothing_says_how_to_begin(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    assert main(["report", "--html", str(target)]) == 3
    text = target.read_text()
    assert "Nothing has been shrunk yet" in text
    assert "0 B" not in text
    assert "All 0 files" not in text


def test_page_says_why_it_compares_nothing() -> None:
    text = page(large_report())
    assert "no original is as it was where the journal says" in text
    assert 'class="slider"' not in text


def test_page_counts_one_photo_as_one() -> None:
    text = page(Report([record("a.jpg", Outcome.SAVED, after=5)], [], [], None))
    assert "photo shrunk" in text
    assert "files left alone" in text
    assert "failed</div>" not in text


def test_failures_are_unfolded_and_many_files_are_not_listed_in_full() -> None:
    text = page(large_report())
    assert text.count("<details open>") == 1
    assert "... and 250 more" in text


def test_histograms_have_round_marks_and_are_told_in_words() -> None:
    assert re.findall(r">(\d+)</text>", page(large_report()))[-5:] == ["0", "25", "50", "75", "100"]
    labels = re.findall(r'<svg [^>]*aria-label="([^"]*)"', page(large_report()))
    assert labels == [
        "Saving per photo: 300 photos from 10 % to 100 %, half of them below 55 %",
        "Score of the worst place: 300 photos from 70 to 70, half of them below 70",
    ]


def test_page_leaves_out_scores_of_an_earlier_version_and_says_so() -> None:
    now = record("a.jpg", Outcome.SAVED, after=5)
    text = page(Report([now, replace(now, score=None, similarity=None)], [], [], None))
    assert "1 photo without one, shrunk by an earlier version" in text
    assert "Score of the worst place: 1 photo from 70 to 70" in text
    assert "without one" not in page(Report([now], [], [], None))


def test_page_and_tables_name_what_would_differ_and_where() -> None:
    made = record("a.jpg", Outcome.SAVED, after=5)
    unlike_it = replace(made, path=Path("/nowhere/b.jpg"), outcome=Outcome.SKIPPED, reason=Reason.UNLIKE)
    report = Report([made], [unlike_it], [], None)
    place = "a line is gone at 120,340 (32x32 pixels)"
    assert f"<li>/nowhere/b.jpg: {place}</li>" in page(report)
    assert f"/nowhere/b.jpg: {place}" in unlike(report.skipped)
    assert unlike([made, replace(unlike_it, kind=None)]) == ""
    assert "hardly visible (70 of 100)" in savings_table(report.saved)
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert [row["difference"] for row in rows] == ["hardly visible (70 of 100)"] * 2
    assert rows[1]["worst_place"] == place
    assert rows[0]["worst_place"] == "differs most at 120,340 (32x32 pixels)", "it passed"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_and_reasons_stay_on_the_page(width: int, browser: Any, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text(page(large_report()), encoding="utf-8")
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(target.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    heights = "[...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height)"
    assert min(tab.evaluate(heights)) > 12, "labels of the histograms can be read"
    tab.close()


def test_slider_is_moved_by_keys_mouse_and_finger(browser: Any, tmp_path: Path, samples: Path) -> None:
    folder = tmp_path / "Photos"
    folder.mkdir()
    scene(samples).save(folder / "lake.jpg", quality=95)
    assert main(["shrink", str(folder)]) == 0
    target = tmp_path / "page.html"
    assert main(["report", "--html", str(target)]) == 0
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    tab = context.new_page()
    tab.goto(target.as_uri())
    slider = tab.get_by_role("slider", name="Original and .pico file of lake.jpg")
    at = "getComputedStyle(document.querySelector('.slider')).getPropertyValue('--at')"
    slider.focus()
    slider.press("ArrowLeft")
    assert tab.evaluate(at) == "49%"
    assert slider.get_attribute("aria-valuetext") == "49 % original"
    slider.press("End")
    assert tab.evaluate(at) == "100%"
    box = slider.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 4, box["y"] + 30)
    assert abs(float(tab.evaluate(at).rstrip("%")) - 25) < 2
    tab.touchscreen.tap(box["x"] + 3 * box["width"] / 4, box["y"] + 30)
    assert abs(float(tab.evaluate(at).rstrip("%")) - 75) < 5
    context.close()
