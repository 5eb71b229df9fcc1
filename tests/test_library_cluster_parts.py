"""The parts of `--engine dask` by themselves: one photo's task, listings, URLs, and what workers must agree on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from library_samples import drawing, folder_of_drawings, one_verifier

pytest.importorskip("distributed", reason="needs the extra [dask]")
pytest.importorskip("s3fs", reason="needs the extra [dask]")
pytest.importorskip("moto.server", reason="needs moto's server")

from cluster_samples import (
    BUCKET,
    ROOT,
    ObjectStore,
    drawn,
    object_store,
    objects,
    system,
)

from pico_core.errors import OptionError
from pico_core.workers import worker_count
from pico_library.cluster import work
from pico_library.cluster.agreement import ClusterError, check_workers, installed, look_around
from pico_library.cluster.workers import keep_to_own_threads
from pico_library.model.reasons import Reason
from pico_library.model.settings import Settings
from pico_library.model.url import Url, location
from pico_library.outcomes import Published
from pico_library.store import which as storage
from pico_library.store.listing import look
from pico_library.store.scan import Choice


@pytest.fixture(scope="module", autouse=True)
def _verifier() -> Iterator[None]:
    with one_verifier():
        yield


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def bucket(store: ObjectStore) -> Iterator[ObjectStore]:
    """The store with two drawings below ROOT."""
    for name, shade in (("0.png", 0), ("sub/1.png", 1)):
        system().pipe_file(f"{ROOT}/{name}", drawn(shade))
    yield store
    store.fault = None
    system().rm(list(objects()))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 2)


def task_for(url: str, settings: Settings | None = None) -> work.Task:
    (photo,) = look([location(url)], Choice()).photos
    return work.Task(photo, settings or Settings(), 1, None, installed())


def test_published_object_that_somebody_replaces_is_left_alone(bucket: ObjectStore) -> None:
    task = task_for(f"{ROOT}/0.png")
    report = work.make(task)
    assert report.published is not None
    system().pipe_file(f"{ROOT}/0.png.pico", b"precious")
    judged = work.judge(task, report.published)
    assert judged.failed
    assert objects()[f"{ROOT}/0.png.pico"] == b"precious"


def test_photo_that_is_newer_than_its_pico_file_is_not_taken_for_it(library: Path) -> None:
    assert work.make(task_for(str(library / "0.png"))).published is not None
    later = (library / "0.png").stat().st_mtime + 10
    drawing(library / "0.png", 1)
    os.utime(library / "0.png", (later, later))
    judged = work.judge(task_for(str(library / "0.png")), Published())
    assert judged.record.reason == Reason.CHANGED_SINCE
    assert (library / "0.png.pico").exists()


def test_original_that_changes_before_it_is_judged_takes_its_pico_file_back(library: Path) -> None:
    task = task_for(str(library / "0.png"))
    report = work.make(task)
    assert report.published is not None
    assert (library / "0.png.pico").exists()
    drawing(library / "0.png", 77)
    judged = work.judge(task, report.published)
    assert judged.record.reason == Reason.CHANGING
    assert not (library / "0.png.pico").exists()


def test_photo_that_another_disk_has_under_the_name_is_left_alone(library: Path) -> None:
    task = task_for(str(library / "0.png"))
    os.utime(library / "0.png", (1, 1))
    assert work.make(task).record.reason == Reason.CHANGING
    assert not list(library.glob("*.pico"))


def test_what_a_network_disk_shows_late_is_seen(tmp_path: Path) -> None:
    late, name = tmp_path / "late", str(tmp_path / "late" / "0.png.pico")
    assert not storage.is_seen(name, 3)

    def appear() -> None:
        late.mkdir()
        Path(name).write_bytes(b"abc")

    threading.Timer(0.3, appear).start()
    assert storage.is_seen(name, 3)
    assert not storage.is_seen(name, 4), "something else has the name"


def test_photo_that_needs_more_memory_than_a_worker_has_is_skipped(library: Path) -> None:
    task = replace(task_for(str(library / "0.png")), room=1000)
    assert work.make(task).record.reason == Reason.NO_MEMORY


def test_objects_are_chosen_and_left_alone_as_files_are(store: ObjectStore) -> None:
    names = ["a.jpg", ".hidden.jpg", "raw.CR2", "x.gif", "live.jpg", "live.MOV", "b.png", "b.xmp", "old.pico"]
    names += ["Screenshots/s.png", ".cache/c.jpg", "deep//d.jpg", "b.png.pico"]
    for name in names:
        store_name = f"{BUCKET}/choice/{name}"
        system().call_s3("put_object", Bucket=BUCKET, Key=store_name.partition("/")[2], Body=b"x")
    found = look([Url(f"s3://{BUCKET}/choice")], Choice(exclude=("screenshots",), skip_extras=True))
    assert [photo.name for photo in found.photos] == ["a.jpg", "b.png"]
    assert [photo.target_exists for photo in found.photos] == [False, True]
    assert found.photos[1].sidecars == ("b.xmp",)
    assert {str(one.path).rpartition("/")[2]: one.reason for one in found.skipped} == {
        "raw.CR2": Reason.RAW,
        "x.gif": Reason.NOT_A_PHOTO,
        "live.jpg": Reason.LIVE_PHOTO,
        "live.MOV": Reason.VIDEO,
        "old.pico": Reason.ALREADY_PICO,
    }
    assert len(found.problems) == 1, "a name that no path can have is told, and passed over"
    system().rm(f"{BUCKET}/choice", recursive=True)


def test_worker_without_the_folder_or_the_program_is_named() -> None:
    with pytest.raises(ClusterError, match=r"tcp://a sees no /no/such/folder; mount it"):
        check_workers({"tcp://a": look_around(["/no/such/folder"])}, installed())
    with pytest.raises(ClusterError, match=r"tcp://b cannot take part .*No module named 'pico_library'"):
        check_workers({"tcp://b": ModuleNotFoundError("No module named 'pico_library'")}, installed())


parts = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1).filter(
    lambda part: part not in (".", "..")
)


@given(st.lists(parts, min_size=1, max_size=4))
def test_url_is_written_as_it_was_given(names: list[str]) -> None:
    text = "s3://bucket/" + "/".join(names)
    url = location(text)
    assert isinstance(url, Url)
    assert str(url) == os.fspath(url) == text
    assert str(url.parent / url.name) == text
    assert location(str(Path(text))) == url, "as the journal gives it back"
    assert str(url.relative_to(Url("s3://bucket"))) == "/".join(names)


def test_file_urls_are_paths() -> None:
    assert location("file:///a%20b/c.jpg") == Path("/a b/c.jpg")
    assert location("file://localhost/c.jpg") == Path("/c.jpg")
    assert location("C:/photos") == Path("C:/photos")
    for text in ("file://elsewhere/c.jpg", "file://", "file://localhost", "gs://bucket/c", "memory://x"):
        with pytest.raises(OptionError):
            location(text)


def test_worker_codes_with_as_many_threads_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbours on the machine have theirs; who starts it may say fewer."""
    from distributed import Client

    def threads() -> tuple[str, int]:
        return keep_to_own_threads(), worker_count()

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("PICO_THREADS", "2")
    with Client(processes=False, n_workers=1, threads_per_worker=3, dashboard_address=None) as client:
        address, count = client.submit(threads, pure=False).result()
        assert count == 2
        monkeypatch.delenv("PICO_THREADS")
        assert client.submit(threads, pure=False).result() == (address, 3)
    assert keep_to_own_threads() == "", "outside of a worker"
