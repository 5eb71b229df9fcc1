"""A browser refuses what Python refuses, for the same reason, and shows nothing that a file could smuggle in."""

from __future__ import annotations

import inspect
import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import container_samples
import numpy as np
import pytest
import test_container
import test_container_cut
import test_container_damage
import test_container_items
import test_container_versions
import web_pages
from test_fuzz import _mutate

from pico_core import Metadata, PicoError, PicoFile, encode
from pico_core.container import Container
from pico_core.errors import FormatError

MODULES = (
    test_container,
    test_container_cut,
    test_container_damage,
    test_container_items,
    test_container_versions,
)
LONGEST = 1 << 20  # of the files that are handed to the page here
Given = tuple[bytes, bool]
KINDS = {kind.__name__ for kind in FormatError.__subclasses__()}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    page = web_pages.page_in(tmp_path_factory.mktemp("page"))
    with web_pages.chromium() as browser:
        yield web_pages.open_page(browser, page)


def _calls(test: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """The arguments of each run of a test that needs nothing but its parameters."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    choices = []
    for mark in marks:
        names = mark.args[0].split(", ") if isinstance(mark.args[0], str) else list(mark.args[0])
        values = [getattr(value, "values", value if len(names) > 1 else (value,)) for value in mark.args[1]]
        choices.append([dict(zip(names, value, strict=True)) for value in values])
    for chosen in itertools.product(*choices):
        arguments = {name: value for part in chosen for name, value in part.items()}
        if set(inspect.signature(test).parameters) == set(arguments):
            yield arguments


def corpus(monkeypatch: pytest.MonkeyPatch) -> list[Given]:
    """Every file that the tests of the Python reader open, and whether it may be truncated."""
    opened: dict[Given, None] = {}

    class Recorded(Container):
        def __init__(self, stream: io.BytesIO, *, allow_truncated: bool = False) -> None:
            if len(stream.getvalue()) <= LONGEST:
                opened[stream.getvalue(), allow_truncated] = None
            super().__init__(stream, allow_truncated=allow_truncated)

    monkeypatch.setattr(container_samples, "Container", Recorded)
    for module in MODULES:
        for test in _tests_of(module):
            for arguments in _calls(test):
                test(**arguments)
    return list(opened)


def _tests_of(module: ModuleType) -> Iterator[Callable[..., None]]:
    for name, value in vars(module).items():
        if name.startswith("test_") and inspect.isfunction(value) and not hasattr(value, "hypothesis"):
            yield value


def in_python(data: bytes, *, allow_truncated: bool) -> str | None:
    """The name of the error that opening and verifying ends in; files that may be truncated are only opened."""
    try:
        container = Container(io.BytesIO(data), allow_truncated=allow_truncated)
        if not allow_truncated:
            container.verify()
    except PicoError as error:
        return type(error).__name__
    return None


def fails_to_decode(data: bytes, *, allow_truncated: bool) -> bool:
    """Whether Python refuses to decode it."""
    try:
        with PicoFile(data, allow_truncated=allow_truncated) as file:
            file.decode()
    except PicoError:
        return True
    return False


def test_the_corpus_of_the_python_reader_is_refused_for_the_same_reasons(
    tab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = corpus(monkeypatch)
    kinds = web_pages.errors_of(tab, files)
    expected = [in_python(data, allow_truncated=allowed) for data, allowed in files]
    assert len(files) > 500
    assert len(set(expected)) >= 6  # all kinds of errors occur, and files that are well
    wrong = [
        (len(data), allowed, kind, wanted)
        for (data, allowed), kind, wanted in zip(files, kinds, expected, strict=True)
        if kind != wanted
    ]
    assert wrong == []


def test_mutated_files_are_refused_for_the_same_reasons(tab: Any, samples: Path) -> None:
    rng = np.random.default_rng(20)
    files = web_pages.picture_files(samples)
    originals = tuple(
        files[name] for name in ("alpha", "grey", "turned", "lossless, grey and alpha", "a strip")
    )
    mutants = [(_mutate(originals, rng), False) for _ in range(400)]
    expected = [in_python(data, allow_truncated=False) for data, _ in mutants]
    assert web_pages.errors_of(tab, mutants) == expected
    assert len(set(expected)) >= 3


def _payload_mutants(data: bytes, count: int) -> list[bytes]:
    """Files whose tiles are damaged and whose checksums are right."""
    from pico_core.container import Tile, write

    rng = np.random.default_rng(7)
    found = []
    with PicoFile(data) as file:
        number = range(file.container.tile_count)
        tiles = [file.container.read_tile(index) for index in number]
        alpha = [file.container.read_alpha_tile(index) for index in number if file.picture.has_alpha]
        for _ in range(count):
            spoilt = []
            for tile in tiles:
                payload = bytearray(tile.payload)
                for _ in range(int(rng.integers(1, 4))):
                    payload[rng.integers(len(payload))] = rng.integers(256)
                spoilt.append(Tile(tile.coder, bytes(payload), tile.rise))
            stream = io.BytesIO()
            write(stream, file.picture, spoilt, alpha_tiles=alpha)
            found.append(stream.getvalue())
    return found


@pytest.mark.parametrize("name", ["turned", "nine tiles"])
def test_learned_tiles_made_to_do_harm_end_as_in_python(tab: Any, samples: Path, name: str) -> None:
    mutants = _payload_mutants(web_pages.picture_files(samples)[name], 12)
    expected: list[str | None] = []
    for data in mutants:
        try:
            with PicoFile(data) as file:
                file.decode()
            expected.append(None)
        except PicoError as error:
            expected.append(type(error).__name__)
    assert web_pages.errors_of(tab, [(data, False) for data in mutants], decode=True) == expected


@pytest.mark.parametrize("name", ["lossless", "screenshot.png", "alpha"])
def test_tiles_for_the_browsers_decoders_end_in_pixels_or_an_error(
    tab: Any, samples: Path, name: str
) -> None:
    mutants = _payload_mutants(web_pages.picture_files(samples)[name], 12)
    kinds = web_pages.errors_of(tab, [(data, False) for data in mutants], decode=True)
    assert set(kinds) <= {None, "CorruptError"}
    assert "CorruptError" in kinds


def test_a_picture_of_too_many_pixels_is_refused_before_memory_is_taken(tab: Any) -> None:
    data = container_samples.file_of(container_samples.picture(65_535, 5_000))
    assert web_pages.errors_of(tab, [(data, False)], decode=True) == ["ImageTooLargeError"]


def test_a_worker_that_dies_is_replaced(tab: Any, samples: Path) -> None:
    data = web_pages.picture_files(samples)["grey"]
    before = web_pages.decoded(tab, data)
    tab.evaluate("for (const one of [...pico.pool.workers]) one.port.dispatchEvent(new ErrorEvent('error'))")
    assert tab.evaluate("pico.pool.workers.length") == 0
    assert np.array_equal(web_pages.decoded(tab, data), before)


def test_a_browser_that_starts_no_workers_decodes_in_the_page(tab: Any, samples: Path) -> None:
    data = web_pages.picture_files(samples)["alpha"]
    without = tab.context.browser.new_context().new_page()
    without.add_init_script("window.Worker = class { constructor() { throw new Error('none here'); } };")
    without.goto(tab.url)
    assert np.array_equal(web_pages.decoded(without, data), web_pages.decoded(tab, data))
    without.context.close()


def test_unknown_weights_leave_the_preview_and_a_message(tab: Any, tmp_path: Path) -> None:
    pixels = np.full((1100, 1000, 3), 90, np.uint8) + np.arange(1000, dtype=np.uint8)[None, :, None] % 50
    data = encode(pixels, effort=0)
    with PicoFile(data) as file:
        needed = bytes.fromhex(file.model_id or "")
    path = tmp_path / "unknown.pico"
    path.write_bytes(_resealed(data.replace(needed, bytes(range(16)))))
    tab.set_input_files("#files", str(path))
    web_pages.until(tab, "!document.querySelector('#message').hidden")
    text = tab.inner_text("#message")
    assert "Only its preview can be shown" in text
    assert bytes(range(16)).hex() in text
    assert tab.evaluate("document.querySelector('#after canvas').width") == 1000
    middle = "[...document.querySelector('#after canvas').getContext('2d').getImageData(500, 500, 1, 1).data]"
    assert max(tab.evaluate(middle)[:3]) > 60  # the preview, not an empty canvas
    tab.click("#close")


def _resealed(data: bytes) -> bytes:
    end = data.index(b"mdat") - 4
    return container_samples.seal(data[:end]) + data[end:]


def test_a_damaged_file_beside_others_is_shown_as_far_as_it_goes(
    tab: Any, tmp_path: Path, samples: Path
) -> None:
    whole = web_pages.picture_files(samples)["nine tiles"]
    (tmp_path / "cut.pico").write_bytes(whole[: -len(whole) // 3])
    (tmp_path / "nothing.pico").write_bytes(b"")
    (tmp_path / "other.pico").write_bytes(b"\xff\xd8\xff" + bytes(100))
    tab.set_input_files("#files", [str(path) for path in sorted(tmp_path.iterdir())])
    cut = tab.locator('button.tile[aria-label^="cut,"]')
    cut.click()
    web_pages.until(tab, "document.querySelector('#message').innerText.includes('parts are missing')")
    assert "the file ends" in tab.inner_text("#message")
    corner = """(() => {
      const canvas = document.querySelector("#after canvas");
      return [...canvas.getContext("2d").getImageData(canvas.width - 9, canvas.height - 9, 1, 1).data];
    })()"""
    assert tab.evaluate(corner) != [0, 0, 0, 255]
    tab.click("#close")
    labels = tab.locator("button.tile").evaluate_all("tiles => tiles.map(tile => tile.innerText)")
    assert any("too few for any .pico file" in label for label in labels)
    assert any("does not begin as a .pico file does" in label for label in labels)


def test_markup_in_metadata_and_names_is_text(tab: Any, tmp_path: Path) -> None:
    from PIL import Image

    evil = "<img src=x onerror='window.harmed=1'><script>window.harmed=1</script>"
    exif = Image.Exif()
    exif[0x010E] = exif[0x010F] = exif[0x0110] = evil
    pixels = np.zeros((40, 50, 3), np.uint8)
    path = tmp_path / "<img src=x onerror=window.harmed=1>.pico"
    path.write_bytes(encode(pixels, metadata=Metadata(exif=exif.tobytes()), lossless=True))
    tab.set_input_files("#files", str(path))
    tab.locator('button.tile[aria-label^="<img"]').click()
    tab.click("#about")
    web_pages.until(tab, "document.querySelectorAll('#facts dd').length > 3")
    assert evil in tab.inner_text("#facts")
    tab.wait_for_timeout(300)
    assert tab.evaluate("window.harmed") is None
    tab.click("#close")


def test_the_policy_stops_scripts_and_connections(tab: Any) -> None:
    tried = """async () => {
      const script = document.createElement("script");
      script.textContent = "window.harmed = 2";
      document.head.append(script);
      const image = new Image();
      image.setAttribute("onerror", "window.harmed = 3");
      image.src = "data:image/png,x";
      const fetched = await fetch("https://example.org/").then(() => true, () => false);
      await new Promise(resolve => setTimeout(resolve, 200));
      return [window.harmed ?? null, fetched];
    }"""
    assert tab.evaluate(tried) == [None, False]


@pytest.mark.fuzz
def test_mutated_files_end_in_pixels_or_the_error_of_python(
    tab: Any, samples: Path, pytestconfig: pytest.Config
) -> None:
    end = time.monotonic() + float(pytestconfig.getoption("--fuzz-seconds"))
    rng = np.random.default_rng(int(time.time()))
    originals = tuple(data for data in web_pages.picture_files(samples).values() if len(data) < 50_000)
    count = 0
    while time.monotonic() < end:
        mutants = [(_mutate(originals, rng), bool(rng.integers(2))) for _ in range(40)]
        expected = [in_python(data, allow_truncated=allowed) for data, allowed in mutants]
        assert web_pages.errors_of(tab, mutants) == expected
        kinds = web_pages.errors_of(tab, mutants, decode=True)
        assert all(kind is None or kind in KINDS for kind in kinds)
        fails = [kind is not None for kind in kinds]
        assert fails == [fails_to_decode(data, allow_truncated=allowed) for data, allowed in mutants]
        count += len(mutants)
    print(f"{count} files")
