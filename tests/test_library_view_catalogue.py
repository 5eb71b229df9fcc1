"""What the gallery finds, and how it goes on where something cannot be looked at."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from library_browser import serving
from library_samples import closed_to
from view_samples import ask, drawing, entries

import pillow_pico
from pico_library.view.catalogue import Catalogue, Entry


def test_file_that_went_away_gives_a_message(tmp_path: Path) -> None:
    path = tmp_path / "a.pico"
    path.write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    with serving(path) as server:
        (entry,) = entries(server).values()
        path.unlink()
        answer = ask(server, f"picture/{entry['id']}")
        assert (answer.status, "not there any more" in answer.text) == (410, True)


def test_reloading_the_page_shows_files_that_have_appeared_and_not_those_that_went(tmp_path: Path) -> None:
    content = pillow_pico.to_bytes(drawing((90, 60)), lossless=True)
    for name in ("a", "b"):
        (tmp_path / f"{name}.pico").write_bytes(content)
    with serving(tmp_path) as server:
        before = entries(server)
        (tmp_path / "a.pico").unlink()
        (tmp_path / "c.pico").write_bytes(content)
        assert set(entries(server)) == {"a.pico", "b.pico"}, "an open page gets no surprises"
        assert ask(server, "").status == 200
        assert set(entries(server)) == {"b.pico", "c.pico"}
        assert entries(server)["b.pico"]["id"] == before["b.pico"]["id"], "addresses of photos stay good"


def test_catalogue_tells_of_files_while_it_looks(tmp_path: Path) -> None:
    content = pillow_pico.to_bytes(drawing((90, 60)), lossless=True)
    for number in range(30):
        (tmp_path / f"{number:02}.pico").write_bytes(content)
    os.mkfifo(tmp_path / "000.pico")
    catalogue = Catalogue([tmp_path, tmp_path / "00.pico"])
    catalogue.start()
    found: list[Entry] = []
    complete = False
    while not complete:
        news, complete = catalogue.since(len(found), 5)
        found += news
    assert [entry.name for entry in found] == [f"{number:02}.pico" for number in range(30)]
    assert len({entry.id for entry in found}) == 30
    assert catalogue.get(found[3].id) is found[3]


def found_by(catalogue: Catalogue) -> dict[str, Entry]:
    """All that a catalogue at work finds."""
    complete = False
    while not complete:
        found, complete = catalogue.since(0, 5)
    return {entry.name: entry for entry in found}


def test_link_that_leads_to_itself_does_not_end_the_search(tmp_path: Path) -> None:
    for name in ("a", "c"):
        (tmp_path / f"{name}.pico").write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    (tmp_path / "b.pico").symlink_to("b.pico")
    catalogue = Catalogue([tmp_path])
    catalogue.start()
    assert list(found_by(catalogue)) == ["a.pico", "c.pico"]


def test_folder_whose_files_may_not_be_looked_at_does_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As below a folder that may be listed, but not entered; root enters it."""
    (tmp_path / "a").mkdir()
    for name in ("a/x", "b/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.pico").write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    look = os.stat

    def refuse(path: Any, **how: Any) -> os.stat_result:
        if str(path) == str(tmp_path / "a" / "x.pico"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **how)

    monkeypatch.setattr(os, "stat", refuse)
    catalogue = Catalogue([tmp_path])
    catalogue.start()
    assert {name: entry.error for name, entry in found_by(catalogue).items()} == {
        "a/x.pico": "permission denied",
        "b/y.pico": None,
    }


def test_folder_that_cannot_be_listed_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b.pico").write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    listed = os.scandir

    def refuse(path: Any) -> Any:
        if str(path) == str(tmp_path / "a"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    catalogue = Catalogue([tmp_path])
    catalogue.start()
    assert list(found_by(catalogue)) == ["b.pico"]
    catalogue.look_again()
    assert list(found_by(catalogue)) == ["b.pico"]
    said = capsys.readouterr().err
    assert said.count(f"{tmp_path / 'a'}: cannot be looked into (Permission denied)") == 1


def test_path_that_cannot_be_looked_at_is_named_and_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed_to(tmp_path, monkeypatch)
    catalogue = Catalogue([tmp_path])
    catalogue.start()
    assert found_by(catalogue) == {}
    assert f"{tmp_path}: cannot be looked at (Permission denied); see that" in capsys.readouterr().err
