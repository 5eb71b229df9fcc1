"""The gallery's server: who gets an answer, and what it is."""

from __future__ import annotations

import errno
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from library_browser import serving
from library_samples import EXIF_DATE, command
from PIL import Image, ImageDraw, ImageOps

import pillow_pico
from pico_library.view.catalogue import Catalogue, Entry, read_entry
from pico_library.view.exif import camera_facts, taken_at
from pico_library.view.peer import owner_in
from pico_library.view.pictures import AbandonedError, Pictures
from pico_library.view.previews import dressed
from pico_library.view.server import HOST, Presence, Viewer


def drawing(size: tuple[int, int] = (1300, 900)) -> Image.Image:
    im = Image.new("RGB", size, (240, 240, 235))
    pencil = ImageDraw.Draw(im)
    pencil.rectangle((0, 0, size[0] // 2, size[1] // 2), (200, 30, 30))
    pencil.rectangle((size[0] // 2, size[1] // 2, *size), (30, 60, 200))
    return im


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures that need no networks: with and without a preview, turned, damaged, linked."""
    folder = tmp_path_factory.mktemp("view") / "Photos"
    (folder / "2021").mkdir(parents=True)
    (folder / "large.png.pico").write_bytes(pillow_pico.to_bytes(drawing(), lossless=True, exif=EXIF_DATE))
    small = drawing((90, 60))
    profile = b"\0\0\0\x80lcms" + bytes(120)
    turned = {"lossless": True, "exif": with_orientation(6), "icc_profile": profile}
    (folder / "2021" / "small.jpg.pico").write_bytes(pillow_pico.to_bytes(small, **turned))
    small.save(folder / "2021" / "small.jpg", exif=with_orientation(6), quality=95)
    (folder / "turned.webp.pico").write_bytes(pillow_pico.to_bytes(drawing((1300, 901)), **turned))
    drawing((1300, 901)).save(folder / "turned.webp", exif=with_orientation(6), lossless=True)
    whole = (folder / "large.png.pico").read_bytes()
    (folder / "headers.pico").write_bytes(whole[:60] + b"\xff" + whole[61:])
    (folder / "tile.pico").write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    (folder / "cut.pico").write_bytes(whole[:-20])
    (folder / "other.pico").write_bytes(b"<html><script>alert(1)</script>")
    secret = folder.parent / "secret.pico"
    secret.write_bytes(whole)
    (folder / "link.pico").symlink_to(secret)
    (folder / ".hidden.pico").write_bytes(whole)
    return folder


@pytest.fixture(scope="module")
def viewer(photos: Path) -> Iterator[Viewer]:
    with pytest.MonkeyPatch.context() as patch, serving(photos) as server:
        patch.setenv("PICO_LIBRARY_HOME", str(photos.parent / "home"))
        yield server


class Answer:
    """What the server said."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    viewer: Viewer,
    path: str,
    method: str = "GET",
    *,
    host: str | None = None,
    whole: bool = False,
    **headers: str,
) -> Answer:
    """Ask for a path below the secret, or for exactly that path."""
    connection = http.client.HTTPConnection(HOST, viewer.port, timeout=60)
    try:
        connection.putrequest(
            method, path if whole else f"/{viewer.token}/{path}", skip_host=True, skip_accept_encoding=True
        )
        connection.putheader("Host", host or f"{HOST}:{viewer.port}")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return Answer(connection.getresponse())
    finally:
        connection.close()


def entries(viewer: Viewer) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = json.loads(ask(viewer, f"list?from={len(found)}").body)
        found += answer["entries"]
        if answer["complete"]:
            return {entry["name"]: entry for entry in found}


def test_list_has_every_pico_file_once_and_no_links_or_hidden_ones(viewer: Viewer) -> None:
    found = entries(viewer)
    names = {"large.png.pico", "2021/small.jpg.pico", "turned.webp.pico"}
    names |= {"headers.pico", "tile.pico", "cut.pico", "other.pico"}
    assert set(found) == names
    assert found["large.png.pico"]["taken"] == "2021-06-05T04:03:02"
    assert (found["2021/small.jpg.pico"]["width"], found["2021/small.jpg.pico"]["height"]) == (60, 90)
    assert not found["2021/small.jpg.pico"]["dated"]
    for name in ("headers.pico", "other.pico"):
        assert (found[name]["width"], bool(found[name]["error"])) == (0, True)
    assert "end of the file is missing" in found["cut.pico"]["error"]


def test_page_and_its_parts_are_served_under_a_strict_policy(viewer: Viewer) -> None:
    parts = ["", "page.css", "gallery.js", "layout.js", "viewer.js", "stage.js", "icon.svg"]
    for part in parts:
        answer = ask(viewer, part)
        assert answer.status == 200, part
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert not {"unsafe-inline", "unsafe-eval"} & set(
            answer.headers["Content-Security-Policy"].split("'")
        )
        assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", ""), (
            "nothing is fetched elsewhere"
        )
    assert ask(viewer, "server.py").status == 404


def test_only_the_loopback_is_listened_on(viewer: Viewer) -> None:
    assert viewer.server_address[0] == "127.0.0.1"
    if sys.platform == "linux":
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", viewer.port), timeout=5)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}"],
)
def test_foreign_host_is_refused(host: str, viewer: Viewer) -> None:
    answer = ask(viewer, "", host=host.format(port=viewer.port))
    assert (answer.status, viewer.token in answer.text) == (421, False)
    assert ask(viewer, "", host=f"localhost:{viewer.port}").status == 200


def test_missing_or_second_host_is_refused(viewer: Viewer) -> None:
    for hosts in ("", f"Host: {HOST}:{viewer.port}\r\nHost: evil.example\r\n"):
        with socket.create_connection((HOST, viewer.port), timeout=10) as connection:
            connection.sendall(f"GET /{viewer.token}/ HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
            assert connection.makefile("rb").readline().split()[1] == b"421"


@pytest.mark.parametrize("path", ["/", "/list", "/x/list", "//", "/favicon.ico", "/\u00e4"])
def test_without_the_secret_there_is_nothing(path: str, viewer: Viewer) -> None:
    path = path.encode().decode("latin-1") if path.isascii() else "/%C3%A4"
    assert ask(viewer, path, whole=True).status == 403
    assert ask(viewer, f"/{viewer.token[:-1]}/list", whole=True).status == 403


def test_invitation_leads_to_the_page_once(viewer: Viewer) -> None:
    path = viewer.invitation().removeprefix(f"http://{HOST}:{viewer.port}")
    assert viewer.token not in path
    assert ask(viewer, path, host="evil.example", whole=True).status == 421
    assert ask(viewer, path + "x", whole=True).status == 403
    answer = ask(viewer, path, whole=True)
    assert (answer.status, answer.headers["Location"]) == (303, f"/{viewer.token}/")
    assert ask(viewer, path, whole=True).status == 403
    assert ask(viewer, "/open", whole=True).status == 403


_STRANGER = """import os, socket, sys
os.setgroups([])
os.setuid(65534)
with socket.socket() as connection:
    connection.connect((sys.argv[1], int(sys.argv[2])))
    host = f"{sys.argv[1]}:{sys.argv[2]}"
    connection.sendall(f"GET {sys.argv[3]} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    print(connection.makefile().read())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells whose connection it is")
def test_invitation_is_for_this_user_alone(viewer: Viewer) -> None:
    if os.geteuid() != 0:
        pytest.skip("being another user for a while needs root")
    path = viewer.invitation().removeprefix(f"http://{HOST}:{viewer.port}")
    asked = [sys.executable, "-c", _STRANGER, HOST, str(viewer.port), path]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert answer.split()[1] == "403"
    assert "another user" in answer
    assert viewer.token not in answer
    assert ask(viewer, path, whole=True).status == 303, "it was not used up"


def test_invitation_is_taken_by_a_program_that_speaks_ipv6(viewer: Viewer) -> None:
    path = viewer.invitation().removeprefix(f"http://{HOST}:{viewer.port}")
    try:
        connection = socket.socket(socket.AF_INET6)
        connection.connect((f"::ffff:{HOST}", viewer.port))
    except OSError as error:
        pytest.skip(f"there is no IPv6 here: {error}")
    with connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{viewer.port}\r\n\r\n".encode())
        assert connection.makefile("rb").readline().split()[1] == b"303"


def test_owner_of_a_connection_is_read_from_the_line_of_the_other_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "byteorder", "little")
    table = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   1: 0100007F:AD4B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 165123 1 00 100 0 0 10 0
   9: 0100007F:AD4B 0100007F:D1B6 01 00000000:00000000 00:00000000 00000000  1000        0 165125 1 00 20 0 0 10 -1
  15: 0100007F:D1B6 0100007F:AD4B 01 00000000:00000000 00:00000000 00000000  1001        0 165124 2 00 20 0 0 10 -1
  16: 0100007F:D1B7 0100007F:AD4B 06 00000000:00000000 03:00001770 00000000     0        0 0 3 00
"""
    server = (HOST, 0xAD4B)
    assert owner_in(table, (HOST, 0xD1B6), server) == 1001
    assert owner_in(table, (HOST, 0xD1B7), server) is None, "it is over"
    assert owner_in(table, (HOST, 0xD1B8), server) is None
    assert owner_in(table, ("127.0.0.2", 0xD1B6), server) is None


@pytest.mark.slow
def test_command_opens_the_browser_and_ends_when_its_page_closes(photos: Path, tmp_path: Path) -> None:
    program = tmp_path / "browser"
    program.write_text(
        f"#!{sys.executable}\nimport sys, urllib.request\n"
        "page = urllib.request.urlopen(sys.argv[1])\n"
        f"open({str(tmp_path / 'page')!r}, 'wb').write(page.read())\n"
        "urllib.request.urlopen(page.url + 'alive').readline()\n"
    )
    program.chmod(0o755)
    variables = {**os.environ, "BROWSER": str(program)}
    with subprocess.Popen(
        command("view", photos, "--until-closed"), stdout=subprocess.PIPE, env=variables
    ) as process:
        assert process.wait(60) == 0
    assert b"<dialog" in (tmp_path / "page").read_bytes()


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_other_web_pages_get_nothing(site: str, status: int, viewer: Viewer) -> None:
    assert ask(viewer, "list", Sec_Fetch_Site=site).status == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "X"])
def test_nothing_can_be_written(method: str, viewer: Viewer) -> None:
    answer = ask(viewer, "list", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "picture/../../../../etc/passwd",
        "picture/..%2f..%2fetc%2fpasswd",
        "original/%2Fetc%2Fpasswd",
        "tile//etc/passwd",
        "picture/link.pico",
        "picture/large.png.pico",
        "tile/",
        "picture",
        "facts/" + "a" * 5000,
        "..",
    ],
)
def test_no_path_leads_to_a_file(path: str, viewer: Viewer) -> None:
    answer = ask(viewer, path)
    assert (answer.status, b"root:" in answer.body) == (404, False)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["short", "encrypted", "version", "long"],
)
def test_what_is_no_request_does_not_harm(request_line: bytes, viewer: Viewer) -> None:
    with socket.create_connection((HOST, viewer.port), timeout=10) as connection:
        connection.sendall(request_line)
        connection.shutdown(socket.SHUT_WR)
        connection.makefile("rb").read()
    assert ask(viewer, "").status == 200


def image(answer: Answer) -> Image.Image:
    assert answer.status == 200, answer.text
    return Image.open(io.BytesIO(answer.body))


def difference(a: Image.Image, b: Image.Image) -> float:
    sides = np.asarray(a.convert("RGB"), np.int16), np.asarray(b.convert("RGB"), np.int16)
    assert sides[0].shape == sides[1].shape
    return float(np.abs(sides[0] - sides[1]).mean())


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
    from pico_library import places
    from pico_library.journal import Identity, Journal, Original, Outcome, Record
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
        ("other.pico", "no .pico file"),
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


def test_port_that_browsers_do_not_name_can_be_used(tmp_path: Path) -> None:
    try:
        with serving(tmp_path, port=80) as server:
            assert ask(server, "", host=HOST).status == 200
            assert ask(server, "", host="evil.example").status == 421
    except OSError as error:
        pytest.skip(f"port 80 cannot be had here: {error}")


def test_address_without_its_last_slash_leads_to_the_page(viewer: Viewer) -> None:
    answer = ask(viewer, f"/{viewer.token}", whole=True)
    assert (answer.status, answer.headers["Location"]) == (303, f"/{viewer.token}/")


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


def test_server_ends_only_after_nobody_looked_for_a_while() -> None:
    presence = Presence(patience=0.0, first_patience=100.0)
    assert not presence.over(), "no page was open yet"
    with presence:
        time.sleep(0.01)
        assert not presence.over()
    time.sleep(0.01)
    assert presence.over()


def test_command_shows_the_address_and_ends_on_interrupt(photos: Path) -> None:
    with subprocess.Popen(
        command("view", photos, "--no-browser"), stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Showing {photos} at\n"
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert b"<dialog" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_wrong_paths_and_taken_ports_are_named(
    tmp_path: Path, viewer: Viewer, capsys: pytest.CaptureFixture[str]
) -> None:
    from pico_library.cli import main

    assert main(["view", str(tmp_path / "gone"), "--no-browser"]) == 2
    assert main(["view", str(tmp_path), "--port", "x"]) == 2
    assert main(["view", str(tmp_path), "--no-browser", "--port", str(viewer.port)]) == 1
    assert f"port {viewer.port}: cannot be used" in capsys.readouterr().err


def test_looking_changes_nothing(photos: Path, viewer: Viewer) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in photos.rglob("*")}
    for entry in entries(viewer).values():
        for what in ("tile", "picture", "original", "facts"):
            ask(viewer, f"{what}/{entry['id']}")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in photos.rglob("*")} == before
    shutil.rmtree(photos.parent / "home", ignore_errors=True)
