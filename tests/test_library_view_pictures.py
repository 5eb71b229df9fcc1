"""The gallery's pictures: tiles, whole pictures and originals, and what is told of them."""

from __future__ import annotations

import errno
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from view_samples import ask, difference, drawing, entries, image, photos_in, viewing, with_orientation

import pillow_pico
from pico_library.view.catalogue import read_entry
from pico_library.view.exif import camera_facts, taken_at
from pico_library.view.pictures import AbandonedError, Pictures
from pico_library.view.previews import dressed
from pico_library.view.server import HOST, Viewer


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos_in(tmp_path_factory.mktemp("view") / "Photos")


@pytest.fixture(scope="module")
def viewer(photos: Path) -> Iterator[Viewer]:
    with viewing(photos) as server:
        yield server


def test_tile_comes_from_the_preview_and_is_not_sent_twice(viewer: Viewer) -> None:
    entry = entries(viewer)["large.png.pico"]
    answer = ask(viewer, f"tile/{entry['id']}")
    assert (answer.headers["Content-Type"], max(image(answer).size)) == ("image/jpeg", 192)
    again = ask(viewer, f"tile/{entry['id']}", If_None_Match=answer.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert ask(viewer, f"tile/{entry['id']}", "HEAD").body == b""


def test_tile_is_upright_and_has_the_profile(viewer: Viewer) -> None:
    found = entries(viewer)
    for name in ("turned.webp.pico", "2021/small.jpg.pico"):
        tile = image(ask(viewer, f"tile/{found[name]['id']}"))
        assert tile.info["icc_profile"][4:8] == b"lcms"
        shown = ImageOps.exif_transpose(tile)
        assert shown.width < shown.height
        expected = drawing((1300, 901) if "webp" in name else (90, 60)).transpose(Image.Transpose.ROTATE_270)
        assert difference(shown, expected.resize(shown.size)) < 8


def test_picture_has_every_pixel_upright_and_the_profile(viewer: Viewer) -> None:
    found = entries(viewer)
    large = ask(viewer, f"picture/{found['large.png.pico']['id']}")
    assert difference(image(large), drawing()) == 0
    assert large.headers["Cache-Control"] == "no-store"
    turned = image(ask(viewer, f"picture/{found['turned.webp.pico']['id']}"))
    assert difference(turned, drawing((1300, 901)).transpose(Image.Transpose.ROTATE_270)) == 0
    assert turned.info["icc_profile"][4:8] == b"lcms"
    assert "exif" not in turned.info, "or browsers would turn it a second time"


def test_original_is_sent_as_it_is_or_upright_where_browsers_would_not_turn_it(
    photos: Path, viewer: Viewer
) -> None:
    found = entries(viewer)
    jpeg = ask(viewer, f"original/{found['2021/small.jpg.pico']['id']}")
    assert jpeg.body == (photos / "2021" / "small.jpg").read_bytes()
    assert jpeg.headers["Content-Type"] == "image/jpeg"
    webp = image(ask(viewer, f"original/{found['turned.webp.pico']['id']}"))
    assert difference(webp, drawing((1300, 901)).transpose(Image.Transpose.ROTATE_270)) == 0
    assert ask(viewer, f"original/{found['large.png.pico']['id']}").status == 404


class Failing(io.BytesIO):
    """A file that gives a hundred bytes, and then an error or, as if it had been cut meanwhile, its end."""

    def __init__(self, data: bytes, error: OSError | None) -> None:
        super().__init__(data)
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() == 0:
            return super().read(100)
        if self._error is not None:
            raise self._error
        return b""


@pytest.mark.parametrize("error", [None, OSError(errno.EIO, "disk"), FileNotFoundError(errno.ENOENT, "gone")])
def test_answer_that_cannot_be_finished_ends_with_the_connection_and_nothing_else(
    error: OSError | None, photos: Path, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, opening = entries(viewer)["2021/small.jpg.pico"], Path.open
    original = (photos / "2021" / "small.jpg").read_bytes()

    def fail(path: Path, *arguments: Any, **options: Any) -> Any:
        return Failing(original, error) if path.name == "small.jpg" else opening(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", fail)
    request = f"GET /{viewer.token}/original/{found['id']} HTTP/1.1\r\nHost: {HOST}:{viewer.port}\r\n\r\n"
    with socket.create_connection((HOST, viewer.port), timeout=20) as connection:
        connection.sendall(request.encode())
        headers, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 200")
    assert f"Content-Length: {len(original)}".encode() in headers
    assert body == original[:100]


def test_facts_name_sizes_and_saving(photos: Path, viewer: Viewer) -> None:
    found = entries(viewer)
    answer = json.loads(ask(viewer, f"facts/{found['2021/small.jpg.pico']['id']}").body)
    facts = dict(answer["facts"])
    assert answer["before"]
    assert facts["Pixels"].startswith("60 \N{MULTIPLICATION SIGN} 90 ")
    assert (facts["Quality"], facts["Carries"]) == ("lossless", "EXIF, ICC profile")
    assert facts["File"] == str(photos / "2021" / "small.jpg.pico")
    assert "from" in facts["Size"]
    broken = json.loads(ask(viewer, f"facts/{found['headers.pico']['id']}").body)
    assert not broken["before"]
    assert "checksum" in dict(broken["facts"])["Problem"]


def test_original_of_another_size_is_no_before(tmp_path: Path) -> None:
    from pico_library.view.before import find_before

    path = tmp_path / "a.jpg.pico"
    path.write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    drawing((91, 60)).save(tmp_path / "a.jpg")
    assert find_before(read_entry("x", path, "a")) is None
    drawing((90, 60)).save(tmp_path / "a.jpg")
    assert find_before(read_entry("x", path, "a")) is not None


def test_original_in_the_archive_is_found_through_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pico_library.model.records import Identity, Original, Outcome, Record
    from pico_library.store import places
    from pico_library.store.journal import Journal
    from pico_library.view.before import find_before

    monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path / "home"))
    path = tmp_path / "a.jpg.pico"
    path.write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    (tmp_path / "archive").mkdir()
    drawing((90, 60)).save(tmp_path / "archive" / "a.jpg")
    entry = read_entry("x", path, "a")
    assert find_before(entry) is None
    with Journal(places.journal_file()) as journal:
        run = journal.start_run("archive", [tmp_path], {})
        journal.record(
            Record(
                tmp_path / "a.jpg",
                Identity.of(path.stat()),
                Outcome.SAVED,
                run=run,
                target=path,
                original=Original.ARCHIVED,
                original_at=tmp_path / "archive" / "a.jpg",
            )
        )
    before = find_before(entry)
    assert before is not None
    assert before.path == tmp_path / "archive" / "a.jpg"


def test_damaged_files_give_messages_and_the_server_lives(viewer: Viewer) -> None:
    found = entries(viewer)
    for name, message in [
        ("tile.pico", "checksum"),
        ("headers.pico", "checksum"),
        ("cut.pico", "needed up to byte"),
        ("other.pico", "does not begin as a .pico file does"),
    ]:
        answer = ask(viewer, f"picture/{found[name]['id']}")
        assert answer.status == 422, name
        assert message in answer.text
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert ask(viewer, f"tile/{found['tile.pico']['id']}").status == 200, "its preview is in order"


def test_what_is_left_of_a_damaged_picture_is_shown_grey_where_it_is_gone(viewer: Viewer) -> None:
    found = entries(viewer)
    for name in ("tile.pico", "cut.pico"):
        left = np.asarray(image(ask(viewer, f"remains/{found[name]['id']}")).convert("RGB"))
        assert (left[:500, :500] == np.asarray(drawing())[:500, :500]).all()
        assert len(np.unique(left[-300:, -200:].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_kind_of_picture_comes_with_its_exact_pixels(mode: str, tmp_path: Path) -> None:
    im = drawing((90, 60)).convert(mode)
    if mode.endswith("A"):
        im.putalpha(Image.linear_gradient("L").resize(im.size))
    path = tmp_path / "a.pico"
    path.write_bytes(pillow_pico.to_bytes(im, lossless=True))
    made = Pictures().full(read_entry("x", path, "a"), lambda: True)
    assert made.content_type == ("image/png" if mode.startswith("L") else "image/webp")
    with Image.open(io.BytesIO(made.data)) as shown:
        assert (np.asarray(shown) == np.asarray(im)).all()


def test_pictures_are_made_one_at_a_time_the_newest_wish_first(tmp_path: Path) -> None:
    path = tmp_path / "a.pico"
    path.write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    entry = read_entry("x", path, "a")
    pictures = Pictures()
    order: list[str] = []
    first = threading.Event()
    release = threading.Event()

    def wish(name: str, *, urgent: bool) -> None:
        with pictures._turns.one(lambda: True, urgent=urgent):
            if name == "first":
                first.set()
                release.wait(10)
            order.append(name)

    threads = [threading.Thread(target=wish, args=("first",), kwargs={"urgent": True})]
    threads[0].start()
    first.wait(10)
    for name, urgent in (("old", True), ("tile", False), ("new", True)):
        threads.append(threading.Thread(target=wish, args=(name,), kwargs={"urgent": urgent}))
        threads[-1].start()
        while len(pictures._turns._waiting) < len(threads) - 1:
            time.sleep(0.001)
    release.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "new", "old", "tile"]
    with pytest.raises(AbandonedError):
        pictures.full(entry, lambda: False)
    assert pictures.full(entry, lambda: True) == pictures.full(entry, lambda: False), "it is kept"


def test_kept_pictures_stay_within_their_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.pico"
    path.write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    size = len(Pictures().full(read_entry("x", path, "a"), lambda: True).data)
    pictures = Pictures(cache_bytes=int(2.5 * size))
    for name in "abc":
        pictures.full(read_entry(name, path, name), lambda: True)
    pictures.full(read_entry("c", path, "c"), lambda: False)
    with pytest.raises(AbandonedError):
        pictures.full(read_entry("a", path, "a"), lambda: False)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@given(st.binary(max_size=200))
def test_any_bytes_as_exif_are_borne(exif: bytes) -> None:
    for data in (exif, b"II*\0\x08\0\0\0" + exif, b"Exif\0\0MM\0*\0\0\0\x08" + exif):
        taken_at(data)
        assert all(name and value for name, value in camera_facts(data))


def test_camera_and_place_are_told_in_words(samples: Path) -> None:
    with Image.open(samples / "chapel.jpg") as im:
        exif = im.info["exif"]
    facts = dict(camera_facts(exif))
    assert facts["Camera"] == "Example Sample 1"
    assert facts["Place"].startswith("43.36230\N{DEGREE SIGN} N, 8.41150\N{DEGREE SIGN} W")
    assert taken_at(exif) == "2018-08-11T10:00:00"


@given(st.integers(1, 8), st.one_of(st.none(), st.binary(min_size=1, max_size=200_000)))
def test_preview_gets_orientation_and_profile_and_keeps_its_pixels(
    orientation: int, profile: bytes | None
) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 5), "green").save(stream, "JPEG", exif=with_orientation(3), icc_profile=b"old")
    with Image.open(io.BytesIO(dressed(stream.getvalue(), orientation, profile))) as im:
        assert im.getexif().get(0x0112, 1) == orientation
        assert im.info.get("icc_profile") == profile
        assert im.size == (8, 5)
        im.load()
