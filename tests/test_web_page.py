"""pico.html: a gallery of dropped files, zoom, EXIF, before and after, saving, keys, phones, and turned pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import web_pages
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from web_pages import until

import pillow_pico
from pico_core import Metadata, PicoFile, encode

LOADED = "document.querySelector('#after canvas').dataset.complete === 'true' && document.querySelector('#work').hidden"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with web_pages.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return web_pages.page_in(tmp_path_factory.mktemp("page"))


@pytest.fixture
def tab(browser: Any, page_file: Path) -> Iterator[Any]:
    tab = web_pages.open_page(browser, page_file)
    yield tab
    assert tab.problems == []
    tab.context.close()


@pytest.fixture
def album(tmp_path: Path, samples: Path) -> Path:
    """.pico files and their originals."""
    for name in ("osprey.jpg", "lake.jpg", "screenshot.png"):
        (tmp_path / name).write_bytes((samples / name).read_bytes())
        with Image.open(samples / name) as image:
            data = pillow_pico.to_bytes(image, exif=image.info.get("exif", b""))
        (tmp_path / f"{name}.pico").write_bytes(data)
    return tmp_path


def bring(tab: Any, folder: Path, pattern: str = "*") -> None:
    files = sorted(str(path) for path in folder.glob(pattern))
    tab.set_input_files("#files", files)
    count = sum(name.endswith(".pico") for name in files)
    until(tab, f"document.querySelectorAll('button.tile').length >= {count}")


def show(tab: Any, name: str) -> None:
    tab.evaluate("delete document.querySelector('#after canvas').dataset.complete")
    tab.locator(f'button.tile[aria-label^="{name},"]').click()
    until(tab, LOADED)


def canvas_pixels(tab: Any) -> NDArray[np.uint8]:
    """What the viewer's canvas shows, (height, width, 4)."""
    found = tab.evaluate("""() => {
      const { width, height } = document.querySelector("#after canvas");
      const { data } = document.querySelector("#after canvas").getContext("2d").getImageData(0, 0, width, height);
      let letters = "";
      for (let i = 0; i < data.length; i += 32768) letters += String.fromCharCode(...data.subarray(i, i + 32768));
      return { width, height, data: btoa(letters) };
    }""")
    pixels = np.frombuffer(base64.b64decode(found["data"]), np.uint8)
    return pixels.reshape(found["height"], found["width"], 4)


def saved(tab: Any, button: str, folder: Path) -> Path:
    if tab.evaluate("document.querySelector('#facts').hidden"):
        tab.click("#about")
    with tab.expect_download() as download:
        tab.click(button)
    path = folder / str(download.value.suggested_filename)
    download.value.save_as(path)
    return path


def test_the_page_has_everything_inside_and_at_most_15_megabytes(page_file: Path) -> None:
    text = page_file.read_text("utf-8")
    assert len(text) < 15_000_000
    assert "http://" not in text.replace("http://ns.adobe.com/xap/1.0/", "")
    assert "https://" not in text
    assert "src=" not in text.split("<body")[1].split("<script")[0]


def test_dropped_files_become_a_gallery_by_month_with_originals_to_compare(tab: Any, album: Path) -> None:
    bring(tab, album)
    assert tab.inner_text("#summary").startswith("3 photos, ")
    headings = tab.locator("#grid h2").evaluate_all("all => all.map(one => one.firstChild.textContent)")
    assert "May 2020" in headings
    show(tab, "osprey.jpg")
    tab.click("#compare")
    until(tab, "!document.querySelector('#divider').hidden")
    assert tab.evaluate("document.querySelector('#before .full').naturalWidth") == 768
    tab.click("#about")
    assert "f/5.6" in tab.inner_text("#facts")
    assert "osprey.jpg" in tab.inner_text("#facts")


def test_a_turned_photo_stands_upright_once(tab: Any, album: Path) -> None:
    bring(tab, album, "lake*")
    until(tab, LOADED)  # one photo alone opens at once
    with PicoFile(album / "lake.jpg.pico") as file:
        stored = Image.fromarray(file.decode())
        stored.getexif()[0x0112] = 6
        expected = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(canvas_pixels(tab)[..., :3], expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_followed(
    tab: Any, tmp_path: Path, photo: NDArray[np.uint8], orientation: int
) -> None:
    data = encode(photo[:520, :590], metadata=Metadata(exif=web_pages.exif_turned(orientation)))
    (tmp_path / "turned.pico").write_bytes(data)
    bring(tab, tmp_path)
    until(tab, LOADED)
    with PicoFile(data) as file:
        stored = Image.fromarray(file.decode())
    stored.getexif()[0x0112] = orientation
    assert np.array_equal(canvas_pixels(tab)[..., :3], np.asarray(ImageOps.exif_transpose(stored)))


@pytest.mark.parametrize("kind", ["RGB", "L", "RGBA", "LA"])
def test_a_saved_png_has_the_exact_pixels_and_the_metadata(
    tab: Any, tmp_path: Path, photo: NDArray[np.uint8], kind: str
) -> None:
    image = Image.fromarray(photo).convert(kind)
    if "A" in kind:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = web_pages.exif_turned(3)
    grey = kind in ("L", "LA")
    data = pillow_pico.to_bytes(image, exif=exif, icc_profile=None if grey else icc)
    (tmp_path / "photo.jpg.pico").write_bytes(data)
    bring(tab, tmp_path)
    until(tab, LOADED)
    path = saved(tab, "#png", tmp_path)
    assert path.name == "photo.png"
    with Image.open(path) as made, Image.open(io.BytesIO(data)) as expected:
        assert made.mode == expected.mode
        assert np.array_equal(np.asarray(made), np.asarray(expected))
        assert made.info["exif"].removeprefix(b"Exif\0\0") == exif.removeprefix(b"Exif\0\0")
        assert made.info.get("icc_profile") == (None if grey else icc)


def test_a_saved_jpeg_keeps_exif_and_colours(tab: Any, album: Path) -> None:
    bring(tab, album, "lake*")
    until(tab, LOADED)
    path = saved(tab, "#jpeg", album / "..")
    with Image.open(path) as made, PicoFile(album / "lake.jpg.pico") as file:
        assert made.format == "JPEG"
        assert made.info["exif"].removeprefix(b"Exif\0\0") == (file.metadata.exif or b"").removeprefix(
            b"Exif\0\0"
        )
        difference = np.abs(np.asarray(made).astype(int) - file.decode())
    assert difference.mean() < 2


def test_keys_lead_through_the_gallery_and_the_photo(tab: Any, album: Path) -> None:
    bring(tab, album)
    tab.keyboard.press("Tab")
    tab.locator("button.tile[tabindex='0']").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    until(tab, "document.querySelector('#viewer').open && " + LOADED)
    first = tab.inner_text("#name")
    tab.keyboard.press("1")
    assert tab.inner_text("#level") == "100 %"
    tab.keyboard.press("+")
    assert int(tab.inner_text("#level").removesuffix(" %")) > 100
    tab.keyboard.press("0")
    tab.keyboard.press("ArrowRight")
    until(tab, LOADED)
    assert tab.inner_text("#name") != first
    tab.keyboard.press("Escape")
    until(tab, "!document.querySelector('#viewer').open")


def test_everything_to_press_has_a_name_for_screen_readers(tab: Any, album: Path) -> None:
    bring(tab, album)
    show(tab, "osprey.jpg")
    nameless = tab.evaluate("""
      [...document.querySelectorAll("button, input, canvas[role], img, [role=slider], dialog")]
        .filter(one => !one.getAttribute("aria-label") && !one.alt && !one.textContent.trim())
        .map(one => one.id || one.outerHTML)""")
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(
    browser: Any, page_file: Path, album: Path, scheme: str
) -> None:
    tab = web_pages.open_page(
        browser,
        page_file,
        viewport={"width": 390, "height": 844},
        color_scheme=scheme,
        has_touch=True,
        is_mobile=True,
    )
    bring(tab, album)
    wide = "document.documentElement.scrollWidth"
    assert tab.evaluate(wide) == 390
    show(tab, "osprey.jpg")
    assert tab.evaluate(wide) == 390
    small = tab.evaluate("""[...document.querySelectorAll("#viewer .tool")].filter(one => one.offsetWidth)
      .filter(one => one.offsetWidth < 44 || one.offsetHeight < 44).map(one => one.id)""")
    assert small == []
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, dark.removeprefix("rgb(").removesuffix(")").split(","))) < 200) == (scheme == "dark")
    tab.context.close()


def profile(colorants: list[float]) -> bytes:
    """An ICC profile with the curve of sRGB and other colorants: X, Y and Z of red, green and blue."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = {bytes(data[at : at + 4]): int.from_bytes(data[at + 4 : at + 8], "big") for at in _tags(data)}
    for number, value in enumerate(colorants):
        at = places[(b"rXYZ", b"gXYZ", b"bXYZ")[number // 3]] + 8 + 4 * (number % 3)
        data[at : at + 4] = round(value * 65536).to_bytes(4, "big", signed=True)
    return bytes(data)


def _tags(data: bytearray) -> range:
    return range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12)


@pytest.mark.parametrize(
    ("colorants", "space", "is_honoured"),
    [
        ([0.4361, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7141], "srgb", True),
        ([0.5151, 0.2412, -0.0011, 0.292, 0.6922, 0.0419, 0.1571, 0.0666, 0.7841], "display-p3", True),
        (
            [0.6097, 0.3111, 0.0195, 0.2053, 0.6257, 0.0609, 0.1492, 0.0632, 0.7446],
            "srgb",
            False,
        ),  # Adobe RGB
    ],
)
def test_display_p3_is_shown_as_such_and_other_profiles_as_srgb(
    tab: Any, photo: NDArray[np.uint8], colorants: list[float], space: str, is_honoured: bool
) -> None:
    data = encode(photo[:64, :64], metadata=Metadata(icc=profile(colorants)))
    found = tab.evaluate(
        """async text => {
          const picture = await pico.open(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)));
          const canvas = document.createElement("canvas");
          await picture.paint(canvas);
          return [canvas.getContext("2d").getContextAttributes().colorSpace, picture.note === ""];
        }""",
        web_pages._text(data),
    )
    assert found == [space, is_honoured]


def test_a_profile_that_a_page_cannot_show_is_named(
    tab: Any, tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    (tmp_path / "photo.pico").write_bytes(encode(photo[:64, :64], metadata=Metadata(icc=lab)))
    bring(tab, tmp_path)
    until(tab, "!document.querySelector('#message').hidden")
    assert "which a web page cannot show" in tab.inner_text("#message")


def test_a_picture_too_large_for_a_canvas_is_shown_smaller(tab: Any, photo: NDArray[np.uint8]) -> None:
    data = encode(np.tile(photo, (2, 2, 1))[:1001, :1150], quality=90, effort=0)
    shown = tab.evaluate(
        """async text => {
          const picture = await pico.open(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)));
          const canvas = document.createElement("canvas");
          const { failed, scale } = await picture.paint(canvas, { mostPixels: 400000 });
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return { failed: failed.length, scale, width: canvas.width, height: canvas.height, data: Array.from(data) };
        }""",
        web_pages._text(data),
    )
    assert (shown["failed"], shown["scale"], shown["width"], shown["height"]) == (0, 2, 575, 501)
    pixels = np.array(shown["data"], np.uint8).reshape(501, 575, 4)[..., :3]
    with PicoFile(data) as file:
        whole = np.pad(file.decode(), ((0, 1), (0, 0), (0, 0)), mode="edge")
    means = whole.reshape(501, 2, 575, 2, 3).mean((1, 3))
    assert np.abs(pixels - means).max() <= 4  # where tiles fade into each other, means of rounded means
