"""The server of a study: nothing is given away, strangers stay outside, and no accepted answer is lost."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from study_samples import Client, Reply, Server, answer_for, query, study

from pico_study.cli import links, main
from pico_study.database import DATABASE, PICTURES, StudyError, writing
from pico_study.server import PAGE_HEADER, RATER_HEADER
from pico_study.sessions import Sessions

PAGE = {PAGE_HEADER: "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return study(tmp_path / "study")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server, for tests that only call it."""
    pytest.importorskip("starlette", reason="the web application needs the extra [study]")
    pytest.importorskip("uvicorn", reason="the web application needs the extra [study]")
    found = Server(study(tmp_path_factory.mktemp("served") / "study"))
    yield found
    found.stop()


@pytest.fixture
def client(server: Server) -> Client:
    return server.client


def begin(client: Client) -> tuple[dict[str, str], dict[str, Any]]:
    state = client.post("/api/begin", {"consent": True}, headers=PAGE).json()
    return {**PAGE, RATER_HEADER: state["rater"]}, state


def through(client: Client, headers: dict[str, str], state: dict[str, Any], number: int) -> list[Reply]:
    found = []
    for _ in range(number):
        trial = state["trials"][0]
        content = {"trial": trial["token"], "choice": answer_for(trial), "milliseconds": 900, "view": {}}
        found.append(client.post("/api/answer", content, headers=headers))
        state = found[-1].json()
    return found


def test_nothing_that_a_page_gets_tells_what_is_compared(client: Client) -> None:
    headers, state = begin(client)
    replies = through(client, headers, state, 20)
    told = json.dumps([state, *[reply.json() for reply in replies]]) + client.get("/api/study").text
    told += "".join(str(reply.headers) for reply in replies)
    for word in ("JPEG", "jpeg", "WebP", "webp", "condition", "repeat", 'expected": ""', "quality", "osprey"):
        assert word not in told
    trial = replies[-1].json()["trials"][0]
    pictures = [client.get(f"/picture/{trial['token']}/{role}") for role in ("reference", "a", "b")]
    assert len({json.dumps(dict(picture.headers)) for picture in pictures}) == 1
    assert {picture.headers["content-type"] for picture in pictures} == {"image/png"}
    assert len({picture.content for picture in pictures}) == 3


def test_right_answers_are_told_after_practice_only(client: Client) -> None:
    headers, state = begin(client)
    replies = [reply.json() for reply in through(client, headers, state, 20)]
    assert [bool(reply["feedback"]) for reply in replies] == [False] * 6 + [True] * 3 + [False] * 11


def test_the_page_may_load_nothing_from_elsewhere(client: Client) -> None:
    for path in ("/", "/web/study.js", "/web/study.css", "/api/study"):
        reply = client.get(path)
        assert reply.status == 200
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["referrer-policy"] == "no-referrer"
        for scheme in ("http://", "https://"):
            assert scheme not in reply.text.replace("http://www.w3.org", "")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8123", "127.0.0.1.evil.example"])
def test_other_names_of_the_server_are_refused(client: Client, host: str) -> None:
    assert client.get("/", headers={"host": host}).status == 421


@pytest.mark.parametrize("host", ["localhost:8123", "127.0.0.1:8123", "[::1]:8123", "192.168.1.20:8123"])
def test_addresses_of_the_server_are_accepted(client: Client, host: str) -> None:
    assert client.get("/", headers={"host": host}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**PAGE, "origin": "http://evil.example"},
        {**PAGE, "origin": "null"},
        {**PAGE, "origin": "http://["},
        {**PAGE, "sec-fetch-site": "cross-site"},
    ],
)
def test_forged_requests_are_refused(server: Server, headers: dict[str, str]) -> None:
    before = query(server.folder, "SELECT COUNT(*) FROM sessions")[0][0]
    assert server.client.post("/api/begin", {"consent": True}, headers=headers).status == 403
    assert query(server.folder, "SELECT COUNT(*) FROM sessions")[0][0] == before


def test_requests_that_are_no_answers_are_refused(client: Client) -> None:
    headers, state = begin(client)
    token = state["trials"][0]["token"]
    whole = {"trial": token, "choice": "5", "milliseconds": 5, "view": {}}
    wrong: list[object] = [
        [],
        {},
        {**whole, "milliseconds": "5"},
        {**whole, "view": 3},
        {**whole, "choice": None},
        {**whole, "trial": "\ud800"},
        {**whole, "choice": "\ud800"},
        {**whole, "trial": "x" * 65},
    ]
    for broken in wrong:
        assert client.post("/api/answer", broken, headers=headers).status == 400
    assert client.post("/api/answer", b"{", headers=headers).status == 400
    assert client.post("/api/answer", b"[" * 4000, headers=headers).status == 400
    for depth in range(500, 1500, 25):
        nested = json.dumps({**whole, "trial": "x", "view": {"mode": 0}}).replace(
            "0", "[" * depth + "]" * depth
        )
        assert client.post("/api/answer", nested.encode(), headers=headers).status in (400, 404)
    assert client.post("/api/answer", b" " * 9000, headers=headers).status == 413
    assert client.post("/api/answer", {**whole, "trial": "x"}, headers=headers).status == 404
    assert client.post("/api/begin", {"consent": "yes"}, headers=PAGE).status == 400
    for path in ("/picture/x/a", f"/picture/{token}/condition", "/web/../study.sqlite3", "/web/page.html"):
        assert client.get(path).status == 404


def status_of(server: Server, lengths: list[str], body: bytes) -> int:
    """What the server answers to a POST whose headers tell its length so; the body may be only a beginning."""
    lines = ["POST /api/begin HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"{PAGE_HEADER}: 1", *lengths]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


CHUNKED = "Transfer-Encoding: chunked"
CONSENT = b'{"consent": true}'


def test_body_of_two_lengths_is_refused_before_it_is_read(server: Server) -> None:
    assert status_of(server, ["Content-Length: 5", CHUNKED], b"") == 400
    assert status_of(server, [CHUNKED, "Content-Length: 5"], chunked(b" " * 4096)) == 400


def test_body_that_does_not_tell_its_length_is_read_up_to_the_limit_only(server: Server) -> None:
    """The end of the body never comes: a server that reads on would not answer."""
    assert status_of(server, [CHUNKED], chunked(*[b" " * 1024] * 9)) == 413


def test_body_that_tells_a_length_above_the_limit_is_refused_before_it_is_read(server: Server) -> None:
    assert status_of(server, ["Content-Length: 8193"], b"") == 413


def test_body_within_the_limit_is_taken_however_it_is_sent(server: Server) -> None:
    assert status_of(server, [f"Content-Length: {len(CONSENT)}"], CONSENT) == 200
    assert status_of(server, [CHUNKED], chunked(CONSENT[:5], CONSENT[5:], b" " * 8000, b"")) == 200


def test_without_the_link_there_is_no_way_in(folder: Path) -> None:
    key = Sessions(folder).access_key
    server = Server(folder, "--host", "0.0.0.0", "--name", "studies.local")
    try:
        outside = server.client
        named = {"host": "studies.local:8123"}
        assert outside.get("/", named).status == 401
        for path in ("/", "/?key=wrong", "/api/study", "/picture/x/a"):
            assert outside.get(path).status == 401
        assert outside.post("/api/begin", {"consent": True}, headers=PAGE).status == 401
        entered = outside.get(f"/?key={key}")
        assert entered.status == 303
        assert entered.headers["location"] == "/"
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert outside.get("/api/study").status == 200
        assert outside.get("/", named).status == 200
    finally:
        server.stop()


def test_a_study_behind_a_proxy_needs_the_key(folder: Path) -> None:
    """Requests from everywhere come to the address of this machine then."""
    key = Sessions(folder).access_key
    server = Server(folder, "--name", "study.example.org")
    named = {"host": "study.example.org"}
    try:
        for headers in (named, {}):
            assert server.client.get("/", headers).status == 401
        assert server.client.get(f"/?key={key}", named).status == 303
        assert server.process.stdout is not None
        lines = [server.process.stdout.readline() for _ in range(2)]
        assert "proxy" in lines[0]
        assert lines[1] == f"http://study.example.org:{server.port}/?key={key}\n"
        assert server.client.get("/", named).status == 200
    finally:
        server.stop()


def test_the_host_that_a_server_listens_on_is_a_name_of_it(folder: Path) -> None:
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
        socket.create_server((address, 0)).close()
    except OSError:
        pytest.skip("this machine's name is not one of an address of it")
    server = Server(folder, "--host", name, machine=address)
    try:
        named = {"host": f"{name}:{server.port}"}
        assert server.client.get("/", named).status == 401
        assert server.client.get(f"/?key={Sessions(folder).access_key}", named).status == 303
    finally:
        server.stop()


def test_people_who_come_to_a_study_that_was_simulated_meanwhile_are_told_so(folder: Path) -> None:
    server = Server(folder)
    try:
        Sessions(folder).begin(simulated=True)
        reply = server.client.post("/api/begin", {"consent": True}, headers=PAGE)
        assert reply.status == 400
        assert "people cannot take part" in reply.json()["error"]
    finally:
        server.stop()


def test_two_studies_of_one_machine_leave_each_other_the_way_in(folder: Path, tmp_path: Path) -> None:
    """Browsers send the cookies of a host to all of its ports."""
    other = study(tmp_path / "other")
    query(other, "UPDATE study SET access_key = 'another-key'")
    servers = [Server(one, "--host", "0.0.0.0") for one in (folder, other)]
    browser = build_opener(HTTPCookieProcessor())
    try:
        for server in servers:
            key = Sessions(server.folder).access_key
            browser.open(f"{server.address}/?key={key}").close()
        for server in servers:
            with browser.open(f"{server.address}/api/study") as reply:
                assert reply.status == 200
    finally:
        for server in servers:
            server.stop()


def test_no_address_of_a_rater_is_stored(server: Server) -> None:
    headers, state = begin(server.client)
    through(
        server.client, {**headers, "user-agent": "a-rare-browser", "x-forwarded-for": "203.0.113.9"}, state, 3
    )
    content = b"".join(path.read_bytes() for path in server.folder.glob(f"{DATABASE}*"))
    for trace in (b"203.0.113", b"a-rare-browser", headers[RATER_HEADER].encode()):
        assert trace not in content


def test_killing_the_server_loses_no_accepted_answer(folder: Path) -> None:
    server = Server(folder)
    try:
        accepted = []
        state: dict[str, Any] = {}
        headers: dict[str, str] = {}
        for number in range(21):
            if number % 7 == 0:
                server.kill()
                server.start()
            if not headers:
                headers, state = begin(server.client)
            else:
                state = server.client.get("/api/state", headers).json()
            (reply,) = through(server.client, headers, state, 1)
            assert reply.status == 200
            accepted.append(state["trials"][0]["token"])
        server.kill()
    finally:
        server.stop()
    stored = {row["token"] for row in query(folder, "SELECT token FROM answers JOIN trials ON id = trial")}
    assert stored == set(accepted)
    assert query(folder, "PRAGMA integrity_check")[0][0] == "ok"


def test_serving_to_a_network_prints_a_link_with_the_key(folder: Path) -> None:
    server = Server(folder, "--host", "0.0.0.0")
    try:
        assert server.process.stdout is not None
        lines = [server.process.stdout.readline() for _ in range(2)]
        key = Sessions(folder).access_key
        assert f":{server.port}/?key={key}" in lines[1]
        assert server.client.get("/").status == 401
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("127.0.0.1", "http://127.0.0.1:8123/"),
        ("localhost", "http://localhost:8123/"),
        ("::1", "http://[::1]:8123/"),
    ],
)
def test_the_link_for_this_machine_is_of_the_address_that_listens(host: str, link: str) -> None:
    (line,) = links(Namespace(host=host, port=8123, name=[]), None)
    assert line == f"open {link} in a browser on this machine; Ctrl-C ends"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6 beside IPv4")
def test_all_addresses_of_both_kinds_are_served_at_once(folder: Path) -> None:
    server = Server(folder, "--host", "::")
    try:
        assert server.client.get("/").status == 401  # by 127.0.0.1
        with socket.create_connection(("::1", server.port), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: [::1]\r\n\r\n")
            assert b" 401 " in connection.recv(100)
    finally:
        server.stop()


def test_the_link_to_go_on_elsewhere_opens_the_study_from_the_first_page_on(folder: Path) -> None:
    sessions = Sessions(folder)
    server = Server(folder, "--host", "0.0.0.0")
    try:
        server.client.get(f"/?key={sessions.access_key}")
        headers, begun = begin(server.client)
        later = server.client.get("/api/state", headers).json()
        assert begun["entrance"] == later["entrance"] == f"/?key={sessions.access_key}"
    finally:
        server.stop()


def _not_a_database(folder: Path) -> None:
    (folder / DATABASE).write_bytes(b"no database " * 100)


def _empty_database(folder: Path) -> None:
    (folder / DATABASE).write_bytes(b"")


def _no_json(folder: Path) -> None:
    query(folder, "UPDATE study SET settings = '{nonsense'")


def _unknown_setting(folder: Path) -> None:
    query(folder, "UPDATE study SET settings = '{\"colour\": 3}'")


def _lost_picture(folder: Path) -> None:
    next((folder / PICTURES).glob("*.png")).unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_not_a_database, "not a database; it is damaged or no study"),
        (_empty_database, "it is damaged or no study"),
        (_no_json, "settings cannot be read"),
        (_unknown_setting, "settings cannot be read"),
        (_lost_picture, "1 of its pictures is missing"),
    ],
)
def test_a_damaged_study_is_not_served(
    folder: Path, damage: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for leftover in folder.glob(f"{DATABASE}-*"):
        leftover.unlink()
    damage(folder)
    assert main(["serve", str(folder)]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert str(folder) in told.err
    assert told.out == ""


def test_a_port_that_cannot_be_had_is_told_before_any_link(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uvicorn", reason="the web application needs the extra [study]")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(folder), "--port", port]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert main(["serve", str(folder), "--port", "99999"]) == 2
    assert main(["serve", str(folder), "--host", "host.invalid"]) == 2
    assert capsys.readouterr().out == ""


def test_a_database_that_another_program_holds_says_so_and_answers_wait(folder: Path) -> None:
    sessions = Sessions(folder)
    secret = sessions.begin().secret
    holder = sqlite3.connect(folder / DATABASE, check_same_thread=False, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: holder.execute("ROLLBACK")).start()
    trial = sessions.state(secret)["trials"][0]
    assert trial["kind"] == "plate"
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StudyError, match="another program"), writing(folder, wait=0.1):
        pass
    holder.close()
    sessions.close()
