"""What the look at content is measured with: marks where they are said to be, and a command that counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pico_bench import look, purposes
from pico_bench.damage import SIDE, map_scene, page_scene, scene
from pico_bench.look_cases import Coder


def test_marks_lie_in_their_boxes_and_nowhere_else(photo: NDArray[np.uint8]) -> None:
    found = scene(np.ascontiguousarray(photo[:SIDE, :SIDE]), np.random.default_rng(3))
    assert len(found.marks) >= 5
    outside = np.ones((SIDE, SIDE), bool)
    for mark in found.marks:
        inside = slice(mark.box.top, mark.box.bottom), slice(mark.box.left, mark.box.right)
        other = found.respelled if mark.kind == "letters" else found.plain
        difference = np.abs(found.marked[inside].astype(int) - other[inside]).max()
        assert difference > 0.5 * mark.contrast
        outside[inside] = False
    gone = np.abs(found.marked.astype(int) - found.plain).max(2) > 40
    letters = [mark for mark in found.marks if mark.kind == "letters"]
    for mark in letters:  # their box is that of the letters that change, not of the word
        gone[mark.box.top - 30 : mark.box.bottom + 30, max(0, mark.box.left - 150) : mark.box.right + 150] = (
            False
        )
    assert not (gone & outside).any()


@pytest.mark.parametrize("draw", [map_scene, page_scene])
def test_drawn_scenes_are_the_same_for_the_same_seed(draw: object) -> None:
    assert callable(draw)
    one, other = (draw(np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(one.marked, other.marked)
    assert one.marks == other.marks


def test_kept_reconstruction_is_that_of_the_codec(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    part = np.ascontiguousarray(photo[:128, :128])
    first, kept = (Coder(tmp_path)(part, 40, 0) for _ in range(2))
    assert np.array_equal(first, Coder(None)(part, 40, 0))
    assert np.array_equal(first, kept)
    assert len(list(tmp_path.iterdir())) == 1


def test_command_prints_what_was_noticed_and_refused(
    tmp_path: Path, photo: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("hill.png", "1.png"):  # of the half that is reported, and of the other
        Image.fromarray(photo).save(tmp_path / "photos" / name)
    words = ["--photographs", str(tmp_path / "photos"), "--drawn", "1", "--quality", "60", "--fit"]
    assert look.main(words) == 0
    text = capsys.readouterr().out
    assert "photographs: wire removed" in text
    assert "photos, content" in text
    assert "within" in text


def test_purposes_are_measured(
    tmp_path: Path, photo: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo).save(tmp_path / "a.png")
    assert purposes.main([str(tmp_path), "--quality", "20", "60"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert float(rows[0][1]) < float(rows[1][1])
