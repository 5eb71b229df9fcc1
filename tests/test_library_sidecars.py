"""Sidecars follow their photo into another folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from library_samples import drawing, files_below, fingerprint

from pico_library.cli import main

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos").mkdir()
    return tmp_path / "Photos"


def refusal_of(sidecar: Path) -> Callable[..., int]:
    """`os.open`, with a file that may not be read: root may read every one."""
    opened = os.open

    def refuse(path: Any, *how: Any, **more: Any) -> int:
        if os.fspath(path) == str(sidecar):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, *how, **more)

    return refuse


def test_sidecars_follow_into_the_output_folder(library: Path, tmp_path: Path) -> None:
    drawing(library / "IMG_1.png")
    for name in ("IMG_1.xmp", "IMG_1.png.xmp", "IMG_1.AAE", "other.xmp"):
        (library / name).write_text(name)
        os.utime(library / name, ns=(10**18, 1_622_862_182_000_000_000))
    before = fingerprint(library)
    assert main(["shrink", str(library), "--output", str(tmp_path / "out")]) == 0
    assert fingerprint(library) == before
    copied = fingerprint(tmp_path / "out")
    assert copied == {name: before[name] for name in ("IMG_1.AAE", "IMG_1.png.xmp", "IMG_1.xmp")}


def test_sidecar_that_cannot_be_copied_is_named_and_the_pico_file_is_known(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing(library / "a.png")
    (library / "a.xmp").write_text("stars")
    asked = ["shrink", str(library), "--output", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusal_of(library / "a.xmp"))
        assert main(asked) == 1
    said = capsys.readouterr().err
    assert (
        f"{library / 'a.xmp'}, which belongs to it, cannot be copied to {tmp_path / 'out' / 'a.xmp'}" in said
    )
    assert "(Permission denied); see that you may read the one" in said
    assert files_below(tmp_path / "out") == ["a.png.pico"]
    assert main(asked) == 0, "it is tried again"
    assert files_below(tmp_path / "out") == ["a.png.pico", "a.xmp"]
    assert main(["undo", "1"]) == 0
    assert files_below(tmp_path / "out") == ["a.xmp"]
