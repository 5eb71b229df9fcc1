"""SSIMULACRA2 against values of the reference program, version 2.1."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from metric_pictures import coarse, picture
from PIL import Image

from pico_metrics.ssimulacra2 import ssimulacra2


def test_a_picture_scores_what_the_reference_program_gives() -> None:
    assert ssimulacra2(picture(), coarse(picture())) == pytest.approx(70.10966171, abs=0.1)


@pytest.mark.parametrize(("quality", "expected"), [(20, 29.11247385), (50, 64.31161186), (80, 79.48791549)])
def test_jpegs_of_a_photograph_score_what_the_reference_program_gives(
    shared: Path, quality: int, expected: float
) -> None:
    """kodim23 as Pillow's JPEG; the wider tolerance is for other versions of libjpeg."""
    with Image.open(shared / "data/eval-kodak/kodim23.png") as image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        pair = np.asarray(image), np.asarray(Image.open(stream))
    assert ssimulacra2(*pair) == pytest.approx(expected, abs=0.2)
