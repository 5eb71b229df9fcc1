"""Albums for any web host and for a disk; and `<pico-image>` and the npm package, for other people's pages."""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import web_pages
from numpy.typing import NDArray
from PIL import Image
from web_pages import until

import pillow_pico
from pico_core import Metadata, PicoFile, encode
from pico_library.commands import share as command
from pico_web import npm
from pico_web.errors import AlbumError
from pico_web.share import share

SHOWN = "document.querySelector('#after canvas').dataset.complete === 'true'"


@pytest.fixture(scope="module", autouse=True)
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    web_pages.page_in(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with web_pages.chromium() as started:
        yield started


@pytest.fixture
def photos(tmp_path: Path, samples: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "50% off #1").mkdir(parents=True)
    for name, to in (("osprey.jpg", "osprey.jpg"), ("lake.jpg", "50% off #1/a lake?.jpg")):
        with Image.open(samples / name) as image:
            data = pillow_pico.to_bytes(image, exif=image.info.get("exif", b""))
        (folder / f"{to}.pico").write_bytes(data)
    return folder


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """A plain web host for a folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    ) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def tab_at(browser: Any, address: str) -> Any:
    tab = browser.new_context().new_page()
    tab.problems = []
    tab.on("console", lambda message: tab.problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.goto(address)
    return tab


def shows_all(tab: Any, count: int) -> None:
    until(tab, f"document.querySelectorAll('button.tile canvas.there').length === {count}")
    for place in range(count):
        tab.evaluate("delete document.querySelector('#after canvas').dataset.complete")
        tab.locator("button.tile").nth(place).click()
        until(tab, SHOWN)
        tab.click("#close")
        until(tab, "!document.querySelector('#viewer').open")
    assert tab.problems == []


def test_an_album_opens_from_a_disk(browser: Any, tmp_path: Path, photos: Path) -> None:
    made = share([photos], tmp_path / "album", title="Lake & <osprey>")
    assert (made.pictures, made.left_out) == (2, [])
    tab = tab_at(browser, (tmp_path / "album" / "index.html").as_uri())
    shows_all(tab, 2)
    assert tab.title() == "Lake & <osprey>"
    tab.context.close()


def test_an_album_opens_from_a_web_host(browser: Any, tmp_path: Path, photos: Path) -> None:
    share([photos], tmp_path / "album", for_disk=False)
    assert not list((tmp_path / "album" / "photos").rglob("*.js"))
    with hosted(tmp_path / "album") as address:
        tab = tab_at(browser, f"{address}/index.html")
        shows_all(tab, 2)
        tab.context.close()


def test_the_files_of_an_album_are_the_shared_ones_and_the_originals_stay(
    tmp_path: Path, photos: Path
) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*.pico")}
    share([photos, photos / "osprey.jpg.pico"], tmp_path / "album")
    inside = {path.name: path.read_bytes() for path in (tmp_path / "album").rglob("*.pico")}
    assert inside == {path.name: content for path, content in before.items()}
    assert before == {path: path.read_bytes() for path in photos.rglob("*.pico")}


def test_smaller_versions_keep_the_metadata(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    (tmp_path / "large.pico").write_bytes(encode(photo, metadata=Metadata(exif=web_pages.exif_turned(6))))
    share([tmp_path / "large.pico"], tmp_path / "album", max_side=300)
    with PicoFile(tmp_path / "album" / "photos" / "large.pico") as file:
        assert (file.width, file.height) == (300, 260)
        assert file.metadata.exif == web_pages.exif_turned(6)


def test_nothing_is_written_over_and_nothing_half_written_stays(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "mine.txt").write_text("mine")
    with pytest.raises(AlbumError, match="is there already"):
        share([photos], tmp_path / "album")
    (tmp_path / "broken.pico").write_bytes(b"\0\0\0\x18ftyppico")
    with pytest.raises(AlbumError, match=r"no \.pico file to share: .*broken"):
        share([tmp_path / "broken.pico"], tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["album", "broken.pico", "photos"]


def test_damaged_files_are_left_out_and_named(tmp_path: Path, photos: Path) -> None:
    (photos / "bad.pico").write_bytes((photos / "osprey.jpg.pico").read_bytes()[:-9])
    made = share([photos], tmp_path / "album")
    assert made.pictures == 2
    assert [path.name for path, _ in made.left_out] == ["bad.pico"]


def test_the_command_writes_an_album(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add(parser)
    output = tmp_path / "album"
    assert command.run(parser.parse_args([str(photos), "--output", str(output), "--max-side", "200"])) == 0
    assert "2 photos" in capsys.readouterr().out
    assert (output / "index.html").is_file()
    assert command.run(parser.parse_args([str(photos), "--output", str(output)])) == 1
    assert command.run(parser.parse_args([str(tmp_path / "none"), "--output", str(output)])) == 2


def test_the_element_shows_a_picture_in_other_peoples_pages(
    browser: Any, tmp_path: Path, photos: Path
) -> None:
    npm.write_package(tmp_path / "pico")
    readme = (tmp_path / "pico" / "README.md").read_text("utf-8")
    page = readme.split("```html\n")[1].split("```")[0]
    assert page.count("\n") <= 10
    (tmp_path / "index.html").write_text(page, "utf-8")
    (tmp_path / "favicon.ico").touch()  # browsers ask for it
    data = (photos / "osprey.jpg.pico").read_bytes()
    (tmp_path / "osprey.pico").write_bytes(data)
    with hosted(tmp_path) as address:
        tab = tab_at(browser, "about:blank")
        tab.add_init_script(
            "addEventListener('load', () => document.querySelector('pico-image').addEventListener('load', "
            "() => { window.shown = true; }))"
        )
        tab.goto(address)
        until(tab, "window.shown === true")
        size = tab.evaluate(
            "(({ canvas }) => [canvas.width, canvas.height])(document.querySelector('pico-image'))"
        )
        assert size == [768, 512]
        pixel = tab.evaluate(
            "[...document.querySelector('pico-image').canvas.getContext('2d').getImageData(300, 200, 1, 1).data]"
        )
        with PicoFile(data) as file:
            assert pixel[:3] == file.decode()[200, 300].tolist()
        assert tab.problems == []
        tab.evaluate("document.querySelector('pico-image').setAttribute('src', 'missing.pico')")
        until(tab, "!document.querySelector('pico-image').note.hidden")
        assert "404" in tab.evaluate("document.querySelector('pico-image').note.textContent")
        tab.context.close()


def test_the_npm_package_names_files_that_are_there(tmp_path: Path) -> None:
    npm.write_package(tmp_path)
    described = json.loads((tmp_path / "package.json").read_text("utf-8"))
    for name in ("main", "types"):
        assert (tmp_path / described[name]).is_file()
    imported = {
        line.split('"./')[1].split('"')[0]
        for path in tmp_path.glob("*.js")
        for line in path.read_text("utf-8").splitlines()
        if ' from "./' in line
    }
    assert {name for name in imported if not (tmp_path / name).is_file()} == set()
    assert len(list((tmp_path / "weights").glob("*.bin"))) == 1
