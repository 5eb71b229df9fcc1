"""Who may read what pico-codec writes: nobody else before it is whole, and then who might read it before."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from pico_codec.cli import main
from pico_codec.files import OutputError, PartialFile, partial_file, write_whole

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such access rights")


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def usual(request: pytest.FixtureRequest) -> Iterator[int]:
    """The rights of a new file, by the umask."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("rights", [0o600, 0o640, 0o664, 0o444])
def test_forced_output_has_the_rights_of_the_file_it_replaces(rights: int, tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "a.pico"
    Image.new("L", (4, 4)).save(source)
    target.write_bytes(b"old")
    target.chmod(rights)
    assert main(["encode", "--lossless", "--force", str(source), str(target)]) == 0
    assert target.read_bytes() != b"old"
    assert mode(target) == rights


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_file_that_root_replaces_stays_its_owners(tmp_path: Path) -> None:
    target = tmp_path / "private"
    target.touch(0o600)
    os.chown(target, 1234, 2345)
    write_whole(target, b"content", overwrite=True)
    status = target.stat()
    assert (status.st_uid, status.st_gid, mode(target)) == (1234, 2345, 0o600)


def test_new_output_has_the_rights_of_any_new_file(usual: int, tmp_path: Path) -> None:
    write_whole(tmp_path / "new", b"content", overwrite=True)
    assert mode(tmp_path / "new") == usual
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_nobody_else_may_read_what_is_not_whole(usual: int, tmp_path: Path) -> None:
    with partial_file(tmp_path) as partial:
        assert mode(partial.path) == 0o600
        partial.stream.write(b"half")
        partial.sync()
        assert mode(partial.path) == 0o600
        partial.open_up()
        assert mode(partial.path) == usual
        assert list(tmp_path.iterdir()) == [partial.path]


def test_output_has_its_rights_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "secret"
    target.touch(0o600)
    rename, seen = Path.replace, []

    def look(self: Path, other: Path) -> Path:
        seen.append((mode(self), mode(other)))
        return rename(self, other)

    monkeypatch.setattr(Path, "replace", look)
    write_whole(target, b"content", overwrite=True)
    assert seen == [(0o600, 0o600)]


def test_umask_of_the_process_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that other threads create meanwhile would get other rights."""
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was changed"))
    write_whole(tmp_path / "new", b"content", overwrite=True)


def test_disk_without_access_rights_takes_a_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, rights: int) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    write_whole(tmp_path / "new", b"content", overwrite=True)
    assert (tmp_path / "new").read_bytes() == b"content"


def without_links(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Let the disk know no hard links, as FAT; `meanwhile` happens once a process has found that out."""

    def refuse(*_: object) -> None:
        meanwhile()
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("disk", ["with links", "without links"])
def test_file_that_appears_at_the_last_moment_is_not_replaced(
    disk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, sync = tmp_path / "photo", PartialFile.sync

    def appear(self: PartialFile) -> None:
        target.write_bytes(b"precious")
        sync(self)

    monkeypatch.setattr(PartialFile, "sync", appear)
    if disk == "without links":
        without_links(monkeypatch)
    with pytest.raises(OutputError):
        write_whole(target, b"late", overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("photo", b"precious")]


def test_file_of_another_process_is_not_replaced_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, lexists = tmp_path / "photo", os.path.lexists
    without_links(monkeypatch, lambda: target.write_bytes(b"precious"))
    # The other process is quicker than any look at the name.
    monkeypatch.setattr(os.path, "lexists", lambda path: path != target and lexists(path))
    monkeypatch.setattr(Path, "exists", lambda path: path != target and lexists(path))
    with partial_file(tmp_path) as partial:
        partial.stream.write(b"late")
        partial.sync()
        with pytest.raises(FileExistsError):
            partial.take_name(target)
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


def test_disk_without_hard_links_takes_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_links(monkeypatch)
    write_whole(tmp_path / "new", b"content", overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("new", b"content")]


def test_name_is_free_again_after_a_failure_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, other: Path) -> Path:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    without_links(monkeypatch)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError):
        write_whole(tmp_path / "new", b"content", overwrite=False)
    assert not list(tmp_path.iterdir())
