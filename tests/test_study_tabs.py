"""Several people, or none, at one real browser: whose answers are whose, and who may not take part."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from study_samples import Server, query, study

from pico_study.database import Settings
from pico_study.sessions import Sessions

pytest.importorskip("starlette", reason="the web application needs the extra [study]")
pytest.importorskip("uvicorn", reason="the web application needs the extra [study]")
from study_rater import LAPTOP, SWITCHES, Rater, after_checks

playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield found
        found.close()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    found = browser.new_context(**LAPTOP)
    yield found
    found.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(study(tmp_path / "study", Settings(trials=8, pause_every=0)))
    yield found
    found.stop()


def begin_as_somebody_else(rater: Rater) -> None:
    rater.wait("Welcome back")
    rater.page.get_by_text("Somebody else takes part on this device").click()
    rater.page.get_by_role("button", name="Begin as somebody else").click()
    rater.consent()
    rater.wait("Read the figures")


def answers(server: Server) -> dict[int, int]:
    rows = query(
        server.folder, "SELECT session, COUNT(*) AS n FROM trials JOIN answers ON trial = id GROUP BY session"
    )
    return {row["session"]: row["n"] for row in rows}


def test_rater_whose_answers_were_deleted_elsewhere_can_begin_anew(context: Any, server: Server) -> None:
    link = after_checks(server)
    one = Rater(context, server, link)
    one.go_on("Comparison 1 of 8")
    one.page.route("**/api/answer", lambda route: route.abort())
    one.look_and_answer("Comparison 1 of 8", "a")
    one.wait("Your last answer is kept")
    one.page.close()
    headers = {"X-Pico-Study": "1", "X-Pico-Rater": link.split("=")[1], "Content-Type": "application/json"}
    assert server.client.post("/api/withdraw", {}, headers).status == 200
    again = Rater(context, server)
    again.consent()
    again.wait("Read the figures")


def test_two_people_in_two_tabs_keep_their_answers_apart(context: Any, server: Server) -> None:
    one = Rater(context, server, after_checks(server))
    one.go_on("Comparison 1 of 8")
    one.page.route("**/api/answer", lambda route: route.abort())
    one.look_and_answer("Comparison 1 of 8", "a")
    one.wait("Your last answer is kept")
    other = Rater(context, server)
    begin_as_somebody_else(other)
    one.wait("Somebody else takes part in another tab")
    one.page.unroute("**/api/answer")
    one.wait_until_stored(["a"])
    other.page.get_by_role("button").first.click()
    other.wait("Plate 1 of 6")
    other.page.keyboard.press("5")
    other.wait("Plate 2 of 6")
    one.wait("Somebody else takes part in another tab")
    assert answers(server) == {1: 18, 2: 1}
    one.page.get_by_role("button", name="Go on").click()
    one.wait("Welcome back")
    assert one.complaints == other.complaints == []


def test_a_link_that_belongs_to_nobody_leaves_the_other_tab_alone(context: Any, server: Server) -> None:
    one = Rater(context, server, after_checks(server))
    one.go_on("Comparison 1 of 8")
    other = Rater(context, server, "/#resume=nonsense")
    other.wait("Welcome back")
    one.look_and_answer("Comparison 1 of 8", "a")
    one.wait("Comparison 2 of 8")
    assert one.stored() == ["a"]
    assert one.complaints == other.complaints == []


def test_nobody_takes_part_in_a_study_that_was_simulated_meanwhile(context: Any, server: Server) -> None:
    rater = Rater(context, server)
    rater.wait("Before you begin")
    sessions = Sessions(server.folder)
    sessions.begin(simulated=True)
    sessions.close()
    rater.consent()
    rater.wait("holds simulated raters")
    assert rater.page.locator("#banner").is_hidden()
    assert rater.complaints == []
