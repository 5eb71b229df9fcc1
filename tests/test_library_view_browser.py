"""The gallery as people use it, in headless Chromium, on pictures that the networks coded and on damaged files."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from library_browser import LOADED, OpenPage, chromium, percent, position, serving, sheet, show, tile, until
from PIL import Image

import pillow_pico
from pico_codec.convert import encode_file
from pico_library.view.server import Viewer

LAKE, SHEET = "lake.jpg", "sheet-04.png"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """A real photograph with its original, six drawings, and two files with damage, in a tile and in the headers."""
    folder = tmp_path_factory.mktemp("browser") / "Holidays"
    folder.mkdir()
    shutil.copyfile(samples / LAKE, folder / LAKE)
    encode_file(samples / LAKE, folder / f"{LAKE}.pico", {"quality": 60}, overwrite=False)
    for number in range(1, 7):
        (folder / f"sheet-{number:02}.png.pico").write_bytes(sheet(number))
    whole = sheet(7)
    (folder / "broken-tile.png.pico").write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    (folder / "broken.png.pico").write_bytes(whole[:60] + b"\xff" + whole[61:])
    return folder


@pytest.fixture(scope="module")
def viewer(photos: Path) -> Iterator[Viewer]:
    with pytest.MonkeyPatch.context() as patch, serving(photos) as server:
        patch.setenv("PICO_LIBRARY_HOME", str(photos.parent / "home"))
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def open_page(browser: Any, viewer: Viewer) -> Iterator[OpenPage]:
    """Opens the gallery; afterwards no error may have been thrown and nothing fetched from elsewhere."""
    contexts, faults = [], []

    def heard(message: Any) -> None:
        if message.type == "error" and "status of 422" not in message.text:
            faults.append(message.text)

    def requested(request: Any) -> None:
        if not request.url.startswith((viewer.address, f"blob:{viewer.address.rsplit('/', 2)[0]}")):
            faults.append(request.url)

    def open_one(*, phone: bool = False, **options: Any) -> Any:
        size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 800}
        touch = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if phone else {}
        contexts.append(browser.new_context(viewport=size, **touch, **options))
        contexts[-1].set_default_timeout(15_000)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", heard)
        page.on("request", requested)
        page.goto(viewer.address)
        page.get_by_text("1 damaged").wait_for()
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults == []


def test_gallery_shows_every_file_under_its_month_the_newest_first(open_page: OpenPage) -> None:
    page = open_page()
    assert page.inner_text("h1") == "Holidays"
    assert page.inner_text("#summary").startswith("9 photos, ")
    until(page, "document.querySelectorAll('.tile img.there').length >= 5")
    months = page.eval_on_selector_all("#grid h2", "all => all.map(one => one.firstChild.data)")
    assert months[1:] == [
        "July 2020", "June 2020", "May 2020", "April 2020", "March 2020", "February 2020", "January 2020", "March 2018"
    ][: len(months) - 1]  # fmt: skip
    boxes = [one.bounding_box() for one in page.locator(".tile").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 1281 for box in boxes)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_damaged_file_is_a_tile_with_its_message(open_page: OpenPage) -> None:
    page = open_page()
    assert "checksum does not match" in tile(page, "broken.png").inner_text()
    tile(page, "broken.png").click()
    page.locator("#message.bad").wait_for()
    assert "checksum does not match" in page.inner_text("#message")
    assert page.is_disabled("#in"), "there is nothing to zoom into"
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#name').textContent === 'broken-tile.png'")
    page.get_by_text("tile").and_(page.locator("#message.bad")).wait_for()
    assert page.evaluate("document.querySelector('#after .small').naturalWidth") == 192, "the preview stays"
    until(page, "document.querySelector('#after .full').naturalWidth === 1600")
    assert page.is_visible("#message"), "what is left is shown with what is wrong"
    page.keyboard.press("ArrowRight")
    until(page, LOADED)
    assert page.is_hidden("#message")


def test_keyboard_chooses_opens_and_comes_back_to_the_tile(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    label = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(label).endswith("1 of 9")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(label).endswith("3 of 9")
    page.keyboard.press("ArrowDown")
    below = page.evaluate(label)
    page.keyboard.press("ArrowUp")
    assert page.evaluate(label).endswith("3 of 9")
    assert not below.endswith("3 of 9")
    page.keyboard.press("End")
    assert page.evaluate(label).startswith(LAKE)
    page.keyboard.press("Enter")
    until(page, LOADED)
    page.keyboard.press("ArrowLeft")
    until(page, "document.querySelector('#name').textContent === 'sheet-01.png'")
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('#viewer').open")
    assert page.evaluate(label).startswith("sheet-01.png")
    assert page.evaluate("location.hash") == ""


def test_arrow_begins_in_a_gallery_where_nothing_was_chosen(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.tabIndex") == 0
    assert page.evaluate("document.activeElement !== document.body")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")


def test_photo_opens_upright_with_its_true_pixels(open_page: OpenPage) -> None:
    page = open_page()
    show(page, LAKE)
    image = "document.querySelector('#after .full')"
    assert page.evaluate(f"[{image}.naturalWidth, {image}.naturalHeight]") == [771, 578]
    assert percent(page) == 100, "it is smaller than the window, and not enlarged"
    assert page.evaluate(f"{image}.alt").startswith("lake.jpg, 24 March 2018")
    page.keyboard.press("i")
    facts = page.inner_text("#facts")
    assert "40.01500\N{DEGREE SIGN} N" in facts
    assert "1/250 s" in facts
    assert "60 of 100" in facts
    page.go_back()
    until(page, "!document.querySelector('#viewer').open")


def test_zoom_by_keys_wheel_and_double_click_keeps_the_place(open_page: OpenPage) -> None:
    page = open_page()
    show(page, SHEET)
    fitting = percent(page)
    assert fitting < 100
    page.keyboard.press("+")
    assert percent(page) == 100, "zooming stops at true pixels on its way"
    page.keyboard.press("+")
    assert percent(page) == 150
    page.keyboard.press("-")
    page.keyboard.press("0")
    assert percent(page) == fitting
    page.keyboard.press("1")
    left, top, scale = position(page)
    assert scale == 1
    assert (left, top) == (round(left), round(top)), "on whole pixels of the screen, or they would blur"
    page.keyboard.press("0")
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + 500, box["y"] + 300
    left, top, scale = position(page)
    point = ((500 - left) / scale, (300 - top) / scale)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(50)
    left, top, scale = position(page)
    assert percent(page) > fitting
    assert ((500 - left) / scale, (300 - top) / scale) == pytest.approx(point, abs=2)
    page.mouse.dblclick(x, y)
    assert percent(page) == fitting
    page.mouse.dblclick(x, y)
    assert percent(page) == 100


def test_large_picture_is_moved_by_mouse_and_keys_but_not_out_of_sight(open_page: OpenPage) -> None:
    page = open_page()
    show(page, SHEET)
    page.keyboard.press("1")
    left, top, _ = position(page)
    page.keyboard.press("ArrowRight")
    assert position(page)[0] == left - 80
    page.mouse.move(600, 400)
    page.mouse.down()
    page.mouse.move(650, 430, steps=3)
    page.mouse.up()
    assert position(page)[:2] == pytest.approx((left - 30, top + 30), abs=1)
    page.mouse.down()
    page.mouse.move(5000, 5000, steps=3)
    page.mouse.up()
    assert position(page)[:2] == (0, 0)
    page.keyboard.press("PageDown")
    until(page, "document.querySelector('#name').textContent === 'sheet-03.png'")
    assert percent(page) < 100, "the next photo is shown whole"


def test_before_and_after_slide_over_each_other(open_page: OpenPage) -> None:
    page = open_page()
    show(page, LAKE)
    until(page, "!document.querySelector('#compare').disabled")
    page.keyboard.press("b")
    page.locator("#divider").wait_for()
    assert page.evaluate("document.querySelector('#before .full').naturalWidth") == 771
    assert page.get_attribute("#divider", "aria-valuenow") == "50"
    assert page.evaluate("document.activeElement.id") == "divider"
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#divider", "aria-valuenow") == "48"
    box = page.locator("#divider").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 150, box["y"] + 200, steps=4)
    page.mouse.up()
    assert int(page.get_attribute("#divider", "aria-valuenow")) == round(48 + 150 / 7.71)
    left, _, _ = position(page)
    width = page.evaluate("document.querySelector('#stage').clientWidth")
    clip = page.evaluate("document.querySelector('#before').style.clipPath")
    cut = float(clip.removeprefix("inset(0px ").partition("px")[0])
    assert width - cut == pytest.approx(left + 0.48 * 771 + 150, abs=1)
    page.keyboard.press("1")
    page.keyboard.press("+")
    sheets = page.evaluate("[...document.querySelectorAll('.sheet')].map(one => one.style.transform)")
    assert sheets[0] == sheets[1], "both are enlarged alike"
    page.keyboard.press("b")
    assert page.is_hidden("#divider")


def test_picture_without_an_original_offers_no_comparison(open_page: OpenPage) -> None:
    page = open_page()
    show(page, SHEET)
    until(page, "document.querySelectorAll('#facts dd').length > 3")
    assert page.is_disabled("#compare")
    page.keyboard.press("b")
    assert page.is_hidden("#divider")


def touch(page: Any, kind: str, *points: tuple[float, float]) -> None:
    places = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    session = getattr(page, "touching", None) or page.context.new_cdp_session(page)
    page.touching = session
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def test_phone_has_room_for_everything_and_takes_fingers(open_page: OpenPage) -> None:
    page = open_page(phone=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tile(page, SHEET).scroll_into_view_if_needed()
    tile(page, SHEET).tap()
    until(page, LOADED)
    assert page.evaluate("document.querySelector('.tools').getBoundingClientRect().right <= innerWidth")
    touch(page, "touchStart", (300, 420))
    touch(page, "touchMove", (200, 425))
    touch(page, "touchMove", (120, 425))
    touch(page, "touchEnd")
    until(page, "document.querySelector('#name').textContent === 'sheet-03.png'")
    until(page, LOADED)
    fitting = percent(page)
    touch(page, "touchStart", (150, 400), (240, 400))
    touch(page, "touchMove", (120, 400), (270, 400))
    touch(page, "touchMove", (60, 400), (330, 400))
    touch(page, "touchEnd")
    assert percent(page) == pytest.approx(3 * fitting, rel=0.1)
    for _ in range(2):
        touch(page, "touchStart", (200, 420))
        touch(page, "touchEnd")
    assert percent(page) == fitting
    page.tap("#about")
    sheet_box = page.locator("#facts").bounding_box()
    assert (sheet_box["x"], sheet_box["width"]) == (0, 390)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_colour_schemes(scheme: str, open_page: OpenPage) -> None:
    page = open_page(color_scheme=scheme)
    colours = page.evaluate(
        "['.soft', 'h1', 'h2'].map(name => getComputedStyle(document.querySelector(name)).color)"
        ".concat(getComputedStyle(document.body).backgroundColor)"
    )
    *inks, paper = [_luminance(colour) for colour in colours]
    assert (paper > 0.5) == (scheme == "light")
    assert all((max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5 for ink in inks)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_tile_shows_that_its_picture_is_still_to_come(open_page: OpenPage) -> None:
    page = open_page()
    moves = "document.querySelector('[aria-label^=\"sheet-01.png,\"]').getAnimations().length"
    until(page, f"{moves} === 0")
    page.evaluate("document.querySelector('[aria-label^=\"sheet-01.png,\"] img').classList.remove('there')")
    assert page.evaluate(moves) == 1
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moves) == 0


def test_reduced_motion_stops_what_moves(open_page: OpenPage) -> None:
    page = open_page(reduced_motion="reduce")
    moving = "getComputedStyle(document.querySelector('#work'), '::before').animationName"
    assert page.evaluate(moving) == "none"


def test_page_of_another_site_learns_nothing(browser: Any, viewer: Viewer) -> None:
    page = browser.new_page()
    page.goto("data:text/html,<p>another site</p>")
    read = f"fetch('{viewer.address}list').then(() => 'read', () => 'refused')"
    assert page.evaluate(read) == "refused"
    page.set_content(f"<iframe src='{viewer.address}'></iframe><img src='{viewer.address}icon.svg'>")
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('img').naturalWidth") == 0
    page.close()


def test_thousands_of_photos_make_few_elements(browser: Any, tmp_path: Path) -> None:
    content = sheet(1)
    for number in range(1500):
        (tmp_path / f"{number:04}.pico").write_bytes(content)
    with serving(tmp_path) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(server.address)
        page.get_by_text("1,500 photos", exact=False).wait_for()
        until(page, "!document.querySelector('#summary').textContent.includes('so far')")
        assert page.evaluate("document.querySelectorAll('.tile').length") < 100
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        tile(page, "1499").wait_for()
        until(page, "document.querySelector('[aria-label^=\"1499,\"] img').naturalWidth > 0")
        assert page.evaluate("document.querySelectorAll('.tile').length") < 100
        page.close()


def test_gallery_without_photos_says_only_that(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        page = browser.new_page()
        page.goto(server.address)
        page.get_by_text("There are no .pico files here").wait_for()
        assert page.inner_text("#summary") == ""
        assert not page.is_visible(".keys")
        page.close()


def test_tiny_picture_is_not_blown_up(browser: Any, tmp_path: Path) -> None:
    for name, size in (("icon", (48, 32)), ("drawing", (480, 320))):
        data = pillow_pico.to_bytes(Image.new("RGB", size, "teal"), lossless=True)
        (tmp_path / f"{name}.pico").write_bytes(data)
    with serving(tmp_path) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(server.address)
        tile(page, "icon").wait_for()
        fit = "document.querySelector('[aria-label^=\"{},\"] img').computedStyleMap().get('object-fit').value"
        assert page.evaluate(fit.format("icon")) == "scale-down"
        assert page.evaluate(fit.format("drawing")) == "cover"
        page.close()


def test_open_page_keeps_the_server_and_closing_lets_it_go(browser: Any, photos: Path) -> None:
    with serving(photos) as server:
        page = browser.new_page()
        page.goto(server.address)
        end = time.monotonic() + 30
        while server.presence._pages == 0 and time.monotonic() < end:
            page.wait_for_timeout(20)
        assert server.presence._pages == 1
        page.close()
        while server.presence._pages and time.monotonic() < end:
            time.sleep(0.05)
        assert server.presence._pages == 0
