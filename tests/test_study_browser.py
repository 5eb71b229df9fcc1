"""A rater in a real browser: every page, keyboard and touch, closed tabs, lost connections, exact pixels."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from study_samples import Server, query, study

from pico_study.database import PICTURES, Settings
from pico_study.sessions import Sessions

pytest.importorskip("starlette", reason="the web application needs the extra [study]")
pytest.importorskip("uvicorn", reason="the web application needs the extra [study]")
from study_rater import LAPTOP, PHONE, READY, SWITCHES, Rater, after_checks

playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="browser tests need Chromium")


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def browser(running: Any) -> Iterator[Any]:
    found = running.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
    yield found
    found.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(study(tmp_path / "study", Settings(trials=8, repeats=0.13, pause_every=4)))
    yield found
    found.stop()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    found = browser.new_context(**LAPTOP)
    yield found
    found.close()


def test_a_rater_goes_through_the_study_by_keyboard_closes_the_tab_and_goes_on(
    context: Any, server: Server
) -> None:
    rater = Rater(context, server)
    rater.begin_comparisons()
    for number, key in enumerate("abn"):
        rater.look_and_answer(f"Comparison {number + 1} of 8", key)
    rater.wait("Comparison 4 of 8")
    rater.page.close()

    rater.open()
    rater.wait("Welcome back")
    rater.page.get_by_role("button", name="Go on").click()
    rater.look_and_answer("Comparison 4 of 8", "b")
    rater.wait("Time for a pause")
    rater.page.get_by_role("button", name="Go on").click()
    for number in range(4, 8):
        rater.look_and_answer(f"Comparison {number + 1} of 8", "a")
    rater.wait("Thank you")
    assert rater.stored() == ["a", "b", "same", "b", "a", "a", "a", "a"]
    assert rater.complaints == []
    (view,) = query(server.folder, "SELECT view FROM answers ORDER BY trial DESC LIMIT 1")
    for word in ('"viewport": [1366, 650]', '"ratio": 1', '"scale": 1', '"panned": false', '"mode": "flip"'):
        assert word in view["view"]


def test_a_double_click_a_held_key_and_an_early_answer_count_as_they_should(
    context: Any, server: Server
) -> None:
    rater = Rater(context, server, after_checks(server))
    rater.go_on("Comparison 1 of 8")
    rater.wait("Comparison 1 of 8")
    rater.page.locator(READY).wait_for()
    rater.page.keyboard.press("a")
    rater.wait("Look at A and B first.")
    rater.page.get_by_role("button", name="A ←").click()
    rater.page.get_by_role("button", name="B →").click()
    rater.page.get_by_role("button", name="B is closer").dblclick()
    rater.wait("Comparison 2 of 8")
    rater.page.locator(READY).wait_for()
    rater.wait_until_stored(["b"])
    rater.page.keyboard.press("ArrowLeft")
    rater.page.keyboard.press("ArrowRight")
    for _ in range(6):
        rater.page.keyboard.down("n")
    rater.page.keyboard.up("n")
    rater.wait("Comparison 3 of 8")
    rater.page.locator(READY).wait_for()
    rater.wait_until_stored(["b", "same"])
    assert rater.complaints == []


def test_answers_survive_a_killed_server_and_are_sent_when_it_is_back(context: Any, server: Server) -> None:
    rater = Rater(context, server, after_checks(server))
    rater.go_on("Comparison 1 of 8")
    rater.look_and_answer("Comparison 1 of 8", "a")
    rater.wait("Comparison 2 of 8")
    rater.page.locator(READY).wait_for()
    rater.page.wait_for_timeout(300)  # the pictures of the next one are loaded ahead
    server.kill()
    rater.look_and_answer("Comparison 2 of 8", "b")
    rater.wait("No connection to the server. Your last answer is kept")
    server.start()
    rater.look_and_answer("Comparison 3 of 8", "n")
    rater.wait("Comparison 4 of 8")
    rater.page.locator("#banner").wait_for(state="hidden")
    rater.wait_until_stored(["a", "b", "same"])
    server.kill()
    rater.look_and_answer("Comparison 4 of 8", "a")
    rater.wait("No connection to the server.")
    rater.page.close()
    server.start()
    rater.open()
    rater.wait("Welcome back")
    rater.wait_until_stored(["a", "b", "same", "a"])
    assert rater.complaints == []


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 429, "body": "slow down"},
        {"status": 404, "body": "no such page, says the proxy"},
        {"status": 421, "body": '{"error": "this server does not go by that name"}'},
    ],
    ids=lambda refusal: str(refusal["status"]),
)
def test_an_answer_that_a_proxy_refuses_is_kept(
    context: Any, server: Server, refusal: dict[str, Any]
) -> None:
    rater = Rater(context, server, after_checks(server))
    rater.go_on("Comparison 1 of 8")
    refuse_twice(rater, "**/api/answer", refusal)
    refuse_twice(rater, "**/api/state", refusal)
    rater.look_and_answer("Comparison 1 of 8", "a")
    rater.wait("Your last answer is kept on this device and will be sent.")
    rater.look_and_answer("Comparison 2 of 8", "b")
    rater.wait_until_stored(["a", "b"])
    rater.page.reload()  # the first to ask how things stand
    rater.wait("Welcome back")
    rater.go_on("Comparison 3 of 8")
    assert rater.complaints == []


def refuse_twice(rater: Rater, calls: str, refusal: dict[str, Any]) -> None:
    """Answer the next two of these calls in the server's place."""
    rater.page.route(calls, lambda route: route.fulfill(**refusal), times=2)


def test_a_browser_that_lost_its_cookie_is_asked_for_the_link_and_sends_what_it_kept(
    context: Any, tmp_path: Path
) -> None:
    found = Server(study(tmp_path / "study", Settings(trials=8, pause_every=0)), "--host", "0.0.0.0")
    entrance = f"/?key={Sessions(found.folder).access_key}"
    try:
        rater = Rater(context, found, entrance)
        rater.wait("Before you begin")
        rater.page.goto(found.address + after_checks(found))
        rater.go_on("Comparison 1 of 8")
        context.clear_cookies()
        rater.look_and_answer("Comparison 1 of 8", "a")
        rater.wait("Open the whole link again")
        rater.wait("Your last answer is kept")
        assert rater.stored() == []
        context.new_page().goto(found.address + entrance)
        rater.wait_until_stored(["a"])
        rater.wait("Comparison 2 of 8")
        assert rater.complaints == []
    finally:
        found.stop()


def test_the_page_that_says_that_a_session_is_over_stays(context: Any, server: Server) -> None:
    link = after_checks(server)
    rater = Rater(context, server, link)
    rater.go_on("Comparison 1 of 8")
    sessions = Sessions(server.folder)
    sessions.withdraw(link.partition("=")[2])  # from another browser
    sessions.close()
    rater.look_and_answer("Comparison 1 of 8", "a")
    rater.wait("This session is over")
    rater.page.wait_for_timeout(400)  # longer than the next comparison takes to come
    rater.wait("This session is over")
    assert rater.page.evaluate("localStorage.length") == 0
    rater.page.get_by_role("button", name="Begin again").click()
    rater.consent()
    rater.wait("Read the figures")
    assert rater.complaints == []


def test_a_phone_takes_part_by_touch_and_its_link_goes_on_elsewhere(browser: Any, server: Server) -> None:
    phone = browser.new_context(**PHONE)
    rater = Rater(phone, server)
    rater.wait("Before you begin")
    assert rater.page.evaluate("document.documentElement.scrollWidth") <= 390
    rater.page.get_by_role("checkbox").tap()
    rater.page.get_by_role("button", name="Begin").tap()
    rater.wait("Read the figures")
    rater.page.get_by_role("button").first.tap()
    for number in range(6):
        rater.wait(f"Plate {number + 1} of 6")
        rater.page.get_by_role("button", name=rater.expected(), exact=True).tap()
    rater.practise_and_check()
    rater.page.get_by_text("Stop here").tap()
    link = rater.page.get_by_role("textbox").input_value()
    rater.page.get_by_role("button", name="Begin", exact=True).tap()
    rater.wait("Comparison 1 of 8")
    rater.page.locator(READY).wait_for()
    for name in ("A", "B", "Slider", "Original"):
        rater.page.locator(".look").get_by_role("button", name=name, exact=True).tap()
    boxes = rater.page.evaluate(
        "[...document.querySelectorAll('#viewer button, #question, #count')].filter(e => e.offsetParent && "
        "!e.closest('dialog')).map(e => e.getBoundingClientRect()).map(b => [b.left, b.top, b.right, b.bottom])"
    )
    assert all(0 <= b[0] < b[2] <= 390 and 0 <= b[1] < b[3] <= 760 for b in boxes)
    rater.page.get_by_role("button", name="No difference").tap()
    rater.wait("Comparison 2 of 8")
    assert rater.complaints == []
    phone.close()

    laptop = browser.new_context(**LAPTOP)
    moved = Rater(laptop, server)
    moved.page.goto(link)
    moved.wait("Welcome back")
    assert "resume" not in moved.page.url
    moved.page.get_by_role("button", name="Go on").click()
    moved.look_and_answer("Comparison 2 of 8", "a")
    moved.wait("Comparison 3 of 8")
    assert moved.stored() == ["same", "a"]
    laptop.close()


def test_a_rater_can_have_all_answers_deleted(context: Any, server: Server) -> None:
    rater = Rater(context, server, after_checks(server))
    rater.go_on("Comparison 1 of 8")
    rater.look_and_answer("Comparison 1 of 8", "a")
    rater.wait("Comparison 2 of 8")
    rater.page.reload()
    rater.wait("Welcome back")
    rater.page.get_by_text("Stop here").click()
    rater.page.get_by_role("button", name="Delete my answers").click()
    rater.page.get_by_role("button", name="Delete them").click()
    rater.page.get_by_role("heading", name="Deleted").wait_for()
    assert query(server.folder, "SELECT COUNT(*) FROM sessions")[0][0] == 0
    assert query(server.folder, "SELECT COUNT(*) FROM answers")[0][0] == 0
    rater.page.reload()
    rater.wait("Before you begin")


def test_people_take_turns_at_one_machine(context: Any, server: Server) -> None:
    rater = Rater(context, server, after_checks(server))
    rater.wait("Welcome back")
    rater.page.get_by_text("Somebody else takes part").click()
    rater.page.get_by_role("button", name="Begin as somebody else").click()
    rater.consent()
    rater.wait("Read the figures")
    assert query(server.folder, "SELECT COUNT(*) FROM sessions")[0][0] == 2
    assert query(server.folder, "SELECT COUNT(*) FROM answers")[0][0] == 17


def test_a_link_pasted_into_the_open_page_goes_on_and_a_wrong_one_forgets_nothing(
    context: Any, server: Server
) -> None:
    rater = Rater(context, server)
    rater.wait("Before you begin")
    own = after_checks(server)
    rater.page.goto(server.address + own)
    rater.wait("Welcome back")
    rater.page.goto(server.address + own[:-4])
    rater.page.wait_for_url(server.address + "/")  # the link was read
    rater.wait("Welcome back")
    rater.page.evaluate("localStorage.clear()")
    rater.page.goto(server.address + own[:-4])
    rater.wait("The link belongs to no session here.")
    assert rater.complaints == []


def test_two_tabs_of_one_rater_answer_every_trial_once(context: Any, server: Server) -> None:
    one = Rater(context, server, after_checks(server))
    one.go_on("Comparison 1 of 8")
    other = Rater(context, server)
    other.go_on("Comparison 1 of 8")
    other.look_and_answer("Comparison 1 of 8", "b")
    other.look_and_answer("Comparison 2 of 8", "b")
    other.wait("Comparison 3 of 8")
    one.look_and_answer("Comparison 1 of 8", "a")
    one.look_and_answer("Comparison 3 of 8", "a")
    one.wait("Comparison 4 of 8")
    assert one.stored() == ["b", "b", "a"]
    assert one.complaints == other.complaints == []


@pytest.mark.parametrize("touch", [False, True])
@pytest.mark.parametrize(("width", "height"), [(320, 568), (568, 320), (683, 325)])
def test_every_button_is_on_the_smallest_screens_and_at_a_zoom_of_400_percent(
    browser: Any, server: Server, width: int, height: int, touch: bool
) -> None:
    screen = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch
    )
    rater = Rater(screen, server, after_checks(server))
    rater.go_on("Comparison 1 of 8")
    rater.page.keyboard.press("s")
    rater.page.get_by_role("slider").wait_for()
    boxes = rater.page.evaluate(
        "[...document.querySelectorAll('#viewer button, #slider, #stage, #question, #count')]"
        ".filter(e => e.offsetParent && !e.closest('dialog')).map(e => e.getBoundingClientRect())"
        ".map(b => [b.left, b.top, b.right, b.bottom])"
    )
    assert len(boxes) == 7 + 4
    assert all(0 <= b[0] < b[2] <= width and 0 <= b[1] < b[3] <= height for b in boxes)
    assert rater.page.evaluate("document.getElementById('stage').clientHeight") >= 100
    named = rater.page.get_by_role("group", name="The picture. Shift and an arrow key")
    assert named.is_visible()
    screen.close()


@pytest.mark.parametrize(
    ("ratio", "scale"),
    [
        pytest.param(1, 1, marks=pytest.mark.slow),
        (1.25, 1),
        pytest.param(1.5, 2, marks=pytest.mark.slow),
        pytest.param(2, 2, marks=pytest.mark.slow),
        (3, 3),
    ],
)
def test_one_picture_pixel_is_a_whole_number_of_device_pixels(
    running: Any, server: Server, ratio: float, scale: int
) -> None:
    """The screen shows the very pixels of the lossless file, enlarged by a whole number, at every pixel ratio."""
    # a real screen of this pixel ratio: Playwright's emulation of one draws at CSS pixels
    screen = [f"--force-device-scale-factor={ratio}", "--window-size=1101,743"]
    found = running.chromium.launch(executable_path=CHROMIUM, args=[*SWITCHES, *screen])
    try:
        check_pixels(Rater(found.new_context(no_viewport=True), server, after_checks(server)), ratio, scale)
    finally:
        found.close()


def check_pixels(rater: Rater, ratio: float, scale: int) -> None:
    assert rater.page.evaluate("devicePixelRatio") == ratio
    rater.go_on("Comparison 1 of 8")
    for side, key, column in (
        ("original", "ArrowUp", "reference"),
        ("a", "ArrowLeft", "a"),
        ("b", "ArrowRight", "b"),
    ):
        rater.page.keyboard.press(key)
        token = rater.page.evaluate("document.querySelector('#original').getAttribute('src')").split("/")[2]
        (row,) = query(
            rater.server.folder,
            f"SELECT file FROM trials t JOIN exhibits e ON e.id = t.{column} WHERE token = ?",
            token,
        )
        with Image.open(rater.server.folder / PICTURES / row["file"]) as image:
            expected = np.asarray(image).repeat(scale, axis=0).repeat(scale, axis=1)
        left, top = rater.page.evaluate(
            f"(b => [b.left, b.top])(document.querySelector('#{side}').getBoundingClientRect())"
        )
        with Image.open(io.BytesIO(rater.page.screenshot())) as image:
            screen = np.asarray(image.convert("RGB"))
        x, y = round(left * ratio), round(top * ratio)
        assert (screen[y : y + expected.shape[0], x : x + expected.shape[1]] == expected).all()
