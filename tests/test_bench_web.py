"""`pico-bench web` measures real pictures in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import web_pages

from pico_bench import web
from pico_bench.cli import main


@pytest.fixture(autouse=True)
def built(tmp_path: Path) -> None:
    web_pages.page_in(tmp_path)
    with web_pages.chromium():
        pass  # skipped where there is none


def test_every_codec_is_measured_in_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--megapixels", "0.3", "--repeats", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["codec"] for row in rows] == list(web.CODECS)
    assert all(row["first"] > 0 and row["next"] > 0 and row["bytes"] > 1000 for row in rows)
    table = web.as_text(rows).splitlines()
    assert len(table) == 1 + len(rows)
    assert table[-1].split()[1] == "JPEG"
