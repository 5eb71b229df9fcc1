"""`pico-library shrink --engine dask`: the same results as on one machine, from disks and object stores."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from library_samples import EXIF_DATE, drawing, fingerprint, folder_of_drawings, one_verifier
from library_samples import scene as piece_of_a_photo
from PIL import Image

pytest.importorskip("distributed", reason="needs the extra [dask]")
pytest.importorskip("s3fs", reason="needs the extra [dask]")
pytest.importorskip("moto.server", reason="needs moto's server")

from cluster_samples import (
    BUCKET,
    ROOT,
    ObjectStore,
    be_overtaken,
    cut_short,
    drawn,
    know_no_conditions,
    object_store,
    objects,
    refuse,
    system,
)

from pico_core import PicoFile
from pico_library.cli import main
from pico_library.cluster import connection
from pico_library.model.reasons import Reason
from pico_library.model.records import Outcome, Record
from pico_library.model.url import location
from pico_library.store import places
from pico_library.store.journal import Journal


@pytest.fixture(scope="module", autouse=True)
def _verifier() -> Iterator[None]:
    with one_verifier():
        yield


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture(scope="module")
def scheduler(store: ObjectStore) -> Iterator[str]:
    """Two workers that all tests share, so that they start once."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


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


def shrink(scheduler: str, *arguments: object) -> int:
    return main(["shrink", "--engine", "dask", "--scheduler", scheduler, *map(str, arguments)])


def known() -> dict[str, Record]:
    with Journal(places.journal_file()) as journal:
        return {name: journal.newest(location(name)) for name in journal.seen()}  # type: ignore[misc]


def test_same_files_and_same_reasons_as_on_one_machine(
    scheduler: str, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "Photos"
    (library / "2021").mkdir(parents=True)
    scene = piece_of_a_photo(samples)
    scene.save(library / "IMG_1.jpg", quality=95, exif=EXIF_DATE)
    scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(library / "2021" / "IMG_2.JPG", "JPEG", quality=95)
    (library / "IMG_1.xmp").write_text("<x/>")
    (library / "IMG_1.jpg").chmod(0o600)
    os.utime(library / "IMG_1.jpg", ns=(10**18, 1_622_862_182_000_000_000))
    drawing(library / "drawing.png")
    scene.save(library / "tiny.webp", quality=0)
    scene.convert("CMYK").save(library / "print.jpg")
    scene.resize((40, 40)).effect_spread(9).resize((160, 160)).save(library / "noise.jpg", quality=95)
    Image.new("I;16", (9, 9)).save(library / "deep.png")
    frames = [Image.new("L", (9, 9), level) for level in (0, 200)]
    frames[0].save(library / "moving.webp", save_all=True, append_images=frames[1:])
    scene.save(library / "two.jpg", "MPO", save_all=True, append_images=frames)
    whole = (library / "IMG_1.jpg").read_bytes()
    (library / "motion.jpg").write_bytes(whole + b"\0\0\0\x18ftypmp42" * 10_000)
    (library / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (library / "renamed.jpg").write_text("not a picture")
    before = fingerprint(library)
    results, trees = [], []
    for engine in ("local", "dask"):
        monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path / f"home of {engine}"))
        output = tmp_path / engine
        extra = [] if engine == "local" else ["--scheduler", scheduler]
        assert main(["shrink", str(library), "--engine", engine, *extra, "--output", str(output)]) == 1
        trees.append(
            {
                str(path.relative_to(output)): (
                    path.read_bytes(),
                    path.stat().st_mtime_ns,
                    path.stat().st_mode,
                )
                for path in output.rglob("*")
                if path.is_file()
            }
        )
        results.append({name: replace(record, recorded=0.0, target=None) for name, record in known().items()})
    assert fingerprint(library) == before
    assert {"IMG_1.jpg.pico", "2021/IMG_2.JPG.pico", "drawing.png.pico", "IMG_1.xmp"} <= trees[0].keys()
    assert trees[0] == trees[1]
    assert {Reason.SMALL_SAVING, Reason.COLOUR_SPACE, Reason.DEEP, Reason.ANIMATION} <= {
        record.reason for record in results[0].values()
    }
    assert results[0] == results[1], "quality, scores, digests and reasons too"


def test_second_run_does_nothing_whichever_engine_was_first(
    scheduler: str, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shrink(scheduler, library) == 0
    first = {path: path.stat().st_ino for path in library.glob("*.pico")}
    assert len(first) == 2
    assert main(["shrink", str(library)]) == 3
    assert shrink(scheduler, library) == 3
    assert {path: path.stat().st_ino for path in library.glob("*.pico")} == first
    assert "Nothing to do: 2 photos, all as an earlier run left them." in capsys.readouterr().out


def test_objects_are_read_and_written_and_a_second_run_does_nothing(
    scheduler: str, bucket: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    before = objects()
    assert shrink(scheduler, ROOT) == 0
    assert "2 photos" in capsys.readouterr().out
    after = objects()
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == [f"{ROOT}/0.png.pico", f"{ROOT}/sub/1.png.pico"]
    with PicoFile(after[f"{ROOT}/0.png.pico"]) as file:
        file.verify()
    facts = system().info(f"{ROOT}/0.png.pico")
    assert facts["ContentType"] == "image/x-pico"
    assert known().keys() == before.keys()
    assert {record.outcome for record in known().values()} == {Outcome.SAVED}
    assert shrink(scheduler, f"{ROOT}/") == 3
    assert system().info(f"{ROOT}/0.png.pico")["LastModified"] == facts["LastModified"]


def test_object_that_changed_is_noticed_by_its_etag(scheduler: str, bucket: ObjectStore) -> None:
    assert shrink(scheduler, ROOT) == 0
    system().pipe_file(f"{ROOT}/0.png", drawn(7))  # of the same size, and maybe in the same second
    assert shrink(scheduler, ROOT) == 0
    assert known()[f"{ROOT}/0.png"].reason == Reason.CHANGED_SINCE


def test_trees_are_mirrored_between_disk_and_store(
    scheduler: str, bucket: ObjectStore, library: Path, tmp_path: Path
) -> None:
    (library / "0.png.xmp").write_text("<x/>")
    up, down = f"s3://{BUCKET}/up", tmp_path / "down"
    assert shrink(scheduler, library, "--output", up) == 0
    assert shrink(scheduler, library, "--output", up) == 3
    written = {name: data for name, data in objects().items() if name.startswith(up)}
    assert sorted(written) == [f"{up}/0.png.pico", f"{up}/0.png.xmp", f"{up}/1.png.pico"]
    assert shrink(scheduler, ROOT, "--output", down) == 0
    assert shrink(scheduler, ROOT, "--output", down) == 3
    assert sorted(path.relative_to(down) for path in down.rglob("*.pico")) == [
        Path("0.png.pico"),
        Path("sub/1.png.pico"),
    ]
    assert (down / "0.png.pico").read_bytes() == written[f"{up}/0.png.pico"]


def test_store_that_refuses_fails_the_photo_and_the_next_run_finishes(
    scheduler: str, bucket: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    before = objects()
    bucket.fault = refuse
    assert shrink(scheduler, ROOT) == 1
    assert objects() == before
    assert f"pico-library: {ROOT}/0.png: " in capsys.readouterr().err
    bucket.fault = None
    assert shrink(scheduler, ROOT) == 0
    assert len(objects()) == 4


def test_object_that_was_cut_short_is_found_out_and_removed(
    scheduler: str, bucket: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    before = objects()
    bucket.fault = cut_short
    assert shrink(scheduler, ROOT) == 1
    assert "what was written is not what was stored" in capsys.readouterr().err
    assert objects() == before
    assert {record.outcome for record in known().values()} == {Outcome.FAILED}


def test_store_that_knows_no_conditions_is_written_to_all_the_same(
    scheduler: str, bucket: ObjectStore
) -> None:
    bucket.fault = know_no_conditions
    assert shrink(scheduler, ROOT) == 0
    assert len(objects()) == 4


def test_object_of_somebody_else_is_never_overwritten(scheduler: str, bucket: ObjectStore) -> None:
    system().pipe_file(f"{ROOT}/0.png.pico", b"precious")
    bucket.fault = be_overtaken  # as it happens to the other one
    assert shrink(scheduler, ROOT) == 0
    assert objects()[f"{ROOT}/0.png.pico"] == objects()[f"{ROOT}/sub/1.png.pico"] == b"precious"
    assert {record.reason for record in known().values()} == {Reason.NAME_TAKEN}


def test_file_of_somebody_else_is_never_overwritten(scheduler: str, library: Path) -> None:
    (library / "0.png.pico").write_bytes(b"precious")
    (library / "1.png.pico").symlink_to("nowhere")
    assert shrink(scheduler, library) == 0
    assert (library / "0.png.pico").read_bytes() == b"precious"
    assert not (library / "nowhere").exists()
    reasons = {record.reason for name, record in known().items() if name.endswith(".png")}
    assert reasons == {Reason.NAME_TAKEN}


def test_file_is_adopted_when_the_journal_is_lost(scheduler: str, library: Path, home: Path) -> None:
    assert shrink(scheduler, library) == 0
    first = {path: path.stat().st_ino for path in library.glob("*.pico")}
    home.rename(home.with_name("lost"))
    assert shrink(scheduler, library) == 0
    assert {path: path.stat().st_ino for path in library.glob("*.pico")} == first
    assert {record.reason for record in known().values()} == {Reason.ADOPTED}
    assert shrink(scheduler, library) == 3


def test_photo_that_an_edit_was_taken_back_from_is_known_by_what_an_earlier_run_verified(
    scheduler: str, bucket: ObjectStore, library: Path
) -> None:
    """The run in between, which left the edited photo alone, must not hide the record of the one before."""
    photo, url = library / "0.png", f"{ROOT}/0.png"
    assert shrink(scheduler, library, ROOT) == 0
    first, content, stored = known(), photo.read_bytes(), objects()[url]
    photo.write_bytes(content + b"edited")
    system().pipe_file(url, stored + b"edited")
    assert shrink(scheduler, library, ROOT) == 0
    assert {known()[name].reason for name in (str(photo), url)} == {Reason.CHANGED_SINCE}
    photo.write_bytes(content)
    system().pipe_file(url, stored)
    assert shrink(scheduler, library, ROOT) == 0
    for name in (str(photo), url):
        last = replace(known()[name], run=1, recorded=0.0, identity=first[name].identity)
        assert last == replace(first[name], recorded=0.0, wrote=False), "only the first run wrote it"


def test_two_photos_that_look_alike_never_share_a_pico_file(scheduler: str, tmp_path: Path) -> None:
    for shade, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        os.utime(drawing(tmp_path / folder / "0.png", shade), (10**9, 10**9))
        shrink(scheduler, tmp_path / folder, "--output", tmp_path / "out")
    first, second = (known()[str(tmp_path / folder / "0.png")] for folder in ("a", "b"))
    assert (first.outcome, second.reason) == (Outcome.SAVED, Reason.NAME_TAKEN)


def test_full_disk_ends_the_run(scheduler: str, library: Path, request: pytest.FixtureRequest) -> None:
    disk: Path = request.getfixturevalue("disk_of")(16)
    (disk / "full").write_bytes(bytes(16_384))
    assert shrink(scheduler, library, "--output", disk) == 1
    assert [path.name for path in disk.iterdir()] == ["full"]


def test_dry_run_writes_nothing(
    scheduler: str, bucket: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    before = objects()
    assert shrink(scheduler, ROOT, "--dry-run") == 0
    assert "Nothing was written" in capsys.readouterr().out
    assert objects() == before
    assert known() == {}


def test_workers_with_another_version_are_refused(
    scheduler: str, library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pico_library.cluster.agreement.__version__", "99.0")
    assert shrink(scheduler, library) == 1
    assert "install the same version" in capsys.readouterr().err
    assert not list(library.glob("*.pico"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--engine", "dask", "--replace"],
        ["--engine", "dask", "--archive", "elsewhere"],
        ["--engine", "dask", "--delete-originals"],
        ["--engine", "dask", "--scheduler", "tcp://h:1", "--max-memory", "2GB"],
        ["--engine", "cloud"],
        ["--scheduler", "tcp://h:1"],
        ["--output", "s3://bucket/small"],
        ["--engine", "dask", "--output", "ftp://host/small"],
        ["--engine", "dask", "--output", "s3://"],
        ["--engine", "dask", "s3:///no-bucket"],
    ],
)
def test_what_an_engine_cannot_do_is_a_wrong_command_line(arguments: list[str], library: Path) -> None:
    assert main(["shrink", str(library), *arguments]) == 2
    assert not list(library.glob("*.pico"))


def test_missing_object_folder_is_exit_code_2(scheduler: str, bucket: ObjectStore) -> None:
    assert shrink(scheduler, f"{ROOT}/nothing") == 2


def test_scheduler_that_does_not_answer_is_named(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "_SECONDS_TO_ANSWER", 0.3)
    assert shrink("tcp://127.0.0.1:9", library) == 1
    assert "no scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err


def test_address_that_is_none_is_named_at_once(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert shrink("somewhere", library) == 1
    assert time.monotonic() - started < 5
    errors = capsys.readouterr().err
    assert "no scheduler answers at somewhere (missing port number" in errors
    assert errors.count("\n") == 1


def test_missing_extra_is_named(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["shrink", "--engine", "dask", str(library)]) == 1
    assert "pip install 'pillow-pico[dask]'" in capsys.readouterr().err
