"""Another photo that was given the name of an original, or of a .pico file, is never shown or counted as that one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from library_samples import archive, drawing, journal_of
from PIL import Image, PngImagePlugin

from pico_library.cli import main
from pico_library.view.before import find_before
from pico_library.view.catalogue import read_entry
from pico_library.view.facts import facts_of, in_words

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo that is shrunk, and lies beside its .pico file."""
    (tmp_path / "Photos").mkdir()
    path = drawing(tmp_path / "Photos" / "a.png")
    assert main(["shrink", str(path.parent)]) == 0
    return path


def another(path: Path) -> Path:
    """Put another picture of the same number of pixels, and another size of file, in the place of one."""
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", 500 * "another ")
    with Image.open(path) as im:
        im.rotate(180).save(path, "PNG", compress_level=0, pnginfo=words)
    return path


def pico_of(photo: Path) -> Path:
    return photo.with_name(photo.name + ".pico")


def before_of(photo: Path) -> Path | None:
    """What the gallery shows as the original of a photo's .pico file."""
    before = find_before(read_entry("x", pico_of(photo), "a"))
    return None if before is None else before.path


def facts(photo: Path) -> dict[str, str]:
    entry = read_entry("x", pico_of(photo), "a")
    return dict(facts_of(entry, find_before(entry)))


def comparisons(photo: Path) -> int:
    """How many photos the report of all runs shows before and after."""
    page = photo.parents[1] / "page.html"
    assert main(["report", "--html", str(page)]) == 0
    return page.read_text(encoding="utf-8").count('class="slider"')


@pytest.mark.parametrize("journal", [True, False])
def test_gallery_offers_no_other_photo_as_the_original(photo: Path, home: Path, *, journal: bool) -> None:
    size = photo.stat().st_size
    if not journal:
        for file in home.glob("journal.*"):
            file.unlink()
    assert before_of(photo) == photo
    assert facts(photo)["Size"].endswith(f"from {in_words(size)}")
    another(photo)
    assert photo.stat().st_size != size
    assert before_of(photo) is None
    if journal:
        assert facts(photo)["Size"].endswith(f"from {in_words(size)}"), (
            "the original's, as the journal has it"
        )
    else:
        assert "Saved" not in facts(photo)


def test_original_with_another_date_is_known_by_its_bytes(photo: Path) -> None:
    os.utime(photo, (10**9, 10**9))
    assert before_of(photo) == photo


def test_gallery_offers_no_other_photo_in_the_archive(photo: Path) -> None:
    assert main(archive(photo.parent)) == 0
    archived = journal_of(photo).original_at
    assert archived is not None
    assert before_of(photo) == archived
    another(archived)
    assert before_of(photo) is None


def test_gallery_tells_nothing_of_the_photo_whose_pico_file_had_the_name_before(photo: Path) -> None:
    """Its owner has put the .pico file of another photo there, which says what it was made from."""
    other = photo.with_name("b.png")
    shutil.copy2(photo, other)
    assert main(["shrink", str(another(other).parent)]) == 0
    pico_of(other).replace(pico_of(photo))
    assert before_of(photo) is None
    assert "Saved" not in facts(photo)


@pytest.fixture
def compared(tmp_path: Path, samples: Path) -> Path:
    """A photo that the report shows before and after."""
    (tmp_path / "Photos").mkdir()
    path = tmp_path / "Photos" / "lake.png"
    with Image.open(samples / "lake.jpg") as im:
        im.crop((60, 60, 252, 188)).convert("RGB").save(path, compress_level=1)
    assert main(["shrink", str(path.parent)]) == 0
    return path


def test_report_compares_with_no_other_photo(compared: Path) -> None:
    assert comparisons(compared) == 1
    another(compared)
    assert comparisons(compared) == 0


def test_report_compares_no_other_pico_file(compared: Path) -> None:
    other = compared.with_name("other.png")
    shutil.copy2(compared, other)
    assert main(["shrink", str(another(other))]) == 0
    assert comparisons(compared) == 2
    pico_of(other).replace(pico_of(compared))
    assert comparisons(compared) == 0
