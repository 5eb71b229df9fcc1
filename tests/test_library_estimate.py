"""An estimate of what a library would take, from a few of its photos."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from library_samples import drawing, files_below, folder_of_drawings

from pico_library.cli import main
from pico_library.model.photo import Photo
from pico_library.model.settings import Settings
from pico_library.run import estimate as estimating

pytestmark = pytest.mark.usefixtures("home")


def photos_of(sizes: dict[str, list[int]]) -> list[Photo]:
    """Photos that exist only by name: of each folder, with these sizes."""
    return [
        Photo(folder, f"{number}.jpg", folder, os.stat_result((0o100644, 0, 0, 1, 0, 0, size, 0, 0, 0)))
        for folder, all_sizes in sizes.items()
        for number, size in enumerate(all_sizes)
    ]


def test_sample_says_what_all_would_within_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20,000 photos each folder shrinks in its own way, and large ones more than small ones."""
    chance = random.Random(1)
    sizes = {f"/{n}": [chance.randrange(10**5, 10**7) for _ in range(2000)] for n in range(10)}
    photos = photos_of(sizes)

    def ratio(photo: Photo, _: Settings) -> float:
        return 0.2 + 0.05 * int(photo.folder[1:]) + 0.2 * (photo.status.st_size < 3_000_000)

    monkeypatch.setattr(estimating, "_ratio", ratio)
    monkeypatch.setattr(estimating, "_camera", lambda _: "")
    true = 1 - sum(ratio(photo, Settings()) * photo.status.st_size for photo in photos) / sum(
        photo.status.st_size for photo in photos
    )
    found = estimating.estimate(photos, Settings())
    assert found.encoded == 60
    assert found.low is not None
    assert found.high is not None
    assert found.low < true < found.high
    assert found.high - found.low < 0.15


def test_time_is_kept_and_what_was_encoded_by_then_lies_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def ratio(photo: Photo, _: Settings) -> float:
        seen.append(photo.folder)
        return 0.5

    monkeypatch.setattr(estimating, "_ratio", ratio)
    monkeypatch.setattr(estimating, "_camera", lambda _: "")
    found = estimating.estimate(photos_of({f"/{n}": [1000] * 500 for n in range(8)}), Settings(), seconds=0)
    assert found.encoded == 5
    assert len(set(seen)) == 5, "each from a folder of its own"


def test_command_says_about_how_much_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = folder_of_drawings(tmp_path / "Photos", 6)
    drawing(library / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    before = files_below(library)
    assert main(["shrink", str(library), "--estimate", "--replace"]) == 0
    said = capsys.readouterr().out
    assert "6 of them encoded as a sample: about 99 % smaller, .pico files of 4." in said
    assert files_below(library) == before
    assert main(["shrink", str(library), "--estimate", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["photos"], facts["encoded"]) == (7, 6)
    assert main(["history"]) == 3, "it is no run"


def test_nothing_to_estimate_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(tmp_path), "--estimate"]) == 3
    assert "Nothing to estimate" in capsys.readouterr().out


@pytest.mark.parametrize("count", [30, 100])
def test_large_photos_count_as_much_as_they_take(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few large ones that shrink well, and many small ones that do not."""
    photos = photos_of({"/a": [5_000_000 + n for n in range(5)], "/b": [10_000 + n for n in range(count)]})
    monkeypatch.setattr(estimating, "_ratio", lambda photo, _: 0.2 if photo.folder == "/a" else 1.0)
    monkeypatch.setattr(estimating, "_camera", lambda _: "")
    found = estimating.estimate(photos, Settings())
    assert found.low is not None
    assert found.high is not None
    assert 0.7 < found.low <= found.high <= 0.82
