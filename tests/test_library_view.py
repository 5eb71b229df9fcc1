"""The gallery's server: who gets an answer, and what it is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from library_browser import serving
from library_samples import command
from view_samples import ask, entries, photos_in, viewing

from pico_library.view.peer import owner_in
from pico_library.view.server import HOST, Presence, Viewer


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos_in(tmp_path_factory.mktemp("view") / "Photos")


@pytest.fixture(scope="module")
def viewer(photos: Path) -> Iterator[Viewer]:
    with viewing(photos) as server:
        yield server


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


def test_single_file_is_opened_with_its_neighbours(photos: Path) -> None:
    with viewing(photos / "large.png.pico") as viewer:
        found = entries(viewer)
        beside = {path.name for path in photos.glob("*.pico") if path.is_file() and not path.is_symlink()}
        assert set(found) == {name for name in beside if not name.startswith(".")}
        path = viewer.invitation().removeprefix(f"http://{HOST}:{viewer.port}")
        answer = ask(viewer, path, whole=True)
        assert answer.headers["Location"] == f"/{viewer.token}/#{found['large.png.pico']['id']}"


def test_photo_that_is_named_without_pico_is_its_pico_file(tmp_path: Path) -> None:
    from pico_library.commands.view import _shown

    photo, pico = tmp_path / "IMG.JPG", tmp_path / "IMG.JPG.pico"
    photo.touch()
    assert _shown(photo) == photo
    pico.touch()
    assert (_shown(photo), _shown(pico), _shown(tmp_path)) == (pico, pico, tmp_path)
